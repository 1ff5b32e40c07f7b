// What the workers measured, added up for the node.

import type { BackendMeasure, EjectionMeasure } from "../channel/messages.ts";

/** Of all workers of the node that have told. */
export interface NodeMeasure extends BackendMeasure {
  /** Whose each part is: for whoever counts on when a worker is silent or replaced. */
  readonly byWorker?: ReadonlyMap<number, BackendMeasure>;
}

/** The measures of one worker, which tell whose they are. */
export function measuresOf(
  worker: number,
  measures: readonly BackendMeasure[],
): readonly NodeMeasure[] {
  return measures.map((measure) => ({ ...measure, byWorker: new Map([[worker, measure]]) }));
}

/** One entry per service and address, in the order of their first mention. */
export function sumMeasures(
  ofWorkers: readonly (readonly NodeMeasure[])[],
): readonly NodeMeasure[] {
  const sums = new Map<string, NodeMeasure>();
  for (const measure of ofWorkers.flat()) {
    const key = `${measure.service} ${measure.address}`;
    const sum = sums.get(key);
    sums.set(key, sum === undefined ? measure : added(sum, measure));
  }
  return [...sums.values()];
}

function added(a: NodeMeasure, b: NodeMeasure): NodeMeasure {
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
    ...(a.byWorker && b.byWorker && { byWorker: new Map([...a.byWorker, ...b.byWorker]) }),
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
