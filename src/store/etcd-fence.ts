// Sends commits, and settles those whose answer is lost: no outcome is guessed.
//
// Knows: a key of this store's own, and what is under it. Does not know: what a commit holds besides.
//
// Every commit compares the revision of that key and puts it, and so does the question about a lost commit. Either the
// question finds the commit's id there, and it was stored; or the question's own put wins, and the commit, wherever
// it is on its way, can never be stored any more, because what it compares has changed. There is no third case,
// however late or often anything arrives, since only this store writes that key, and one commit at a time. Whoever
// shares a node's name by mistake has another key.

import type { Compare, Etcd, Key, Transaction, TransactionAnswer } from "../etcd/etcd.ts";
import { isNotApplied } from "../etcd/etcd-error.ts";
import { commitSettleMsMax, commitSettlePauseMs } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { sleep } from "../system.ts";
import { RotatingLease } from "./etcd-leases.ts";
import type { Companion } from "./etcd-transaction.ts";
import { type Bounds, within } from "./within.ts";

export interface FenceOptions extends Bounds {
  readonly etcd: Etcd;
  /** Ours alone, whatever this node is called. */
  readonly key: Key;
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

export class Fence {
  readonly #options: FenceOptions;
  readonly #rotating: RotatingLease;
  readonly #key: Key;
  /** Of the key, as we know it; 0: not there. */
  #revision = 0;
  /** To be settled before anything else is written. */
  #lost: Lost | undefined;

  constructor(options: FenceOptions) {
    this.#options = options;
    this.#key = options.key;
    this.#rotating = new RotatingLease(options.etcd, options.system);
  }

  /** The last commit may be stored, or may still be. */
  get isOpen(): boolean {
    return this.#lost !== undefined;
  }

  /** For what a commit puts and what must not stay for ever. Rejects as `Etcd.grantLease`. */
  lease(): Promise<string> {
    return this.#rotating.id();
  }

  /** What each commit compares and puts. */
  get compare(): Compare {
    return { key: this.#key, target: "mod", revision: this.#revision };
  }

  companion(id: string, node: string, lease: string): Companion {
    return { key: this.#key, value: JSON.stringify({ write: id, node }), lease };
  }

  /** What a commit that was refused found of the key. */
  found(revision: number): void {
    this.#revision = revision;
  }

  /** The revision that stored it, the answer that refused it, or "again" when it may be tried once more. */
  async send(
    transaction: Transaction,
    id: string,
    again: boolean,
  ): Promise<number | "again" | TransactionAnswer> {
    try {
      const answer = await this.#options.etcd.transact(transaction);
      if (!answer.succeeded) return answer;
      this.#revision = answer.header.revision;
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
        throw notStored(lost.cause);
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
  async settleEarlier(): Promise<void> {
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
    const { system } = this.#options;
    return within(this.#options, commitSettleMsMax, async (signal) => {
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
    const key = this.#key;
    const never = JSON.stringify({ never: lost.id });
    try {
      const lease = await this.lease();
      const answer = await this.#options.etcd.transact({
        compare: [{ key, target: "mod", revision: this.#revision }],
        success: [{ kind: "put", key, value: never, lease }],
        failure: [{ kind: "range", key }],
      });
      const kv = answer.ranges[0]?.kvs[0];
      this.#revision = answer.succeeded ? answer.header.revision : (kv?.modRevision ?? 0);
      if (answer.succeeded || kv?.text === never) return { kind: "never" };
      if (kv?.text?.includes(lost.id) === true) return { kind: "stored", revision: kv.modRevision };
      // Its lease was revoked, or somebody wrote there.
      lost.traceless = true;
    } catch (thrown) {
      if (isLeaseGone(thrown)) this.#rotating.forget();
    }
    return { kind: "unknown" };
  }
}

/** The error of what came to nothing. */
export function notStored(cause: RouterError): RouterError {
  const { code, message, details } = cause;
  return new RouterError(code, `nothing was stored: ${message}`, details, { cause });
}

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
