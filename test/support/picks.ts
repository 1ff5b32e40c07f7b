// Questions to pickers, in few characters.

import type { BackendState } from "../../src/routing/backend-state.ts";
import type { PickQuestion } from "../../src/routing/picker.ts";

/** Of somebody who has tried the first `triedCount` of `tried`. */
export function asked(
  random: () => number,
  tried: readonly BackendState[] = [],
  triedCount: number = tried.length,
  hash = 0,
): PickQuestion {
  return { random, nowMs: 0, hash, tried, triedCount };
}

/** Of somebody in particular, who has tried nothing. */
export function askedBy(hash: number, random: () => number, nowMs = 0): PickQuestion {
  return { random, nowMs, hash, tried: [], triedCount: 0 };
}

/** Any 32 bits. */
export function anyHash(random: () => number): number {
  return Math.floor(random() * 2 ** 32) | 0;
}
