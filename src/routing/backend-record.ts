// What requests have taught of one backend: how long its answers took, how often it failed and why. Made at its first
// answer or failure: most backends of a large table never get a request from a worker.

import type { Failing } from "./failing.ts";
import { LatencyHistogram } from "./latency-histogram.ts";

export class BackendRecord {
  readonly latencies: LatencyHistogram;
  failuresTotal = 0;
  /** In words; "" when the last try succeeded. */
  lastFailure = "";
  /** Times that this worker found that it is to be left out. */
  ejectionsTotal = 0;
  /** How it failed of late; undefined: it never did. */
  failing: Failing | undefined = undefined;

  constructor(nowMs: number) {
    this.latencies = new LatencyHistogram(nowMs);
  }
}
