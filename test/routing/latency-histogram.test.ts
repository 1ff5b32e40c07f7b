// Goal: what is told of a backend's latencies is of the last one to two minutes.

import { expect, test } from "vitest";
import { latencyPercentileMs } from "../../src/model/latency-buckets.ts";
import { LatencyHistogram } from "../../src/routing/latency-histogram.ts";

const countOf = (histogram: LatencyHistogram, nowMs: number): number =>
  histogram.read(nowMs)?.reduce((sum, count) => sum + count, 0) ?? 0;

test("what came within the last minute counts, what is older than two does not", () => {
  const histogram = new LatencyHistogram(0);
  expect(histogram.read(0)).toBeUndefined();
  histogram.observe(10, 0);
  histogram.observe(20, 59_999);
  expect(countOf(histogram, 60_000)).toBe(2);
  histogram.observe(30, 60_000);
  expect(countOf(histogram, 119_999)).toBe(3);
  expect(countOf(histogram, 120_000)).toBe(1);
  expect(latencyPercentileMs(histogram.read(120_000)!, 0.5)).toBeCloseTo(30, -1);
  expect(histogram.read(180_000)).toBeUndefined();
});

test("after a long silence nothing counts but what comes then", () => {
  const histogram = new LatencyHistogram(0);
  histogram.observe(10, 0);
  histogram.observe(10, 1_000_000);
  expect(countOf(histogram, 1_000_000)).toBe(1);
  expect(countOf(histogram, 1_059_999)).toBe(1);
});
