// Backends that somebody else's keys in an etcd name: a Discovery on a followed prefix.
//
// Knows when there is something to tell. What a key means is the KeySet's; how it got here, and the words
// for an etcd that cannot be followed, are the follower's.

import type { Key } from "../etcd/etcd.ts";
import type {
  Followed,
  FollowedBatch,
  FollowedCondition,
  FollowedLog,
  FollowedOwner,
} from "../etcd/followed.ts";
import { discoveryTellMs, unreadableLoggedMax } from "../limits.ts";
import { unreachable } from "../model/errors.ts";
import type { System } from "../system.ts";
import type {
  DiscoveredBackend,
  Discovery,
  DiscoveryListener,
  UnreadableEntry,
} from "./discovery.ts";
import type { KeySet } from "./key-set.ts";

export interface EtcdDiscoveryOptions {
  readonly name: string;
  readonly keys: KeySet;
  readonly system: System;
  readonly log: FollowedLog;
  /** Begins to follow the keys, for `owner`. */
  readonly follow: (owner: FollowedOwner) => Followed;
  /** What `follow` stands on; closed after it. */
  readonly release: () => Promise<void>;
}

export class EtcdDiscovery implements Discovery, FollowedOwner {
  readonly name: string;
  readonly #options: EtcdDiscoveryOptions;
  readonly #listeners = new Set<DiscoveryListener>();
  readonly #closing = new AbortController();
  readonly #followed: Followed;
  readonly #begun: Promise<void>;
  #begins = true;
  #cancelTelling: (() => void) | undefined;

  constructor(options: EtcdDiscoveryOptions) {
    this.name = options.name;
    this.#options = options;
    this.#followed = options.follow(this);
    this.#begun = this.#begin();
  }

  get trouble(): string | undefined {
    return troubleOf(this.name, this.#followed.condition);
  }

  get unreadable(): readonly UnreadableEntry[] {
    return this.#options.keys.unreadable;
  }

  get backends(): readonly DiscoveredBackend[] {
    return this.#options.keys.backends;
  }

  subscribe(listener: DiscoveryListener): () => void {
    this.#listeners.add(listener);
    if (!this.#begins) listener(this.backends);
    return () => void this.#listeners.delete(listener);
  }

  async started(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const aborted = Promise.withResolvers<void>();
    const abort = (): void => aborted.resolve();
    signal.addEventListener("abort", abort, { once: true });
    await Promise.race([this.#begun, aborted.promise]);
    signal.removeEventListener("abort", abort);
  }

  accept(): Promise<boolean> {
    return this.#followed.accept();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#cancelTelling?.();
    this.#listeners.clear();
    await this.#followed.close();
    await this.#options.release();
  }

  // --- the follower's owner

  apply(batch: FollowedBatch): ReadonlySet<Key> {
    const { changed, unreadable, news } = this.#options.keys.apply(batch);
    if (news.length > 0) {
      this.#options.log.warn(
        "entries of a discovery cannot be read; what they said before counts",
        {
          discovery: this.name,
          count: news.length,
          entries: news.slice(0, unreadableLoggedMax),
        },
      );
    }
    if (changed && !this.#begins) this.#tell();
    return unreadable;
  }

  /** Until now nobody was told: the first set may come in pieces. */
  async #begin(): Promise<void> {
    await this.#followed.started(this.#closing.signal);
    if (this.#closing.signal.aborted) return;
    this.#begins = false;
    this.#tell();
  }

  #tell(): void {
    const backends = this.backends;
    for (const listener of this.#listeners) listener(backends);
    // Backends may flap; a log line a second tells as much.
    this.#cancelTelling ??= this.#options.system.after(discoveryTellMs, () => {
      this.#cancelTelling = undefined;
      const count = this.#options.keys.size;
      this.#options.log.info("backends discovered", { discovery: this.name, count });
    });
  }
}

/** What is wrong, and what to do about it; undefined: nothing. */
function troubleOf(name: string, condition: FollowedCondition): string | undefined {
  switch (condition.kind) {
    case "starting":
      return condition.cause === undefined ? undefined : `not read yet: ${condition.cause}`;
    case "current":
      return undefined;
    case "away":
      return condition.cause;
    case "held":
      return (
        `${name} seems ${condition.finding}: ${condition.detail}; it would remove ${condition.removed}, ` +
        `change ${condition.changed} and add ${condition.added} keys: \`crosspoint store accept\` takes it`
      );
    default:
      return unreachable(condition);
  }
}
