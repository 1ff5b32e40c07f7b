// How many requests of one service may be sent again after a connection broke: as many as its answers buy.
//
// Answers are saved up to a bound, and each retry spends some; a service that answers nothing has only a
// small reserve. So a backend that dies costs no request that may be repeated, while a service that is going
// down gets hardly more than what its clients ask (docs/decisions/0026).
//
// Knows numbers alone; no clock: what was not answered cannot be earned by waiting. One per worker and service.

export class RetryBudget {
  /** Answers saved, less what was spent of the reserve: it may be negative. */
  #saved = 0;

  /** A request was answered. Hot path. */
  answered(savedMax: number): void {
    if (this.#saved < savedMax) this.#saved += 1;
  }

  /** Whether a retry of this price can be paid; both in answers. */
  affords(price: number, reserve: number): boolean {
    return this.#saved + reserve >= price;
  }

  /** Only what `affords` allowed. */
  pay(price: number): void {
    this.#saved -= price;
  }
}
