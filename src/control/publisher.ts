// Decides which worker gets which table, and whether as a delta or whole. Pure: it sends nothing;
// the fleet asks `pollSend` and posts what it returns.
//
// Knows: positions and revisions, what each worker acknowledged, the last few changes.
// Does not know: threads, messages, listeners, time, or the table itself.
//
// Every change has a position of its own, and the table's revision as a label. Positions decide who has
// what and what fits on what; revisions are what others wait for. Several positions may have one
// revision: what discovery changes is in no store.
//
// Invariants: at most one unacknowledged position per worker; a newer position replaces a waiting one
// (latest wins); what a worker acknowledges never goes down; a delta goes only to a worker that is
// known to have its base. A worker id names one incarnation and is never reused: a late ack from a
// dead worker finds no ledger.

import type { TableVersion } from "../channel/messages.ts";
import type { Change, ChangeSet } from "../model/change.ts";
import { assert } from "../model/errors.ts";
import { type Position, positionAfter, positionZero } from "../model/position.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import { ChangeLog } from "./change-log.ts";

/** What to post to a worker now. */
export type Send =
  | (TableVersion & { readonly kind: "snapshot"; readonly worker: number })
  | (TableVersion & {
      readonly kind: "delta";
      readonly worker: number;
      readonly base: Position;
      readonly changes: readonly Change[];
    });

/** A table that a worker refused, with its reason. */
export interface Refusal extends TableVersion {
  readonly reason: string;
}

/** A worker that does not serve a revision yet. */
export interface Lag {
  readonly worker: number;
  readonly servedRevision: Revision;
  /** Set when the worker refused that revision or a later one, and will not be asked again before the next change. */
  readonly refusal: Refusal | undefined;
}

interface Ledger {
  /** undefined: has no table yet, not even an empty one. */
  acked: TableVersion | undefined;
  inFlight: Send | undefined;
  /** False before the first ack and after a nack: what the worker has is not certain. */
  certain: boolean;
  /** Something other than the table changed (its listeners). */
  touched: boolean;
  /** The last table was refused even as a snapshot: wait for the next one. */
  refused: Refusal | undefined;
  /** For people: the last nack, kept after it was overcome. */
  lastNack: Refusal | undefined;
}

export class Publisher {
  #latest: TableVersion;
  #log: ChangeLog;
  readonly #logChangesMax: number;
  /** Where the present count of revisions began: what was acknowledged before has none of them. */
  #eraBegan: Position = positionZero;
  readonly #ledgers = new Map<number, Ledger>();

  /** @param options.revision The table's revision now; changes up to it are known only from the snapshot. */
  constructor(options: { readonly revision: Revision; readonly logChangesMax: number }) {
    const position = positionAfter(positionZero);
    this.#latest = { position, revision: options.revision };
    this.#logChangesMax = options.logChangesMax;
    this.#log = new ChangeLog(position, options.logChangesMax);
  }

  /** The newest table. */
  get latest(): TableVersion {
    return this.#latest;
  }

  /** The table has changed; at the same revision when it was discovery that did it. */
  publish({ revision, changes }: ChangeSet): void {
    assert(revision >= this.#latest.revision, "revisions only grow");
    const position = positionAfter(this.#latest.position);
    this.#latest = { position, revision };
    this.#log.append({ position, changes });
  }

  /**
   * The table has changed and counts revisions anew, from a lower one: an operator accepted another store.
   * Every worker gets all of it, and whoever waits for a revision waits for one of the new count.
   */
  startAnew(revision: Revision): void {
    const position = positionAfter(this.#latest.position);
    this.#latest = { position, revision };
    this.#eraBegan = position;
    this.#log = new ChangeLog(position, this.#logChangesMax);
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
  ack(id: number, position: Position): boolean {
    const ledger = this.#ledgers.get(id);
    const sent = ledger?.inFlight;
    if (ledger === undefined || sent?.position !== position) return false;
    ledger.inFlight = undefined;
    ledger.acked = { position, revision: sent.revision };
    ledger.certain = true;
    ledger.refused = undefined;
    return true;
  }

  /** True when this was the answer that was waited for. The worker serves on what it had; next it gets everything. */
  nack(id: number, position: Position, reason: string): boolean {
    const ledger = this.#ledgers.get(id);
    const sent = ledger?.inFlight;
    if (ledger === undefined || sent?.position !== position) return false;
    ledger.inFlight = undefined;
    ledger.certain = false;
    ledger.lastNack = { position, revision: sent.revision, reason };
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
      if (!this.#serves(ledger, revision)) return false;
    }
    return true;
  }

  /** Whether every worker serves the newest table; never without workers. */
  settled(): boolean {
    if (this.#ledgers.size === 0) return false;
    for (const { acked } of this.#ledgers.values()) {
      if (acked?.position !== this.#latest.position) return false;
    }
    return true;
  }

  /** The workers that do not serve `revision` yet. */
  lagging(revision: Revision): Lag[] {
    const lags: Lag[] = [];
    for (const [worker, ledger] of this.#ledgers) {
      if (this.#serves(ledger, revision)) continue;
      const refused = this.#wants(ledger) ? undefined : ledger.refused;
      const refusal = this.#isOfRevision(refused, revision) ? refused : undefined;
      lags.push({ worker, servedRevision: ledger.acked?.revision ?? revisionZero, refusal });
    }
    return lags;
  }

  /** The newest revision that every worker serves; 0 without workers. */
  servedByAll(): Revision {
    let least: Revision | undefined;
    for (const { acked } of this.#ledgers.values()) {
      if (acked === undefined || acked.position < this.#eraBegan) return revisionZero;
      if (least === undefined || acked.revision < least) least = acked.revision;
    }
    return least ?? revisionZero;
  }

  servedBy(id: number): Revision {
    return this.#ledgers.get(id)?.acked?.revision ?? revisionZero;
  }

  lastNackOf(id: number): Refusal | undefined {
    return this.#ledgers.get(id)?.lastNack;
  }

  #serves({ acked }: Ledger, revision: Revision): boolean {
    return this.#isOfRevision(acked, revision);
  }

  /** `revision` or a later one, counted as they are counted now. */
  #isOfRevision(version: TableVersion | undefined, revision: Revision): boolean {
    return (
      version !== undefined && version.position >= this.#eraBegan && version.revision >= revision
    );
  }

  #wants(ledger: Ledger): boolean {
    if (ledger.touched) return true;
    const known = ledger.refused?.position ?? ledger.acked?.position;
    return known === undefined || known < this.#latest.position;
  }

  #sendTo(worker: number, { acked, certain }: Ledger): Send {
    const { position, revision } = this.#latest;
    if (acked !== undefined && certain) {
      const base = acked.position;
      const changes = this.#log.between(base, position);
      if (changes !== undefined) {
        return { kind: "delta", worker, base, position, revision, changes };
      }
    }
    return { kind: "snapshot", worker, position, revision };
  }
}
