// Goal: a backend's measured latency rises at once, falls with time and by better answers, and never flatters one
// that is silent. Method: observations at chosen moments against what the definition gives by hand.

import { expect, test } from "vitest";
import { parseAddress } from "../../src/model/address.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { BackendState, Endpoint } from "../../src/routing/backend-state.ts";
import { LatencyAverage, latencyDecayMs, latencyMsMin } from "../../src/routing/latency-average.ts";

function observed(...samples: readonly (readonly [latencyMs: number, nowMs: number])[]) {
  const average = new LatencyAverage();
  for (const [latencyMs, nowMs] of samples) average.observe(latencyMs, nowMs);
  return average;
}

test("knows nothing before the first answer, and its latency after it", () => {
  expect(observed().isKnown).toBe(false);
  expect(observed([7, 100]).isKnown).toBe(true);
  expect(observed([7, 100]).read(100, true)).toBe(7);
});

test("rises at once to a slower answer", () => {
  expect(observed([5, 0], [500, 1]).read(1, false)).toBe(500);
  expect(observed([5, 0], [500, 1], [6, 2]).read(2, false)).toBeGreaterThan(499);
  expect(observed([20, 0], [15, 0]).read(0, false)).toBe(20);
});

test("falls by better answers to 1/e of the way in its time constant", () => {
  const average = observed([100, 0], [10, latencyDecayMs]);
  expect(average.read(latencyDecayMs, false)).toBeCloseTo(10 + 90 / Math.E, 9);
});

test("stays where it is when every answer takes the same", () => {
  const average = new LatencyAverage();
  for (let nowMs = 0; nowMs < 60_000; nowMs += 50) average.observe(20, nowMs);
  expect(average.read(60_000, false)).toBeCloseTo(20, 9);
});

test("falls with time alone while nothing is in flight, and only then", () => {
  const average = observed([100, 0]);
  expect(average.read(latencyDecayMs, true)).toBeCloseTo(100 / Math.E, 9);
  expect(average.read(latencyDecayMs, false)).toBe(100);
});

test("changes nothing by being read", () => {
  const average = observed([100, 0]);
  for (let nowMs = 0; nowMs < 50_000; nowMs += 100) average.read(nowMs, true);
  expect(average.read(0, true)).toBe(100);
  expect(average.read(latencyDecayMs, true)).toBeCloseTo(100 / Math.E, 9);
});

test("takes an answer that is slower than what time has left of the average", () => {
  expect(observed([100, 0], [50, latencyDecayMs]).read(latencyDecayMs, false)).toBe(50);
});

test("is never nothing, so that load still tells two fast backends apart", () => {
  expect(observed([0, 0]).read(0, false)).toBe(latencyMsMin);
  expect(observed([5, 0]).read(1e9, true)).toBe(latencyMsMin);
});

test("is measured of backends whose policy wants it, and of no others", () => {
  const backend = new BackendState(
    parseServiceName("web"),
    new Endpoint(parseAddress("10.0.0.1:80")),
    100,
  );
  backend.observe(5, 0);
  expect(backend.latency).toBeUndefined();
  backend.latency = new LatencyAverage();
  backend.observe(5, 0);
  expect(backend.latency.read(0, false)).toBe(5);
});
