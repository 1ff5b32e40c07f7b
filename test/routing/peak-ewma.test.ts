// Goal: the backend that is expected to answer sooner gets the request; who is not known yet is neither flooded nor
// starved. Method: latencies and load put by hand, many picks counted.

import { describe, expect, test } from "vitest";
import { Policy } from "../../src/model/service.ts";
import { latencyDecayMs } from "../../src/routing/latency-average.ts";
import { askedBy } from "../support/picks.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { WatchedTable, web, zonedBackend } from "../support/watched-table.ts";

function world(...weights: readonly number[]) {
  const watched = new WatchedTable();
  watched.replace(
    web({}, Policy.PeakEwma),
    ...weights.map((weight, i) => zonedBackend(`10.0.0.${i + 1}:80`, weight)),
  );
  const { next } = new SeededRandom(17);
  /** Of 1,000 picks, none of which stays in flight. */
  const counted = (nowMs = 0): number[] => {
    const counts = weights.map(() => 0);
    for (let i = 0; i < 1_000; i++) {
      const { web: service } = watched;
      counts[service.backends.indexOf(service.picker.pick(askedBy(0, next, nowMs))!)]! += 1;
    }
    return counts;
  };
  /** So many picks stay in flight. */
  const piledUp = (picks: number): number[] => {
    for (let i = 0; i < picks; i++) {
      const backend = watched.web.picker.pick(askedBy(0, next))!;
      backend.endpoint.inFlight += 1;
    }
    return watched.web.backends.map(({ endpoint }) => endpoint.inFlight);
  };
  return { watched, backends: watched.web.backends, counted, piledUp };
}

describe("peak-ewma", () => {
  test("takes the faster of two", () => {
    const { backends, counted } = world(100, 100);
    backends[0]!.observe(10, 0);
    backends[1]!.observe(100, 0);
    expect(counted()).toEqual([1_000, 0]);
  });

  test("turns away from a slow one at its first slow answer", () => {
    const { backends, counted } = world(100, 100, 100);
    for (const backend of backends) backend.observe(10, 0);
    backends[2]!.observe(500, 1);
    expect(counted(1)[2]).toBe(0);
  });

  test("loads by latency: ten times as slow, a tenth in flight", () => {
    const { backends, piledUp } = world(100, 100);
    backends[0]!.observe(10, 0);
    backends[1]!.observe(100, 0);
    const [fast, slow] = piledUp(110);
    expect(fast).toBeGreaterThanOrEqual(98);
    expect(slow).toBeGreaterThanOrEqual(8);
  });

  test("gives an idle one that was slow a chance in time, and none before", () => {
    const { backends, counted } = world(100, 100);
    backends[1]!.observe(100, 0);
    const forgottenMs = Math.log(10) * latencyDecayMs;
    for (const nowMs of [0, forgottenMs - 500, forgottenMs + 500]) {
      backends[0]!.observe(10, nowMs);
      expect(counted(nowMs)[1]! > 0).toBe(nowMs > forgottenMs);
    }
  });

  test("does not take one for fast that answers nothing any more", () => {
    const { backends, counted } = world(100, 100);
    backends[1]!.observe(20, 0);
    backends[1]!.endpoint.inFlight = 1;
    backends[0]!.observe(30, 600_000);
    expect(counted(600_000)).toEqual([1_000, 0]);
  });

  test("gives one that was never measured its share, by load", () => {
    const { watched, backends, piledUp } = world(100, 100, 100, 100);
    for (const backend of backends) backend.observe(10, 0);
    watched.change(zonedBackend("10.0.0.9:80"));
    const loads = piledUp(500);
    expect(Math.min(...loads)).toBeGreaterThanOrEqual(96);
    expect(Math.max(...loads)).toBeLessThanOrEqual(104);
  });

  test("loads by weight where all are as fast", () => {
    const { backends, piledUp } = world(100, 300);
    for (const backend of backends) backend.observe(10, 0);
    const [light, heavy] = piledUp(400);
    expect(Math.abs(light! - 100)).toBeLessThan(4);
    expect(Math.abs(heavy! - 300)).toBeLessThan(4);
  });

  test("keeps what it measured through a snapshot, and lets it go with the policy", () => {
    const { watched, backends } = world(100, 100);
    backends[0]!.observe(10, 0);
    const { latency } = backends[0]!;
    watched.replace(
      web({}, Policy.PeakEwma),
      zonedBackend("10.0.0.1:80"),
      zonedBackend("10.0.0.2:80"),
    );
    expect(watched.at("10.0.0.1:80").latency).toBe(latency);
    expect(watched.at("10.0.0.2:80").latency).toBeDefined();
    expect(watched.web.backends).toContain(watched.web.picker.pick(askedBy(0, () => 0)));
    watched.change(web({}, Policy.Random));
    expect(watched.at("10.0.0.1:80").latency).toBeUndefined();
  });
});

test("nothing is measured for other policies", () => {
  const watched = new WatchedTable();
  watched.replace(web({}, Policy.LeastLoaded), zonedBackend("10.0.0.1:80"));
  expect(watched.at("10.0.0.1:80").latency).toBeUndefined();
});
