// Compares what is followed with a list of etcd's keys, while the watch runs on: the watch is not trusted alone.
//
// etcd 3.4.23 loses events now and then, and a half-open connection looks like a quiet one. A list of keys and
// revisions costs no values; it counts as different only what the watch did not bring within some seconds.

import { etcdCatchUpMsMax, etcdKeysPerTurn } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { type System, sleep } from "../system.ts";
import type { EtcdHeader, Key, KeyValue, WatchEvent } from "./etcd.ts";
import type { FollowedContent } from "./followed-content.ts";
import { modRevisionOf } from "./follower.ts";
import type { Lister, ListReader } from "./listing.ts";

export interface ComparisonsOptions {
  readonly lister: Lister;
  readonly system: System;
  /** Live: the watch goes on changing it. */
  readonly content: FollowedContent;
  readonly everyMs: number;
  /** These keys are not what etcd says; none: another store answers, or an older one. */
  readonly different: (keys: readonly Key[]) => void;
  readonly failed: (cause: RouterError) => void;
  /** The watch is over: nothing is called any more. */
  readonly over: AbortSignal;
}

/** One comparison after another, as long as a watch runs. */
export class Comparisons {
  readonly #options: ComparisonsOptions;
  #current: Comparison | undefined;

  constructor(options: ComparisonsOptions) {
    this.#options = options;
    this.#later();
  }

  /** The watch brought these. */
  touch(events: readonly WatchEvent[]): void {
    this.#current?.touch(events);
  }

  #later(): void {
    const { system, everyMs, over } = this.#options;
    // Nodes that started together need not list together.
    const delayMs = everyMs * (0.9 + system.random() / 10);
    const cancel = system.after(delayMs, () => void this.#compare());
    over.addEventListener("abort", cancel, { once: true });
  }

  async #compare(): Promise<void> {
    const { content, over, different, failed } = this.#options;
    const { headerRevision } = content;
    this.#current = new Comparison(this.#options);
    try {
      const { header, keys } = await this.#current.run();
      if (over.aborted) return;
      const isOther = header.clusterId !== content.clusterId || header.revision < headerRevision;
      if (isOther || keys.length > 0) different(keys);
      else this.#later();
    } catch (error) {
      if (!over.aborted) failed(RouterError.from(error));
    } finally {
      this.#current = undefined;
    }
  }
}

/** How often the suspects are looked at again. */
const looksMax = 10;

class Comparison implements ListReader {
  readonly #options: ComparisonsOptions;
  #listed = new Map<Key, number>();
  /** What the watch brought since this began: newer than the list, perhaps. */
  readonly #touched = new Map<Key, number>();

  constructor(options: ComparisonsOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#listed = new Map();
  }

  see(kv: KeyValue): void {
    this.#listed.set(kv.key, kv.modRevision);
  }

  /** The watch brought these. */
  touch(events: readonly WatchEvent[]): void {
    for (const event of events) {
      this.#touched.set(event.kind === "put" ? event.kv.key : event.key, modRevisionOf(event));
    }
  }

  /** Keys that differ from the list at `header`, and still do when the watch had its time. Rejects as a list does. */
  async run(): Promise<{ readonly header: EtcdHeader; readonly keys: readonly Key[] }> {
    const { lister, system, over } = this.#options;
    const header = await lister.list(this, { keysOnly: true, signal: over });
    let keys = await this.#suspects(header);
    for (let looks = 0; keys.length > 0 && looks < looksMax; looks++) {
      await sleep(system, etcdCatchUpMsMax / looksMax, over);
      keys = keys.filter((key) => this.#differs(key, header));
    }
    return { header, keys };
  }

  async #suspects(header: EtcdHeader): Promise<Key[]> {
    const suspects = new Set<Key>();
    const { system, content } = this.#options;
    let left = etcdKeysPerTurn;
    for (const keys of [this.#listed.keys(), content.entries.keys()]) {
      for (const key of keys) {
        if (this.#differs(key, header)) suspects.add(key);
        if (--left > 0) continue;
        left = etcdKeysPerTurn;
        await new Promise<void>((resolve) => system.atTurnEnd(resolve));
      }
    }
    return [...suspects];
  }

  #differs(key: Key, header: EtcdHeader): boolean {
    if ((this.#touched.get(key) ?? 0) > header.revision) return false;
    return this.#options.content.entries.get(key)?.modRevision !== this.#listed.get(key);
  }
}
