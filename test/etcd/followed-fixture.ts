// A prefix followed in a test: a fake etcd, a clock by hand, and an owner that checks the promises of each batch.

import { onTestFinished } from "vitest";
import type { Key, KeyValue } from "../../src/etcd/etcd.ts";
import type {
  FollowedBatch,
  FollowedCondition,
  FollowedOwner,
  StoreIdentity,
} from "../../src/etcd/followed.ts";
import { FollowedPrefix, type FollowedPrefixOptions } from "../../src/etcd/followed-prefix.ts";
import { FakeEtcd } from "../support/fake-etcd.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { type RecordingLog, recordingLog } from "../support/recording-log.ts";
import { turns } from "../support/until.ts";

export const range = { key: "/p/", end: "/p0" } as const;
export const markerKey = "/p/table";

/** Keeps what it is told, as a store would: values that begin with "bad" cannot be read. */
export class RecordingOwner implements FollowedOwner {
  readonly batches: FollowedBatch[] = [];
  readonly conditions: FollowedCondition[] = [];
  /** What serves: the last good value of each key. */
  readonly serves = new Map<Key, string>();
  readonly unread = new Set<Key>();
  /** Thrown by the next `apply`. */
  failure: Error | undefined;
  /** Broken promises. */
  readonly faults: string[] = [];
  #revision = 0;

  apply(batch: FollowedBatch): ReadonlySet<Key> {
    if (this.failure !== undefined) throw this.failure;
    this.#check(batch);
    this.batches.push(batch);
    for (const key of batch.deletes) {
      this.serves.delete(key);
      this.unread.delete(key);
    }
    const unread = new Set<Key>();
    for (const { key, text } of batch.puts) {
      if (text === undefined || text.startsWith("bad")) unread.add(key);
      else this.serves.set(key, text);
      if (unread.has(key)) this.unread.add(key);
      else this.unread.delete(key);
    }
    return unread;
  }

  conditionChanged(condition: FollowedCondition): void {
    this.conditions.push(condition);
  }

  get kinds(): readonly string[] {
    return this.conditions.map(({ kind }) => kind);
  }

  #check({ revision, puts, deletes, anew }: FollowedBatch): void {
    if (revision < this.#revision && anew !== true) {
      this.faults.push(`revision ${revision} after ${this.#revision}`);
    }
    this.#revision = revision;
    const keys = [...puts.map(({ key }) => key), ...deletes];
    if (new Set(keys).size < keys.length) this.faults.push(`a key twice at ${revision}`);
  }
}

/** The same, with a marker at `markerKey`: `{"store":"a","replaces":["b"]}`. */
export class MarkedOwner extends RecordingOwner {
  identityOf(get: (key: Key) => KeyValue | undefined): StoreIdentity | undefined {
    const text = get(markerKey)?.text;
    if (text === undefined) return undefined;
    const { store, replaces = [] } = JSON.parse(text) as { store: string; replaces?: string[] };
    return { id: store, replaces };
  }
}

export interface FollowedFixture {
  readonly etcd: FakeEtcd;
  readonly system: FakeSystem;
  readonly log: RecordingLog;
  readonly owner: RecordingOwner;
  readonly followed: FollowedPrefix;
  /** Lets so many ms pass, and everything run that is due. */
  readonly pass: (ms: number) => Promise<void>;
  /** What is followed is exactly what etcd has. */
  readonly equal: () => boolean;
}

export interface FixtureOptions {
  readonly etcd?: FakeEtcd;
  readonly system?: FakeSystem;
  readonly owner?: RecordingOwner;
  readonly options?: Partial<FollowedPrefixOptions>;
}

/** Opened, and closed when the test ends. */
export function follow(given: FixtureOptions = {}): FollowedFixture {
  const { etcd = new FakeEtcd(), system = new FakeSystem(), owner = new RecordingOwner() } = given;
  const log = recordingLog();
  const followed = FollowedPrefix.open({
    etcd,
    system,
    log,
    range,
    owner,
    name: "etcd:http://fake:2379/p",
    ...given.options,
  });
  onTestFinished(() => closeIn(system, followed));
  return {
    etcd,
    system,
    log,
    owner,
    followed,
    pass: (ms) => pass(system, ms),
    equal: () => sameContent(followed.entries, etcd),
  };
}

export async function pass(system: FakeSystem, ms: number): Promise<void> {
  const stepMs = 50;
  for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
    system.advance(Math.min(stepMs, ms - passedMs));
    await turns(3);
  }
}

/** Closing waits for turns of the event loop, which the fake clock makes. */
export async function closeIn(system: FakeSystem, followed: FollowedPrefix): Promise<void> {
  const closed = new AbortController();
  const closing = followed.close().then(() => closed.abort());
  while (!closed.signal.aborted) await pass(system, 1);
  await closing;
}

/** `skipped`: a prefix that is not followed. */
export function sameContent(
  entries: ReadonlyMap<Key, KeyValue>,
  etcd: FakeEtcd,
  skipped?: string,
): boolean {
  const stored = [...etcd.kvs.values()]
    .filter(({ key }) => key >= range.key && key < range.end)
    .filter(({ key }) => skipped === undefined || !key.startsWith(skipped));
  return (
    stored.length === entries.size &&
    stored.every((kv) => {
      const had = entries.get(kv.key);
      return had?.modRevision === kv.modRevision && had.text === kv.text;
    })
  );
}
