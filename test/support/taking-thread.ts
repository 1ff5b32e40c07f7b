// A thread that takes from shared buckets as fast as it can, and says how many it was given.

import { parentPort, workerData } from "node:worker_threads";
import { RateBuckets, type RateMemory, Taken } from "../../src/channel/rate-buckets.ts";
import type { RateLimit } from "../../src/model/route-options.ts";

export interface Taking {
  readonly memory: RateMemory;
  readonly limit: RateLimit;
  readonly nowMs: number;
  readonly tries: number;
  /** Counts the threads that are ready; each begins when all are. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- made by the test
const { memory, limit, nowMs, tries, gate, threads } = workerData as Taking;
const rates = new RateBuckets(memory);
const ready = new Int32Array(gate);
Atomics.add(ready, 0, 1);
while (Atomics.load(ready, 0) < threads);
let taken = 0;
for (let i = 0; i < tries; i++) if (rates.take("r", [], limit, nowMs) === Taken.Admitted) taken++;
parentPort?.postMessage(taken);
