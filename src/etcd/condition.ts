// How what is followed relates to etcd, in one value: told on every change, logged once per change of kind.

import type { System } from "../system.ts";
import type { FollowedCondition, FollowedLog } from "./followed.ts";

export type Held = Extract<FollowedCondition, { readonly kind: "held" }>;

export interface ConditionOptions {
  readonly system: System;
  readonly log: FollowedLog;
  /** For messages. */
  readonly name: string;
  readonly changed: (condition: FollowedCondition) => void;
}

export class Condition {
  current: FollowedCondition = { kind: "starting", cause: undefined };
  readonly #options: ConditionOptions;
  #held: Held | undefined;
  /** What went wrong since the last watch that stood. */
  #cause: string | undefined;
  #awaySinceMs = 0;
  #started = false;
  #fromCopy = false;
  /** `#cause` is only that the first list takes long. */
  #slow = false;

  constructor(options: ConditionOptions) {
    this.#options = options;
  }

  get held(): boolean {
    return this.#held !== undefined;
  }

  failed(cause: string): void {
    if (this.#cause === undefined) this.#awaySinceMs = this.#options.system.wallMs();
    this.#cause = cause;
    this.#slow = false;
    this.#tell();
  }

  /** Content came from the copy on disk: `cause` says why not from etcd, unless that is known better. */
  startedFromCopy(cause: string): void {
    this.#started = true;
    this.#fromCopy = true;
    const slow = this.#cause === undefined;
    this.failed(this.#cause ?? cause);
    this.#slow = slow;
  }

  /** A list was taken: what serves is etcd's. A failure of a watch before it stands until a watch does. */
  listed(): void {
    if (this.#slow || !this.#started) this.#cause = undefined;
    this.#started = true;
    this.#held = undefined;
    this.#fromCopy = false;
    this.#tell();
  }

  /** A watch stands. */
  watching(): void {
    this.#cause = undefined;
    this.#tell();
  }

  hold(held: Omit<Held, "kind" | "sinceMs">): void {
    const sinceMs = this.#held?.sinceMs ?? this.#options.system.wallMs();
    this.#started = true;
    this.#fromCopy = false;
    this.#cause = undefined;
    this.#held = { kind: "held", sinceMs, ...held };
    this.#tell();
  }

  #now(): FollowedCondition {
    const cause = this.#cause;
    if (this.#held !== undefined) return this.#held;
    if (!this.#started) return { kind: "starting", cause };
    if (cause === undefined) return { kind: "current" };
    return { kind: "away", sinceMs: this.#awaySinceMs, cause, fromCopy: this.#fromCopy };
  }

  #tell(): void {
    const before = this.current;
    const now = this.#now();
    if (isSame(before, now)) return;
    this.current = now;
    this.#log(before, now);
    this.#options.changed(now);
  }

  #log(before: FollowedCondition, now: FollowedCondition): void {
    const { log, name } = this.#options;
    switch (now.kind) {
      case "starting":
        if (before.kind === "starting" && before.cause !== undefined) return;
        return log.warn("etcd cannot be read; nothing is known of it yet", {
          name,
          cause: now.cause,
        });
      case "away":
        if (before.kind === "away") return; // also when a list took the place of the copy: the watch will tell
        return log.warn("etcd cannot be followed; what was last seen goes on", {
          name,
          cause: now.cause,
          fromCopy: now.fromCopy,
        });
      case "held":
        if (before.kind === "held" && before.finding === now.finding) return;
        return log.warn("what etcd holds is not believed; what was last seen goes on", {
          name,
          finding: now.finding,
          detail: now.detail,
        });
      case "current":
        if (before.kind === "starting" && before.cause === undefined) return;
        return log.info("etcd is followed", { name, after: before.kind });
    }
  }
}

function isSame(one: FollowedCondition, other: FollowedCondition): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
