// The figures of the node's process on /metrics, under the names that Prometheus' own clients have for them.

import type { MetricFamily, Sample } from "./metrics-text.ts";
import type { ProcessMetrics } from "./node-figures.ts";

type Family = MetricFamily<{ readonly process: ProcessMetrics }>;

export const processFamilies: readonly Family[] = [
  family("counter", "process_cpu_seconds_total", "CPU time of the whole process.", (process) => [
    [process.cpuUserSeconds + process.cpuSystemSeconds, {}],
  ]),
  family(
    "gauge",
    "process_resident_memory_bytes",
    "Resident memory of the process.",
    ({ residentBytes }) => [[residentBytes, {}]],
  ),
  family(
    "gauge",
    "process_start_time_seconds",
    "Start of the process, seconds since the epoch.",
    ({ startTimeSeconds }) => [[startTimeSeconds, {}]],
  ),
  family(
    "counter",
    "crosspoint_cpu_seconds_total",
    "The same CPU time, by mode.",
    ({ cpuUserSeconds, cpuSystemSeconds }) => [
      [cpuUserSeconds, { mode: "user" }],
      [cpuSystemSeconds, { mode: "system" }],
    ],
  ),
  family(
    "gauge",
    "crosspoint_main_heap_used_bytes",
    "JavaScript heap in use by the main thread.",
    ({ heapUsedBytes }) => [[heapUsedBytes, {}]],
  ),
];

function family(
  type: Family["type"],
  name: string,
  help: string,
  figures: (process: ProcessMetrics) => (readonly [number, Sample["labels"]])[],
): Family {
  const samples: Family["samples"] = ({ process }) =>
    figures(process).map(([value, labels]) => ({ suffix: "", labels, value }));
  return { name, type, help, samples };
}
