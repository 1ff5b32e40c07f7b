// Policy "round-robin": one after the other, heavier ones more often and evenly spread.
//
// Equal weights take turns. Else the smooth weighted rotation of nginx (commit 52327e0, 2012): every
// backend gains its weight, the richest is chosen and pays the total; weights 5, 1, 1 give a a b a c a a.
// That costs O(backends) per pick, some nanoseconds each.
//
// The first turn is drawn at random: workers, nodes and newly made pickers must not all begin with
// the same backend.

import type { BackendState } from "./backend-state.ts";
import { isTried, type Picker, type PickQuestion } from "./picker.ts";
import { allWeighTheSame } from "./weighted-draw.ts";

const noShares = new Float64Array(0);

export class RoundRobinPicker implements Picker {
  readonly #backends: readonly BackendState[];
  /** What each has saved; undefined when all weigh the same. */
  readonly #savings: Float64Array | undefined;
  /** What each gains by a pick; side by side, where a thousand backends would be a thousand places in memory. */
  readonly #shares: Float64Array;
  /** Whose turn it is, when all weigh the same. */
  #turn = 0;
  #begun = false;

  constructor(backends: readonly BackendState[]) {
    this.#backends = backends;
    const isEqual = allWeighTheSame(backends);
    this.#savings = isEqual ? undefined : new Float64Array(backends.length);
    this.#shares = isEqual ? noShares : Float64Array.from(backends, ({ share }) => share);
  }

  pick(question: PickQuestion): BackendState | undefined {
    const { random, tried, triedCount } = question;
    this.#begin(random);
    const position = this.#next(tried, triedCount);
    if (position < 0) return undefined;
    if (this.#savings === undefined) this.#turn = (position + 1) % this.#backends.length;
    else this.#settle(this.#savings, position, tried, triedCount);
    return this.#backends[position];
  }

  peek({ random }: PickQuestion): BackendState | undefined {
    this.#begin(random);
    return this.#backends[this.#next([], 0)];
  }

  #begin(random: () => number): void {
    if (this.#begun) return;
    this.#begun = true;
    if (this.#savings === undefined) {
      this.#turn = Math.floor(random() * this.#backends.length);
      return;
    }
    for (const [position, backend] of this.#backends.entries()) {
      this.#savings[position] = random() * backend.share;
    }
  }

  /** Whose turn it is among the untried, or -1. */
  #next(tried: readonly BackendState[], triedCount: number): number {
    const backends = this.#backends;
    if (this.#savings !== undefined) {
      return richest(backends, this.#savings, this.#shares, tried, triedCount);
    }
    for (let i = 0; i < backends.length; i++) {
      const position = (this.#turn + i) % backends.length;
      if (!isTried(backends[position]!, tried, triedCount)) return position;
    }
    return -1;
  }

  /** Everyone who could have been chosen gains its weight; the chosen pays for all. */
  #settle(
    savings: Float64Array,
    chosen: number,
    tried: readonly BackendState[],
    triedCount: number,
  ): void {
    const shares = this.#shares;
    let total = 0;
    for (let i = 0; i < savings.length; i++) {
      if (triedCount > 0 && isTried(this.#backends[i]!, tried, triedCount)) continue;
      savings[i]! += shares[i]!;
      total += shares[i]!;
    }
    savings[chosen]! -= total;
  }
}

/** The position that will be the richest once everyone has gained its weight, or -1. */
function richest(
  backends: readonly BackendState[],
  savings: Float64Array,
  shares: Float64Array,
  tried: readonly BackendState[],
  triedCount: number,
): number {
  let best = -1;
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < backends.length; i++) {
    const saved = savings[i]! + shares[i]!;
    if (saved <= most || (triedCount > 0 && isTried(backends[i]!, tried, triedCount))) continue;
    best = i;
    most = saved;
  }
  return best;
}
