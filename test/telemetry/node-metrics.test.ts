// Goal: Prometheus can read it, sums never go down, and the number of series is bounded.

import { describe, expect, test } from "vitest";
import {
  addRetired,
  Counter,
  durationBoundsMs,
  observeDuration,
  zeroCounters,
} from "../../src/telemetry/counters.ts";
import type { NodeMetrics } from "../../src/telemetry/node-figures.ts";
import { nodeMetricFamilies, nodeMetricsText } from "../../src/telemetry/node-metrics.ts";
import { serviceMetricFamilies } from "../../src/telemetry/service-metrics.ts";

function node(change: Partial<NodeMetrics> = {}): NodeMetrics {
  return {
    version: "0.1.0",
    node: "n1",
    io: "net",
    workers: [],
    retired: zeroCounters(),
    revision: 12,
    routes: 1,
    services: 1,
    backends: 2,
    laggingWorkers: 0,
    storeUp: true,
    storeHeld: false,
    storeStale: false,
    storeUnfollowedSeconds: 0,
    storeRepairsTotal: 0,
    discoveries: [],
    probes: {
      succeeded: 90,
      failed: 7,
      timedOut: 3,
      inFlight: 1,
      targets: 4,
      unhealthy: 2,
      restarts: 0,
    },
    changeSetsTotal: 12,
    quarantined: 0,
    accessLogLinesDropped: 0,
    process: {
      cpuUserSeconds: 1.5,
      cpuSystemSeconds: 0.5,
      residentBytes: 1e8,
      heapUsedBytes: 1e7,
      startTimeSeconds: 1_795_237_262,
    },
    ...change,
  };
}

function worker(
  slot: number,
  figures: Partial<Record<keyof typeof Counter, number>>,
): NodeMetrics["workers"][number] {
  const counters = zeroCounters();
  for (const [name, value] of Object.entries(figures))
    counters[Counter[name as keyof typeof Counter]] = value;
  return { slot, counters, restarts: 0, heartbeatAgeMs: 20 };
}

/** "name{labels}" -> value. Throws where the text is not the format. */
function parse(text: string): Map<string, number> {
  const series = new Map<string, number>();
  let family = "";
  for (const line of text.trimEnd().split("\n")) {
    const head = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line);
    if (head !== null) {
      family = head[2] ?? "";
      continue;
    }
    const match =
      /^([a-z_]+)(\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*\})? (\S+)$/.exec(
        line,
      );
    if (match === null || !match[1]?.startsWith(family)) throw new Error(`unreadable: ${line}`);
    const key = `${match[1]}${match[2] ?? ""}`;
    if (series.has(key)) throw new Error(`twice: ${key}`);
    const value = Number(match[3]);
    if (Number.isNaN(value)) throw new Error(`no number: ${line}`);
    series.set(key, value);
  }
  return series;
}

describe("nodeMetricsText", () => {
  test("sums over workers and what ended workers had counted", () => {
    const retired = zeroCounters();
    addRetired(
      retired,
      worker(0, { requestsTotal: 100, connectionsOpen: 7, responses2xx: 90 }).counters,
    );
    const series = parse(
      nodeMetricsText(
        node({
          retired,
          workers: [
            worker(0, { requestsTotal: 1, connectionsOpen: 1, responses2xx: 1 }),
            worker(1, { requestsTotal: 10, connectionsOpen: 2, responses2xx: 9 }),
          ],
        }),
      ),
    );
    expect(series.get("crosspoint_requests_total")).toBe(111);
    expect(series.get('crosspoint_responses_total{class="2xx"}')).toBe(100);
    expect(series.get("crosspoint_connections_open")).toBe(3);
    expect(series.get('crosspoint_worker_connections_open{worker="1"}')).toBe(2);
  });

  test("shows durations as a cumulative histogram in seconds", () => {
    const one = worker(0, {});
    for (const ms of [0.4, 0.5, 3, 20_000]) observeDuration(one.counters, ms);
    const series = parse(nodeMetricsText(node({ workers: [one] })));
    const bucket = (le: string): number | undefined =>
      series.get(`crosspoint_request_duration_seconds_bucket{le="${le}"}`);
    expect([
      bucket("0.0005"),
      bucket("0.0025"),
      bucket("0.005"),
      bucket("10"),
      bucket("+Inf"),
    ]).toEqual([2, 2, 3, 3, 4]);
    expect(series.get("crosspoint_request_duration_seconds_count")).toBe(4);
    expect(series.get("crosspoint_request_duration_seconds_sum")).toBeCloseTo(20.0039);
    expect(durationBoundsMs).toHaveLength(14);
  });

  test("shows probes by their result, and how many backends are unhealthy", () => {
    const series = parse(nodeMetricsText(node()));
    const results = ["success", "failure", "timeout"].map((result) =>
      series.get(`crosspoint_probes_total{result="${result}"}`),
    );
    expect(results).toEqual([90, 7, 3]);
    expect(series.get("crosspoint_backends_unhealthy")).toBe(2);
  });

  test("shows each discovery by its name", () => {
    const discoveries = [
      { name: "etcd:http://10.0.0.5:2379/services/", up: true, backends: 3, unreadable: 1 },
      { name: "discoverd:http://10.0.0.5:2379", up: false, backends: 4, unreadable: 0 },
    ];
    const series = parse(nodeMetricsText(node({ discoveries })));
    const of = (family: string): (number | undefined)[] =>
      discoveries.map(({ name }) => series.get(`crosspoint_${family}{discovery="${name}"}`));
    expect(of("discovery_up")).toEqual([1, 0]);
    expect(of("discovered_backends")).toEqual([3, 4]);
    expect(of("discovery_unreadable_entries")).toEqual([1, 0]);
  });

  test("escapes what stands in a label", () => {
    expect(nodeMetricsText(node({ node: 'a"b\\c\nd' }))).toContain('node="a\\"b\\\\c\\nd"');
  });

  test("has at most 600 series with 100,000 routes and 1,000 workers, and no more than with none", () => {
    const workers = Array.from({ length: 1000 }, (_, slot) => worker(slot, { requestsTotal: 1 }));
    const few = parse(nodeMetricsText(node({ workers, routes: 0, services: 0, backends: 0 })));
    const many = parse(
      nodeMetricsText(node({ workers, routes: 100_000, services: 100_000, backends: 300_000 })),
    );
    expect([...many.keys()]).toEqual([...few.keys()]);
    expect(many.size).toBeLessThanOrEqual(600);
    expect(many.get("crosspoint_requests_total")).toBe(1000);
  });

  test("names counters as Prometheus asks: _total at the end of what only grows, and nowhere else", () => {
    for (const { name, type } of nodeMetricFamilies) {
      expect([name, name.endsWith("_total")]).toEqual([name, type === "counter"]);
    }
  });

  // When this fails: `npx vitest run test/telemetry -u` writes the file anew.
  test("docs/METRICS.md lists exactly these", async () => {
    const rows = nodeMetricFamilies.map(
      ({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`,
    );
    await expect(
      [
        "# Metrics",
        "",
        "`/metrics` on the admin port, in the Prometheus text format. Written from `src/telemetry/node-metrics.ts`",
        "by its test; the number of series does not depend on how many routes, services or backends there are.",
        "",
        "| name | type | meaning |",
        "|---|---|---|",
        ...rows,
        "",
        "## Services with figures of their own",
        "",
        "`--metrics-service NAME` (repeatable; at most 16 names) shows these of each service that is named, with its name in the label",
        "`service`: fourteen series. Each scrape asks the workers about them. Without it there are sums only. Sums of what only grows go on when",
        "backends leave; what a backend did between the last scrape and its end is not in them.",
        "",
        "| name | type | meaning |",
        "|---|---|---|",
        ...serviceMetricFamilies.map(
          ({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`,
        ),
        "",
      ].join("\n"),
    ).toMatchFileSnapshot("../../docs/METRICS.md");
  });
});
