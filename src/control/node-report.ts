// What a node says about itself on the admin port: checks, metrics, and what each worker serves.

import { entriesLoggedMax } from "../limits.ts";
import type { Store } from "../store/store.ts";
import type { System } from "../system.ts";
import { Counter } from "../telemetry/counters.ts";
import { nodeMetricsText } from "../telemetry/node-metrics.ts";
import { serviceMetricsText } from "../telemetry/service-metrics.ts";
import type { AdminProviders, Check } from "./admin-server.ts";
import type { Fleet } from "./fleet.ts";
import type { NamedServices } from "./named-services.ts";
import type { NodeHealth } from "./node-health.ts";
import { discoveryTroubles, rejectedEntries } from "./store-calls.ts";
import { standingOf } from "./store-standing.ts";
import type { TableSource } from "./table-source.ts";

export interface ReportParts {
  readonly version: string;
  readonly io: string;
  readonly store: Store;
  readonly source: TableSource;
  readonly fleet: Fleet;
  readonly health: Pick<NodeHealth, "metrics" | "verdictOf">;
  readonly system: System;
  /** Services with metrics of their own. Absent: there are none. */
  readonly named?: Pick<NamedServices, "figures">;
  /** Lines that the access log's destination did not take. */
  readonly logLinesDropped: () => number;
  readonly draining: () => boolean;
  readonly startedMs: number;
}

export function reportOf(parts: ReportParts): AdminProviders {
  return {
    health: () => [
      storeCheck(parts),
      ...nameChecks(parts),
      ...discoveryChecks(parts),
      fleetCheck(parts),
      portsCheck(parts),
      entriesCheck(parts),
    ],
    ready: () => {
      // A route that cannot be served, or an entry that cannot be read, is no reason to take a
      // whole node out of service: those are told by /healthz. Nor is a store that is away
      // (docs/decisions/0012), but who reads this wants to know.
      const told = [storeCheck(parts), ...discoveryChecks(parts)].map(asTold);
      const checks = [drainCheck(parts), workersCheck(parts), ...told];
      return { ready: checks.every((check) => check.ok), checks };
    },
    metrics: async () => metrics(parts) + (await serviceMetrics(parts)),
    snapshot: () => snapshot(parts),
  };
}

function drainCheck({ draining }: ReportParts): Check {
  const leaving = draining();
  return { name: "accepting", ok: !leaving, detail: leaving ? "draining" : "accepts connections" };
}

/** For readiness: one worker is enough to serve. */
function workersCheck(parts: ReportParts): Check {
  return { ...fleetCheck(parts), ok: parts.fleet.status().some(isServing) };
}

/** For health: every worker serves, and none holds on to an older table because it refused the newer. */
function fleetCheck({ fleet, source }: ReportParts): Check {
  const status = fleet.status();
  const serving = status.filter(isServing);
  const refusals = status.flatMap(({ slot, lastNack, servedPosition }) =>
    lastNack === undefined || lastNack.position <= servedPosition
      ? []
      : [`; worker ${slot} refused revision ${lastNack.revision}: ${lastNack.reason}`],
  );
  const detail = `${serving.length} of ${status.length} serve, revision ${fleet.servedRevision} of ${source.table.revision}`;
  return {
    name: "workers",
    ok: serving.length === status.length && refusals.length === 0,
    detail: `${detail}${refusals.join("")}`,
  };
}

function isServing({ state }: { readonly state: string }): boolean {
  return state === "serving";
}

/** For health: a store that is not followed is wrong, though traffic goes on. */
function storeCheck({ store, source }: ReportParts): Check {
  const { state, sinceMs, detail } = standingOf(store, source);
  if (state === "current") return { name: "store", ok: true, detail: `${store.name} answers` };
  const since = new Date(sinceMs ?? 0).toISOString();
  const from = state === "stale" ? " (stale: from the copy on disk)" : "";
  const serving = `serving revision ${source.table.revision}${from}`;
  const what = state === "held" ? "held" : "away";
  return { name: "store", ok: false, detail: `${what} since ${since}, ${serving}: ${detail}` };
}

/** A node without its place is neither listed nor waited for; when the store is away, its own check says so. */
function nameChecks({ store: { members } }: ReportParts): readonly Check[] {
  if (members === undefined) return [];
  const { self } = members;
  if (self.kind !== "taken") return [{ name: "name", ok: true, detail: "no other node has it" }];
  return [{ name: "name", ok: false, detail: self.cause }];
}

function discoveryChecks({ source }: ReportParts): readonly Check[] {
  if (source.discoveries.length === 0) return [];
  const troubles = discoveryTroubles(source);
  const detail = troubles.join("; ");
  return [{ name: "discovery", ok: troubles.length === 0, detail: detail || "all is followed" }];
}

/** Told to those who ask for readiness, and no reason to take a node that serves out of service. */
function asTold(check: Check): Check {
  return { ...check, ok: true };
}

function portsCheck({ fleet }: ReportParts): Check {
  const refused = fleet
    .status()
    .flatMap(({ slot, refusedListeners }) =>
      refusedListeners.map(({ reason }) => `worker ${slot}: ${reason}`),
    );
  const problems = fleet.problems().map(({ port, reason }) => `${port}: ${reason}`);
  const detail = [...problems, ...refused].join("; ");
  return { name: "ports", ok: detail === "", detail: detail || "all routes have theirs" };
}

function entriesCheck({ source, store }: ReportParts): Check {
  const rejected = rejectedEntries({ store, view: source });
  const more = rejected.length - entriesLoggedMax;
  const detail = [
    ...rejected.slice(0, entriesLoggedMax).map(({ key, reason }) => `${key}: ${reason}`),
    ...(more > 0 ? [`${more} more: see crosspoint route list --rejected`] : []),
  ].join("; ");
  return { name: "entries", ok: rejected.length === 0, detail: detail || "none set aside" };
}

async function serviceMetrics({ named }: ReportParts): Promise<string> {
  if (named === undefined) return "";
  return serviceMetricsText(await named.figures(new AbortController().signal));
}

function metrics(parts: ReportParts): string {
  const { fleet, source, store, system } = parts;
  const { table } = source;
  const status = fleet.status();
  const { state, sinceMs } = standingOf(store, source);
  const { retired, live } = fleet.counters();
  const cpu = process.cpuUsage();
  const memory = process.memoryUsage();
  return nodeMetricsText({
    version: parts.version,
    node: fleet.nodeName,
    io: parts.io,
    workers: live.map(({ slot, counters }) => ({
      slot,
      counters,
      restarts: status[slot]?.restarts ?? 0,
      heartbeatAgeMs: heartbeatAgeMs(counters, system),
    })),
    retired,
    revision: table.revision,
    routes: table.routeCount,
    services: table.serviceNames().size,
    backends: table.backendCount,
    laggingWorkers: status.filter((worker) => worker.servedPosition < fleet.latest.position).length,
    storeUp: state === "current" || state === "held",
    storeHeld: state === "held",
    storeStale: state === "stale",
    storeUnfollowedSeconds:
      sinceMs === undefined ? 0 : Math.max(0, system.wallMs() - sinceMs) / 1000,
    storeRepairsTotal: store.repairsTotal ?? 0,
    discoveries: source.discoveries.map(({ name, trouble, unreadable }, place) => ({
      name,
      up: trouble === undefined,
      backends: source.discoveredCount(place),
      unreadable: unreadable.length,
    })),
    probes: parts.health.metrics(),
    changeSetsTotal: source.changeSetsTotal,
    quarantined: store.rejected.length + source.rejected.length,
    accessLogLinesDropped: parts.logLinesDropped(),
    process: {
      cpuUserSeconds: cpu.user / 1e6,
      cpuSystemSeconds: cpu.system / 1e6,
      residentBytes: memory.rss,
      heapUsedBytes: memory.heapUsed,
      startTimeSeconds: parts.startedMs / 1000,
    },
  });
}

function heartbeatAgeMs(counters: Float64Array, system: System): number {
  return Math.max(0, system.heartbeatMs() - (counters[Counter.heartbeatMs] ?? 0));
}

/** What each worker serves, and the table itself; routes are read as the text is written. */
function snapshot({ fleet, source, store, health }: ReportParts): unknown {
  const { table } = source;
  return {
    node: fleet.nodeName,
    revision: table.revision,
    store: { name: store.name, trouble: source.trouble ?? null, ...standingOf(store, source) },
    discoveries: source.discoveries.map(({ name, trouble, unreadable }, place) => ({
      name,
      trouble: trouble ?? null,
      backends: source.discoveredCount(place),
      unreadable,
    })),
    workers: fleet.status(),
    problems: fleet.problems(),
    rejected: rejectedEntries({ store, view: source }),
    routes: table.routes(),
    services: table.services(),
    backends: backendsAsKnown(source, health),
  };
}

/** With where each comes from, and what its checks say; what only workers know is in ListBackends. */
function* backendsAsKnown(
  { table, stored }: TableSource,
  health: Pick<NodeHealth, "verdictOf">,
): Generator {
  for (const backend of table.backends()) {
    const verdict = health.verdictOf(backend.service, backend.address);
    yield {
      ...backend,
      source: stored.sourceOf(backend) ?? "api",
      ...(verdict === undefined ? {} : { health: verdict.state, healthReason: verdict.reason }),
    };
  }
}
