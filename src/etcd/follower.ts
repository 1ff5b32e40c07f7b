// One watch of a range, from its creation to its end: whole revisions, in order, none twice.
//
// Knows: fragments, positions, how a watch ends. Does not know: lists, what an event means, when to try again.
//
// The position moves only by the mod revisions of events that were taken, and only when an answer is whole: a
// fragment may end inside one revision, and the revision in a header ("created", progress, a batch of a
// backlog) can be ahead of events that are still to come.

import { etcdWatchCreatedMsMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import type { Etcd, EtcdHeader, Key, KeyRange, WatchEvent, WatchMessage } from "./etcd.ts";

export type WatchEnd =
  /** What it was to begin with is gone. */
  | { readonly kind: "compacted" }
  /** Another cluster answers. */
  | { readonly kind: "foreign" }
  | {
      readonly kind: "failed";
      readonly cause: RouterError;
      /** What was told could not be taken as it was told: a list may be. */
      readonly untaken?: true;
    }
  | { readonly kind: "stopped" };

export interface FollowerOptions {
  readonly etcd: Etcd;
  readonly system: System;
  readonly range: KeyRange;
  /** Events of these keys are dropped. */
  readonly skip: KeyRange | undefined;
  readonly clusterId: string;
  /** Everything up to here is known. */
  readonly position: number;
  /** The watch stands. */
  readonly created: () => void;
  /**
   * Whole revisions after the position. A throw, or "refused", ends the watch and leaves the position where
   * it was.
   */
  readonly events: (events: readonly WatchEvent[], header: EtcdHeader) => "taken" | "refused";
}

export class Follower {
  /** Everything up to here was told. */
  position: number;
  readonly #options: FollowerOptions;
  readonly #ended = Promise.withResolvers<WatchEnd>();
  #over = false;
  #fragments: WatchEvent[] = [];

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.position = options.position;
  }

  /** Ends the watch: `run` answers `end`. Harmless when it has ended. */
  stop(end: WatchEnd): void {
    this.#over = true;
    this.#ended.resolve(end);
  }

  /** Watches until that ends; never rejects. */
  async run(): Promise<WatchEnd> {
    const { etcd, system, range } = this.#options;
    const cancelTimer = system.after(etcdWatchCreatedMsMax, () => this.stop(lateEnd(etcd)));
    const stream = etcd.watch(
      { ...range, startRevision: this.position + 1 },
      (message) => this.#take(message, cancelTimer),
      (cause) => this.stop({ kind: "failed", cause }),
    );
    try {
      return await this.#ended.promise;
    } finally {
      cancelTimer();
      stream.cancel();
    }
  }

  #take(message: WatchMessage, created: () => void): void {
    if (this.#over) return;
    if (message.kind !== "cancelled" && message.header.clusterId !== this.#options.clusterId) {
      return this.stop({ kind: "foreign" });
    }
    switch (message.kind) {
      case "created":
        created();
        return this.#options.created();
      case "events":
        return this.#takeEvents(message.events, message.header, message.fragment);
      case "progress":
        return;
      case "cancelled":
        return this.stop(cancelledEnd(this.#options.etcd, message));
    }
  }

  #takeEvents(events: readonly WatchEvent[], header: EtcdHeader, fragment: boolean): void {
    for (const event of events) this.#fragments.push(event);
    if (fragment) return;
    const whole = this.#fragments.filter((event) => modRevisionOf(event) > this.position);
    this.#fragments = [];
    const position = whole.reduce((newest, one) => Math.max(newest, modRevisionOf(one)), 0);
    if (position === 0) return; // told again: etcd 3.4.23 does
    try {
      const followed = whole.filter((event) => !this.#isSkipped(keyOf(event)));
      if (this.#options.events(followed, header) === "taken") this.position = position;
      else this.stop({ kind: "stopped" });
    } catch (error) {
      this.stop({ kind: "failed", cause: RouterError.from(error), untaken: true });
    }
  }

  #isSkipped(key: Key): boolean {
    const { skip } = this.#options;
    if (skip === undefined) return false;
    return skip.end === undefined ? key === skip.key : key >= skip.key && key < skip.end;
  }
}

export function modRevisionOf(event: WatchEvent): number {
  return event.kind === "put" ? event.kv.modRevision : event.modRevision;
}

function keyOf(event: WatchEvent): Key {
  return event.kind === "put" ? event.kv.key : event.key;
}

function lateEnd(etcd: Etcd): WatchEnd {
  const message = `${etcd.name}: a watch was not created within ${etcdWatchCreatedMsMax} ms`;
  return { kind: "failed", cause: new RouterError("store-unavailable", message) };
}

function cancelledEnd(
  etcd: Etcd,
  { compactRevision, reason }: { readonly compactRevision: number; readonly reason: string },
): WatchEnd {
  if (compactRevision > 0) return { kind: "compacted" };
  const why = reason === "" ? "it gave no reason" : reason;
  const message = `${etcd.name}: the server ended a watch: ${why}`;
  return { kind: "failed", cause: new RouterError("store-unavailable", message) };
}
