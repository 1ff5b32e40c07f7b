// When a backend that fails requests is left out, for how long, and when it is back (docs/decisions/0039). Pure: told
// the time and what happened; who tells, and who hears of it, is worker/ejections.ts.
//
// A backend is ejected for what it does worse than the others of its service, never for what all of them do: when a
// database behind them is gone, leaving out half of them helps nobody. At most half of a service is left out. What is
// left out is tried by one request when its time is over, and is back when that is answered.

import {
  ejectionBaseMs,
  ejectionChanceMax,
  ejectionDoubtRequests,
  ejectionFailures,
  ejectionJitter,
  ejectionMaxMs,
  ejectionOthersFailingMax,
  ejectionRefusedMs,
  ejectionRequestsMin,
  ejectionSuccessPercent,
  ejectionTrialChanceMax,
  ejectionWorseDeviations,
  ejectionWorseShare,
} from "../limits.ts";
import type { Ejection } from "../model/service-options.ts";
import type { BackendState } from "./backend-state.ts";
import { Failing } from "./failing.ts";
import { isEjected, mayLeaveOut } from "./usable-backends.ts";

/** What a failure was. "refused" and "unreachable": no connection came about. */
export type Fault = "refused" | "unreachable" | "failed";

export interface EjectionRules {
  readonly failures: number;
  /** Of 1. */
  readonly successMin: number;
  readonly baseMs: number;
  readonly maxMs: number;
}

/** Undefined: nothing is ejected. */
export function ejectionRules(settings: Ejection | undefined): EjectionRules | undefined {
  if (settings === undefined) return defaultRules;
  if (settings.off === true) return undefined;
  const baseMs = settings.baseMs ?? ejectionBaseMs;
  return {
    failures: settings.consecutiveFailures ?? ejectionFailures,
    successMin: (settings.successPercentMin ?? ejectionSuccessPercent) / 100,
    baseMs,
    maxMs: Math.max(baseMs, settings.maxMs ?? ejectionMaxMs),
  };
}

const defaultRules: EjectionRules = {
  failures: ejectionFailures,
  successMin: ejectionSuccessPercent / 100,
  baseMs: ejectionBaseMs,
  maxMs: ejectionMaxMs,
};

/** A failure of `backend`, one of `backends`. */
export interface Failure {
  readonly backend: BackendState;
  readonly backends: readonly BackendState[];
  readonly fault: Fault;
  /** Its request was to show whether the backend is back. */
  readonly isTrial: boolean;
  /** When its request was sent, in ms, monotonic. */
  readonly sentMs: number;
  readonly rules: EjectionRules;
  /** The others stand by: nobody asks them, so nothing is known of how they do. */
  readonly leads: boolean;
}

/** What a failure leads to: nothing; the backend is left out; or it is used again, since the others are no better. */
export type Outcome = "none" | "eject" | "return";

/** Counts the failure and says what follows. */
export function judge(failure: Failure, nowMs: number): Outcome {
  const { backend, backends, fault, isTrial, sentMs } = failure;
  const failing = failingOf(backend, nowMs);
  // It was sent before the backend was left out, for failures like this one.
  if (sentMs < failing.ejectedAtMs) return "none";
  if (isEjected(backend)) {
    // Sent as the last resort, before the time was over.
    if (backend.standing.ejectedUntilMs > nowMs) return "none";
    failing.failed(nowMs);
    return judgeTrial(failing, failure, nowMs);
  }
  failing.failed(nowMs);
  if (isTrial) return judgeTrial(failing, failure, nowMs) === "eject" ? "eject" : "none";
  if (!isSuspicious(failing, failure, nowMs) || !mayLeaveOut(backends, backend)) return "none";
  const isGuilty =
    fault === "failed" ? isWorse(failing, failure, nowMs) : !areOthersAsBad(failure, nowMs);
  return isGuilty ? "eject" : "none";
}

/** One request was to show whether it is back. */
function judgeTrial(failing: Failing, failure: Failure, nowMs: number): Outcome {
  const { backend, backends, fault } = failure;
  if (!mayLeaveOut(backends, backend) || areOthersAsBad(failure, nowMs)) return "return";
  if (fault !== "failed") return "eject";
  // Where the others fail some requests as well, one failure is no proof: another request follows.
  const chance = othersOf(failure, nowMs).failing ** failing.inARow;
  return chance < ejectionTrialChanceMax ? "eject" : "none";
}

/** Then nothing is gained by leaving this one out. */
function areOthersAsBad(failure: Failure, nowMs: number): boolean {
  const { backend, backends, fault } = failure;
  if (fault === "failed") {
    return othersOf(failure, nowMs).failing >= ejectionOthersFailingMax;
  }
  // Refused by all of them, one after the other: whoever is back first is to be found soon.
  return !backends.some((one) => one !== backend && isInUse(one) && !failedLast(one));
}

/** Worth looking at the others for, which takes time. */
function isSuspicious(failing: Failing, { fault, rules }: Failure, nowMs: number): boolean {
  if (fault !== "failed" || failing.inARow >= rules.failures) return true;
  const requests = failing.requests(nowMs);
  return (
    requests >= ejectionRequestsMin && failing.failures(nowMs) > requests * (1 - rules.successMin)
  );
}

function isWorse(failing: Failing, failure: Failure, nowMs: number): boolean {
  const { rules, leads } = failure;
  const others = othersOf(failure, nowMs);
  const requests = failing.requests(nowMs);
  const { inARow } = failing;
  const usual = leads ? Math.max(others.failing, failingBefore(failing, nowMs)) : others.failing;
  const chance = usual ** inARow * requests;
  if (inARow >= rules.failures && chance < ejectionChanceMax) return true;
  // Whoever stands by may be no better at what it fails.
  if (leads || requests < ejectionRequestsMin) return false;
  const own = failing.failures(nowMs) / requests;
  const isBad = 1 - own < rules.successMin && 1 - own < ejectionWorseShare * (1 - others.failing);
  return isBad && own > others.failing + ejectionWorseDeviations * deviation(others, requests);
}

/** The share of its requests that it failed until it failed all; 0 when that is all that is known. */
function failingBefore(failing: Failing, nowMs: number): number {
  const { inARow } = failing;
  const before = failing.requests(nowMs) - inARow;
  return before <= 0 ? 0 : Math.max(0, failing.failures(nowMs) - inARow) / before;
}

/** Of the difference between two shares that are the same but for chance. */
function deviation(others: Others, requests: number): number {
  const variance = others.failing * (1 - others.failing);
  return Math.sqrt(variance * (1 / requests + 1 / Math.max(1, others.requests)));
}

interface Others {
  /** The share of their requests that they fail, on average; of whom few requests are known counts less. */
  readonly failing: number;
  /** Requests that say so. */
  readonly requests: number;
}

/** How the other backends in use do. */
function othersOf({ backend: own, backends }: Failure, nowMs: number): Others {
  let sum = 0;
  let weights = 0;
  let known = 0;
  for (const backend of backends) {
    if (backend === own || !isInUse(backend)) continue;
    const failing = backend.record?.failing;
    if (failing === undefined) {
      // It never failed, however many requests that were.
      weights += 1;
      continue;
    }
    const requests = failing.requests(nowMs);
    known += requests;
    weights += requests / (requests + ejectionDoubtRequests);
    sum += failing.failures(nowMs) / (requests + ejectionDoubtRequests);
  }
  return { failing: weights === 0 ? 0 : sum / weights, requests: known };
}

function isInUse(backend: BackendState): boolean {
  return !backend.standing.draining && !isEjected(backend);
}

/** Of its requests, the one that ended last failed. */
export function failedLast({ record }: BackendState): boolean {
  const inARow = record?.failing?.inARow;
  return inARow !== undefined && inARow > 0;
}

/**
 * Leaves the backend out; its service is to be refreshed. Answers for how long, in ms: twice as long as the last time,
 * of which every such time without an ejection takes one half away.
 */
export function eject(
  { backend, fault, rules }: Pick<Failure, "backend" | "fault" | "rules">,
  reason: string,
  nowMs: number,
  random: () => number,
): number {
  const isRefused = fault === "refused";
  const baseMs = isRefused ? Math.min(ejectionRefusedMs, rules.baseMs) : rules.baseMs;
  const maxMs = isRefused ? rules.baseMs : rules.maxMs;
  const failing = failingOf(backend, nowMs);
  const longMs = Math.min(maxMs, Math.max(baseMs, 2 * leftOfLast(failing, nowMs)));
  const forMs = longMs * (1 - ejectionJitter * random());
  leaveOut(backend, { forMs, reason }, nowMs);
  failing.ejectedForMs = longMs;
  return forMs;
}

/** What quiet has left of the last time's length, in ms. */
function leftOfLast({ ejectedForMs, backAtMs }: Failing, nowMs: number): number {
  if (ejectedForMs === 0) return 0;
  return ejectedForMs / 2 ** Math.floor(Math.max(0, nowMs - backAtMs) / ejectedForMs);
}

/** As another worker has found, which tries it `laterMs` before this one; its service is to be refreshed. */
export function leaveOutAsTold(
  backend: BackendState,
  {
    forMs,
    laterMs,
    reason,
  }: { readonly forMs: number; readonly laterMs: number; readonly reason: string },
  nowMs: number,
): void {
  const failing = failingOf(backend, nowMs);
  const { ejectedUntilMs } = backend.standing;
  const leftMs = Math.max(forMs + laterMs, ejectedUntilMs - nowMs);
  if (ejectedUntilMs <= nowMs) failing.ejectedForMs = forMs;
  leaveOut(backend, { forMs: leftMs, reason }, nowMs);
}

function leaveOut(
  backend: BackendState,
  { forMs, reason }: { readonly forMs: number; readonly reason: string },
  nowMs: number,
): void {
  const failing = failingOf(backend, nowMs);
  failing.ejectedAtMs = nowMs;
  failing.backAtMs = nowMs + forMs;
  failing.inARow = 0;
  failing.startAnew(nowMs);
  backend.stand({ ejectedUntilMs: nowMs + forMs, ejectionReason: reason });
}

/** Uses the backend again; its service is to be refreshed. */
export function takeBack(backend: BackendState, nowMs: number): void {
  const failing = failingOf(backend, nowMs);
  failing.backAtMs = Math.min(failing.backAtMs, nowMs);
  backend.stand({ ejectedUntilMs: 0, ejectionReason: "" });
}

/** Applies settings that have changed to what is left out already. */
export function settleEjections(
  backends: readonly BackendState[],
  settings: Ejection | undefined,
  nowMs: number,
): void {
  for (const backend of backends) {
    if (!isEjected(backend)) continue;
    const rules = ejectionRules(settings);
    if (rules === undefined) takeBack(backend, nowMs);
    else if (backend.standing.ejectedUntilMs > nowMs + rules.maxMs) {
      backend.stand({ ejectedUntilMs: nowMs + rules.maxMs });
    }
  }
}

/** Made if there is none. */
export function failingOf(backend: BackendState, nowMs: number): Failing {
  const record = backend.recorded(nowMs);
  return (record.failing ??= new Failing(nowMs));
}
