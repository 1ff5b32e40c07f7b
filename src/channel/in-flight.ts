// What services and backends that have limits have in flight, and who waits for them, in memory that all workers of a
// node share: such a limit is the node's.
//
// As in connection-counts: a row counts one service, or one backend of it, or one address; a column is a worker's own, so
// that nobody writes to another's figures, what a worker leaves behind when it dies is one column, and a sum is read
// without a lock. A worker counts first and then reads the sum: of two that come at the same moment at least one
// sees both, so that a limit is never passed. Which row is whose the main thread says (control/row-book.ts), so that no
// two names ever share one.

import { inFlightRowsMax } from "../limits.ts";

export interface InFlightMemory {
  readonly bytes: SharedArrayBuffer;
  /** Columns. */
  readonly slots: number;
  readonly rows: number;
}

/** What a row counts, and when its worker's first waiter came and was last looked at (ms of the shared clock, see `stampOf`; 0: never). */
export const Field = {
  Requests: 0,
  Connections: 1,
  Waiting: 2,
  FirstSince: 3,
  LookedAt: 4,
} as const;
/** Room for each: half a line of a processor's cache. */
const fields = 8;
/** Of a row that is not there: its worker counts for itself. */
export const noRow = -1;

export function inFlightMemory(slots: number, rows = inFlightRowsMax): InFlightMemory {
  const words = slots * rows * fields;
  return { bytes: new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT), slots, rows };
}

/** The worker of `slot` is gone, and what it had in flight with it. */
export function clearInFlight({ bytes, rows }: InFlightMemory, slot: number): void {
  const words = new Int32Array(bytes);
  for (let at = slot * rows * fields; at < (slot + 1) * rows * fields; at++) {
    if (words[at] !== 0) Atomics.store(words, at, 0);
  }
}

/** All workers' together, for the main thread. */
export function inFlightTotal(
  { bytes, slots, rows }: InFlightMemory,
  row: number,
  field: number,
): number {
  const words = new Int32Array(bytes);
  let sum = 0;
  for (let slot = 0; slot < slots; slot++)
    sum += Atomics.load(words, wordAt(slot, rows, row) + field);
  return sum;
}

/** Nobody counts anything there. */
export function isRowIdle(memory: InFlightMemory, row: number): boolean {
  return [Field.Requests, Field.Connections, Field.Waiting].every(
    (field) => inFlightTotal(memory, row, field) === 0,
  );
}

/** A time of the shared clock as 32 bits, never 0. */
export function stampOf(sharedMs: number): number {
  return Math.floor(sharedMs) | 0 || 1;
}

/** The rows as one worker sees and writes them. */
export class InFlight {
  /** Told when rows have come or gone. */
  onRows: () => void = () => {};
  /** How many workers there are. */
  readonly slots: number;
  readonly #words: Int32Array;
  readonly #slot: number;
  readonly #rows: number;
  readonly #rowOf = new Map<string, number>();

  constructor({ bytes, slots, rows }: InFlightMemory, slot: number) {
    this.#words = new Int32Array(bytes);
    this.slots = slots;
    this.#slot = slot;
    this.#rows = rows;
  }

  /** As the main thread says. */
  assign(came: readonly (readonly [string, number])[], gone: readonly string[]): void {
    for (const name of gone) this.#rowOf.delete(name);
    for (const [name, row] of came) this.#rowOf.set(name, row);
    this.onRows();
  }

  rowOf(name: string): number {
    return this.#rowOf.get(name) ?? noRow;
  }

  /** Says that this worker has so many. */
  set(row: number, field: number, own: number): void {
    if (row >= 0) Atomics.store(this.#words, this.#at(this.#slot, row) + field, own);
  }

  /** All workers' together; `own` is this worker's, who alone counts where there is no row. */
  total(row: number, field: number, own: number): number {
    if (row < 0) return own;
    let sum = 0;
    for (let slot = 0; slot < this.slots; slot++) {
      sum += Atomics.load(this.#words, this.#at(slot, row) + field);
    }
    return sum;
  }

  /**
   * Counts one more than `own`, unless that makes more than `max` of all workers together. Without a row this worker has
   * an even part of them, and one at least.
   */
  claim(row: number, field: number, own: number, max: number): boolean {
    if (row < 0) return own < Math.max(Math.min(1, max), Math.floor(max / this.slots));
    this.set(row, field, own + 1);
    if (this.total(row, field, own) <= max) return true;
    this.set(row, field, own);
    return false;
  }

  /**
   * Whether the first waiter of another worker came more than `aheadMs` before `sinceMs`. One who has not looked for
   * `awakeMs` does not count: it would not come.
   */
  isOtherFirst(row: number, { sinceMs, nowMs, aheadMs, awakeMs }: FirstQuestion): boolean {
    if (row < 0 || this.slots === 1) return false;
    const since = stampOf(sinceMs);
    const now = stampOf(nowMs);
    for (let slot = 0; slot < this.slots; slot++) {
      if (slot === this.#slot) continue;
      const at = this.#at(slot, row);
      const first = Atomics.load(this.#words, at + Field.FirstSince);
      if (first === 0 || ((since - first) | 0) <= aheadMs) continue;
      if (((now - Atomics.load(this.#words, at + Field.LookedAt)) | 0) <= awakeMs) return true;
    }
    return false;
  }

  #at(slot: number, row: number): number {
    return wordAt(slot, this.#rows, row);
  }
}

/** Times in ms of the clock that all workers share. */
export interface FirstQuestion {
  readonly sinceMs: number;
  readonly nowMs: number;
  readonly aheadMs: number;
  readonly awakeMs: number;
}

function wordAt(slot: number, rows: number, row: number): number {
  return (slot * rows + row) * fields;
}
