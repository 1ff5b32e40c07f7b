// Which figures a node shows on /metrics, under which names.
//
// Knows names and sums. Does not know where the figures come from, nor the text format.
// The number of series never depends on routes, services or backends: `nodeMetricFamilies` is all
// there is, and docs/METRICS.md is checked against it.

import { workerSeriesMax } from "../limits.ts";
import {
  Counter,
  type CounterName,
  durationBoundsMs,
  durationBucketAt,
  Limited,
  limitNames,
  zeroCounters,
} from "./counters.ts";
import { type MetricFamily, metricsText, type Sample } from "./metrics-text.ts";
import type { DiscoveryMetrics, NodeMetrics, WorkerMetrics } from "./node-figures.ts";
import { probeFamilies } from "./probe-metrics.ts";
import { processFamilies } from "./process-metrics.ts";

/** What the samples are made from: the node, and the sums over its workers. */
interface MetricsView extends NodeMetrics {
  readonly sums: Float64Array;
}

type Family = MetricFamily<MetricsView>;

/** The answer of /metrics. */
export function nodeMetricsText(node: NodeMetrics): string {
  return metricsText(nodeMetricFamilies, { ...node, sums: sumsOf(node) });
}

/** Shown in this order. */
export const nodeMetricFamilies: readonly Family[] = [
  gauge("crosspoint_info", "Always 1; the labels say what runs.", (view) => [
    sample(1, { version: view.version, node: view.node, io: view.io }),
  ]),
  ...traffic(),
  ...upstream(),
  ...table(),
  ...perWorker(),
  ...processFamilies,
];

function traffic(): Family[] {
  return [
    sum("connectionsAccepted", "connections_accepted_total", "Connections accepted from clients."),
    sum("connectionsOpen", "connections_open", "Connections from clients that are open."),
    sum("tcpConnectionsOpen", "tcp_connections_open", "Of these, connections of TCP routes."),
    sum("upgradedOpen", "upgraded_connections_open", "Of these, upgraded ones such as WebSocket."),
    sum("requestsTotal", "requests_total", "Requests whose head was read."),
    sum("requestsInFlight", "requests_in_flight", "Requests that have begun and not ended."),
    counter("crosspoint_responses_total", "Answers to clients, by class of status.", (view) =>
      ([1, 2, 3, 4, 5] as const).map((digit) =>
        sample(at(view.sums, `responses${digit}xx`), { class: `${digit}xx` }),
      ),
    ),
    {
      name: "crosspoint_request_duration_seconds",
      type: "histogram",
      help: "Time from a request's first byte to the last byte of its answer.",
      samples: durations,
    },
    ...refused(),
    sum(
      "clientAborts",
      "client_aborts_total",
      "Requests whose client left before the answer ended.",
    ),
    sum("bytesFromClients", "client_received_bytes_total", "Bytes received from clients."),
    sum("bytesToClients", "client_sent_bytes_total", "Bytes sent to clients."),
    counter(
      "crosspoint_access_log_lines_dropped_total",
      "Access-log lines lost, and where.",
      (view) => [
        sample(at(view.sums, "logLinesDropped"), { at: "worker" }),
        sample(view.accessLogLinesDropped, { at: "sink" }),
      ],
    ),
  ];
}

/** What was not served, or had to make room. */
function refused(): Family[] {
  return [
    sum("noRoute", "requests_without_route_total", "Requests that no route matched (404)."),
    sum(
      "noBackend",
      "requests_without_backend_total",
      "Requests whose service had no backend (503).",
    ),
    sum(
      "accessDenied",
      "access_denied_total",
      "Requests (403) and TCP connections from addresses that their route keeps out.",
    ),
    sum(
      "rateLimited",
      "rate_limited_total",
      "Requests (429) and TCP connections over the rate of their route.",
    ),
    sum(
      "rateUncounted",
      "rate_uncounted_total",
      "Requests let through because there was no place left to count them.",
    ),
    sum(
      "malformedRequests",
      "malformed_requests_total",
      "Requests refused as malformed or too large.",
    ),
    sum(
      "prefacesAccepted",
      "proxy_prefaces_accepted_total",
      "Connections that began with a PROXY protocol preface.",
    ),
    sum(
      "prefacesRefused",
      "proxy_prefaces_refused_total",
      "Connections closed because the preface was missing, wrong or late.",
    ),
    counter(
      "crosspoint_limited_total",
      "Requests and connections refused, cut or closed by a limit, by its name in LIMITS.md.",
      ({ sums }) => limitNames.map((limit) => sample(sums[Limited[limit]] ?? 0, { limit })),
    ),
    sum(
      "waiting",
      "waiting",
      "Requests and TCP connections that wait for room, or for a pause to end.",
    ),
    sum("waitedTotal", "waited_total", "Those that had to, until now."),
    counter(
      "crosspoint_waiting_refused_total",
      "Those that were refused, by reason.",
      ({ sums }) => [
        sample(at(sums, "serviceFull"), { reason: "service-full" }),
        sample(at(sums, "queueTooLong"), { reason: "queue-time" }),
        sample(at(sums, "pausedFull"), { reason: "paused-full" }),
        sample(at(sums, "pausedTooLong"), { reason: "paused-too-long" }),
      ],
    ),
    sum("roomMade", "room_made_total", "Waiting connections closed to make room for new ones."),
  ];
}

const retriesOf = {
  connect: "retriesConnect",
  reset: "retriesReset",
  timeout: "retriesTimeout",
  status: "retriesStatus",
} as const;

function upstream(): Family[] {
  return [
    sum("upstreamConnects", "upstream_connects_total", "Connections opened to backends."),
    sum(
      "upstreamConnectFailures",
      "upstream_connect_failures_total",
      "Dials that failed or timed out.",
    ),
    sum(
      "upstreamReused",
      "upstream_reused_total",
      "Requests sent on a connection that was open already.",
    ),
    sum(
      "upstreamTries",
      "upstream_tries_total",
      "Backends tried; more than requests when dials fail or connections break.",
    ),
    sum("upstreamRetries", "upstream_retries_total", "Requests sent again."),
    counter(
      "crosspoint_retries_total",
      "Requests tried again, by reason; connect: nothing had been sent.",
      ({ sums }) =>
        (["connect", "reset", "timeout", "status"] as const).map((reason) =>
          sample(at(sums, retriesOf[reason]), { reason }),
        ),
    ),
    sum("hedges", "hedges_total", "Requests sent to a second backend while the first was silent."),
    sum("hedgesWon", "hedges_won_total", "Of these, those that the second backend answered."),
    sum("tryTimeouts", "try_timeouts_total", "Tries whose time, as their route says, was over."),
    sum("ejections", "ejections_total", "Times that a backend was left out after failures."),
    sum("retriesRefused", "upstream_retries_refused_total", "Retries and hedges over the budget."),
    sum(
      "upstreamTimeouts",
      "upstream_timeouts_total",
      "Backends that were too slow to answer (504).",
    ),
    sum(
      "malformedResponses",
      "malformed_responses_total",
      "Answers of backends that made no sense (502).",
    ),
    sum("mirrored", "mirrored_total", "Copies of requests that a mirror's service answered."),
    sum(
      "mirrorDropped",
      "mirror_dropped_total",
      "Copies that were not: too large, too many, or nobody answered.",
    ),
    sum("upstreamOpen", "upstream_connections_open", "Connections to backends that are open."),
    sum("upstreamIdle", "upstream_connections_idle", "Of these, pooled ones without a request."),
  ];
}

function table(): Family[] {
  return [
    value("gauge", "revision", "Revision of this node's table.", (view) => view.revision),
    value("gauge", "routes", "Routes in the table.", (view) => view.routes),
    value("gauge", "services", "Services in the table.", (view) => view.services),
    value("gauge", "backends", "Backends in the table.", (view) => view.backends),
    value(
      "gauge",
      "quarantined_entries",
      "Entries of the store that are set aside: unreadable, or with a match that another route has.",
      (view) => view.quarantined,
    ),
    ...store(),
    ...discovery(),
    ...probeFamilies,
    value(
      "counter",
      "change_sets_total",
      "Writes taken from the store.",
      (view) => view.changeSetsTotal,
    ),
    sum("changesApplied", "worker_changes_applied_total", "Revisions that workers took over."),
    sum("changesNacked", "worker_changes_refused_total", "Revisions that workers refused."),
    value("gauge", "workers", "Workers that are alive.", (view) => view.workers.length),
    value(
      "gauge",
      "workers_lagging",
      "Workers that do not serve the revision yet.",
      (view) => view.laggingWorkers,
    ),
  ];
}

function store(): Family[] {
  return [
    value("gauge", "store_up", "1 while the store answers.", (view) => Number(view.storeUp)),
    value(
      "gauge",
      "store_held",
      "1 while what the store holds is not believed: `crosspoint store status` says why.",
      (view) => Number(view.storeHeld),
    ),
    value(
      "gauge",
      "store_stale",
      "1 while the table is the one of the copy on this node's disk.",
      (view) => Number(view.storeStale),
    ),
    value(
      "gauge",
      "store_unfollowed_seconds",
      "Time since the store was last followed; 0 while it is.",
      (view) => view.storeUnfollowedSeconds,
    ),
    value(
      "counter",
      "store_repairs_total",
      "Differences from the store that a comparison found and repaired.",
      (view) => view.storeRepairsTotal,
    ),
  ];
}

function discovery(): Family[] {
  return [
    eachDiscovery("discovery_up", "1 while a discovery follows its source.", ({ up }) =>
      Number(up),
    ),
    eachDiscovery("discovered_backends", "Backends that a discovery names.", (it) => it.backends),
    eachDiscovery(
      "discovery_unreadable_entries",
      "Entries of a discovery that cannot be read.",
      (it) => it.unreadable,
    ),
  ];
}

function perWorker(): Family[] {
  return [
    each("gauge", "worker_connections_open", "Open client connections of a worker.", (worker) =>
      at(worker.counters, "connectionsOpen"),
    ),
    each("gauge", "worker_revision", "Revision that a worker serves.", (worker) =>
      at(worker.counters, "servedRevision"),
    ),
    each(
      "gauge",
      "worker_heartbeat_age_seconds",
      "Time since a worker's last sign of life.",
      (worker) => worker.heartbeatAgeMs / 1000,
    ),
    each(
      "counter",
      "worker_restarts_total",
      "Times a worker was replaced.",
      (worker) => worker.restarts,
    ),
    sum(
      "descriptorsLeft",
      "worker_descriptors_left_total",
      "Descriptors that ended workers left open and the main thread closed.",
    ),
  ];
}

/** Live workers and ended ones; gauges of ended ones are 0. */
function sumsOf(node: NodeMetrics): Float64Array {
  const sums = zeroCounters();
  for (const counters of [node.retired, ...node.workers.map((worker) => worker.counters)]) {
    for (let i = 0; i < sums.length; i++) sums[i]! += counters[i] ?? 0;
  }
  return sums;
}

function durations(view: MetricsView): Sample[] {
  const samples: Sample[] = [];
  let count = 0;
  for (let bucket = 0; bucket <= durationBoundsMs.length; bucket++) {
    count += view.sums[durationBucketAt + bucket] ?? 0;
    const bound = durationBoundsMs[bucket];
    const le = bound === undefined ? "+Inf" : String(bound / 1000);
    samples.push({ suffix: "_bucket", labels: { le }, value: count });
  }
  const seconds = at(view.sums, "requestMsSum") / 1000;
  return [
    ...samples,
    { suffix: "_sum", labels: {}, value: seconds },
    { suffix: "_count", labels: {}, value: count },
  ];
}

function at(counters: Float64Array, name: CounterName): number {
  return counters[Counter[name]] ?? 0;
}

function sample(figure: number, labels: Sample["labels"] = {}): Sample {
  return { suffix: "", labels, value: figure };
}

function counter(name: string, help: string, samples: Family["samples"]): Family {
  return { name, type: "counter", help, samples };
}

function gauge(name: string, help: string, samples: Family["samples"]): Family {
  return { name, type: "gauge", help, samples };
}

/** One counter of the workers, summed; a name that ends in _total only grows. */
function sum(name: CounterName, shown: string, help: string): Family {
  const type = shown.endsWith("_total") ? "counter" : "gauge";
  return value(type, shown, help, (view) => at(view.sums, name));
}

function value(
  type: "counter" | "gauge",
  shown: string,
  help: string,
  figure: (view: MetricsView) => number,
): Family {
  return { name: `crosspoint_${shown}`, type, help, samples: (view) => [sample(figure(view))] };
}

/** One series per discovery. */
function eachDiscovery(
  shown: string,
  help: string,
  figure: (discovery: DiscoveryMetrics) => number,
): Family {
  return gauge(`crosspoint_${shown}`, help, ({ discoveries }) =>
    discoveries.map((one) => sample(figure(one), { discovery: one.name })),
  );
}

/** One series per worker, for the first `workerSeriesMax` slots. */
function each(
  type: "counter" | "gauge",
  shown: string,
  help: string,
  figure: (worker: WorkerMetrics) => number,
): Family {
  const samples = (view: MetricsView): Sample[] =>
    view.workers
      .filter((worker) => worker.slot < workerSeriesMax)
      .map((worker) => sample(figure(worker), { worker: worker.slot }));
  return { name: `crosspoint_${shown}`, type, help, samples };
}
