// Commits to etcd: one at a time, each whole, and none whose outcome is guessed.
//
// Knows: what to do when the answer of a transaction is lost. Does not know: keys and values of the table.
//
// The outcome is settled by a key of this store's own, `lastWrite`: every commit compares its revision and puts it,
// and so does the question about a lost commit. Either the question finds the commit's id there, and it was stored;
// or the question's own put wins, and the commit, wherever it is on its way, can never be stored any more, because
// what it compares has changed. There is no third case, however late or often anything arrives, since only this
// store writes that key, and one commit at a time. Whoever shares a node's name by mistake has another key.

import { randomUUID } from "node:crypto";
import type { Compare, Etcd, Key, Transaction, TransactionAnswer } from "../etcd/etcd.ts";
import { isNotApplied } from "../etcd/etcd-error.ts";
import type { Followed } from "../etcd/followed.ts";
import { commitSeenMsMax, commitSettleMsMax, commitSettlePauseMs } from "../limits.ts";
import type { Backend } from "../model/backend.ts";
import { RouterError } from "../model/errors.ts";
import { parseRevision, type Revision } from "../model/revision.ts";
import { type System, sleep } from "../system.ts";
import type { EtcdLayout } from "./etcd-layout.ts";
import { grantTtls, RotatingLease, revokeAll } from "./etcd-leases.ts";
import { encodeMarker, freshMarker } from "./etcd-marker.ts";
import type { EtcdMirror } from "./etcd-mirror.ts";
import { encodeRequest } from "./etcd-requests.ts";
import {
  type Companion,
  checkSize,
  type Outcomes,
  outcomesOf,
  transactionOf,
} from "./etcd-transaction.ts";
import type { Write } from "./store.ts";
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

/** A commit whose answer was lost. */
interface Lost {
  readonly id: string;
  readonly cause: RouterError;
  /** What it would have left was taken away by somebody: it can be ended, but not told any more. */
  traceless: boolean;
}

type Verdict =
  | { readonly kind: "stored"; readonly revision: number }
  | { readonly kind: "never" }
  | { readonly kind: "unknown" };

export class EtcdCommits {
  readonly #parts: EtcdCommitsParts;
  readonly #rotating: RotatingLease;
  /** Ours alone, whatever this node is called. */
  readonly #lastWrite: Key;
  /** Of `#lastWrite`, as we know it; 0: not there. */
  #lastWriteRevision = 0;
  /** To be settled before anything else is written. */
  #lost: Lost | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: EtcdCommitsParts) {
    this.#parts = parts;
    this.#rotating = new RotatingLease(parts.etcd, parts.system);
    this.#lastWrite = parts.layout.lastWrite(randomUUID());
  }

  /** See Store.commit. */
  commit(write: Write): Promise<Revision> {
    const mine = this.#turn.then(() => this.#commit(write));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #commit(write: Write): Promise<Revision> {
    const { mirror, layout, etcd, admit } = this.#parts;
    await admit();
    checkWrite(write, mirror.revision);
    const outcomes = outcomesOf(write.changes, layout);
    const id = randomUUID();
    checkSize(outcomes, this.#companions(write, id, longestLease));
    await this.#settleEarlier();
    const leases = await grantTtls(etcd, write.changes);
    try {
      const revision = await this.#store(write, id, outcomes, leases);
      await this.#seen(revision);
      return parseRevision(revision);
    } catch (error) {
      // What may be stored keeps its leases: they end by themselves.
      if (this.#lost === undefined) await revokeAll(etcd, leases.values());
      throw error;
    }
  }

  /** The revision of etcd that stored it. */
  async #store(
    write: Write,
    id: string,
    outcomes: Outcomes,
    leases: ReadonlyMap<Backend, string>,
  ): Promise<number> {
    // Our own key and the lease may have been taken away, each once.
    for (let triesLeft = 2; ; triesLeft--) {
      // Granting and settling took time: what was compared then may have changed.
      checkWrite(write, this.#parts.mirror.revision);
      const compare = this.#comparisons(outcomes);
      const companions = this.#companions(write, id, await this.#rotating.id());
      const answer = await this.#send(
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
      this.#lastWriteRevision = lastWrite;
      if (triesLeft === 0 || !onlyOurs) throw await this.#conflict(write.expected, found);
    }
  }

  /** What must be as this node knows it; our own key comes last. */
  #comparisons(outcomes: Outcomes): Compare[] {
    const { layout, followed } = this.#parts;
    const known = [layout.guard, ...outcomes.keys()].map((key) => ({
      key,
      revision: followed.entries.get(key)?.modRevision ?? 0,
    }));
    const ours = { key: this.#lastWrite, revision: this.#lastWriteRevision };
    return [...known, ours].map((one) => ({ ...one, target: "mod" }));
  }

  #companions(write: Write, id: string, lease: string): Companion[] {
    const { layout, mirror, nodeName } = this.#parts;
    const companions: Companion[] = [
      { key: layout.guard, value: encodeMarker(mirror.marker ?? freshMarker(), id) },
      { key: this.#lastWrite, value: JSON.stringify({ write: id, node: nodeName }), lease },
    ];
    if (write.request !== undefined) {
      const key = layout.request(write.request.id);
      companions.push({ key, value: encodeRequest(write.request), lease });
    }
    if (write.ask !== undefined) {
      const value = JSON.stringify({ write: id, ask: { waitMs: write.ask.waitMs } });
      companions.push({ key: layout.question(nodeName), value });
    }
    return companions;
  }

  /** The revision that stored it, the answer that refused it, or "again" when it may be tried once more. */
  async #send(
    transaction: Transaction,
    id: string,
    again: boolean,
  ): Promise<number | "again" | TransactionAnswer> {
    try {
      const answer = await this.#parts.etcd.transact(transaction);
      if (!answer.succeeded) return answer;
      this.#lastWriteRevision = answer.header.revision;
      return answer.header.revision;
    } catch (thrown) {
      const cause = RouterError.from(thrown);
      if (isLeaseGone(cause)) {
        // Somebody revoked it, or this is another etcd than the one that granted it.
        this.#rotating.forget();
        if (again) return "again";
        throw cause;
      }
      if (isNotApplied(cause) || cause.code === "resource-exhausted") throw cause;
      this.#lost = { id, cause, traceless: false };
      return await this.#settle(this.#lost);
    }
  }

  /** Of a commit whose answer was lost: the revision that stored it, or throws what became of it. */
  async #settle(lost: Lost): Promise<number> {
    const verdict = await this.#ask(lost);
    switch (verdict.kind) {
      case "stored":
        return verdict.revision;
      case "never":
        throw new RouterError(
          "store-unavailable",
          `nothing was stored: ${lost.cause.message}`,
          lost.cause.details,
          { cause: lost.cause },
        );
      default:
        throw new RouterError(
          "store-unavailable",
          `whether the write was stored is not known: ${lost.cause.message}; look, or send it again with the same request id`,
          { ...lost.cause.details, reason: "WRITE_OUTCOME_UNKNOWN" },
          { cause: lost.cause },
        );
    }
  }

  /** What an earlier commit left unknown: nobody waits for it, but it must not be stored after the next one. */
  async #settleEarlier(): Promise<void> {
    if (this.#lost === undefined) return;
    const { cause } = this.#lost;
    const verdict = await this.#ask(this.#lost);
    if (verdict.kind !== "unknown" || this.#lost === undefined) return;
    throw new RouterError(
      "store-unavailable",
      `nothing was stored: what became of an earlier write is not known yet: ${cause.message}`,
      cause.details,
      { cause },
    );
  }

  /** Asks until it is known or the time is over; `#lost` stays while it may still be stored. */
  #ask(lost: Lost): Promise<Verdict> {
    const { system } = this.#parts;
    return this.#within(commitSettleMsMax, async (signal) => {
      const over = aborted(signal);
      while (!signal.aborted) {
        const verdict = await Promise.race([this.#askOnce(lost), over]);
        if (verdict.kind !== "unknown") {
          this.#lost = undefined;
          return lost.traceless ? { kind: "unknown" } : verdict;
        }
        await sleep(system, commitSettlePauseMs, signal);
      }
      return { kind: "unknown" };
    });
  }

  async #askOnce(lost: Lost): Promise<Verdict> {
    const key = this.#lastWrite;
    const never = JSON.stringify({ never: lost.id });
    try {
      const lease = await this.#rotating.id();
      const answer = await this.#parts.etcd.transact({
        compare: [{ key, target: "mod", revision: this.#lastWriteRevision }],
        success: [{ kind: "put", key, value: never, lease }],
        failure: [{ kind: "range", key }],
      });
      const kv = answer.ranges[0]?.kvs[0];
      this.#lastWriteRevision = answer.succeeded ? answer.header.revision : (kv?.modRevision ?? 0);
      if (answer.succeeded || kv?.text === never) return { kind: "never" };
      if (kv?.text?.includes(lost.id) === true) return { kind: "stored", revision: kv.modRevision };
      // Its lease was revoked, or somebody wrote there.
      lost.traceless = true;
    } catch (thrown) {
      if (isLeaseGone(thrown)) this.#rotating.forget();
    }
    return { kind: "unknown" };
  }

  /**
   * Resolves when this node's own watch has brought it. One that does not in time is late for everybody who waits
   * for more than "stored"; the write stands all the same, so this is no failure of it.
   */
  async #seen(revision: number): Promise<void> {
    const { followed } = this.#parts;
    await this.#within(commitSeenMsMax, (signal) => followed.reached(revision, signal));
  }

  /** @param found Revisions of what was compared. */
  async #conflict(expected: Revision, found: readonly number[]): Promise<RouterError> {
    const { mirror } = this.#parts;
    const newest = Math.max(...found);
    // Where something was deleted the answer does not say when: whoever tries again must wait for the watch.
    await this.#within(commitSeenMsMax, async (signal) => {
      while (Math.max(newest, mirror.revision) <= expected && !signal.aborted) {
        await mirror.log.appended(signal);
      }
    });
    return revisionConflict(expected, parseRevision(Math.max(newest, mirror.revision)));
  }

  /** Does `work` with a signal that aborts when the time is over or the store closes. */
  async #within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { system, closing } = this.#parts;
    const over = new AbortController();
    const end = (): void => over.abort();
    if (closing.aborted) end();
    closing.addEventListener("abort", end);
    const cancel = system.after(ms, end);
    try {
      return await work(over.signal);
    } finally {
      cancel();
      closing.removeEventListener("abort", end);
    }
  }
}

/** What is as long as any lease's id: 64 bits, decimal. */
const longestLease = "9223372036854775807";

function isLeaseGone(thrown: unknown): boolean {
  return thrown instanceof RouterError && thrown.details.reason === "ETCD_LEASE_GONE";
}

function aborted(signal: AbortSignal): Promise<Verdict> {
  return new Promise((resolve) => {
    const finish = (): void => resolve({ kind: "unknown" });
    if (signal.aborted) finish();
    else signal.addEventListener("abort", finish, { once: true });
  });
}
