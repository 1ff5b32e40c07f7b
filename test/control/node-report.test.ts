// Goal: what a node says about itself is what is so: checks that tell health from readiness, metrics, a snapshot.
// Method: the parts it reports of, faked to the few things it asks them; the text is read as a scraper reads it.

import { describe, expect, test } from "vitest";
import { type ReportParts, reportOf } from "../../src/control/node-report.ts";
import type { WorkerStatus } from "../../src/control/supervisor.ts";
import type { Position } from "../../src/model/position.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import { Counter, countersByteLength, countersIn } from "../../src/telemetry/counters.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { backendOf, changeSetOf, putRoute } from "../support/table-fixtures.ts";

interface Faked {
  readonly workers?: readonly Partial<WorkerStatus>[];
  readonly problems?: readonly { port: number; reason: string }[];
  readonly storeRejected?: readonly { key: string; reason: string }[];
  readonly rejected?: readonly { key: string; reason: string }[];
  readonly trouble?: string;
  readonly draining?: boolean;
}

const worker: WorkerStatus = {
  slot: 0,
  workerId: 1,
  state: "serving",
  servedRevision: parseRevision(7),
  servedPosition: 3 as Position,
  lastNack: undefined,
  refusedListeners: [],
  restarts: 0,
  sinceMs: 0,
  lastFailure: "",
};

function report(faked: Faked = {}) {
  const system = new FakeSystem();
  system.advance(5_000);
  const table = new Table();
  table.apply(changeSetOf(7, putRoute("web", "a.test"), putRoute("db", 5432)));
  table.apply(changeSetOf(8, { kind: "backend-put", backend: backendOf("web", "10.0.0.1:80") }));
  const counters = countersIn(new SharedArrayBuffer(countersByteLength));
  counters[Counter.heartbeatMs] = 4_000;
  const status = (faked.workers ?? [{}, { slot: 1 }]).map((one) => ({ ...worker, ...one }));
  return reportOf({
    version: "1.2.3",
    io: "net",
    store: { name: "memory:", rejected: faked.storeRejected ?? [] },
    source: {
      table,
      trouble: faked.trouble,
      rejected: faked.rejected ?? [],
      changeSetsTotal: 2,
    },
    fleet: {
      nodeName: "node-1",
      servedRevision: parseRevision(7),
      latest: { position: 4 as Position, revision: parseRevision(8) },
      status: () => status,
      problems: () => faked.problems ?? [],
      counters: () => ({
        retired: new Float64Array(counters.length),
        live: [{ slot: 0, counters }],
      }),
    },
    system,
    logLinesDropped: () => 3,
    draining: () => faked.draining ?? false,
    startedMs: 1_000,
  } as unknown as ReportParts);
}

const failing = (checks: readonly { name: string; ok: boolean; detail: string }[]): string[] =>
  checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`);

describe("checks", () => {
  test("of a node that is well", () => {
    const { health, ready } = report();
    expect(health()).toEqual([
      { name: "store", ok: true, detail: "memory: answers" },
      { name: "workers", ok: true, detail: "2 of 2 serve, revision 7 of 8" },
      { name: "ports", ok: true, detail: "all routes have theirs" },
      { name: "entries", ok: true, detail: "none set aside" },
    ]);
    expect(ready()).toMatchObject({ ready: true });
  });

  test.for<[string, Faked, string, boolean]>([
    ["the store is away", { trouble: "connection lost" }, "store: connection lost", true],
    [
      "one of two workers restarts",
      { workers: [{}, { slot: 1, state: "restarting" }] },
      "workers: 1 of 2 serve, revision 7 of 8",
      true,
    ],
    [
      "no worker serves",
      { workers: [{ state: "restarting" }, { slot: 1, state: "starting" }] },
      "workers: 0 of 2 serve, revision 7 of 8",
      false,
    ],
    [
      "a worker holds on to an older table",
      {
        workers: [
          {},
          {
            slot: 1,
            lastNack: { position: 4 as Position, revision: parseRevision(8), reason: "too big" },
          },
        ],
      },
      "workers: 2 of 2 serve, revision 7 of 8; worker 1 refused revision 8: too big",
      true,
    ],
    [
      "somebody else has a port",
      { problems: [{ port: 5432, reason: "in use" }] },
      "ports: 5432: in use",
      true,
    ],
    [
      "a worker cannot listen",
      { workers: [{ refusedListeners: [{ id: 3, reason: "no descriptors left" }] }] },
      "ports: worker 0: no descriptors left",
      true,
    ],
    [
      "an entry cannot be read, another cannot serve",
      {
        storeRejected: [{ key: "route odd", reason: "not JSON" }],
        rejected: [{ key: "routes/two", reason: "a.test belongs to route one" }],
      },
      "entries: route odd: not JSON; routes/two: a.test belongs to route one",
      true,
    ],
  ])("when %s", ([, faked, told, ready]) => {
    const { health, ready: readiness } = report(faked);
    expect(failing(health())).toEqual([told]);
    // A node that serves gets traffic, whatever else is wrong.
    expect(readiness().ready).toBe(ready);
  });

  test("a refusal that was overcome is history", () => {
    const lastNack = { position: 2 as Position, revision: parseRevision(7), reason: "too big" };
    expect(failing(report({ workers: [{ lastNack }] }).health())).toEqual([]);
  });

  test("a node that drains is not ready, but well", () => {
    const { health, ready } = report({ draining: true });
    expect(failing(health())).toEqual([]);
    expect(ready().ready).toBe(false);
    expect(failing(ready().checks)).toEqual(["accepting: draining"]);
  });
});

test("metrics tell the same as the checks, in numbers", () => {
  const text = report({
    trouble: "gone",
    rejected: [{ key: "routes/two", reason: "taken" }],
    workers: [{ restarts: 4 }],
  }).metrics();
  const value = (name: string): number | undefined => {
    const line = text.split("\n").find((one) => one.startsWith(name) && !one.startsWith("#"));
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ") + 1));
  };
  const names = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = ""]) => name);
  const ending = (end: string): number | undefined =>
    value(names.find((it) => it.endsWith(end)) ?? "?");
  expect({
    routes: ending("_routes"),
    services: ending("_services"),
    backends: ending("_backends"),
    restarts: ending("restarts_total"),
    storeUp: ending("store_up"),
    dropped: value('crosspoint_access_log_lines_dropped_total{at="sink"}'),
    heartbeat: ending("heartbeat_age_seconds"),
    start: ending("start_time_seconds"),
  }).toEqual({
    routes: 2,
    services: 1,
    backends: 1,
    restarts: 4,
    storeUp: 0,
    dropped: 3,
    heartbeat: 1,
    start: 1,
  });
});

test("the snapshot is what each worker serves, and the table, read while it is written", () => {
  const snapshot = report({ trouble: "gone" }).snapshot() as Record<string, Iterable<unknown>>;
  expect({
    ...snapshot,
    routes: undefined,
    services: undefined,
    backends: undefined,
  }).toMatchObject({
    node: "node-1",
    revision: 8,
    store: { name: "memory:", trouble: "gone" },
    workers: [{ slot: 0 }, { slot: 1 }],
    problems: [],
    rejected: [],
  });
  expect([...(snapshot["routes"] ?? [])]).toHaveLength(2);
  expect([...(snapshot["services"] ?? [])]).toHaveLength(0);
  expect([...(snapshot["backends"] ?? [])]).toHaveLength(1);
});
