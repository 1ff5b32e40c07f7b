// How long a call may take: the caller's deadline, or ours when it names none.
//
// A wait ends a little before the caller's deadline: a late answer is no answer, and a caller whose
// write was stored shall hear that, together with who does not serve it yet.

import { answerMarginMsMax, waitMsDefault, waitMsMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";

/** What a call brings besides its request. */
export interface CallContext {
  /** Aborts when the caller has left. */
  readonly signal: AbortSignal;
  /** Time until the caller's deadline, in ms; undefined: it named none. */
  readonly remainingMs: number | undefined;
}

/** The time left for one call. */
export interface Patience {
  /** Aborts when the caller has left, or when it is time to answer. */
  readonly signal: AbortSignal;
  /** Until it is time to answer, in ms; 0 once it is. */
  remainingMs(): number;
  /** Throws "cancelled" or "deadline" once `signal` has aborted; `what` had not happened by then. */
  check(what: string): void;
  /** The outcome of `work`, which ends by itself when `signal` aborts; throws as `check`. */
  during<T>(work: Promise<T>, what: string): Promise<T>;
}

/** Runs `work` with the time that the call has, and cleans up after it. */
export async function withPatience<T>(
  system: System,
  context: CallContext,
  work: (patience: Patience) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  const waitMs = waitMsOf(context.remainingMs);
  const untilMs = system.monotonicMs() + waitMs;
  const cancelTimer = system.after(waitMs, stop);
  if (context.signal.aborted) stop();
  else context.signal.addEventListener("abort", stop, { once: true });
  const check = (what: string): void => {
    if (!controller.signal.aborted) return;
    throw context.signal.aborted
      ? new RouterError("cancelled", `the caller left before ${what}`)
      : new RouterError("deadline", `the deadline came before ${what}`);
  };
  const remainingMs = (): number => Math.max(0, untilMs - system.monotonicMs());
  const during = async <U>(waiting: Promise<U>, what: string): Promise<U> => {
    try {
      return await waiting;
    } finally {
      check(what);
    }
  };
  try {
    return await work({ signal: controller.signal, remainingMs, check, during });
  } finally {
    cancelTimer();
    context.signal.removeEventListener("abort", stop);
  }
}

function waitMsOf(remainingMs: number | undefined): number {
  return remainingMs === undefined ? waitMsDefault : beforeDeadlineMs(remainingMs);
}

/** When to answer somebody who waits for `remainingMs`: a quarter of a short time is kept for the way back. */
export function beforeDeadlineMs(remainingMs: number): number {
  const margin = Math.min(answerMarginMsMax, remainingMs / 4);
  return Math.max(0, Math.min(remainingMs - margin, waitMsMax));
}
