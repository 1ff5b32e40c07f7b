// Who waits for a revision to be served by every worker, and who has waited in vain.

import type { Revision } from "../model/revision.ts";
import type { NodeLag } from "./serving.ts";

interface Waiter {
  readonly revision: Revision;
  settle(lags: readonly NodeLag[]): void;
}

export class ServedWaiters {
  readonly #waiters = new Set<Waiter>();

  /** Resolves with [] from `served`, or with what `lags` says when `signal` aborts. */
  wait(
    revision: Revision,
    signal: AbortSignal,
    lags: (revision: Revision) => readonly NodeLag[],
  ): Promise<readonly NodeLag[]> {
    if (signal.aborted) return Promise.resolve(lags(revision));
    return new Promise((resolve) => {
      const settle = (result: readonly NodeLag[]): void => {
        this.#waiters.delete(waiter);
        signal.removeEventListener("abort", onAbort);
        resolve(result);
      };
      const onAbort = (): void => settle(lags(revision));
      const waiter: Waiter = { revision, settle };
      this.#waiters.add(waiter);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Every worker serves `revision`; `lags`: what all the same is not served of it. */
  served(revision: Revision, lags: (revision: Revision) => readonly NodeLag[]): void {
    for (const waiter of this.#waiters) {
      if (waiter.revision <= revision) waiter.settle(lags(waiter.revision));
    }
  }

  /** A worker refused something, or all are gone for good: whoever waits for what will not come hears why. */
  reconsider(refused: (revision: Revision) => readonly NodeLag[] | undefined): void {
    for (const waiter of this.#waiters) {
      const lags = refused(waiter.revision);
      if (lags !== undefined) waiter.settle(lags);
    }
  }
}
