// When a worker that failed is replaced: the first time at once, then after pauses that double, so
// that a worker that cannot live does not eat the processor; forgotten after a while of service.

export interface RestartPaceOptions {
  readonly firstMs: number;
  readonly lastMs: number;
  /** Service after which a failure counts as the first again, in ms. */
  readonly settledMs: number;
}

export class RestartPace {
  readonly #options: RestartPaceOptions;
  #failures = 0;

  constructor(options: RestartPaceOptions) {
    this.#options = options;
  }

  /** The pause before the next start, in ms. @param servedMs How long the failed worker had served. */
  next(servedMs: number): number {
    const { firstMs, lastMs, settledMs } = this.#options;
    if (servedMs >= settledMs) this.#failures = 0;
    const failures = this.#failures++;
    return failures === 0 ? 0 : Math.min(firstMs * 2 ** (failures - 1), lastMs);
  }
}
