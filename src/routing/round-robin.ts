// Policy "round-robin": one after the other, heavier ones more often and evenly spread.
//
// Equal weights take turns. Else the smooth weighted rotation of nginx (commit 52327e0, 2012): every
// backend gains its weight, the richest is chosen and pays the total; weights 5, 1, 1 give a a b a c a a.
// That costs O(backends) per pick, about a nanosecond each.
//
// The first turn is drawn at random: workers, nodes and newly made pickers must not all begin with
// the same backend.

import type { BackendState } from "./backend-state.ts";
import { isTried, type Picker, type PickQuestion } from "./picker.ts";
import { allWeighTheSame } from "./weighted-draw.ts";

export class RoundRobinPicker implements Picker {
  readonly #backends: readonly BackendState[];
  /** What each has saved; undefined when all weigh the same. */
  readonly #savings: Float64Array | undefined;
  /** Whose turn it is, when all weigh the same. */
  #turn = 0;
  #begun = false;

  constructor(backends: readonly BackendState[]) {
    this.#backends = backends;
    this.#savings = allWeighTheSame(backends) ? undefined : new Float64Array(backends.length);
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
    if (this.#savings !== undefined) return richest(backends, this.#savings, tried, triedCount);
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
    for (let i = 0; i < savings.length; i++) {
      const backend = this.#backends[i]!;
      if (triedCount > 0 && isTried(backend, tried, triedCount)) continue;
      savings[i]! += backend.share;
      savings[chosen]! -= backend.share;
    }
  }
}

/** The position that will be the richest once everyone has gained its weight, or -1. */
function richest(
  backends: readonly BackendState[],
  savings: Float64Array,
  tried: readonly BackendState[],
  triedCount: number,
): number {
  let best = -1;
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < backends.length; i++) {
    const backend = backends[i]!;
    const saved = savings[i]! + backend.share;
    if (saved <= most || (triedCount > 0 && isTried(backend, tried, triedCount))) continue;
    best = i;
    most = saved;
  }
  return best;
}
