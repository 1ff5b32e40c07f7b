// How long a worker has been silent, from a heartbeat that is only ever compared with itself: the
// threads' clocks need not agree.

/** Watches one worker's heartbeat; `observe` is called about every `periodMs`. */
export class Heartbeat {
  readonly #periodMs: number;
  #beat: number | undefined;
  #seenMs: number;
  #silentMs = 0;

  constructor(options: { readonly periodMs: number; readonly nowMs: number }) {
    this.#periodMs = options.periodMs;
    this.#seenMs = options.nowMs;
  }

  /**
   * Answers for how long the beat has not changed, in ms. A look that comes late counts as two
   * periods at most: when the whole process stood still (SIGSTOP, a suspended machine), the worker
   * had no chance to beat either.
   */
  observe(beat: number, nowMs: number): number {
    const passedMs = Math.min(nowMs - this.#seenMs, 2 * this.#periodMs);
    this.#seenMs = nowMs;
    this.#silentMs = beat === this.#beat ? this.#silentMs + passedMs : 0;
    this.#beat = beat;
    return this.#silentMs;
  }
}
