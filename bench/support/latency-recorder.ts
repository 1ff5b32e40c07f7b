// What a load generator of ours counts: answers, how long each took, and errors, for a given time.

import type { LoadReport } from "./load.ts";

export class LatencyRecorder {
  readonly #startMs = performance.now();
  readonly #endMs: number;
  readonly #latenciesMs: number[] = [];
  #errors = 0;

  constructor(seconds: number) {
    this.#endMs = this.#startMs + seconds * 1000;
  }

  get isOver(): boolean {
    return performance.now() >= this.#endMs;
  }

  /** One answer, now, to what was sent at `sentMs`. */
  add(sentMs: number): void {
    this.#latenciesMs.push(performance.now() - sentMs);
  }

  addError(): void {
    this.#errors++;
  }

  report(): LoadReport {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const sorted = Float64Array.from(this.#latenciesMs).toSorted();
    const quantile = (q: number): number => sorted[Math.floor(sorted.length * q)] ?? Number.NaN;
    return {
      requests: sorted.length,
      requestsPerSecond: sorted.length / seconds,
      p50Ms: quantile(0.5),
      p99Ms: quantile(0.99),
      errors: this.#errors,
    };
  }
}
