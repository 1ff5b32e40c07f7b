// The counters of one worker: a Float64Array in shared memory with one writer (the worker) and one
// reader (the main thread). Eight aligned bytes are read and written whole on x64 and arm64, and a
// figure that is one step old harms nobody, so there are no atomics here.

const names = [
  "heartbeatMs", // monotonic ms of the process, written at least every heartbeatEveryMs
  "servedRevision",
  "connectionsAccepted",
  "connectionsOpen", // downstream, all protocols
  "tcpConnectionsOpen",
  "upgradedOpen",
  "requestsTotal",
  "requestsInFlight",
  "responses1xx",
  "responses2xx",
  "responses3xx",
  "responses4xx",
  "responses5xx",
  "noRoute",
  "noBackend",
  "accessDenied",
  "rateLimited",
  "rateUncounted",
  "malformedRequests",
  "prefacesAccepted",
  "prefacesRefused",
  "roomMade",
  "malformedResponses",
  "upstreamConnects",
  "upstreamConnectFailures",
  "upstreamReused",
  "upstreamOpen",
  "upstreamIdle",
  "upstreamTries",
  "upstreamRetries",
  "retriesRefused",
  "waiting", // requests and TCP connections, for room or the end of a pause
  "waitedTotal",
  "serviceFull",
  "queueTooLong",
  "pausedFull",
  "pausedTooLong",
  "retriesConnect",
  "retriesReset",
  "retriesTimeout",
  "retriesStatus",
  "hedges",
  "hedgesWon",
  "tryTimeouts",
  "ejections", // backends that this worker found to be left out; not those that others told of
  "upstreamTimeouts",
  "mirrored",
  "mirrorDropped",
  "clientAborts",
  "bytesFromClients",
  "bytesToClients",
  "changesApplied",
  "changesNacked",
  "logLinesDropped",
  "descriptorsLeft", // by ended workers; the main thread adds them to what is retired
  "requestMsSum",
] as const;

export type CounterName = (typeof names)[number];

/** Index of each counter. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the entries are the names themselves
export const Counter: Readonly<Record<CounterName, number>> = Object.freeze(
  Object.fromEntries(names.map((name, index) => [name, index])),
) as Readonly<Record<CounterName, number>>;

/** Limits that refuse or cut something, by the names that `--limit` has for them. */
export const limitNames = [
  "head-bytes",
  "head-fields",
  "target-bytes",
  "body-bytes",
  "trailer-bytes",
  "trailer-fields",
  "head-time",
  "preface-time",
  "body-idle-time",
  "body-rate",
  "idle-time",
  "answer-time",
  "connect-time",
  "request-time",
  "requests-per-connection",
  "connections-per-node",
  "connections-per-listener",
  "connections-per-address",
  "upgraded-connections",
  "tunnel-idle-time",
  "tunnel-half-closed-time",
  "client-ended-time",
] as const;

export type LimitName = (typeof limitNames)[number];

/** What says how things are now; all the others only grow and are kept when a worker ends. */
export const gaugeNames: ReadonlySet<CounterName> = new Set<CounterName>([
  "heartbeatMs",
  "servedRevision",
  "connectionsOpen",
  "tcpConnectionsOpen",
  "upgradedOpen",
  "requestsInFlight",
  "upstreamOpen",
  "upstreamIdle",
  "waiting",
]);

/** Upper bounds of the request duration histogram, in ms; a last bucket takes the rest. */
export const durationBoundsMs = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000,
] as const;

/** Where the histogram's buckets begin. */
export const durationBucketAt = names.length;

const limitsAt = durationBucketAt + durationBoundsMs.length + 1;

/** Index of the counter of what each limit refused or cut. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the entries are the names themselves
export const Limited: Readonly<Record<LimitName, number>> = Object.freeze(
  Object.fromEntries(limitNames.map((name, index) => [name, limitsAt + index])),
) as Readonly<Record<LimitName, number>>;

const length = limitsAt + limitNames.length;
export const countersByteLength = length * Float64Array.BYTES_PER_ELEMENT;

export function countersIn(memory: SharedArrayBuffer): Float64Array {
  return new Float64Array(memory, 0, length);
}

/** Adds one request's duration to the histogram. */
export function observeDuration(counters: Float64Array, ms: number): void {
  let bucket = 0;
  while (bucket < durationBoundsMs.length && ms > durationBoundsMs[bucket]!) bucket++;
  counters[durationBucketAt + bucket]! += 1;
  counters[Counter.requestMsSum]! += ms;
}

/**
 * Adds what an ended worker had counted to `retired`, so that sums over workers never go down.
 * Gauges are left out: what the worker held open is gone.
 */
export function addRetired(retired: Float64Array, counters: Float64Array): void {
  for (let i = 0; i < length; i++) {
    const name = names[i];
    if (name === undefined || !gaugeNames.has(name)) retired[i]! += counters[i]!;
  }
}

/** A place to add up in; belongs to one thread. */
export function zeroCounters(): Float64Array {
  return new Float64Array(length);
}
