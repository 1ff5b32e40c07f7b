// What a backend weighs while it starts slowly: a cold one (caches, just-in-time compilers, pools of connections) that
// got its full share at once would answer slowly or fall over.
//
// New ones and returning ones start slowly where the service says for how long. From a tenth of its weight on a
// backend's share grows evenly with time, as Envoy's slow start with its defaults (min_weight_percent 10, aggression
// 1). Shares are relative: where all start together, or one is alone, nobody is held back.

import type { BackendState } from "./backend-state.ts";
import { isGood } from "./usable-backends.ts";

/** Share of its weight that a backend starts slowly with: Envoy's default min_weight_percent is 10. */
const slowStartShare = 0.1;

/** Those of `usable` that were not among `before` start slowly from now on; when nobody was used before, nobody does. */
export function startSlowly(
  usable: readonly BackendState[],
  before: readonly BackendState[],
  nowMs: number,
): void {
  if (usable === before || before.length === 0) return;
  const wasUsed = new Set(before);
  for (const backend of usable) {
    // Who is used only because nobody is good has to bear what comes.
    if (wasUsed.has(backend) || !isGood(backend)) continue;
    backend.stand({ slowSinceMs: nowMs });
  }
}

/** Gives each its share as of now. Whether one will get more by time alone. @param forMs Undefined: nobody starts slowly. */
export function shareOut(
  backends: readonly BackendState[],
  forMs: number | undefined,
  nowMs: number,
): boolean {
  let isGrowing = false;
  for (const backend of backends) {
    const { slowSinceMs } = backend.standing;
    if (slowSinceMs === undefined) continue;
    const part = forMs === undefined ? 1 : (nowMs - slowSinceMs) / forMs;
    if (part < 1) {
      backend.share = backend.weight * (slowStartShare + (1 - slowStartShare) * part);
      isGrowing = true;
    } else {
      backend.share = backend.weight;
      backend.stand({ slowSinceMs: undefined });
    }
  }
  return isGrowing;
}
