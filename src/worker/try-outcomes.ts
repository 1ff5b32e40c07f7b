// What a try's outcome means: which answers are failures of the backend, and under which counter a retry goes.

import type { RetryReason } from "../routing/retry-rule.ts";
import { Counter } from "../telemetry/counters.ts";

/** 501 and 505 tell of the request, not of how the backend is. */
export function isFailure(status: number): boolean {
  return status >= 500 && status !== 501 && status !== 505;
}

export const countedAs: Readonly<Record<RetryReason, number>> = {
  connect: Counter.retriesConnect,
  reset: Counter.retriesReset,
  timeout: Counter.retriesTimeout,
  status: Counter.retriesStatus,
  hedge: Counter.hedges,
};
