// An etcd in memory, behind the port: revisions, history, compaction, transactions, leases, watches with
// fragments. It is as truthful as etcd 3.4, until a test asks it to cut, stall, lose, repeat, fail or lie.
//
// Leases expire only by `expireLease`: no clock runs in here. Messages of a watch arrive in microtasks.

import type {
  Etcd,
  EtcdHeader,
  EtcdStatus,
  Key,
  KeyRange,
  KeyValue,
  RangeAnswer,
  RangeRequest,
  Transaction,
  TransactionAnswer,
  WatchEvent,
  WatchMessage,
  WatchRequest,
  WatchStream,
} from "../../src/etcd/etcd.ts";
import { RouterError } from "../../src/model/errors.ts";
import { type FakeEtcdState, FakeMvcc, modOf, type Put, type Remove } from "./fake-mvcc.ts";

/** What of the next answers goes wrong; see the methods for what happens to open watches. */
export interface FakeEtcdFaults {
  /** Every call rejects with this, and so does every new watch. */
  down: RouterError | undefined;
  /** Every range finds nothing, whatever there is. */
  emptyRanges: boolean;
  /** Calls answer only after `resume`. */
  callsHang: boolean;
  /** Watches tell nothing until `resume`. */
  watchesStall: boolean;
  /** A watch that is created is ended at once. */
  cutOnCreated: boolean;
  /** Most revisions of one answer; the header of each is already that of now. etcd's backlogs come by 1,000. */
  answerRevisions: number;
  /** Most events of one message; what is beyond follows as a fragment. */
  fragmentEvents: number;
  /** Bytes of values in one answer before ETCD_TOO_LARGE. */
  answerBytesMax: number;
  /** Asked for each message of events: lose it, tell it twice, or tell it as it is. */
  message: (message: WatchMessage) => "tell" | "lose" | "repeat" | "cut";
}

interface Watch {
  readonly request: WatchRequest;
  readonly message: (message: WatchMessage) => void;
  readonly ended: (cause: RouterError) => void;
  /** Everything before it was queued. */
  nextRevision: number;
  queue: WatchMessage[];
  /** What is queued is told, then it ends. */
  cut: boolean;
  over: boolean;
}

export class FakeEtcd implements Etcd {
  readonly name = "http://fake:2379";
  readonly faults: FakeEtcdFaults = {
    down: undefined,
    emptyRanges: false,
    callsHang: false,
    watchesStall: false,
    cutOnCreated: false,
    answerRevisions: 1_000,
    fragmentEvents: Infinity,
    answerBytesMax: 64 * 1024 * 1024,
    message: () => "tell",
  };
  /** Calls so far, by kind; every range that was asked for; where each watch began. */
  readonly ranges: RangeRequest[] = [];
  readonly watchStarts: number[] = [];
  /** Runs before each range is answered: for writes between the pages of a list. */
  beforeRange: (request: RangeRequest) => void = () => {};
  closed = false;
  readonly #content = new FakeMvcc();
  readonly #leases = new Map<string, number>();
  #lastLease = 7000;
  readonly #watches = new Set<Watch>();
  #resumed = Promise.withResolvers<void>();

  // --- the port ---

  async range(request: RangeRequest): Promise<RangeAnswer> {
    this.ranges.push(request);
    await this.#gate();
    this.beforeRange(request);
    return this.#range(request);
  }

  async transact(transaction: Transaction): Promise<TransactionAnswer> {
    await this.#gate();
    const outcome = this.#content.transact(transaction);
    this.#changed();
    return { header: this.header, ...outcome };
  }

  async grantLease(seconds: number): Promise<{ lease: string; seconds: number }> {
    await this.#gate();
    const lease = String(++this.#lastLease);
    this.#leases.set(lease, Math.max(2, seconds));
    return { lease, seconds: Math.max(2, seconds) };
  }

  async keepLeaseAlive(lease: string): Promise<number> {
    await this.#gate();
    return this.#leases.get(lease) ?? 0;
  }

  async revokeLease(lease: string): Promise<void> {
    await this.#gate();
    this.expireLease(lease);
  }

  watch(
    request: WatchRequest,
    message: (message: WatchMessage) => void,
    ended: (cause: RouterError) => void,
  ): WatchStream {
    this.watchStarts.push(request.startRevision);
    const nextRevision = request.startRevision;
    const watch: Watch = {
      request,
      message,
      ended,
      nextRevision,
      queue: [],
      cut: false,
      over: false,
    };
    this.#watches.add(watch);
    queueMicrotask(() => this.#open(watch));
    return { cancel: () => this.#forget(watch) };
  }

  async status(): Promise<EtcdStatus> {
    await this.#gate();
    return { version: "3.4.23", header: this.header };
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const watch of this.#watches) this.#forget(watch);
  }

  // --- what a test does to the store, as others would ---

  get header(): EtcdHeader {
    return this.#content.header;
  }

  get revision(): number {
    return this.#content.revision;
  }

  /** As etcd has them now, by key. */
  get kvs(): ReadonlyMap<Key, KeyValue> {
    return this.#content.live;
  }

  get watchCount(): number {
    return this.#watches.size;
  }

  put(key: Key, text: string | undefined, lease = "0"): number {
    return this.#commit((put) => put(key, text, lease));
  }

  delete(key: Key): number {
    return this.#commit((_put, remove) => remove(key));
  }

  deleteRange(range: KeyRange): number {
    return this.#commit((_put, remove) => {
      for (const key of this.#content.keys(range)) remove(key);
    });
  }

  /** Several puts (and deletes: undefined) in one revision. */
  putAll(values: Readonly<Record<Key, string | undefined>>): number {
    return this.#commit((put, remove) => {
      for (const [key, text] of Object.entries(values)) {
        if (text === undefined) remove(key);
        else put(key, text, "0");
      }
    });
  }

  /** Moves the revision on by writes elsewhere. */
  elsewhere(count = 1): void {
    for (let i = 0; i < count; i++) this.put("\u0001elsewhere", String(this.revision));
  }

  /** As `put`, but no watch hears of it: etcd 3.4 loses events now and then. */
  putSilently(key: Key, text: string | undefined): void {
    const told = this.#told();
    if (text === undefined) this.delete(key);
    else this.put(key, text);
    told();
  }

  compact(revision = this.revision): void {
    this.#content.compacted = Math.max(this.#content.compacted, revision);
  }

  expireLease(lease: string): void {
    if (!this.#leases.delete(lease)) return;
    const keys = [...this.kvs.values()].filter((kv) => kv.lease === lease);
    this.#commit((_put, remove) => keys.forEach(({ key }) => remove(key)));
  }

  backup(): FakeEtcdState {
    return this.#content.backup();
  }

  /** Puts an earlier state in place, as `etcdctl snapshot restore`; open watches are cut. */
  restore(state: FakeEtcdState, clusterId = this.header.clusterId): void {
    this.#content.restore(state, clusterId);
    this.cut();
  }

  /** The data directory was lost. */
  wipe(clusterId = this.header.clusterId): void {
    this.restore({ revision: 1, compacted: 0, events: [], kvs: [] }, clusterId);
  }

  /** Ends every watch, as a lost connection does. */
  cut(cause = unreachable()): void {
    for (const watch of Array.from(this.#watches)) this.#end(watch, cause);
  }

  /** Ends every watch as the server does it. */
  cancelWatches(reason: string): void {
    for (const watch of Array.from(this.#watches)) {
      this.#tell(watch, { kind: "cancelled", compactRevision: 0, reason });
    }
  }

  /** Sends every watch a message of its own making. */
  say(message: WatchMessage): void {
    for (const watch of this.#watches) this.#tell(watch, message);
  }

  /** Ends `callsHang` and `watchesStall`. */
  resume(): void {
    this.faults.callsHang = false;
    this.faults.watchesStall = false;
    this.#resumed.resolve();
    this.#resumed = Promise.withResolvers();
    for (const watch of this.#watches) this.#flush(watch);
  }

  // --- inside ---

  async #gate(): Promise<void> {
    while (this.faults.callsHang) await this.#resumed.promise;
    if (this.faults.down !== undefined) throw this.faults.down;
  }

  #range(request: RangeRequest): RangeAnswer {
    const answer = this.#content.range(request);
    if (this.faults.emptyRanges) return { header: answer.header, kvs: [], more: false };
    const bytes = answer.kvs.reduce((sum, kv) => sum + kv.bytes, 0);
    if (bytes > this.faults.answerBytesMax) throw tooLarge();
    return answer;
  }

  #commit(change: (put: Put, remove: Remove) => void): number {
    const revision = this.#content.commit(change);
    this.#changed();
    return revision;
  }

  #changed(): void {
    for (const watch of this.#watches) this.#queueEvents(watch);
  }

  /** Makes every watch pass over what is written until the answer is called. */
  #told(): () => void {
    const watches = [...this.#watches];
    for (const watch of watches) this.#watches.delete(watch);
    return () => {
      for (const watch of watches) {
        watch.nextRevision = Math.max(watch.nextRevision, this.revision + 1);
        this.#watches.add(watch);
      }
    };
  }

  #open(watch: Watch): void {
    if (watch.over) return;
    if (this.faults.down !== undefined) return this.#end(watch, this.faults.down);
    this.#tell(watch, { kind: "created", header: this.header });
    if (this.faults.cutOnCreated) return this.#cutAfter(watch);
    const compactRevision = this.#content.compacted;
    if (watch.request.startRevision <= compactRevision) {
      return this.#tell(watch, { kind: "cancelled", compactRevision, reason: "" });
    }
    this.#queueEvents(watch);
  }

  /** Everything that happened since the last time. */
  #queueEvents(watch: Watch): void {
    const events = this.#content.eventsFrom(watch.nextRevision, watch.request);
    watch.nextRevision = Math.max(watch.nextRevision, this.revision + 1);
    for (const answer of byRevisions(events, this.faults.answerRevisions)) {
      this.#tellAnswer(watch, answer);
    }
  }

  /** One answer, in fragments. */
  #tellAnswer(watch: Watch, events: readonly WatchEvent[]): void {
    for (let from = 0; from < events.length; from += this.faults.fragmentEvents) {
      const piece = events.slice(from, from + this.faults.fragmentEvents);
      const fragment = from + piece.length < events.length;
      this.#tell(watch, { kind: "events", header: this.header, events: piece, fragment });
    }
  }

  #tell(watch: Watch, message: WatchMessage): void {
    const fate = message.kind === "events" ? this.faults.message(message) : "tell";
    if (watch.cut || fate === "lose") return;
    if (fate === "cut") return this.#cutAfter(watch);
    watch.queue.push(message);
    if (fate === "repeat") watch.queue.push(message);
    queueMicrotask(() => this.#flush(watch));
  }

  /** Ends it once what is queued was told. */
  #cutAfter(watch: Watch): void {
    watch.cut = true;
    queueMicrotask(() => this.#flush(watch));
  }

  #flush(watch: Watch): void {
    while (!watch.over && !this.faults.watchesStall) {
      const message = watch.queue.shift();
      if (message === undefined) {
        if (watch.cut) this.#end(watch, unreachable());
        return;
      }
      watch.message(message);
      if (message.kind !== "cancelled") continue;
      this.#end(watch, new RouterError("store-unavailable", "fake etcd: the watch was cancelled"));
    }
  }

  #end(watch: Watch, cause: RouterError): void {
    if (watch.over) return;
    this.#forget(watch);
    watch.ended(cause);
  }

  #forget(watch: Watch): void {
    watch.over = true;
    this.#watches.delete(watch);
  }
}

export function unreachable(): RouterError {
  return storeUnavailable("ETCD_UNREACHABLE", "fake etcd: connection refused");
}

export function storeUnavailable(reason: string, message: string): RouterError {
  return new RouterError("store-unavailable", message, { reason });
}

function tooLarge(): RouterError {
  const message = "fake etcd: the answer is too large";
  return new RouterError("resource-exhausted", message, { reason: "ETCD_TOO_LARGE" });
}

/** Events in groups of at most `revisions` revisions. */
function byRevisions(events: readonly WatchEvent[], revisions: number): WatchEvent[][] {
  const groups: WatchEvent[][] = [];
  let seen = new Set<number>();
  for (const event of events) {
    seen.add(modOf(event));
    if (groups.length === 0 || seen.size > revisions) {
      groups.push([]);
      seen = new Set([modOf(event)]);
    }
    groups.at(-1)?.push(event);
  }
  return groups;
}
