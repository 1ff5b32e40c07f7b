// Which backends of a service get requests at the moment, out of what is known of each: whether it leaves, what its
// checks say, whether it was ejected. When none is good all that do not leave are used: a service whose backends are
// all unhealthy by their checks may be alive all the same (fail open, as AWS ALB).

import { type BackendState, plainStanding } from "./backend-state.ts";

/** Why a backend gets nothing at the moment; "" when it does. */
export function whyUnusable({ standing, lastFailure }: BackendState, nowMs: number): string {
  const { draining, check, checkReason, ejectedUntilMs } = standing;
  if (draining) return "it is draining";
  if (check === "unhealthy") return `unhealthy: ${checkReason}`;
  if (ejectedUntilMs > nowMs) {
    return `ejected for ${Math.ceil(ejectedUntilMs - nowMs)} ms: ${lastFailure}`;
  }
  return "";
}

/** Answers `backends` itself when all of them are used. */
export function usableOf(
  backends: readonly BackendState[],
  nowMs: number,
): readonly BackendState[] {
  if (backends.every(({ standing }) => standing === plainStanding)) return backends;
  const staying = backends.filter(({ standing }) => !standing.draining);
  const good = staying.filter(
    ({ standing }) => standing.check !== "unhealthy" && standing.ejectedUntilMs <= nowMs,
  );
  const usable = good.length === 0 ? staying : good;
  return usable.length === backends.length ? backends : usable;
}
