// The port behind which a backend is chosen for one request. Implementations: least-loaded,
// round-robin, random, peak-ewma, ring-hash, leader.

import type { BackendState } from "./backend-state.ts";

/** What one request asks; one object per asker, reused. */
export interface PickQuestion {
  /** In [0, 1). */
  readonly random: () => number;
  /** ms, monotonic. */
  nowMs: number;
  /** 32 bits of what the request is kept together by; for policies that keep anything together. */
  hash: number;
  /** Backends not to be chosen again for this request; a reused array, few entries. */
  readonly tried: readonly BackendState[];
  /** So many at its beginning count. */
  triedCount: number;
}

/**
 * Chooses among the usable backends of one service. Made for one set of backends and shares; when those
 * change the service gets another picker, so a picker never sees its backends come or go.
 *
 * 1. `pick` answers a backend that is not among the first `triedCount` of `tried`, or undefined when
 *    there is none. What lies in `tried` beyond that is rubbish of earlier requests.
 * 2. `pick` allocates nothing.
 * 3. `peek` answers what a `pick` with nothing tried would, and changes nothing that a later `pick`
 *    could notice.
 */
export interface Picker {
  pick(question: PickQuestion): BackendState | undefined;
  peek(question: PickQuestion): BackendState | undefined;
}

/** For a service without backends. */
export const nobodyPicker: Picker = { pick: () => undefined, peek: () => undefined };

/** The question of somebody who has tried nothing and is nobody in particular. */
export function anybody(random: () => number, nowMs = 0): PickQuestion {
  return { random, nowMs, hash: 0, tried: [], triedCount: 0 };
}

export function isTried(
  backend: BackendState,
  tried: readonly BackendState[],
  triedCount: number,
): boolean {
  for (let i = 0; i < triedCount; i++) if (tried[i] === backend) return true;
  return false;
}
