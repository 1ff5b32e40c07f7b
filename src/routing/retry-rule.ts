// How often and when a route has its requests tried again, as requests use it. What the route leaves open is as for
// one that says nothing (docs/decisions/0026, 0040).

import type { Retry, RetryOn } from "../model/route-options.ts";

/** Why a request is tried again, or at a second backend as well. */
export type RetryReason = RetryOn | "hedge";

/** Never changes; one per route that says anything of it. */
export class RetryRule {
  /** All tries, the first one among them; 0: as the node has it. */
  readonly tries: number;
  /** Until the head of the answer, of each try, in ms; 0: the route sets none. */
  readonly perTryMs: number;
  /** After so long without an answer a second backend is asked as well, in ms; 0: never. */
  readonly hedgeMs: number;
  /** Answers that buy one retry; 0: as the node has it. */
  readonly price: number;
  readonly onConnect: boolean;
  readonly onReset: boolean;
  readonly onTimeout: boolean;
  /** Statuses that are no answer while it may be tried again. */
  readonly statuses: readonly number[];

  constructor({ tries, perTryMs, on, statuses, budgetPercent, hedgeMs }: Retry) {
    this.tries = tries ?? 0;
    this.perTryMs = perTryMs ?? 0;
    this.hedgeMs = hedgeMs ?? 0;
    this.price = budgetPercent === undefined ? 0 : 100 / budgetPercent;
    this.onConnect = on?.includes("connect") ?? true;
    this.onReset = on?.includes("reset") ?? true;
    this.onTimeout = on?.includes("timeout") ?? perTryMs !== undefined;
    this.statuses = on?.includes("status") === false ? [] : (statuses ?? []);
  }
}
