// Goal: what a node says about itself is what is so: checks that tell health from readiness, metrics, a snapshot.
// Method: the parts it reports of, faked to the few things it asks them; the text is read as a scraper reads it.

import { describe, expect, test } from "vitest";
import { type ReportParts, reportOf } from "../../src/control/node-report.ts";
import type { WorkerStatus } from "../../src/control/worker-status.ts";
import type { UnreadableEntry } from "../../src/discovery/discovery.ts";
import type { Position } from "../../src/model/position.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import type { Announcement } from "../../src/store/members.ts";
import type { StoreCondition } from "../../src/store/store.ts";
import { Counter, countersByteLength, countersIn } from "../../src/telemetry/counters.ts";
import { FakeDiscovery } from "../support/fake-discovery.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { backendOf, changeSetOf, putRoute } from "../support/table-fixtures.ts";

interface Faked {
  readonly workers?: readonly Partial<WorkerStatus>[];
  readonly problems?: readonly { port: number; reason: string }[];
  readonly storeRejected?: readonly { key: string; reason: string }[];
  readonly rejected?: readonly { key: string; reason: string }[];
  readonly trouble?: string;
  readonly condition?: StoreCondition;
  readonly discoveries?: readonly FakeDiscovery[];
  readonly draining?: boolean;
  /** Of a store that nodes share. */
  readonly self?: Announcement;
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
  table.apply(changeSetOf(8, { kind: "backend-put", backend: backendOf("web", "10.0.0.2:80") }));
  const counters = countersIn(new SharedArrayBuffer(countersByteLength));
  counters[Counter.heartbeatMs] = 4_000;
  const status = (faked.workers ?? [{}, { slot: 1 }]).map((one) => ({ ...worker, ...one }));
  return reportOf({
    version: "1.2.3",
    io: "net",
    store: {
      name: "memory:",
      rejected: faked.storeRejected ?? [],
      condition: faked.condition ?? { kind: "current" },
      repairsTotal: 5,
      members: faked.self === undefined ? undefined : { self: faked.self },
    },
    source: {
      table,
      trouble: faked.trouble,
      failure:
        faked.trouble === undefined ? undefined : { cause: faked.trouble, sinceMs: 3_600_000 },
      discoveries: faked.discoveries ?? [],
      discoveredCount: () => 2,
      stored: {
        sourceOf: ({ address }: { address: string }) =>
          address === "10.0.0.2:80" ? "etcd:/services/web/2" : undefined,
      },
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
    health: {
      verdictOf: (service: string, address: string) =>
        service === "web" && address === "10.0.0.1:80"
          ? { service, address, state: "unhealthy", reason: "HTTP 500", sinceMs: 0 }
          : undefined,
      metrics: () => ({
        succeeded: 9,
        failed: 2,
        timedOut: 1,
        inFlight: 0,
        targets: 2,
        unhealthy: 1,
        restarts: 0,
      }),
    },
    system,
    logLinesDropped: () => 3,
    draining: () => faked.draining ?? false,
    startedMs: 1_000,
  } as unknown as ReportParts);
}

const held: StoreCondition = {
  kind: "held",
  sinceMs: 7_200_000,
  finding: "wiped",
  detail: "it is empty: `crosspoint store accept` takes it",
  removed: 3,
  changed: 0,
  added: 0,
};

function discoveryIn(trouble: string | undefined, ...unreadable: UnreadableEntry[]): FakeDiscovery {
  return Object.assign(new FakeDiscovery(), { trouble, unreadable });
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
    [
      "the store cannot be followed",
      { trouble: "connection lost" },
      "store: away since 1970-01-01T01:00:00.000Z, serving revision 8: connection lost",
      true,
    ],
    [
      "another node has its name",
      { self: { kind: "taken", cause: "the node at a:7070 is called so too" } },
      "name: the node at a:7070 is called so too",
      true,
    ],
    [
      "the store is away",
      { condition: { kind: "away", sinceMs: 7_200_000, cause: "no answer", stale: false } },
      "store: away since 1970-01-01T02:00:00.000Z, serving revision 8: no answer",
      true,
    ],
    [
      "the store has not been reached yet",
      { condition: { kind: "away", sinceMs: 7_200_000, cause: "no answer", stale: true } },
      "store: away since 1970-01-01T02:00:00.000Z, serving revision 8 (stale: from the copy on disk): no answer",
      true,
    ],
    [
      "the store is not believed",
      { condition: held },
      "store: held since 1970-01-01T02:00:00.000Z, serving revision 8: it is empty: `crosspoint store accept` takes it",
      true,
    ],
    [
      "a discovery is away",
      { discoveries: [discoveryIn("refused")] },
      "discovery: fake:: refused",
      true,
    ],
    [
      "an entry of a discovery cannot be read",
      { discoveries: [discoveryIn(undefined, { key: "/services/web/1", reason: "not JSON" })] },
      "entries: /services/web/1: not JSON",
      true,
    ],
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

  test("a node whose store is away says so to who asks whether it is ready, and is", () => {
    const { ready } = report({
      condition: { kind: "away", sinceMs: 7_200_000, cause: "no answer", stale: true },
      discoveries: [discoveryIn("refused")],
    });
    expect(ready().ready).toBe(true);
    expect(ready().checks.slice(2)).toEqual([
      {
        name: "store",
        ok: true,
        detail:
          "away since 1970-01-01T02:00:00.000Z, serving revision 8 (stale: from the copy on disk): no answer",
      },
      { name: "discovery", ok: true, detail: "fake:: refused" },
    ]);
  });

  test("of thousands of entries that are set aside some are named, the others counted", () => {
    const rejected = Array.from({ length: 2_000 }, (_, i) => ({ key: `k${i}`, reason: "odd" }));
    const [told = ""] = failing(report({ rejected }).health());
    expect(told.split("; ")).toHaveLength(51);
    expect(told).toMatch(/k49: odd; 1950 more: see crosspoint route list --rejected$/);
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

test("metrics tell the same as the checks, in numbers", async () => {
  const text = await report({
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
    restarts: ending("worker_restarts_total"),
    storeUp: ending("store_up"),
    dropped: value('crosspoint_access_log_lines_dropped_total{at="sink"}'),
    heartbeat: ending("heartbeat_age_seconds"),
    start: ending("start_time_seconds"),
  }).toEqual({
    routes: 2,
    services: 1,
    backends: 2,
    restarts: 4,
    storeUp: 0,
    dropped: 3,
    heartbeat: 1,
    start: 1,
  });
});

test.for<[string, StoreCondition, Record<string, number>]>([
  ["current", { kind: "current" }, { up: 1, held: 0, stale: 0, seconds: 0 }],
  [
    "away",
    { kind: "away", sinceMs: 1_789_999_945_000, cause: "", stale: false },
    { up: 0, held: 0, stale: 0, seconds: 60 },
  ],
  [
    "stale",
    { kind: "away", sinceMs: 1_789_999_945_000, cause: "", stale: true },
    { up: 0, held: 0, stale: 1, seconds: 60 },
  ],
  ["held", { ...held, sinceMs: 1_789_999_945_000 }, { up: 1, held: 1, stale: 0, seconds: 60 }],
])("metrics of a store that is %s", async ([, condition, expected]) => {
  const text = await report({ condition }).metrics();
  const value = (name: string): number =>
    Number(new RegExp(`^crosspoint_store_${name} (.*)$`, "m").exec(text)?.[1]);
  expect({
    up: value("up"),
    held: value("held"),
    stale: value("stale"),
    seconds: value("unfollowed_seconds"),
  }).toEqual(expected);
  expect(value("repairs_total")).toBe(5);
});

test("the snapshot is what each worker serves, and the table, read while it is written", () => {
  const snapshot = report({
    trouble: "gone",
    discoveries: [discoveryIn("refused")],
  }).snapshot() as Record<string, Iterable<unknown>>;
  expect({
    ...snapshot,
    routes: undefined,
    services: undefined,
    backends: undefined,
  }).toMatchObject({
    node: "node-1",
    revision: 8,
    store: { name: "memory:", trouble: "gone", state: "away", sinceMs: 3_600_000 },
    discoveries: [{ name: "fake:", trouble: "refused", backends: 2, unreadable: [] }],
    workers: [{ slot: 0 }, { slot: 1 }],
    problems: [],
    rejected: [],
  });
  expect([...(snapshot["routes"] ?? [])]).toHaveLength(2);
  expect([...(snapshot["services"] ?? [])]).toHaveLength(0);
  expect([...(snapshot["backends"] ?? [])]).toMatchObject([
    { address: "10.0.0.1:80", source: "api", health: "unhealthy", healthReason: "HTTP 500" },
    { address: "10.0.0.2:80", source: "etcd:/services/web/2" },
  ]);
});
