// Under which counter a retry goes, by its reason.

import type { RetryReason } from "../routing/retry-rule.ts";
import { Counter } from "../telemetry/counters.ts";

export const countedAs: Readonly<Record<RetryReason, number>> = {
  connect: Counter.retriesConnect,
  reset: Counter.retriesReset,
  timeout: Counter.retriesTimeout,
  status: Counter.retriesStatus,
  hedge: Counter.hedges,
};
