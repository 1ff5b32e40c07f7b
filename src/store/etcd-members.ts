// The nodes that share an etcd: what each says of itself, who lives, who asks.
//
// Knows: the entries under PREFIX/nodes/ and the questions that come with writes (PREFIX/writes/NAME), as the
// store's follower hands them over. Does not know: how an entry of ours is kept (etcd-node-entry.ts), who serves.
//
// Others are seen in the store's own watch and nowhere else: when a revision of the table has been handed over, so
// has every node that announced itself before it. That is why waiting for all can be promised.

import type { Etcd, Key, KeyValue } from "../etcd/etcd.ts";
import { shownKey } from "../etcd/etcd.ts";
import type { FollowedLog } from "../etcd/followed.ts";
import { nodeLeaseSeconds, nodeLeaveMsMax, nodeSeenMsMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { Revision } from "../model/revision.ts";
import type { System } from "../system.ts";
import { type Ask, type NodeValue, parseAsk, parseNode } from "./etcd-member-values.ts";
import { NodeEntry, notAnnounced } from "./etcd-node-entry.ts";
import type {
  Announcement,
  Member,
  MemberInfo,
  MemberReport,
  Members,
  Question,
} from "./members.ts";
import { loadNodeId } from "./node-id.ts";

export interface EtcdMembersOptions {
  readonly etcd: Etcd;
  /** "/crosspoint": without a slash at its end. */
  readonly prefix: string;
  readonly nodeName: string;
  /** Where the node id is kept. */
  readonly directory: string;
  readonly system: System;
  readonly log: FollowedLog;
  /** Default: `nodeLeaseSeconds`. */
  readonly leaseSeconds?: number;
}

interface Asked {
  readonly question: Question;
  readonly untilMs: number;
}

export class EtcdMembers implements Members {
  readonly #options: EtcdMembersOptions;
  readonly #nodesPrefix: Key;
  readonly #writesPrefix: Key;
  readonly #ownKey: Key;
  /** Live nodes by name, as last seen; this one's entry too, whoever wrote it. */
  readonly #nodes = new Map<string, NodeValue>();
  /** Keys that could not be read, so that each is told once. */
  readonly #unreadable = new Set<Key>();
  readonly #listeners = new Set<() => void>();
  readonly #questionListeners = new Set<(question: Question) => void>();
  /** What was asked while nobody listened, by who asked. */
  readonly #unheard = new Map<string, Asked>();
  #entry: NodeEntry | undefined;
  /** The newest own write that came back in the watch. */
  #seenRevision = 0;
  #told: Announcement["kind"] = "none";
  #closed = false;

  constructor(options: EtcdMembersOptions) {
    this.#options = options;
    this.#nodesPrefix = `${options.prefix}/nodes/`;
    this.#writesPrefix = `${options.prefix}/writes/`;
    this.#ownKey = this.#nodesPrefix + options.nodeName;
  }

  get self(): Announcement {
    return this.#entry?.state ?? { kind: "none" };
  }

  list(): readonly Member[] {
    const entry = this.#entry;
    const members: Member[] = [];
    for (const value of this.#nodes.values()) {
      if (value.run === entry?.run) continue;
      // What this node left behind when it was killed is nobody, unless another process took our place.
      if (value.nodeId === entry?.nodeId && this.self.kind !== "taken") continue;
      members.push(memberOf(value));
    }
    if (entry !== undefined && this.self.kind === "announced") {
      members.push(memberOf({ ...entry.content, run: entry.run }));
    }
    return members.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  onQuestion(listener: (question: Question) => void): () => void {
    this.#questionListeners.add(listener);
    const nowMs = this.#options.system.monotonicMs();
    for (const { question, untilMs } of this.#unheard.values()) {
      if (untilMs > nowMs) listener({ ...question, waitMs: untilMs - nowMs });
    }
    this.#unheard.clear();
    return () => void this.#questionListeners.delete(listener);
  }

  /** Rejects "failed-precondition" when the state directory keeps no node id. */
  async announce(said: MemberInfo): Promise<void> {
    const info = { ...said, name: this.#options.nodeName };
    const nodeId = await loadNodeId(this.#options.directory);
    if (this.#closed) return;
    if (this.#entry === undefined) this.#entry = this.#entryOf(nodeId, info);
    else void this.#entry.setInfo(info);
    await this.#entry.claim();
    await this.#seen(this.#entry);
  }

  async report(report: MemberReport): Promise<void> {
    await this.#entry?.report(report);
  }

  async ask(revision: Revision, waitMs: number): Promise<void> {
    if (this.#entry === undefined) throw notAnnounced(this.self);
    await this.#entry.ask(revision, waitMs);
  }

  /** A store that is away, or hangs, does not hold this up: the entry then goes with its lease. */
  async leave(): Promise<void> {
    this.#closed = true;
    const late = Promise.withResolvers<never>();
    const cancel = this.#options.system.after(nodeLeaveMsMax, () => late.reject(noAnswer()));
    try {
      await Promise.race([this.#entry?.leave(), late.promise]);
    } catch (error) {
      this.#options.log.warn("the store still lists this node until its lease is over", {
        cause: RouterError.from(error).message,
      });
    } finally {
      cancel();
    }
  }

  /** Ends without a word to etcd. */
  close(): void {
    this.#closed = true;
    this.#entry?.close();
  }

  /**
   * What changed under PREFIX/nodes/ and PREFIX/writes/, after the changes of the table that came with it are in
   * the store's log (and in the same turn); other keys are passed over. A list tells what was deleted as well.
   */
  observe(puts: readonly KeyValue[], deletes: readonly Key[]): void {
    let changed = false;
    for (const key of deletes) {
      if (!key.startsWith(this.#nodesPrefix)) continue;
      this.#unreadable.delete(key);
      changed = this.#nodes.delete(key.slice(this.#nodesPrefix.length)) || changed;
      if (key !== this.#ownKey) continue;
      this.#entry?.freed();
      void this.#entry?.check();
    }
    for (const kv of puts) {
      if (kv.key.startsWith(this.#nodesPrefix)) changed = this.#observeNode(kv) || changed;
      else if (kv.key.startsWith(this.#writesPrefix)) this.#observeWrite(kv);
    }
    if (changed) this.#notify();
  }

  #observeNode(kv: KeyValue): boolean {
    const name = kv.key.slice(this.#nodesPrefix.length);
    const had = this.#nodes.get(name);
    const value = this.#read(kv, () => nodeOf(name, kv));
    if (value === undefined) this.#nodes.delete(name);
    else this.#nodes.set(name, value);
    if (kv.key === this.#ownKey) this.#observeOwn(kv, value);
    else if (value?.ask !== undefined && !sameAsk(had, value)) this.#asked(name, value.ask);
    return had !== undefined || value !== undefined;
  }

  #observeOwn(kv: KeyValue, value: NodeValue | undefined): void {
    const entry = this.#entry;
    if (entry === undefined) return;
    if (value?.run === entry.run) this.#seenRevision = kv.modRevision;
    else if (kv.modRevision > entry.modRevision) void entry.check();
  }

  #observeWrite(kv: KeyValue): void {
    const name = kv.key.slice(this.#writesPrefix.length);
    if (name === this.#options.nodeName) return;
    const ask = this.#read(kv, () => parseAsk(kv));
    if (ask !== undefined) this.#asked(name, ask);
  }

  /** undefined when it cannot be read: told once, until it can or is gone. */
  #read<T>(kv: KeyValue, parse: () => T): T | undefined {
    try {
      const value = parse();
      this.#unreadable.delete(kv.key);
      return value;
    } catch (error) {
      if (!this.#unreadable.has(kv.key)) {
        const fields = { key: shownKey(kv.key), reason: RouterError.from(error).message };
        this.#options.log.warn("what is no entry of a node is passed over", fields);
      }
      this.#unreadable.add(kv.key);
      return undefined;
    }
  }

  #asked(from: string, { revision, waitMs }: Ask): void {
    const question: Question = { from, revision, waitMs };
    const untilMs = this.#options.system.monotonicMs() + waitMs;
    if (this.#questionListeners.size === 0) this.#unheard.set(from, { question, untilMs });
    for (const listener of this.#questionListeners) listener(question);
  }

  #entryOf(nodeId: string, info: MemberInfo): NodeEntry {
    const { etcd, nodeName, system, leaseSeconds = nodeLeaseSeconds } = this.#options;
    const changed = (): void => {
      this.#tell();
      this.#notify();
    };
    const key = this.#ownKey;
    return new NodeEntry({ etcd, key, nodeName, nodeId, leaseSeconds, system, changed }, info);
  }

  /** Resolves once our own entry came back in the watch: with it everything that was stored before. */
  async #seen(entry: NodeEntry): Promise<void> {
    const wanted = entry.modRevision;
    const holds = (): boolean => this.#seenRevision >= wanted || this.self.kind !== "announced";
    if (holds()) return;
    const seen = Promise.withResolvers<void>();
    const cancel = this.#options.system.after(nodeSeenMsMax, () => seen.resolve());
    const end = this.subscribe(() => {
      if (holds()) seen.resolve();
    });
    await seen.promise;
    cancel();
    end();
  }

  /** Once per change of state. */
  #tell(): void {
    const { self } = this;
    if (self.kind === this.#told) return;
    this.#told = self.kind;
    const { log, nodeName } = this.#options;
    switch (self.kind) {
      case "announced":
        return log.info("this node is among the nodes of its store", { node: nodeName });
      case "lost":
        return log.warn("this node is not among the nodes of its store; it is tried again", {
          node: nodeName,
          cause: self.cause,
        });
      case "taken":
        return log.warn("another node has this node's name; it is tried again", {
          node: nodeName,
          cause: self.cause,
        });
      default:
    }
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

function noAnswer(): RouterError {
  return new RouterError("store-unavailable", `it gave no answer within ${nodeLeaveMsMax} ms`);
}

function nodeOf(name: string, kv: KeyValue): NodeValue {
  if (kv.lease === "0") {
    throw new RouterError("invalid-argument", "it has no lease, so it would stay for ever");
  }
  return parseNode(name, kv);
}

function memberOf(value: Omit<NodeValue, "nodeId" | "ask">): Member {
  const { info, report, starting, run, reports } = value;
  return { ...info, ...report, starting, reportId: `${run}/${reports}` };
}

function sameAsk(had: NodeValue | undefined, { run, ask }: NodeValue): boolean {
  return had?.run === run && had.ask?.number === ask?.number;
}
