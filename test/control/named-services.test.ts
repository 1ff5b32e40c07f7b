// Goal: the figures of a named service are those of its backends, and what only grows does so whatever backends and workers do.
// Method: a table, and workers that say what the test wants.

import { expect, test } from "vitest";
import type { BackendMeasure } from "../../src/channel/messages.ts";
import { measuresOf, sumMeasures } from "../../src/control/measures.ts";
import { NamedServices } from "../../src/control/named-services.ts";
import { latencyBucketOf, latencyBuckets } from "../../src/model/latency-buckets.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { Table } from "../../src/model/table.ts";
import { FakeServing } from "../support/fake-serving.ts";
import { backendOf, changeSetOf } from "../support/table-fixtures.ts";

const measureOf = (host: number, more: Partial<BackendMeasure> = {}): BackendMeasure => ({
  service: "web",
  address: `10.0.0.${host}:80`,
  inFlight: 0,
  total: 0,
  failures: 0,
  lastFailure: "",
  ...more,
});

function named(hosts: readonly number[], names = ["web"]) {
  const table = new Table();
  for (const host of hosts) {
    const backend = { ...backendOf("web", `10.0.0.${host}:80`) };
    table.apply(changeSetOf(1, { kind: "backend-put", backend }));
  }
  const serving = new FakeServing();
  const verdictOf = (_: string, address: string) =>
    address === "10.0.0.9:80" ? ({ state: "unhealthy", reason: "HTTP 500" } as const) : undefined;
  const services = new NamedServices(
    { view: { table }, serving, health: { verdictOf } },
    names.map((name) => parseServiceName(name)),
  );
  const look = async () => {
    const [figures] = await services.figures(new AbortController().signal);
    return figures!;
  };
  return { serving, services, look, table };
}

test("adds up its backends, each in one state", async () => {
  const { serving, look } = named([7, 8, 9]);
  const latencies = (ms: number): Uint32Array => {
    const counts = new Uint32Array(latencyBuckets);
    counts[latencyBucketOf(ms)] = 10;
    return counts;
  };
  serving.measures = [
    measureOf(7, { inFlight: 1, total: 10, connectionsOpen: 4, latencies: latencies(1) }),
    measureOf(8, { inFlight: 2, failures: 3, latencies: latencies(100) }),
    measureOf(9, { ejection: { forMs: 5, reason: "HTTP 500" }, ejections: 2 }),
  ];
  const figures = await look();
  expect(figures).toMatchObject({
    service: "web",
    backends: { draining: 0, unhealthy: 1, ejected: 0, usable: 2 },
    requestsInFlight: 3,
    connectionsOpen: 4,
    isPaused: false,
    requestsTotal: 10,
    failuresTotal: 3,
    ejectionsTotal: 2,
  });
  expect(figures.latencyMs.p50).toBeLessThan(1.2);
  expect(figures.latencyMs.p99).toBeGreaterThan(85);
});

test("what only grows does so when a backend goes, comes back, or is counted anew by a new worker", async () => {
  const { serving, look } = named([7, 8]);
  const totals: number[] = [];
  for (const measures of [
    [measureOf(7, { total: 10 }), measureOf(8, { total: 100 })],
    [measureOf(7, { total: 15 })],
    [measureOf(7, { total: 15 }), measureOf(8, { total: 1 })],
    [measureOf(7, { total: 2 }), measureOf(8, { total: 1 })],
    [measureOf(7, { total: 2 })],
    [measureOf(7, { total: 2 }), measureOf(8, { total: 150 })],
  ]) {
    serving.measures = measures;
    totals.push((await look()).requestsTotal);
  }
  expect(totals).toEqual([110, 115, 116, 118, 118, 268]);
});

test("a worker that is silent for once, or replaced, does not let the others count twice", async () => {
  const { serving, look } = named([7]);
  const of = (...workers: readonly (readonly [number, number])[]) =>
    sumMeasures(workers.map(([id, total]) => measuresOf(id, [measureOf(7, { total })])));
  const totals: number[] = [];
  for (const measures of [
    of([1, 100], [2, 1_000]),
    of([1, 101]),
    of([1, 102], [2, 1_010]),
    of([1, 103], [3, 7]),
    of([1, 103], [3, 9]),
  ]) {
    serving.measures = [...measures];
    totals.push((await look()).requestsTotal);
  }
  expect(totals).toEqual([1_100, 1_101, 1_112, 1_120, 1_122]);
});

test("a service that is not there has zeros; workers that say nothing leave it out", async () => {
  const { serving, services, look } = named([], ["shop"]);
  expect(await look()).toMatchObject({ service: "shop", requestsTotal: 0, latencyMs: { p99: 0 } });
  serving.failure = new Error("no worker serves");
  expect(await services.figures(new AbortController().signal)).toEqual([]);
});
