// How one backend has failed of late: how often in a row, how often of how many requests, when it was left out and for
// how long. Made at its first failure: what never fails costs nothing.
//
// The look-back slides by halves: what is counted is of the newer half, which is under way, and of the older one.

import { ejectionLookBackMs } from "../limits.ts";

const halfMs = ejectionLookBackMs / 2;

export class Failing {
  /** Failures since the last success. */
  inARow = 0;
  /** Requests under way that are to show whether it is back. */
  trials = 0;
  /** When the last one of them began, in ms, monotonic. */
  trialAtMs = Number.NEGATIVE_INFINITY;
  /** When it was left out the last time, in ms, monotonic. */
  ejectedAtMs = Number.NEGATIVE_INFINITY;
  /** When that ended, or is to end. */
  backAtMs = Number.NEGATIVE_INFINITY;
  /** For how long that was, before jitter; 0: never. */
  ejectedForMs = 0;
  #halfEndsMs: number;
  #successes = 0;
  #failures = 0;
  #successesBefore = 0;
  #failuresBefore = 0;

  constructor(nowMs: number) {
    this.#halfEndsMs = nowMs + halfMs;
  }

  succeeded(nowMs: number): void {
    if (nowMs >= this.#halfEndsMs) this.#turn(nowMs);
    this.inARow = 0;
    this.#successes += 1;
  }

  failed(nowMs: number): void {
    if (nowMs >= this.#halfEndsMs) this.#turn(nowMs);
    this.inARow += 1;
    this.#failures += 1;
  }

  /** Of the look-back. */
  requests(nowMs: number): number {
    if (nowMs >= this.#halfEndsMs) this.#turn(nowMs);
    return this.#successes + this.#successesBefore + this.#failures + this.#failuresBefore;
  }

  /** Of the look-back. */
  failures(nowMs: number): number {
    if (nowMs >= this.#halfEndsMs) this.#turn(nowMs);
    return this.#failures + this.#failuresBefore;
  }

  /** What came before says nothing of how it does from now on. */
  startAnew(nowMs: number): void {
    this.#successes = this.#failures = this.#successesBefore = this.#failuresBefore = 0;
    this.#halfEndsMs = nowMs + halfMs;
  }

  #turn(nowMs: number): void {
    if (nowMs >= this.#halfEndsMs + halfMs) return this.startAnew(nowMs);
    this.#successesBefore = this.#successes;
    this.#failuresBefore = this.#failures;
    this.#successes = this.#failures = 0;
    this.#halfEndsMs += halfMs;
  }
}
