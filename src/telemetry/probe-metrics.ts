// The figures of active checks of backends on /metrics: sums, no series for each backend.

import type { MetricFamily } from "./metrics-text.ts";
import type { ProbeMetrics } from "./node-figures.ts";

type Family = MetricFamily<{ readonly probes: ProbeMetrics }>;

export const probeFamilies: readonly Family[] = [
  {
    name: "crosspoint_probes_total",
    type: "counter",
    help: "Health probes of backends, by result.",
    samples: ({ probes }) => [
      { suffix: "", labels: { result: "success" }, value: probes.succeeded },
      { suffix: "", labels: { result: "failure" }, value: probes.failed },
      { suffix: "", labels: { result: "timeout" }, value: probes.timedOut },
    ],
  },
  figure("gauge", "probes_in_flight", "Probes under way.", (probes) => probes.inFlight),
  figure("gauge", "probed_addresses", "Addresses that are probed.", (probes) => probes.targets),
  figure(
    "gauge",
    "backends_unhealthy",
    "Backends that their checks have found unhealthy.",
    (probes) => probes.unhealthy,
  ),
  figure(
    "counter",
    "prober_restarts_total",
    "Times the thread that probes was replaced.",
    (probes) => probes.restarts,
  ),
];

function figure(
  type: Family["type"],
  shown: string,
  help: string,
  value: (probes: ProbeMetrics) => number,
): Family {
  const samples: Family["samples"] = ({ probes }) => [
    { suffix: "", labels: {}, value: value(probes) },
  ];
  return { name: `crosspoint_${shown}`, type, help, samples };
}
