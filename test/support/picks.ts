// Questions to pickers, in few characters.

import type { BackendState } from "../../src/routing/backend-state.ts";
import type { PickQuestion } from "../../src/routing/picker.ts";

/** Of somebody who has tried the first `triedCount` of `tried`. */
export function asked(
  random: () => number,
  tried: readonly BackendState[] = [],
  triedCount: number = tried.length,
): PickQuestion {
  return { random, nowMs: 0, hash: 0, tried, triedCount };
}
