// Which backends of a service get requests at the moment, out of what is known of each: whether it leaves, what its
// checks say, whether it was ejected. When none is good all that do not leave are used: a service whose backends are
// all unhealthy by their checks may be alive all the same (fail open, as AWS ALB).
//
// Ejections are guesses: when they and the checks together would leave less than half, ejections do not count.

import { type BackendState, plainStanding } from "./backend-state.ts";

/** Why a backend gets nothing at the moment; "" when it does. */
export function whyUnusable({ standing }: BackendState, nowMs: number): string {
  const { draining, check, checkReason, ejectedUntilMs, ejectionReason } = standing;
  if (draining) return "it is draining";
  if (check === "unhealthy") return `unhealthy: ${checkReason}`;
  if (ejectedUntilMs > nowMs) {
    return `ejected for ${Math.ceil(ejectedUntilMs - nowMs)} ms: ${ejectionReason}`;
  }
  if (ejectionReason !== "") return `ejected until a request succeeds there: ${ejectionReason}`;
  return "";
}

/** It is left out after failures, whether or not its time is over. */
export function isEjected({ standing }: BackendState): boolean {
  return standing !== plainStanding && standing.ejectionReason !== "";
}

/** Whether it would be used while others are good as well. */
export function isGood(backend: BackendState): boolean {
  const { standing } = backend;
  return (
    standing === plainStanding ||
    (!standing.draining && standing.check !== "unhealthy" && standing.ejectionReason === "")
  );
}

/** All but those that leave; `backends` itself when none does. */
export function stayingOf(backends: readonly BackendState[]): readonly BackendState[] {
  return backends.some(({ standing }) => standing.draining)
    ? backends.filter(({ standing }) => !standing.draining)
    : backends;
}

/** Answers `staying` itself when all of them are used. */
export function usableOf(staying: readonly BackendState[]): readonly BackendState[] {
  if (staying.every(isGood)) return staying;
  const good = staying.filter(isGood);
  if (isEnough(good.length, staying.length)) return good;
  const healthy = staying.filter(({ standing }) => standing.check !== "unhealthy");
  return healthy.length === 0 || healthy.length === staying.length ? staying : healthy;
}

/** Whether enough are left to use when `backend` is left out after failures, be it so already or not. */
export function mayLeaveOut(backends: readonly BackendState[], backend: BackendState): boolean {
  let staying = 0;
  let good = 0;
  for (const one of backends) {
    if (one.standing.draining) continue;
    staying += 1;
    if (one !== backend && isGood(one)) good += 1;
  }
  return isEnough(good, staying);
}

function isEnough(good: number, staying: number): boolean {
  return good > 0 && 2 * good >= staying;
}
