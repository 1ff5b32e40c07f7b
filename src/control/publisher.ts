// Decides which worker gets which revision, and whether as a delta or whole. Pure: it sends nothing;
// the fleet asks `pollSend` and posts what it returns.
//
// Knows: revisions, what each worker acknowledged, the last few changes.
// Does not know: threads, messages, listeners, time, or the table itself.
//
// Invariants: at most one unacknowledged revision per worker; a newer revision replaces a waiting one
// (latest wins); what a worker acknowledges never goes down; a delta goes only to a worker that is
// known to have its base. A worker id names one incarnation and is never reused: a late ack from a
// dead worker finds no ledger.

import type { Change, ChangeSet } from "../model/change.ts";
import { assert } from "../model/errors.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import { ChangeLog } from "./change-log.ts";

/** What to post to a worker now. */
export type Send =
  | { readonly kind: "snapshot"; readonly worker: number; readonly revision: Revision }
  | {
      readonly kind: "delta";
      readonly worker: number;
      readonly base: Revision;
      readonly revision: Revision;
      readonly changes: readonly Change[];
    };

/** A revision that a worker refused, with its reason. */
export interface Refusal {
  readonly revision: Revision;
  readonly reason: string;
}

/** A worker that does not serve a revision yet. */
export interface Lag {
  readonly worker: number;
  readonly servedRevision: Revision;
  /** Set when the worker refused that revision or a later one and will not be asked again before the next change. */
  readonly refusal: Refusal | undefined;
}

interface Ledger {
  /** undefined: has no table yet, not even an empty one. */
  acked: Revision | undefined;
  inFlight: Send | undefined;
  /** False before the first ack and after a nack: what the worker has is not certain. */
  certain: boolean;
  /** Something other than the table changed (its listeners). */
  touched: boolean;
  /** The last revision was refused even as a snapshot: wait for the next one. */
  refused: Refusal | undefined;
  /** For people: the last nack, kept after it was overcome. */
  lastNack: Refusal | undefined;
}

export class Publisher {
  #latest: Revision;
  readonly #log: ChangeLog;
  readonly #ledgers = new Map<number, Ledger>();

  /** @param options.revision The table's revision now; changes up to it are known only from the snapshot. */
  constructor(options: { readonly revision: Revision; readonly logChangesMax: number }) {
    this.#latest = options.revision;
    this.#log = new ChangeLog(options.revision, options.logChangesMax);
  }

  get latest(): Revision {
    return this.#latest;
  }

  publish(changeSet: ChangeSet): void {
    assert(changeSet.revision > this.#latest, "revisions only grow");
    this.#latest = changeSet.revision;
    this.#log.append(changeSet);
  }

  addWorker(id: number): void {
    assert(!this.#ledgers.has(id), "a worker id is never reused");
    this.#ledgers.set(id, {
      acked: undefined,
      inFlight: undefined,
      certain: false,
      touched: true,
      refused: undefined,
      lastNack: undefined,
    });
  }

  removeWorker(id: number): void {
    this.#ledgers.delete(id);
  }

  /** What a worker listens on has changed while the table has not: it gets a delta without changes. */
  touch(id: number): void {
    const ledger = this.#ledgers.get(id);
    if (ledger !== undefined) ledger.touched = true;
  }

  /** True when this was the answer that was waited for. */
  ack(id: number, revision: Revision): boolean {
    const ledger = this.#ledgers.get(id);
    if (ledger?.inFlight?.revision !== revision) return false;
    ledger.inFlight = undefined;
    ledger.acked = revision;
    ledger.certain = true;
    ledger.refused = undefined;
    return true;
  }

  /** True when this was the answer that was waited for. The worker serves on what it had; next it gets everything. */
  nack(id: number, revision: Revision, reason: string): boolean {
    const ledger = this.#ledgers.get(id);
    const sent = ledger?.inFlight;
    if (ledger === undefined || sent?.revision !== revision) return false;
    ledger.inFlight = undefined;
    ledger.certain = false;
    ledger.lastNack = { revision, reason };
    // A delta that does not fit is repaired by a snapshot at once. A snapshot that was refused would
    // be refused again: only a change can help.
    if (sent.kind === "snapshot") ledger.refused = ledger.lastNack;
    else ledger.touched = true;
    return true;
  }

  /** The next message, or undefined when every worker has what it needs or owes an answer. Call until undefined. */
  pollSend(): Send | undefined {
    for (const [worker, ledger] of this.#ledgers) {
      if (ledger.inFlight !== undefined || !this.#wants(ledger)) continue;
      ledger.touched = false;
      ledger.inFlight = this.#sendTo(worker, ledger);
      return ledger.inFlight;
    }
    return undefined;
  }

  /** Whether every worker serves `revision` or a later one; never without workers. */
  served(revision: Revision): boolean {
    if (this.#ledgers.size === 0) return false;
    for (const ledger of this.#ledgers.values()) {
      if (!serves(ledger, revision)) return false;
    }
    return true;
  }

  /** The workers that do not serve `revision` yet. */
  lagging(revision: Revision): Lag[] {
    const lags: Lag[] = [];
    for (const [worker, ledger] of this.#ledgers) {
      if (serves(ledger, revision)) continue;
      const refused = this.#wants(ledger) ? undefined : ledger.refused;
      const refusal = refused !== undefined && refused.revision >= revision ? refused : undefined;
      lags.push({ worker, servedRevision: ledger.acked ?? revisionZero, refusal });
    }
    return lags;
  }

  /** The newest revision that every worker serves; 0 without workers. */
  servedByAll(): Revision {
    let least: Revision | undefined;
    for (const { acked } of this.#ledgers.values()) {
      if (acked === undefined) return revisionZero;
      if (least === undefined || acked < least) least = acked;
    }
    return least ?? revisionZero;
  }

  servedBy(id: number): Revision {
    return this.#ledgers.get(id)?.acked ?? revisionZero;
  }

  lastNackOf(id: number): Refusal | undefined {
    return this.#ledgers.get(id)?.lastNack;
  }

  #wants(ledger: Ledger): boolean {
    if (ledger.touched) return true;
    const known = ledger.refused?.revision ?? ledger.acked;
    return known === undefined || known < this.#latest;
  }

  #sendTo(worker: number, { acked, certain }: Ledger): Send {
    const revision = this.#latest;
    if (acked !== undefined && certain) {
      const changes = this.#log.between(acked, revision);
      if (changes !== undefined) return { kind: "delta", worker, base: acked, revision, changes };
    }
    return { kind: "snapshot", worker, revision };
  }
}

function serves({ acked }: Ledger, revision: Revision): boolean {
  return acked !== undefined && acked >= revision;
}
