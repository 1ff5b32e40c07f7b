// The port behind which a backend is chosen for one request. Implementations: least-loaded,
// round-robin, random (peak EWMA and ring hash to come).

import type { BackendState } from "./backend-state.ts";

/**
 * Chooses among the backends of one service. Made for one set of backends and weights; when those
 * change the service gets another picker, so a picker never sees its backends change.
 *
 * 1. `pick` answers a backend that is not among the first `triedCount` of `tried`, or undefined when
 *    there is none. What lies in `tried` beyond that is rubbish of earlier requests.
 * 2. `pick` allocates nothing.
 * 3. `peek` answers what a `pick` with nothing tried would, and changes nothing that a later `pick`
 *    could notice.
 */
export interface Picker {
  /** @param tried Backends not to be chosen again for this request; a reused array, few entries. */
  pick(
    random: () => number,
    tried: readonly BackendState[],
    triedCount: number,
  ): BackendState | undefined;
  peek(random: () => number): BackendState | undefined;
}

/** For a service without backends. */
export const nobodyPicker: Picker = { pick: () => undefined, peek: () => undefined };

export function isTried(
  backend: BackendState,
  tried: readonly BackendState[],
  triedCount: number,
): boolean {
  for (let i = 0; i < triedCount; i++) if (tried[i] === backend) return true;
  return false;
}
