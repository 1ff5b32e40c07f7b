// Which figures a node shows on /metrics of the services that --metrics-service names: so many series for each, and none for the
// others. docs/METRICS.md is checked against it.

import { type MetricFamily, metricsText, type Sample } from "./metrics-text.ts";

/** Of one service, on this node. */
export interface ServiceFigures {
  readonly service: string;
  /** By state; each backend in one of them, the first that fits. */
  readonly backends: {
    readonly draining: number;
    readonly unhealthy: number;
    readonly ejected: number;
    readonly usable: number;
  };
  readonly requestsInFlight: number;
  readonly connectionsOpen: number;
  /** For room, or for the end of a pause. */
  readonly waiting: number;
  readonly isPaused: boolean;
  /** These three never go down, whichever backends go. */
  readonly requestsTotal: number;
  readonly failuresTotal: number;
  readonly ejectionsTotal: number;
  /** In ms, of the last minute or two; 0: there was nothing. */
  readonly latencyMs: { readonly p50: number; readonly p90: number; readonly p99: number };
}

type Family = MetricFamily<readonly ServiceFigures[]>;

export function serviceMetricsText(services: readonly ServiceFigures[]): string {
  return services.length === 0 ? "" : metricsText(serviceMetricFamilies, services);
}

/** Shown in this order, behind those of the node. */
export const serviceMetricFamilies: readonly Family[] = [
  family("gauge", "backends", "Backends of a service, by state.", ({ backends }) =>
    Object.entries(backends).map(([state, count]) => [count, { state }]),
  ),
  one(
    "gauge",
    "waiting",
    "Requests and connections that wait for room, or for the end of a pause.",
    (it) => it.waiting,
  ),
  one("gauge", "paused", "1 while a service is paused.", (it) => Number(it.isPaused)),
  one(
    "gauge",
    "requests_in_flight",
    "Requests and connections in flight to a service's backends.",
    (it) => it.requestsInFlight,
  ),
  one(
    "gauge",
    "connections_open",
    "Connections to a service's backends, idle ones too.",
    (it) => it.connectionsOpen,
  ),
  one(
    "counter",
    "requests_total",
    "Requests and connections that a service's backends were given.",
    (it) => it.requestsTotal,
  ),
  one("counter", "failures_total", "Of these, those that failed.", (it) => it.failuresTotal),
  one(
    "counter",
    "ejections_total",
    "Times that a backend of a service was left out after failures.",
    (it) => it.ejectionsTotal,
  ),
  family(
    "gauge",
    "latency_seconds",
    "Time to the head of a backend's answer, of the last minute or two, by quantile; 0: none came.",
    ({ latencyMs: { p50, p90, p99 } }) => [
      [p50 / 1000, { quantile: "0.5" }],
      [p90 / 1000, { quantile: "0.9" }],
      [p99 / 1000, { quantile: "0.99" }],
    ],
  ),
];

function one(
  type: Family["type"],
  name: string,
  help: string,
  figure: (service: ServiceFigures) => number,
): Family {
  return family(type, name, help, (service) => [[figure(service), {}]]);
}

function family(
  type: Family["type"],
  name: string,
  help: string,
  figures: (service: ServiceFigures) => (readonly [number, Sample["labels"]])[],
): Family {
  const samples = (services: readonly ServiceFigures[]): Sample[] =>
    services.flatMap((figuresOfIt) =>
      figures(figuresOfIt).map(
        ([value, labels]): Sample => ({
          suffix: "",
          labels: { service: figuresOfIt.service, ...labels },
          value,
        }),
      ),
    );
  return { name: `crosspoint_service_${name}`, type, help, samples };
}
