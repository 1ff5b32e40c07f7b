// This node's own entry in etcd: claimed under a lease, kept, written, claimed again when it was lost.
//
// Knows: one key and its lease. Does not know: the other nodes.
//
// Every write compares the mod revision of the last one, so a node whose name somebody else has by now writes
// nothing under the other's entry (the lease alone would not prevent that: the answer to a write may be late).
// What is to be said is kept here and written whole: what changes while a write is on its way goes with the next.

import { randomBytes } from "node:crypto";
import type { Compare, Etcd, Key, KeyValue } from "../etcd/etcd.ts";
import { nodeRetryMsMax, nodeRetryMsMin } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import { type System, sleep } from "../system.ts";
import { type NodeValue, nodeText, parseNode } from "./etcd-member-values.ts";
import { NodeLease } from "./etcd-node-lease.ts";
import type { Announcement, MemberInfo, MemberReport } from "./members.ts";

export interface NodeEntryOptions {
  readonly etcd: Etcd;
  readonly key: Key;
  readonly nodeName: string;
  readonly nodeId: string;
  readonly leaseSeconds: number;
  readonly system: System;
  /** `state` changed. */
  readonly changed: () => void;
}

/** What the entry says besides whose it is. */
interface Content {
  readonly info: MemberInfo;
  readonly starting: boolean;
  readonly report: MemberReport;
  readonly reports: number;
  readonly ask: { readonly revision: Revision; readonly untilMs: number; readonly number: number };
}

interface Waiter {
  readonly version: number;
  readonly resolve: () => void;
}

export class NodeEntry {
  /** This process, in the entry: the same node id may be claimed by the next one. */
  readonly run = randomBytes(8).toString("hex");
  readonly #options: NodeEntryOptions;
  #content: Content;
  /** Of the content; what is written has `#written`. */
  #version = 0;
  #written = 0;
  #waiters: Waiter[] = [];
  #state: Announcement = { kind: "none" };
  #lease: NodeLease | undefined;
  /** Of our last write. */
  #modRevision = 0;
  /** Another process with our node id took the entry: it is not ours to take back. */
  #superseded = false;
  #writing = false;
  #lost = Promise.withResolvers<void>();
  readonly #decided = Promise.withResolvers<void>();
  readonly #leaving = new AbortController();
  #waking = new AbortController();
  #keeping: Promise<void> | undefined;

  constructor(options: NodeEntryOptions, info: MemberInfo) {
    this.#options = options;
    this.#content = {
      info,
      starting: true,
      report: { servedRevision: revisionZero, lag: undefined },
      reports: 0,
      ask: { revision: revisionZero, untilMs: 0, number: 0 },
    };
  }

  /** Asks the clock too: a process that stood still has lost its place before any timer tells. */
  get state(): Announcement {
    if (this.#state.kind === "announced" && this.#lease?.alive === false) {
      return { kind: "lost", cause: this.#lease.silence };
    }
    return this.#state;
  }

  /** Of the newest write of ours that was stored; 0: none. */
  get modRevision(): number {
    return this.#modRevision;
  }

  get nodeId(): string {
    return this.#options.nodeId;
  }

  get content(): Omit<Content, "ask"> {
    return this.#content;
  }

  /** Claims the entry from now on; resolves once it is known whether it is ours. */
  claim(): Promise<void> {
    this.#keeping ??= this.#keep();
    return this.#decided.promise;
  }

  setInfo(info: MemberInfo): Promise<void> {
    return this.#say({ ...this.#content, info });
  }

  report(report: MemberReport): Promise<void> {
    const reports = this.#content.reports + 1;
    return this.#say({ ...this.#content, report, reports, starting: false });
  }

  ask(revision: Revision, waitMs: number): Promise<void> {
    if (this.state.kind !== "announced") return Promise.reject(notAnnounced(this.state));
    const { ask } = this.#content;
    const nowMs = this.#options.system.monotonicMs();
    const open = ask.untilMs > nowMs;
    return this.#say({
      ...this.#content,
      ask: {
        // Whoever serves the newer revision serves the older one.
        revision: open && ask.revision > revision ? ask.revision : revision,
        untilMs: Math.max(ask.untilMs, nowMs + waitMs),
        number: ask.number + 1,
      },
    });
  }

  /** Nobody has the name, it seems: who waits for it tries again. */
  freed(): void {
    this.#waking.abort();
  }

  /** Another entry than our last write was seen, or none: asks etcd whether it is still ours. */
  async check(): Promise<void> {
    const lease = this.#lease;
    if (lease === undefined) return;
    try {
      const { kvs } = await this.#options.etcd.range({ key: this.#options.key });
      if (this.#lease === lease && kvs[0]?.lease !== lease.id) this.#displaced(lease, kvs[0]);
    } catch {
      // The lease is renewed or not; that tells.
    }
  }

  /** Takes the entry away; rejects when etcd did not: then it goes with its lease. */
  async leave(): Promise<void> {
    const lease = this.#end();
    await this.#keeping;
    await lease?.revoke();
  }

  /** Ends without a word to etcd, as a kill does. */
  close(): void {
    this.#end()?.end();
  }

  #end(): NodeLease | undefined {
    const lease = this.#lease;
    lease?.end();
    this.#lease = undefined;
    this.#leaving.abort();
    this.#waking.abort();
    this.#lost.resolve();
    this.#decided.resolve();
    this.#set({ kind: "none" });
    this.#settle(Number.POSITIVE_INFINITY);
    return lease;
  }

  /** Claims, waits until it is lost, claims again. */
  async #keep(): Promise<void> {
    let pauseMs = nodeRetryMsMin;
    while (!this.#leaving.signal.aborted) {
      try {
        const state = await this.#claim();
        if (this.#leaving.signal.aborted) return await this.#dropLate();
        pauseMs = nodeRetryMsMin;
        this.#set(state);
        this.#decided.resolve();
        if (state.kind === "announced") await this.#untilLost();
        else await this.#pause(this.#options.leaseSeconds * 1000);
      } catch (error) {
        if (this.#leaving.signal.aborted) return;
        this.#set({ kind: "lost", cause: RouterError.from(error).message });
        this.#decided.resolve();
        await this.#pause(pauseMs * (0.5 + this.#options.system.random() / 2));
        pauseMs = Math.min(pauseMs * 2, nodeRetryMsMax);
      }
    }
  }

  async #untilLost(): Promise<void> {
    void this.#flush();
    await this.#lost.promise;
  }

  /** The claim came through after we left. */
  async #dropLate(): Promise<void> {
    const lease = this.#lease;
    this.#lease = undefined;
    await lease?.revoke().catch(() => {});
  }

  async #pause(ms: number): Promise<void> {
    this.#waking = new AbortController();
    await sleep(
      this.#options.system,
      ms,
      AbortSignal.any([this.#waking.signal, this.#leaving.signal]),
    );
  }

  async #claim(): Promise<Announcement> {
    const { etcd, key, leaseSeconds: seconds, system } = this.#options;
    const lease = await NodeLease.grant({ etcd, system, seconds });
    try {
      let found = await this.#put({ key, target: "create", revision: 0 }, lease);
      if (found !== "stored" && found !== undefined) {
        if (!this.#isOurs(found)) {
          await lease.revoke().catch(() => {});
          return { kind: "taken", cause: this.#takenBy(found) };
        }
        found = await this.#put({ key, target: "mod", revision: found.modRevision }, lease);
      }
      if (found !== "stored") throw raced(key);
      if (!lease.alive) throw new RouterError("store-unavailable", lease.silence);
    } catch (error) {
      lease.end();
      throw error;
    }
    this.#lost = Promise.withResolvers();
    this.#lease = lease;
    lease.onLost = (cause) => this.#lose(lease, cause);
    // "Renewed" may be said of a lease that was revoked (etcd before 3.4.38).
    lease.onRenewed = () => void this.check();
    return { kind: "announced" };
  }

  /** Puts what is to be said if `compare` holds; else answers what is there instead. */
  async #put(compare: Compare, lease: NodeLease): Promise<"stored" | KeyValue | undefined> {
    const { etcd, key } = this.#options;
    const version = this.#version;
    const answer = await etcd.transact({
      compare: [compare],
      success: [{ kind: "put", key, value: this.#text(), lease: lease.id }],
      failure: [{ kind: "range", key }],
    });
    if (!answer.succeeded) return answer.ranges[0]?.kvs[0];
    this.#modRevision = answer.header.revision;
    this.#written = version;
    this.#settle(version);
    return "stored";
  }

  #text(): string {
    const { ask, ...content } = this.#content;
    const { nodeId, system } = this.#options;
    const waitMs = Math.ceil(ask.untilMs - system.monotonicMs());
    const value: NodeValue = { nodeId, run: this.run, ...content };
    if (waitMs <= 0) return nodeText(value);
    return nodeText({ ...value, ask: { revision: ask.revision, waitMs, number: ask.number } });
  }

  #say(content: Content): Promise<void> {
    if (this.#leaving.signal.aborted) return Promise.resolve();
    this.#content = content;
    const version = ++this.#version;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ version, resolve });
    void this.#flush();
    return promise;
  }

  /** One write at a time, until everything is written; what is lost meanwhile is written by the next claim. */
  async #flush(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    let pauseMs = nodeRetryMsMin;
    while (this.#written < this.#version && this.#state.kind === "announced") {
      const lease = this.#lease;
      if (lease === undefined) break;
      try {
        await this.#writeOnce(lease);
        pauseMs = nodeRetryMsMin;
      } catch {
        // Stored or not: the next write finds out.
        await sleep(this.#options.system, pauseMs, this.#leaving.signal);
        pauseMs = Math.min(pauseMs * 2, nodeRetryMsMax);
      }
    }
    this.#writing = false;
  }

  async #writeOnce(lease: NodeLease): Promise<void> {
    const { key } = this.#options;
    const found = await this.#put({ key, target: "mod", revision: this.#modRevision }, lease);
    if (found === "stored" || this.#lease !== lease) return;
    if (found?.lease !== lease.id) return this.#displaced(lease, found);
    // A write of ours whose answer was lost.
    this.#modRevision = found.modRevision;
  }

  #displaced(lease: NodeLease, found: KeyValue | undefined): void {
    if (found === undefined) return this.#lose(lease, "its entry was removed from the store");
    const owner = this.#ownerOf(found);
    if (owner?.nodeId === this.#options.nodeId && owner.run !== this.run) this.#superseded = true;
    this.#lose(lease, this.#takenBy(found));
  }

  #lose(lease: NodeLease, cause: string): void {
    if (this.#lease !== lease) return;
    lease.end();
    this.#lease = undefined;
    this.#set({ kind: "lost", cause });
    this.#lost.resolve();
  }

  #isOurs(kv: KeyValue): boolean {
    const owner = this.#ownerOf(kv);
    if (owner?.run === this.run) return true;
    return owner?.nodeId === this.#options.nodeId && !this.#superseded;
  }

  #ownerOf(kv: KeyValue): NodeValue | undefined {
    try {
      return parseNode(this.#options.nodeName, kv);
    } catch {
      return undefined;
    }
  }

  #takenBy(kv: KeyValue): string {
    const { key, nodeName, nodeId } = this.#options;
    const owner = this.#ownerOf(kv);
    if (owner === undefined) {
      return `${key} holds what is no entry of a node: remove it (etcdctl del ${key}), or start this node with another --node-name`;
    }
    const since = new Date(owner.info.startTimeMs).toISOString();
    const what =
      owner.nodeId === nodeId
        ? `another process with the same state directory and name, at ${owner.info.rpc} since ${since}, has its place: end one of them, or give it its own --state and --node-name`
        : `the node at ${owner.info.rpc} is called "${nodeName}" too, since ${since}: start one of them with another --node-name`;
    return what;
  }

  #set(state: Announcement): void {
    this.#state = state;
    this.#options.changed();
  }

  #settle(version: number): void {
    const settled = this.#waiters.filter((waiter) => waiter.version <= version);
    this.#waiters = this.#waiters.filter((waiter) => waiter.version > version);
    for (const { resolve } of settled) resolve();
  }
}

function raced(key: Key): RouterError {
  return new RouterError("store-unavailable", `somebody else writes ${key}: it is tried again`);
}

export function notAnnounced(state: Announcement): RouterError {
  const cause = "cause" in state ? state.cause : "it was not asked to";
  return new RouterError(
    "store-unavailable",
    `this node is not among the nodes of its store: ${cause}`,
    { reason: "NOT_ANNOUNCED" },
  );
}
