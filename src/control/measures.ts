// What the workers measured, added up for the node.

import type { BackendMeasure, EjectionMeasure } from "../channel/messages.ts";

/** One entry per service and address, in the order of their first mention. */
export function sumMeasures(
  ofWorkers: readonly (readonly BackendMeasure[])[],
): readonly BackendMeasure[] {
  const sums = new Map<string, BackendMeasure>();
  for (const measure of ofWorkers.flat()) {
    const key = `${measure.service} ${measure.address}`;
    const sum = sums.get(key);
    sums.set(key, sum === undefined ? measure : added(sum, measure));
  }
  return [...sums.values()];
}

function added(a: BackendMeasure, b: BackendMeasure): BackendMeasure {
  const connectionsOpen = (a.connectionsOpen ?? 0) + (b.connectionsOpen ?? 0);
  const ejections = (a.ejections ?? 0) + (b.ejections ?? 0);
  const ejection = longer(a.ejection, b.ejection);
  const latencies = addedCounts(a.latencies, b.latencies);
  return {
    service: a.service,
    address: a.address,
    inFlight: a.inFlight + b.inFlight,
    total: a.total + b.total,
    failures: a.failures + b.failures,
    lastFailure: a.lastFailure === "" ? b.lastFailure : a.lastFailure,
    ...(connectionsOpen === 0 ? {} : { connectionsOpen }),
    ...(ejections === 0 ? {} : { ejections }),
    ...(ejection === undefined ? {} : { ejection }),
    ...(latencies === undefined ? {} : { latencies }),
  };
}

/** A backend is out while any worker leaves it out. */
function longer(
  a: EjectionMeasure | undefined,
  b: EjectionMeasure | undefined,
): EjectionMeasure | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.forMs >= b.forMs ? a : b;
}

function addedCounts(
  a: Uint32Array | undefined,
  b: Uint32Array | undefined,
): Uint32Array | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.map((count, bucket) => count + (b[bucket] ?? 0));
}
