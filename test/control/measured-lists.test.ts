// Goal: ListBackends says of each backend what the table, the checks and the workers know; ListServices with status sums it up.
// Method: calls over a real port, with workers and checks that say what the test wants.

import { describe, expect, test } from "vitest";
import type { BackendMeasure } from "../../src/channel/messages.ts";
import { renderBackendStatus } from "../../src/control/backend-status.ts";
import { Health } from "../../src/gen/crosspoint/v1/router.ts";
import type { Backend } from "../../src/model/backend.ts";
import { latencyBucketOf, latencyBuckets } from "../../src/model/latency-buckets.ts";
import { startRpcNode } from "../support/rpc-node.ts";
import { backendOf } from "../support/table-fixtures.ts";

const nowMs = Date.UTC(2026, 10, 21, 12);

const quiet: BackendMeasure = {
  service: "web",
  address: "10.0.0.7:80",
  inFlight: 0,
  total: 0,
  failures: 0,
  lastFailure: "",
};
const ejected = {
  ...quiet,
  ejection: { forMs: 9_000, reason: "HTTP 500 (5 times)" },
  ejections: 3,
};
const draining: Backend["drain"] = { state: "draining", deadlineMs: nowMs };

/** Ten answers of 1 ms, one of 100 ms. */
function latencies(): Uint32Array {
  const counts = new Uint32Array(latencyBuckets);
  counts[latencyBucketOf(1)] = 10;
  counts[latencyBucketOf(100)] = 1;
  return counts;
}

describe("a backend", () => {
  const status = (
    measure: BackendMeasure | undefined,
    verdict?: { state: "unknown" | "healthy" | "unhealthy"; reason: string },
    drain?: Backend["drain"],
  ) => {
    const backend = {
      ...backendOf("web", "10.0.0.7:80"),
      ...(drain === undefined ? {} : { drain }),
    };
    const more = { routes: new Map() as never, source: undefined, nowMs };
    return renderBackendStatus(backend, { measure, verdict }, more);
  };

  test.for([
    ["no check", quiet, undefined, undefined, Health.UNSPECIFIED, "not checked"],
    ["no worker", undefined, undefined, undefined, Health.UNSPECIFIED, "not checked"],
    ["no verdict", quiet, "unknown", undefined, Health.UNSPECIFIED, "not checked yet"],
    ["healthy", quiet, "healthy", undefined, Health.HEALTHY, "it said so"],
    ["unhealthy", quiet, "unhealthy", undefined, Health.UNHEALTHY, "it said so"],
    ["ejected", ejected, undefined, undefined, Health.UNSPECIFIED, "ejected: HTTP 500 (5 times)"],
    [
      "healthy, ejected",
      ejected,
      "healthy",
      undefined,
      Health.HEALTHY,
      "ejected: HTTP 500 (5 times)",
    ],
    [
      "both",
      ejected,
      "unhealthy",
      undefined,
      Health.UNHEALTHY,
      "ejected: HTTP 500 (5 times); it said so",
    ],
    [
      "draining",
      quiet,
      "healthy",
      draining,
      Health.DRAINING,
      "draining until 2026-11-21T12:00:00.000Z",
    ],
    ["drained", quiet, undefined, { ...draining, state: "drained" }, Health.DRAINING, "drained"],
  ] as const)("with %s", ([, measure, state, drain, health, healthReason]) => {
    const verdict = state === undefined ? undefined : { state, reason: "it said so" };
    expect(status(measure, verdict, drain)).toMatchObject({ health, healthReason });
  });

  test("says until when it is left out, and how often it was", () => {
    expect(status(ejected)).toMatchObject({
      ejectedUntil: new Date(nowMs + 9_000),
      ejectionsTotal: 3,
    });
    expect(status(quiet).ejectedUntil).toBeUndefined();
  });

  test("says what was measured, latencies within a tenth", () => {
    const shown = status({
      ...quiet,
      inFlight: 3,
      total: 12,
      failures: 2,
      lastFailure: "connect refused",
      connectionsOpen: 7,
      latencies: latencies(),
    });
    expect(shown).toMatchObject({
      requestsInFlight: 3,
      requestsTotal: 12n,
      failuresTotal: 2n,
      lastFailure: "connect refused",
      connectionsOpen: 7,
    });
    expect(shown.latencyP50Ms).toBeCloseTo(1, 0);
    expect(Math.abs(shown.latencyP99Ms - 100)).toBeLessThan(10);
    expect(status(quiet).latencyP99Ms).toBe(0);
  });
});

test("ListServices with status counts the usable, what is in flight, and asks nobody without", async () => {
  const node = await startRpcNode();
  for (const address of ["10.0.0.7:80", "10.0.0.8:80", "10.0.0.9:80"]) {
    await node.client.call("registerBackend", { backend: { service: "web", address } });
  }
  await node.client.call("putService", { service: { name: "shop" } });
  node.serving.measures = [
    { ...quiet, inFlight: 2 },
    { ...ejected, address: "10.0.0.8:80", inFlight: 3 },
    { ...quiet, service: "shop", inFlight: 50 },
  ];
  Object.assign(node.serving, {
    loadOf: (name: string) => (name === "web" ? { waiting: 4 } : undefined),
  });
  const { statuses } = await node.client.call("listServices", { withStatus: true });
  const none = { service: "shop", backends: 0, backendsUsable: 0, requestsInFlight: 0, waiting: 0 };
  expect(statuses).toEqual([
    none,
    { service: "web", backends: 3, backendsUsable: 2, requestsInFlight: 5, waiting: 4 },
  ]);
  node.serving.failure = new Error("nobody answers");
  expect((await node.client.call("listServices", {})).statuses).toEqual([]);
});
