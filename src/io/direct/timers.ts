// Timers that the turn loop knows of: it may wait until the next one is due, and no longer.
//
// They are set and run by the thread's own event loop; this only remembers when. A worker has a handful of them: thousands
// of deadlines share one tick (worker/timer-wheel.ts).

/** What sets timers: see src/system.ts. */
export interface TimerSource {
  monotonicMs(): number;
  after(delayMs: number, action: () => void): () => void;
  every(periodMs: number, action: () => void): () => void;
}

export class Timers implements TimerSource {
  readonly #source: TimerSource;
  readonly #due = new Set<{ ms: number }>();

  constructor(source: TimerSource) {
    this.#source = source;
  }

  monotonicMs(): number {
    return this.#source.monotonicMs();
  }

  /** ms until the next one is due, 0 when it is; Infinity: there is none. */
  nextInMs(): number {
    let first = Number.POSITIVE_INFINITY;
    for (const { ms } of this.#due) if (ms < first) first = ms;
    return first === Number.POSITIVE_INFINITY ? first : Math.max(0, first - this.monotonicMs());
  }

  after(delayMs: number, action: () => void): () => void {
    const due = this.#add(delayMs);
    const cancel = this.#source.after(delayMs, () => {
      this.#due.delete(due);
      action();
    });
    return () => {
      this.#due.delete(due);
      cancel();
    };
  }

  every(periodMs: number, action: () => void): () => void {
    const due = this.#add(periodMs);
    const end = this.#source.every(periodMs, () => {
      due.ms = this.monotonicMs() + periodMs;
      action();
    });
    return () => {
      this.#due.delete(due);
      end();
    };
  }

  #add(delayMs: number): { ms: number } {
    const due = { ms: this.monotonicMs() + delayMs };
    this.#due.add(due);
    return due;
  }
}
