// How long a backend takes to answer: a moving average that rises at once and falls slowly, as "peak EWMA" in
// Finagle and Linkerd. One slow answer counts in full, so that a bad second steers traffic away; how good a backend
// has become is believed only with time.
//
// Time decays it too while nothing is asked of the backend: one that was slow gets its chance again. While something
// is in flight it does not: a backend that answers nothing any more must not look fast for it.

/** Time constant in which a backend's measured latency falls, in ms. Finagle's and Linkerd's default is 10 s. */
export const latencyDecayMs = 10_000;
/** A backend that answers faster counts as one that takes this long, in ms: what a turn of the event loop takes cannot be told apart. */
export const latencyMsMin = 0.1;

/** Invariant: `nowMs` never goes backwards (a monotonic clock). */
export class LatencyAverage {
  /** Not a number: nothing was measured yet. */
  #ms = Number.NaN;
  #atMs = Number.NaN;

  get isKnown(): boolean {
    return !Number.isNaN(this.#ms);
  }

  /** An answer has begun, or a try has ended without one, after `latencyMs`. */
  observe(latencyMs: number, nowMs: number): void {
    const kept = Math.exp((this.#atMs - nowMs) / latencyDecayMs);
    const before = this.#ms * kept;
    // Also where nothing was known: no number is beyond what is none.
    this.#ms = before > latencyMs ? before + latencyMs * (1 - kept) : latencyMs;
    this.#atMs = nowMs;
  }

  /** In ms, never 0: the load has the last word between two that are very fast. Changes nothing. @param isIdle Nothing is in flight there. */
  read(nowMs: number, isIdle: boolean): number {
    const ms = isIdle ? this.#ms * Math.exp((this.#atMs - nowMs) / latencyDecayMs) : this.#ms;
    return ms > latencyMsMin ? ms : latencyMsMin;
  }
}
