// Goal: a rate holds when threads really take at the same time. Method: two threads, one bucket, a clock that stands.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { rateMemory } from "../../src/channel/rate-buckets.ts";
import type { Taking } from "../support/taking-thread.ts";

test("two threads together are given the burst, all of it and nothing more", async () => {
  const threads = 2;
  const burst = 30_000;
  const workerData: Taking = {
    memory: rateMemory(9),
    limit: { requests: 1_000, perMs: 1_000, burst, key: "route" },
    nowMs: 86_400_000,
    tries: burst,
    gate: new SharedArrayBuffer(4),
    threads,
  };
  const file = new URL("../support/taking-thread.ts", import.meta.url);
  const counts = await Promise.all(
    Array.from({ length: threads }, async () => {
      const [count] = await once(new Worker(file, { workerData }), "message");
      return Number(count);
    }),
  );
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(burst);
  // Both were at it.
  expect(Math.min(...counts)).toBeGreaterThan(0);
});
