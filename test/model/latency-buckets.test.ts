// Goal: what is said of latencies is within a tenth of what they were, from 50 µs to 60 s.

import { describe, expect, test } from "vitest";
import {
  latencyBucketOf,
  latencyBuckets,
  latencyOfBucketMs,
  latencyPercentileMs,
} from "../../src/model/latency-buckets.ts";
import { SeededRandom } from "../support/seeded-random.ts";

describe("a latency", () => {
  test("stands within a tenth of what it was, whatever it was between 50 µs and 60 s", () => {
    const random = new SeededRandom(7);
    let worst = 0;
    for (let i = 0; i < 100_000; i++) {
      const ms = 0.05 * (60_000 / 0.05) ** random.next();
      worst = Math.max(worst, Math.abs(latencyOfBucketMs(latencyBucketOf(ms)) / ms - 1));
    }
    expect(worst).toBeLessThan(0.1);
    // It is no miracle.
    expect(worst).toBeGreaterThan(0.05);
  });

  test("that is longer is counted in no earlier bucket", () => {
    let before = 0;
    for (let ms = 0.01; ms < 200_000; ms *= 1.01) {
      const bucket = latencyBucketOf(ms);
      expect(bucket).toBeGreaterThanOrEqual(before);
      before = bucket;
    }
    expect(before).toBe(latencyBuckets - 1);
  });

  test.for([0, -1, 1e-9, Number.MIN_VALUE])("of %d ms is in the first bucket", (ms) => {
    expect(latencyBucketOf(ms)).toBe(0);
  });

  test.for([65_536, 1e9, Number.MAX_VALUE])("of %d ms is in the last bucket", (ms) => {
    expect(latencyBucketOf(ms)).toBe(latencyBuckets - 1);
  });
});

describe("a percentile", () => {
  test("of nothing is 0", () => {
    expect(latencyPercentileMs(new Uint32Array(latencyBuckets), 0.5)).toBe(0);
  });

  test("is that of the latencies, within a tenth", () => {
    const random = new SeededRandom(8);
    const latencies = Array.from({ length: 5_000 }, () => Math.exp(random.next() * 10 - 2));
    const counts = new Uint32Array(latencyBuckets);
    for (const ms of latencies) counts[latencyBucketOf(ms)]! += 1;
    const sorted = latencies.toSorted((a, b) => a - b);
    for (const share of [0.01, 0.5, 0.9, 0.99, 1]) {
      const exact = sorted[Math.ceil(sorted.length * share) - 1]!;
      const told = latencyPercentileMs(counts, share);
      expect(Math.abs(told / exact - 1), String(share)).toBeLessThan(0.1);
    }
  });
});
