// How many connections all workers of a node have, in memory that they share: limits are the node's, not
// a worker's.
//
// A row counts something (all connections, those of one listener, the upgraded ones), a column is a
// worker's own. So nobody writes to another's figures, what a worker leaves behind when it dies is one
// column, and a sum is read without a lock. A worker counts first and then reads the sum: of two that
// come at the same moment at least one sees both, so that a limit is never passed.

import { listenersCountedMax, unlimited } from "../limits.ts";
import { AddressRows, addressRowCount } from "./address-rows.ts";

export interface ConnectionMemory {
  readonly bytes: SharedArrayBuffer;
  /** Columns. */
  readonly slots: number;
  /** 0: addresses are not counted. Else where each lies is drawn by it, so that nobody can aim at another's. */
  readonly addressSeed: number;
}

/** Rows of a node's own; then come its listeners, then addresses. */
export const Row = { Node: 0, Upgraded: 1 } as const;
const listenersAt = 2;
const addressesAt = listenersAt + listenersCountedMax;

/** The row of the listener that came as number `index`; -1: there were too many to count it for itself. */
export function listenerRow(index: number): number {
  return index < listenersCountedMax ? listenersAt + index : -1;
}

export function connectionMemory(slots: number, addressSeed: number): ConnectionMemory {
  const length = slots * rowCount(addressSeed);
  const bytes = new SharedArrayBuffer(length * Int32Array.BYTES_PER_ELEMENT);
  return { bytes, slots, addressSeed };
}

/** The worker of `slot` is gone, and its connections with it. */
export function clearColumn(memory: ConnectionMemory, slot: number): void {
  const rows = rowCount(memory.addressSeed);
  const counts = new Int32Array(memory.bytes);
  for (let at = slot * rows; at < (slot + 1) * rows; at++) Atomics.store(counts, at, 0);
}

function rowCount(addressSeed: number): number {
  return addressesAt + (addressSeed === 0 ? 0 : addressRowCount);
}

/** The counts as one worker sees and writes them. */
export class ConnectionCounts {
  readonly #counts: Int32Array;
  readonly #rows: number;
  readonly #slots: number;
  /** Where our own column begins. */
  readonly #own: number;
  readonly #addresses: AddressRows | undefined;

  constructor({ bytes, slots, addressSeed }: ConnectionMemory, slot: number) {
    this.#counts = new Int32Array(bytes);
    this.#rows = rowCount(addressSeed);
    this.#slots = slots;
    this.#own = slot * this.#rows;
    this.#addresses = addressSeed === 0 ? undefined : new AddressRows(addressSeed);
  }

  get countsAddresses(): boolean {
    return this.#addresses !== undefined;
  }

  /** All workers' together. */
  total(row: number): number {
    let sum = 0;
    for (let slot = 0; slot < this.#slots; slot++) {
      sum += Atomics.load(this.#counts, slot * this.#rows + row);
    }
    return sum;
  }

  /** Counts one more, unless there are `max` already. Row -1 is not counted. */
  claim(row: number, max: number): boolean {
    if (row < 0) return true;
    Atomics.add(this.#counts, this.#own + row, 1);
    if (max === unlimited || this.total(row) <= max) return true;
    this.release(row);
    return false;
  }

  release(row: number): void {
    if (row >= 0) Atomics.sub(this.#counts, this.#own + row, 1);
  }

  /** As `claim`, for a client's address; undefined: there are `max`. The answer is for `releaseAddress`. */
  claimAddress(words: readonly number[], max: number): readonly number[] | undefined {
    const rows = this.#addresses?.of(words) ?? [];
    for (const row of rows) Atomics.add(this.#counts, this.#own + addressesAt + row, 1);
    // Each row counts this address and whoever shares it; the least one is the nearest to the truth.
    if (rows.length === 0 || rows.some((row) => this.total(addressesAt + row) <= max)) return rows;
    this.releaseAddress(rows);
    return undefined;
  }

  releaseAddress(rows: readonly number[]): void {
    for (const row of rows) this.release(addressesAt + row);
  }
}
