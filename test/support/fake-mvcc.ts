// The content of an etcd, in memory: keys with their revisions, the whole history, compaction, ranges of then and
// now, transactions. No connections, no faults: fake-etcd.ts has those.

import type {
  Compare,
  EtcdHeader,
  Key,
  KeyRange,
  KeyValue,
  Operation,
  RangeAnswer,
  RangeRequest,
  Transaction,
  WatchEvent,
} from "../../src/etcd/etcd.ts";
import { RouterError } from "../../src/model/errors.ts";

/** Everything that a backup of an etcd would hold. */
export interface FakeEtcdState {
  readonly revision: number;
  readonly compacted: number;
  readonly events: readonly WatchEvent[];
  readonly kvs: readonly KeyValue[];
}

export type Put = (key: Key, text: string | undefined, lease: string) => void;
export type Remove = (key: Key) => void;

export class FakeMvcc {
  clusterId = "1001";
  revision = 1;
  compacted = 0;
  live = new Map<Key, KeyValue>();
  #events: WatchEvent[] = [];

  get header(): EtcdHeader {
    return { clusterId: this.clusterId, revision: this.revision };
  }

  range(request: RangeRequest): RangeAnswer {
    const at = request.revision ?? this.revision;
    if (at < this.compacted) throw compactedError();
    if (at > this.revision) {
      throw new RouterError("out-of-range", "fake etcd: required revision is a future revision");
    }
    const content = at === this.revision ? this.live : this.#at(at);
    const found = [...content.values()].filter(inRange(request));
    found.sort((a, b) => (a.key < b.key ? -1 : 1));
    const kvs = found.slice(0, request.limit ?? Infinity);
    return {
      header: this.header,
      kvs:
        request.keysOnly === true ? kvs.map((kv) => ({ ...kv, text: undefined, bytes: 0 })) : kvs,
      more: kvs.length < found.length,
    };
  }

  transact(transaction: Transaction): { succeeded: boolean; ranges: RangeAnswer[] } {
    const succeeded = transaction.compare.every((compare) => this.#holds(compare));
    const operations = succeeded ? transaction.success : transaction.failure;
    const ranges: RangeAnswer[] = [];
    this.commit((put, remove) => {
      for (const operation of operations) this.#operate(operation, put, remove, ranges);
    });
    return { succeeded, ranges };
  }

  /** One revision, if anything changes. */
  commit(change: (put: Put, remove: Remove) => void): number {
    const next = this.revision + 1;
    const events: WatchEvent[] = [];
    change(
      (key, text, lease) => {
        const createRevision = this.live.get(key)?.createRevision ?? next;
        const bytes = text === undefined ? 3 : Buffer.byteLength(text);
        const kv = { key, text, bytes, createRevision, modRevision: next, lease };
        this.live.set(key, kv);
        events.push({ kind: "put", kv });
      },
      (key) => {
        if (this.live.delete(key)) events.push({ kind: "delete", key, modRevision: next });
      },
    );
    if (events.length === 0) return this.revision;
    this.revision = next;
    this.#events.push(...events);
    return next;
  }

  keys(range: KeyRange): Key[] {
    return [...this.live.values()].filter(inRange(range)).map(({ key }) => key);
  }

  /** What a watch of `range` is told from `revision` on. */
  eventsFrom(revision: number, range: KeyRange): WatchEvent[] {
    const match = inRange(range);
    const before = this.#events.findLastIndex((event) => modOf(event) < revision);
    return this.#events
      .slice(before + 1)
      .filter((event) => match({ key: event.kind === "put" ? event.kv.key : event.key }));
  }

  backup(): FakeEtcdState {
    const { revision, compacted } = this;
    return { revision, compacted, events: [...this.#events], kvs: [...this.live.values()] };
  }

  restore(state: FakeEtcdState, clusterId: string): void {
    this.clusterId = clusterId;
    this.revision = state.revision;
    this.compacted = state.compacted;
    this.#events = [...state.events];
    this.live = new Map(state.kvs.map((kv) => [kv.key, kv]));
  }

  #at(revision: number): Map<Key, KeyValue> {
    const content = new Map<Key, KeyValue>();
    for (const event of this.#events) {
      if (modOf(event) > revision) break;
      if (event.kind === "put") content.set(event.kv.key, event.kv);
      else content.delete(event.key);
    }
    return content;
  }

  #holds({ key, target, revision }: Compare): boolean {
    const kv = this.live.get(key);
    return (target === "mod" ? (kv?.modRevision ?? 0) : (kv?.createRevision ?? 0)) === revision;
  }

  #operate(operation: Operation, put: Put, remove: Remove, ranges: RangeAnswer[]): void {
    if (operation.kind === "put") put(operation.key, operation.value, operation.lease ?? "0");
    else if (operation.kind === "range") ranges.push(this.range(operation));
    else for (const key of this.keys(operation)) remove(key);
  }
}

function compactedError(): RouterError {
  const message = "fake etcd: required revision has been compacted";
  return new RouterError("out-of-range", message, { reason: "ETCD_COMPACTED" });
}

export function modOf(event: WatchEvent): number {
  return event.kind === "put" ? event.kv.modRevision : event.modRevision;
}

function inRange(range: KeyRange): (one: { readonly key: Key }) => boolean {
  const { key: from, end } = range;
  return ({ key }) => (end === undefined ? key === from : key >= from && key < end);
}
