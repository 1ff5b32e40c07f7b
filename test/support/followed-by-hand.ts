// A followed prefix whose events are the test's: a Followed without an etcd.

import type { Key, KeyValue } from "../../src/etcd/etcd.ts";
import type { Followed, FollowedCondition, FollowedOwner } from "../../src/etcd/followed.ts";

/** "/services/wéb" as etcd has it: one character per byte. */
export function keyOf(text: string): Key {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** A key with a value; undefined: one that is no text. */
export function keyValue(key: string, text: string | undefined, modRevision = 1): KeyValue {
  const bytes = text === undefined ? 2_000_000 : Buffer.byteLength(text);
  return { key: keyOf(key), text, bytes, createRevision: 1, modRevision, lease: "0" };
}

export class FollowedByHand implements Followed {
  revision = 0;
  readonly entries = new Map<Key, KeyValue>();
  readonly repairsTotal = 0;
  readonly listsTotal = 1;
  condition: FollowedCondition = { kind: "starting", cause: undefined };
  closed = false;
  accepted = 0;
  readonly #owner: FollowedOwner;
  readonly #first = Promise.withResolvers<void>();

  constructor(owner: FollowedOwner) {
    this.#owner = owner;
  }

  /** Puts (key to value, undefined: no text) and deletes, as one revision; the keys that could not be read. */
  batch(
    puts: Readonly<Record<string, string | undefined>>,
    deletes: readonly string[] = [],
  ): readonly string[] {
    this.revision++;
    const unreadable = this.#owner.apply({
      revision: this.revision,
      puts: Object.entries(puts).map(([key, text]) => keyValue(key, text, this.revision)),
      deletes: deletes.map(keyOf),
    });
    return [...unreadable];
  }

  become(condition: FollowedCondition): void {
    this.condition = condition;
    this.#owner.conditionChanged?.(condition);
  }

  /** The first content is there. */
  begin(): void {
    this.become({ kind: "current" });
    this.#first.resolve();
  }

  async started(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#first.resolve(), { once: true });
    await this.#first.promise;
  }

  async reached(): Promise<void> {}

  async accept(): Promise<boolean> {
    this.accepted++;
    return this.condition.kind === "held";
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}
