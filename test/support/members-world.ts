// Nodes that share an etcd in memory, each with a link of its own that can be cut, and leases that end by the clock.

import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type {
  Etcd,
  EtcdStatus,
  Key,
  KeyValue,
  RangeAnswer,
  RangeRequest,
  Transaction,
  TransactionAnswer,
  WatchStream,
} from "../../src/etcd/etcd.ts";
import { prefixEnd } from "../../src/etcd/etcd.ts";
import { EtcdMembers } from "../../src/store/etcd-members.ts";
import { FakeEtcd, storeUnavailable, unreachable } from "./fake-etcd.ts";
import { infoOf } from "./fake-members.ts";
import { FakeSystem } from "./fake-system.ts";
import { type RecordingLog, recordingLog } from "./recording-log.ts";
import { turns, until } from "./until.ts";

const prefix = "/crosspoint";
const folder = { key: `${prefix}/`, end: prefixEnd(`${prefix}/`) };
const guard = `${prefix}/table`;
export const leaseSeconds = 10;

export class MembersWorld {
  readonly system: FakeSystem;
  readonly etcd = new FakeEtcd();
  /** Seconds left of each lease, by when it ends. */
  readonly #leaseEndMs = new Map<string, number>();
  readonly #directories: string[] = [];

  constructor(seed = 1) {
    this.system = new FakeSystem({ seed });
    onTestFinished(() => {
      for (const path of this.#directories) rmSync(path, { recursive: true, force: true });
    });
  }

  directory(): string {
    const path = mkdtempSync(join(tmpdir(), "crosspoint-members-"));
    this.#directories.push(path);
    // Made before, so that an announcement does little with real files while no time passes.
    writeFileSync(join(path, "node.id"), randomBytes(16).toString("hex"));
    return path;
  }

  /** `directory` of an earlier node: the same node started again. */
  node(name: string, directory = this.directory()): WorldNode {
    return new WorldNode(this, name, directory);
  }

  /** Lets time pass in steps, with everything that follows from it; leases end by it. */
  async pass(ms: number, stepMs = 100): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.system.advance(Math.min(stepMs, left));
      this.expireLeases();
      await turns(4);
    }
  }

  expireLeases(): void {
    for (const [lease, endMs] of this.#leaseEndMs) {
      if (endMs > this.system.monotonicMs()) continue;
      this.#leaseEndMs.delete(lease);
      this.etcd.expireLease(lease);
    }
  }

  hasLease(lease: string): boolean {
    return this.#leaseEndMs.has(lease);
  }

  renew(lease: string, seconds: number): void {
    this.#leaseEndMs.set(lease, this.system.monotonicMs() + seconds * 1000);
  }

  forget(lease: string): void {
    this.#leaseEndMs.delete(lease);
  }

  /** What `PREFIX/nodes/NAME` says. */
  entry(name: string): { readonly kv: KeyValue; readonly value: Entry } | undefined {
    const kv = this.etcd.kvs.get(`${prefix}/nodes/${name}`);
    return kv === undefined ? undefined : { kv, value: JSON.parse(kv.text ?? "") as Entry };
  }
}

interface Entry {
  readonly nodeId: string;
  readonly starting: boolean;
  readonly report: { readonly servedRevision: number; readonly lag?: { readonly reason: string } };
  readonly ask?: { readonly revision: number; readonly waitMs: number };
}

/** A node's members over its own link. */
export class WorldNode {
  readonly name: string;
  readonly directory: string;
  readonly link: Link;
  readonly log: RecordingLog = recordingLog();
  readonly members: EtcdMembers;

  constructor(world: MembersWorld, name: string, directory: string) {
    this.name = name;
    this.directory = directory;
    this.link = new Link(world);
    this.members = new EtcdMembers({
      etcd: this.link,
      prefix,
      nodeName: name,
      directory,
      system: world.system,
      log: this.log,
      leaseSeconds,
    });
    this.link.follow((puts, deletes) => this.members.observe(puts, deletes));
    onTestFinished(() => this.members.close());
  }

  get state(): string {
    return this.members.self.kind;
  }

  get cause(): string {
    const { self } = this.members;
    return "cause" in self ? self.cause : "";
  }

  /** Announces; no time passes on the fake clock. */
  async announce(): Promise<void> {
    let done = false;
    const announced = this.members.announce(infoOf(this.name)).then(() => (done = true));
    await until(() => done, "the announcement");
    await announced;
  }
}

/** One node's connection to the etcd of all. */
export class Link implements Etcd {
  readonly name = "http://fake:2379";
  readonly #world: MembersWorld;
  /** Calls fail, and the watch tells nothing: a partition. */
  down = false;
  /** Calls do not come back until `heal`. */
  hangs = false;
  /** Renewals reach etcd, and their answers wait until `heal`. */
  renewsLate = false;
  /** The next transactions are stored, and their answers lost. */
  answersLost = 0;
  /** "Renewed", whatever etcd has of the lease. */
  renewsLie = false;
  transactions = 0;
  /** When the last one was answered. */
  transactedMs = 0;
  /** Of any kind. */
  calls = 0;
  #watch: WatchStream | undefined;
  #observe: (puts: readonly KeyValue[], deletes: readonly Key[]) => void = () => {};
  #seen = new Map<Key, KeyValue>();
  /** Batches that are not handed over yet while `slow`. */
  #backlog: (() => void)[] = [];
  slow = false;
  #healed = Promise.withResolvers<void>();
  /** The newest revision that was handed over. */
  revision = 0;
  onBatch: (revision: number) => void = () => {};
  /** The newest one that was handed over of the table's guard. */
  tableRevision = 0;

  constructor(world: MembersWorld) {
    this.#world = world;
  }

  follow(observe: (puts: readonly KeyValue[], deletes: readonly Key[]) => void): void {
    this.#observe = observe;
    this.#list();
  }

  cut(): void {
    this.down = true;
    this.#watch?.cancel();
  }

  heal(): void {
    this.hangs = false;
    this.renewsLate = false;
    this.#healed.resolve();
    this.#healed = Promise.withResolvers();
    if (!this.down) return;
    this.down = false;
    this.#list();
  }

  /** Hands over the first `count` batches of a slow watch. */
  deliver(count = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < count; i++) {
      const batch = this.#backlog.shift();
      if (batch === undefined) return;
      batch();
    }
  }

  get backlog(): number {
    return this.#backlog.length;
  }

  #list(): void {
    const kvs = [...this.#world.etcd.kvs.values()].filter(({ key }) => key.startsWith(folder.key));
    const now = new Map(kvs.map((kv) => [kv.key, kv]));
    const puts = kvs.filter((kv) => this.#seen.get(kv.key)?.modRevision !== kv.modRevision);
    const deletes = [...this.#seen.keys()].filter((key) => !now.has(key));
    const { revision } = this.#world.etcd;
    this.#hand(revision, puts, deletes);
    this.#watch = this.#world.etcd.watch(
      { ...folder, startRevision: revision + 1 },
      (message) => {
        if (message.kind !== "events") return;
        for (const event of message.events) {
          if (event.kind === "put") this.#hand(event.kv.modRevision, [event.kv], []);
          else this.#hand(event.modRevision, [], [event.key]);
        }
      },
      () => {},
    );
  }

  #hand(revision: number, puts: readonly KeyValue[], deletes: readonly Key[]): void {
    const batch = (): void => {
      for (const kv of puts) this.#seen.set(kv.key, kv);
      for (const key of deletes) this.#seen.delete(key);
      this.revision = revision;
      for (const { key, modRevision } of puts) if (key === guard) this.tableRevision = modRevision;
      this.onBatch(revision);
      this.#observe(puts, deletes);
    };
    if (this.slow || this.#backlog.length > 0) this.#backlog.push(batch);
    else batch();
  }

  async #gate(): Promise<void> {
    this.calls++;
    while (this.hangs) await this.#healed.promise;
    if (this.down) throw unreachable();
  }

  async range(request: RangeRequest): Promise<RangeAnswer> {
    await this.#gate();
    return await this.#world.etcd.range(request);
  }

  async transact(transaction: Transaction): Promise<TransactionAnswer> {
    this.transactions++;
    await this.#gate();
    for (const operation of [...transaction.success, ...transaction.failure]) {
      if (operation.kind !== "put" || operation.lease === undefined) continue;
      if (!this.#world.hasLease(operation.lease)) {
        throw storeUnavailable("ETCD_LEASE_GONE", "etcdserver: requested lease not found");
      }
    }
    const answer = await this.#world.etcd.transact(transaction);
    this.transactedMs = this.#world.system.monotonicMs();
    if (this.answersLost > 0) {
      this.answersLost--;
      throw unreachable();
    }
    return answer;
  }

  async grantLease(seconds: number): Promise<{ lease: string; seconds: number }> {
    await this.#gate();
    const granted = await this.#world.etcd.grantLease(seconds);
    this.#world.renew(granted.lease, granted.seconds);
    return granted;
  }

  async keepLeaseAlive(lease: string): Promise<number> {
    await this.#gate();
    if (!this.#world.hasLease(lease)) return this.renewsLie ? leaseSeconds : 0;
    const seconds = await this.#world.etcd.keepLeaseAlive(lease);
    if (seconds > 0) this.#world.renew(lease, seconds);
    while (this.renewsLate) await this.#healed.promise;
    return seconds;
  }

  async revokeLease(lease: string): Promise<void> {
    await this.#gate();
    this.#world.forget(lease);
    await this.#world.etcd.revokeLease(lease);
  }

  watch(): WatchStream {
    throw new Error("members watch nothing themselves");
  }

  async status(): Promise<EtcdStatus> {
    return await this.#world.etcd.status();
  }

  async close(): Promise<void> {}
}
