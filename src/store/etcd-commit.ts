// Commits to etcd: one at a time, each whole.
//
// Knows: the steps of a write, small or large. Does not know: keys and values of the table, what to do when an answer
// is lost (etcd-fence), how a batch becomes keys (etcd-unfold).
//
// A write that is larger than a transaction puts its parts, where they mean nothing; then comes one transaction as any
// other, in which the guard names them: since then it is stored, and served whole; then it is unfolded, here or by
// whoever comes next. Its keys are not compared one by one: they are as many as did not fit. The guard keeps the writes
// of the API apart; what a hand wrote to one of these keys in the moments before is written over.

import { randomUUID } from "node:crypto";
import type { Compare, Etcd, Key, Operation } from "../etcd/etcd.ts";
import type { Followed } from "../etcd/followed.ts";
import { commitSeenMsMax, commitSettleMsMax, etcdValueBytesMax, unfoldQuietMs } from "../limits.ts";
import type { Backend } from "../model/backend.ts";
import { RouterError } from "../model/errors.ts";
import { parseRevision, type Revision } from "../model/revision.ts";
import type { System } from "../system.ts";
import { decodePart, partsOf } from "./etcd-batch.ts";
import { Fence, notStored } from "./etcd-fence.ts";
import type { EtcdLayout } from "./etcd-layout.ts";
import { grantTtls, revokeAll } from "./etcd-leases.ts";
import { encodeMarker, freshMarker, type Marker } from "./etcd-marker.ts";
import type { EtcdMirror } from "./etcd-mirror.ts";
import { encodeRequest } from "./etcd-requests.ts";
import {
  type Companion,
  fits,
  type Outcomes,
  outcomesOf,
  sizeOf,
  tooLarge,
  transactionOf,
} from "./etcd-transaction.ts";
import { Unfolder } from "./etcd-unfold.ts";
import type { Write } from "./store.ts";
import { within } from "./within.ts";
import { checkWrite, revisionConflict } from "./write-check.ts";

export interface EtcdCommitsParts {
  readonly etcd: Etcd;
  readonly system: System;
  readonly layout: EtcdLayout;
  readonly mirror: EtcdMirror;
  readonly followed: Followed;
  readonly nodeName: string;
  /** Rejects when nothing may be written now. */
  readonly admit: () => Promise<void>;
  /** Aborts when the store closes. */
  readonly closing: AbortSignal;
}

/** A write, ready to be sent. */
interface Plan {
  readonly write: Write;
  readonly id: string;
  readonly marker: Marker;
  /** What the commit itself puts: nothing for a large write. */
  readonly outcomes: Outcomes;
  /** What is put before the commit: nothing for a small one. */
  readonly parts: readonly string[];
  /** What is remembered of its request id. */
  readonly request: string | undefined;
}

export class EtcdCommits {
  readonly #parts: EtcdCommitsParts;
  readonly #fence: Fence;
  readonly #unfolder: Unfolder;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: EtcdCommitsParts) {
    this.#parts = parts;
    this.#unfolder = new Unfolder(parts);
    const key = parts.layout.lastWrite(randomUUID());
    this.#fence = new Fence({ ...parts, key });
  }

  /** See Store.commit. */
  commit(write: Write): Promise<Revision> {
    const mine = this.#turn.then(() => this.#commit(write));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** Finishes what a writer left behind: a batch that is not unfolded, or parts that nobody names. */
  finish(): Promise<void> {
    const mine = this.#turn.then(async () => {
      await this.#parts.admit();
      if (this.#parts.mirror.open !== undefined) await this.#finishOpen();
      else if (this.#parts.mirror.partKeys.size > 0) await this.#unfolder.drop(this.#guard);
    });
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #commit(write: Write): Promise<Revision> {
    const { mirror, etcd, admit } = this.#parts;
    await admit();
    checkWrite(write, mirror.revision);
    const plan = await this.#planOf(write);
    await this.#fence.settleEarlier();
    await this.#beforeUs();
    const leases = await grantTtls(etcd, write.changes);
    try {
      const put = await this.#putParts(plan);
      const stored = await this.#store(plan, put, leases);
      const revision = plan.parts.length === 0 ? stored : await this.#unfold(plan, stored);
      await this.#seen(revision);
      return parseRevision(revision);
    } catch (error) {
      // What may be stored keeps its leases: they end by themselves.
      if (this.#fence.isOpen) throw error;
      await revokeAll(etcd, leases.values());
      // Whoever waits for the answer need not wait for this.
      if (plan.parts.length > 0) void this.#unfolder.takeBack(plan.id).catch(() => undefined);
      throw error;
    }
  }

  /** Throws "resource-exhausted" when it is too large, before anything is sent. */
  async #planOf(write: Write): Promise<Plan> {
    const { layout, mirror } = this.#parts;
    const id = randomUUID();
    const outcomes = outcomesOf(write.changes, layout);
    const marker = mirror.marker ?? freshMarker();
    const whole = { write, id, marker };
    const small: Plan = { ...whole, outcomes, parts: [], request: await requestOf(write) };
    const size = sizeOf(outcomes, this.#companions(small, longestLease));
    if (fits(size) && isReadable(small)) return small;
    const hasTtl = write.changes.some(
      (change) => change.kind === "backend-put" && change.backend.ttlMs !== undefined,
    );
    if (hasTtl) {
      throw tooLarge(size.operations, size.bytes, ", with backends that have a TTL");
    }
    const parts = partsOf(outcomes, layout);
    const request = await requestOf(write, id);
    const large: Plan = { ...whole, outcomes: new Map(), parts, request };
    const keys = parts.map((_, index) => layout.part(id, index + 1));
    const { operations, bytes } = sizeOf(new Map(), this.#companions(large, longestLease), keys);
    if (fits({ operations, bytes }) && isReadable(large)) return large;
    throw tooLarge(operations, bytes, ", with the answer that is kept for its request id");
  }

  /** Puts what does not fit into the commit. */
  async #putParts({ write, id, parts }: Plan): Promise<readonly Compare[]> {
    if (parts.length === 0) return [];
    checkWrite(write, this.#parts.mirror.revision);
    const guard = this.#guard;
    try {
      const put = await within(this.#parts, commitSettleMsMax, (signal) =>
        this.#unfolder.putParts(id, parts, guard, signal),
      );
      if (put !== undefined) return put;
    } catch (thrown) {
      throw notStored(RouterError.from(thrown));
    }
    throw await this.#conflict(write.expected, [guard]);
  }

  /** The large write is stored: the revision since which it is keys, or that which stored it where that must wait. */
  async #unfold(plan: Plan, stored: number): Promise<number> {
    const { id, parts, marker, write } = plan;
    const { layout, nodeName, etcd } = this.#parts;
    const batch = { id, parts: parts.length };
    try {
      const entries = parts.flatMap((part) => decodePart(part, layout));
      const open = { ...batch, revision: parseRevision(stored) };
      const beside = questionOf(write, id, layout.question(nodeName));
      const unfolding = { open, entries, marker: { ...marker, batch }, guard: stored, beside };
      const { revision = stored, ours } = await within(this.#parts, commitSettleMsMax, (signal) =>
        this.#unfolder.unfold(unfolding, signal),
      );
      if (ours) return revision;
      // Somebody was faster, and did not ask for us.
      const question = questionOf(write, id, layout.question(nodeName), revision);
      const success = question.map((one): Operation => ({ kind: "put", ...one }));
      if (success.length > 0) await etcd.transact({ compare: [], success, failure: [] });
      return revision;
    } catch {
      // It is stored and serves; who comes next unfolds it.
      return stored;
    }
  }

  /** Of a batch that another node left, after a moment for that node. */
  async #finishOpen(): Promise<void> {
    const { mirror } = this.#parts;
    await this.#quiet();
    const { open, marker } = mirror;
    if (open === undefined || marker === undefined) return;
    const unfolding = { open, entries: mirror.openEntries, marker, guard: this.#guard };
    const { revision } = await within(this.#parts, commitSettleMsMax, (signal) =>
      this.#unfolder.unfold(unfolding, signal),
    );
    await this.#seen(revision ?? 0);
  }

  /** Resolves when nothing lies over the table any more, or nobody seems to be working on that. */
  async #quiet(): Promise<void> {
    const { mirror } = this.#parts;
    for (let before = -1; mirror.open !== undefined && before !== mirror.revision; ) {
      before = mirror.revision;
      await within(this.#parts, unfoldQuietMs, (signal) => mirror.log.appended(signal));
    }
  }

  /** Another write may lie over the table still: its writer has a moment, then we unfold it. */
  async #beforeUs(): Promise<void> {
    try {
      await this.#finishOpen();
    } catch (thrown) {
      const { code, message, details } = RouterError.from(thrown);
      const text = `nothing was stored: a large write before it cannot be unfolded: ${message}`;
      throw new RouterError(code, text, details, { cause: thrown });
    }
  }

  /** The revision of etcd that stored it. `put`: where its parts are. */
  async #store(
    plan: Plan,
    put: readonly Compare[],
    leases: ReadonlyMap<Backend, string>,
  ): Promise<number> {
    const { write, id, outcomes } = plan;
    // Our own key and the lease may have been taken away, each once.
    for (let triesLeft = 2; ; triesLeft--) {
      // Granting, putting parts and settling took time: what was compared then may have changed.
      checkWrite(write, this.#parts.mirror.revision);
      const compare = this.#comparisons(outcomes, put);
      const companions = this.#companions(plan, await this.#fence.lease());
      const answer = await this.#fence.send(
        transactionOf({ outcomes, companions, leases, compare }),
        id,
        triesLeft > 0,
      );
      if (answer === "again") continue;
      if (typeof answer === "number") return answer;
      const found = answer.ranges.map(({ kvs }) => kvs[0]?.modRevision ?? 0);
      const lastWrite = found.pop() ?? 0;
      const others = compare.slice(0, -1);
      const onlyOurs = others.every(({ revision }, index) => revision === found[index]);
      // Its lease ran out, or was revoked.
      this.#fence.found(lastWrite);
      if (triesLeft > 0 && onlyOurs) continue;
      // A part has no revision of the table.
      throw await this.#conflict(write.expected, found.slice(0, 1 + outcomes.size));
    }
  }

  /** The guard's revision as this node knows it; 0: not there. */
  get #guard(): number {
    const { followed, layout } = this.#parts;
    return followed.entries.get(layout.guard)?.modRevision ?? 0;
  }

  /** What must be as this node knows it; our own key comes last. */
  #comparisons(outcomes: Outcomes, put: readonly Compare[]): Compare[] {
    const { layout, followed } = this.#parts;
    const known = [layout.guard, ...outcomes.keys()].map(
      (key): Compare => ({
        key,
        target: "mod",
        revision: followed.entries.get(key)?.modRevision ?? 0,
      }),
    );
    return [...known, ...put, this.#fence.compare];
  }

  #companions({ write, id, marker, parts, request }: Plan, lease: string): Companion[] {
    const { layout, nodeName } = this.#parts;
    const batch = parts.length === 0 ? undefined : { id, parts: parts.length };
    const companions: Companion[] = [
      { key: layout.guard, value: encodeMarker(marker, id, batch) },
      this.#fence.companion(id, nodeName, lease),
    ];
    if (write.request !== undefined && request !== undefined) {
      companions.push({ key: layout.request(write.request.id), value: request, lease });
    }
    // Who asks for a large write asks with its last revision.
    if (batch !== undefined) return companions;
    return [...companions, ...questionOf(write, id, layout.question(nodeName))];
  }

  /**
   * Resolves when this node's own watch has brought it. One that does not in time is late for everybody who waits
   * for more than "stored"; the write stands all the same, so this is no failure of it.
   */
  async #seen(revision: number): Promise<void> {
    const { followed } = this.#parts;
    await within(this.#parts, commitSeenMsMax, (signal) => followed.reached(revision, signal));
  }

  /** @param found Revisions of what was compared. */
  async #conflict(expected: Revision, found: readonly number[]): Promise<RouterError> {
    const { mirror } = this.#parts;
    const newest = Math.max(...found);
    // Where something was deleted the answer does not say when: whoever tries again must wait for the watch.
    await within(this.#parts, commitSeenMsMax, async (signal) => {
      while (Math.max(newest, mirror.revision) <= expected && !signal.aborted) {
        await mirror.log.appended(signal);
      }
    });
    return revisionConflict(expected, parseRevision(Math.max(newest, mirror.revision)));
  }
}

async function requestOf({ request }: Write, batch?: string): Promise<string | undefined> {
  return request && (await encodeRequest(request, batch));
}

/** Whether the record of the request can be read again. */
function isReadable({ request = "" }: Plan): boolean {
  return request.length <= etcdValueBytesMax;
}

/** What the write asks of the other nodes, if it asks; `revision`: not its own, but this one. */
function questionOf({ ask }: Write, id: string, key: Key, revision?: number): readonly Companion[] {
  if (ask === undefined) return [];
  const about = revision === undefined ? {} : { revision };
  return [{ key, value: JSON.stringify({ write: id, ask: { ...about, waitMs: ask.waitMs } }) }];
}

/** What is as long as any lease's id: 64 bits, decimal. */
const longestLease = "9223372036854775807";
