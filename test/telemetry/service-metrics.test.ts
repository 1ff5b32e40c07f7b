// Goal: of each service that is named the same few series, of no other any.

import { expect, test } from "vitest";
import { metricsServicesMax } from "../../src/limits.ts";
import {
  type ServiceFigures,
  serviceMetricFamilies,
  serviceMetricsText,
} from "../../src/telemetry/service-metrics.ts";

const web: ServiceFigures = {
  service: "web",
  backends: { draining: 1, unhealthy: 2, ejected: 3, usable: 4 },
  requestsInFlight: 5,
  connectionsOpen: 6,
  waiting: 11,
  isPaused: true,
  requestsTotal: 7,
  failuresTotal: 8,
  ejectionsTotal: 9,
  latencyMs: { p50: 10, p90: 20, p99: 1_500 },
};

const seriesOf = (text: string): string[] =>
  text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

test("one service", () => {
  expect(seriesOf(serviceMetricsText([web]))).toEqual([
    'crosspoint_service_backends{service="web",state="draining"} 1',
    'crosspoint_service_backends{service="web",state="unhealthy"} 2',
    'crosspoint_service_backends{service="web",state="ejected"} 3',
    'crosspoint_service_backends{service="web",state="usable"} 4',
    'crosspoint_service_waiting{service="web"} 11',
    'crosspoint_service_paused{service="web"} 1',
    'crosspoint_service_requests_in_flight{service="web"} 5',
    'crosspoint_service_connections_open{service="web"} 6',
    'crosspoint_service_requests_total{service="web"} 7',
    'crosspoint_service_failures_total{service="web"} 8',
    'crosspoint_service_ejections_total{service="web"} 9',
    'crosspoint_service_latency_seconds{service="web",quantile="0.5"} 0.01',
    'crosspoint_service_latency_seconds{service="web",quantile="0.9"} 0.02',
    'crosspoint_service_latency_seconds{service="web",quantile="0.99"} 1.5',
  ]);
});

test("none named: not a line; as many as may be: some two hundred series", () => {
  expect(serviceMetricsText([])).toBe("");
  const many = Array.from({ length: metricsServicesMax }, (_, i) => ({ ...web, service: `s${i}` }));
  expect(seriesOf(serviceMetricsText(many)).length).toBeLessThan(250);
});

test("names say what only grows", () => {
  for (const { name, type } of serviceMetricFamilies) {
    expect([name, name.endsWith("_total")]).toEqual([name, type === "counter"]);
  }
});
