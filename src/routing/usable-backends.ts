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

/** Whether it would be used while others are good as well. */
export function isGood({ standing }: BackendState, nowMs: number): boolean {
  return (
    standing === plainStanding ||
    (!standing.draining && standing.check !== "unhealthy" && standing.ejectedUntilMs <= nowMs)
  );
}

/** All but those that leave; `backends` itself when none does. */
export function stayingOf(backends: readonly BackendState[]): readonly BackendState[] {
  return backends.some(({ standing }) => standing.draining)
    ? backends.filter(({ standing }) => !standing.draining)
    : backends;
}

/** Answers `staying` itself when all of them are used. */
export function usableOf(staying: readonly BackendState[], nowMs: number): readonly BackendState[] {
  if (staying.every((backend) => isGood(backend, nowMs))) return staying;
  const good = staying.filter((backend) => isGood(backend, nowMs));
  return good.length === 0 ? staying : good;
}
