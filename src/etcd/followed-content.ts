// What is followed, as far as it was handed over: entries, revision, last good values, and who waits for more.
//
// Knows: the owner, and that a batch counts only once the owner took it. Does not know: lists, watches, files.

import { RouterError } from "../model/errors.ts";
import type { Copy } from "./copy-file.ts";
import type { Difference, KeySense } from "./difference.ts";
import type { EtcdHeader, Key, KeyValue, WatchEvent } from "./etcd.ts";
import type { FollowedBatch, FollowedOwner, StoreIdentity } from "./followed.ts";

/** The outcome of some events, before it is handed over. */
export interface Outcome {
  /** undefined: deleted. */
  readonly values: ReadonlyMap<Key, KeyValue | undefined>;
  readonly revision: number;
}

const nothing: ReadonlyMap<Key, KeyValue> = new Map();

export class FollowedContent {
  entries = new Map<Key, KeyValue>();
  /** Of keys that the owner could not read. */
  readonly unreadable = new Set<Key>();
  /** The last values of such keys that the owner could read. */
  readonly good = new Map<Key, KeyValue>();
  revision = 0;
  clusterId: string | undefined;
  /** The newest revision of the cluster that any answer named. */
  headerRevision = 0;
  /** The entry that was written last, of all that there were: a witness of the past, also once it is deleted. */
  newest: KeyValue | undefined;
  /** The owner got its first batch. */
  started = false;
  readonly #owner: FollowedOwner;
  readonly #sense: KeySense;
  readonly #changed: () => void;
  readonly #waiters = new Set<() => void>();
  #closed = false;

  /** `changed` is called after each batch. */
  constructor(owner: FollowedOwner, sense: KeySense, changed: () => void) {
    this.#owner = owner;
    this.#sense = sense;
    this.#changed = changed;
  }

  /** What was handed over. */
  get told(): ReadonlyMap<Key, KeyValue> {
    return this.started ? this.entries : nothing;
  }

  /** Whether `header` can be of the store that is followed, no earlier than what was seen. */
  continues({ clusterId, revision }: EtcdHeader): boolean {
    return clusterId === this.clusterId && revision >= this.headerRevision;
  }

  /** A message or an answer of the cluster that is followed. */
  sawHeader({ clusterId, revision }: EtcdHeader): void {
    if (clusterId !== this.clusterId) return;
    this.headerRevision = Math.max(this.headerRevision, revision);
  }

  get identity(): StoreIdentity | undefined {
    return this.identityAmong((key) => this.entries.get(key));
  }

  identityAmong(get: (key: Key) => KeyValue | undefined): StoreIdentity | undefined {
    return this.#owner.identityOf?.(get);
  }

  /** Fills in what a copy holds; the owner hears of it by `tellCopy`. */
  loadCopy(copy: Copy): void {
    this.entries = new Map(copy.entries.map((kv) => [kv.key, kv]));
    for (const kv of copy.good) this.good.set(kv.key, kv);
    for (const key of copy.unreadable) this.unreadable.add(key);
    this.clusterId = copy.clusterId;
    this.headerRevision = copy.headerRevision;
    this.revision = copy.revision;
  }

  /**
   * Hands over what `loadCopy` filled in, unless that is done or something else was handed over: first what
   * served, then what could not be read, so that the owner ends where it was.
   */
  tellCopy(): void {
    if (this.started || this.clusterId === undefined) return;
    const readable = [...this.entries.values()].filter(({ key }) => !this.unreadable.has(key));
    const unreadable = [...this.unreadable].flatMap((key) => this.entries.get(key) ?? []);
    const { revision } = this;
    this.#hand({ revision, puts: [...readable, ...this.good.values()], deletes: [] });
    // A later version may read what this file's writer could not: the answer says what is so now.
    if (unreadable.length > 0) this.#hand({ revision, puts: unreadable, deletes: [] });
  }

  /** Forgets what `loadCopy` filled in. */
  forgetCopy(): void {
    this.entries = new Map();
    this.good.clear();
    this.unreadable.clear();
    this.clusterId = undefined;
    this.headerRevision = 0;
    this.revision = 0;
  }

  /** Takes a list: the difference as one batch, also when it is the first and there is nothing. */
  take(difference: Difference, header: EtcdHeader, anew: boolean): void {
    const { puts, deletes } = difference;
    const revision = anew ? difference.revision : Math.max(this.revision, difference.revision);
    const first = !this.started;
    if (first || anew || puts.length + deletes.length > 0 || revision > this.revision) {
      this.#hand({ revision, puts, deletes, ...(anew ? { anew } : {}) });
    }
    this.clusterId = header.clusterId;
    this.headerRevision = anew ? header.revision : Math.max(this.headerRevision, header.revision);
  }

  /** What `events` come to; those up to `known` only move the revision on, as a list told them already. */
  outcomeOf(events: readonly WatchEvent[], known: number): Outcome {
    const values = new Map<Key, KeyValue | undefined>();
    let { revision } = this;
    for (const event of events) {
      const [key, value, modRevision] =
        event.kind === "put"
          ? [event.kv.key, event.kv, event.kv.modRevision]
          : [event.key, undefined, event.modRevision];
      if (this.#sense.counts(key)) revision = Math.max(revision, modRevision);
      if (modRevision > known) values.set(key, value);
    }
    return { values, revision };
  }

  /** Hands over what events came to, if anything. */
  apply({ values, revision }: Outcome): void {
    const puts: KeyValue[] = [];
    const deletes: Key[] = [];
    for (const [key, value] of values) {
      if (value !== undefined) puts.push(value);
      else if (this.entries.has(key)) deletes.push(key);
    }
    if (puts.length + deletes.length === 0 && revision === this.revision) return;
    this.#hand({ revision, puts, deletes });
  }

  /** Resolves once `holds`, at the latest when `signal` aborts or this closes. */
  until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    if (holds() || signal.aborted || this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = (): void => {
        this.#waiters.delete(look);
        signal.removeEventListener("abort", finish);
        resolve();
      };
      const look = (): void => {
        if (holds() || this.#closed) finish();
      };
      this.#waiters.add(look);
      signal.addEventListener("abort", finish, { once: true });
    });
  }

  close(): void {
    this.#closed = true;
    for (const look of this.#waiters) look();
  }

  /** As a copy keeps it; undefined before anything is known. */
  copy(): Copy | undefined {
    const { clusterId, revision, headerRevision } = this;
    if (clusterId === undefined || !this.started) return undefined;
    return {
      clusterId,
      revision,
      headerRevision,
      entries: [...this.entries.values()],
      good: [...this.good.values()],
      unreadable: [...this.unreadable],
    };
  }

  #hand(batch: FollowedBatch): void {
    if (batch.anew !== true && batch.revision < this.revision) {
      throw new RouterError("internal", "a batch went back in time");
    }
    const unreadable = this.#owner.apply(batch); // a throw leaves everything as it was
    if (batch.anew === true) this.newest = undefined;
    for (const kv of batch.puts) {
      if (unreadable.has(kv.key)) this.#keepGood(kv.key);
      else this.#isReadable(kv.key);
      this.entries.set(kv.key, kv);
      if (kv.modRevision >= (this.newest?.modRevision ?? 0)) this.newest = kv;
    }
    for (const key of batch.deletes) {
      this.#isReadable(key);
      this.entries.delete(key);
    }
    this.revision = batch.revision;
    this.started = true;
    this.#changed();
    for (const look of this.#waiters) look();
  }

  #keepGood(key: Key): void {
    const had = this.entries.get(key);
    if (had !== undefined && !this.unreadable.has(key)) this.good.set(key, had);
    this.unreadable.add(key);
  }

  #isReadable(key: Key): void {
    this.unreadable.delete(key);
    this.good.delete(key);
  }
}
