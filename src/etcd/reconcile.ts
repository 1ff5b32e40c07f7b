// Compares what is followed with a list of etcd's keys, while the watch runs on: the watch is not trusted alone.
//
// etcd 3.4.23 loses events now and then, and a half-open connection looks like a quiet one. A list of keys and
// revisions costs no values; it counts as different only what the watch did not bring within some seconds.

import { etcdCatchUpMsMax, etcdKeysPerTurn } from "../limits.ts";
import { type System, sleep } from "../system.ts";
import type { EtcdHeader, Key, KeyValue, WatchEvent } from "./etcd.ts";
import { modRevisionOf } from "./follower.ts";
import type { Lister, ListReader } from "./listing.ts";

export interface ReconcileOptions {
  readonly lister: Lister;
  readonly system: System;
  /** Live: the watch goes on changing them. */
  readonly entries: () => ReadonlyMap<Key, KeyValue>;
  /** Aborted: rejects, or answers for nothing. */
  readonly signal: AbortSignal;
}

export interface Reconciled {
  readonly header: EtcdHeader;
  /** Keys that are not what etcd says. */
  readonly different: readonly Key[];
}

/** How often the suspects are looked at again. */
const looksMax = 10;

export class Reconcile implements ListReader {
  readonly #options: ReconcileOptions;
  #listed = new Map<Key, number>();
  /** What the watch brought since this began: newer than the list, perhaps. */
  readonly #touched = new Map<Key, number>();

  constructor(options: ReconcileOptions) {
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

  /** Rejects as the list does. */
  async run(): Promise<Reconciled> {
    const { lister, system, signal } = this.#options;
    const header = await lister.list(this, { keysOnly: true, signal });
    let different = await this.#suspects(header);
    for (let looks = 0; different.length > 0 && looks < looksMax; looks++) {
      await sleep(system, etcdCatchUpMsMax / looksMax, signal);
      different = different.filter((key) => this.#differs(key, header));
    }
    return { header, different };
  }

  async #suspects(header: EtcdHeader): Promise<Key[]> {
    const suspects: Key[] = [];
    const { system, entries } = this.#options;
    let left = etcdKeysPerTurn;
    for (const keys of [this.#listed.keys(), entries().keys()]) {
      for (const key of keys) {
        if (this.#differs(key, header)) suspects.push(key);
        if (--left > 0) continue;
        left = etcdKeysPerTurn;
        await new Promise<void>((resolve) => system.atTurnEnd(resolve));
      }
    }
    return [...new Set(suspects)];
  }

  #differs(key: Key, header: EtcdHeader): boolean {
    if ((this.#touched.get(key) ?? 0) > header.revision) return false;
    return this.#options.entries().get(key)?.modRevision !== this.#listed.get(key);
  }
}
