// What the workers measured, added up for the node.

import type { BackendMeasure } from "../channel/messages.ts";

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
  return {
    service: a.service,
    address: a.address,
    inFlight: a.inFlight + b.inFlight,
    total: a.total + b.total,
    failures: a.failures + b.failures,
    lastFailure: a.lastFailure === "" ? b.lastFailure : a.lastFailure,
  };
}
