// What a node knows of itself that /metrics shows. Plain data; node-metrics.ts gives it names.

/** One live worker. */
export interface WorkerMetrics {
  /** 0 to N-1; a replacement has its predecessor's. */
  readonly slot: number;
  readonly counters: Float64Array;
  /** Times this slot's worker was replaced. */
  readonly restarts: number;
  /** ms since the last heartbeat. */
  readonly heartbeatAgeMs: number;
}

/** Everything that a node shows. */
export interface NodeMetrics {
  readonly version: string;
  readonly node: string;
  readonly io: string;
  readonly workers: readonly WorkerMetrics[];
  /** What ended workers had counted; see `addRetired`. */
  readonly retired: Float64Array;
  /** The revision of the main thread's table. */
  readonly revision: number;
  readonly routes: number;
  readonly services: number;
  readonly backends: number;
  /** Workers that do not serve `revision` yet. */
  readonly laggingWorkers: number;
  readonly storeUp: boolean;
  readonly storeHeld: boolean;
  readonly storeStale: boolean;
  /** Seconds for which the store has not been followed; 0 while it is. */
  readonly storeUnfollowedSeconds: number;
  readonly storeRepairsTotal: number;
  /** ChangeSets taken from the store since the start. */
  readonly changeSetsTotal: number;
  /** Entries of the store that are set aside. */
  readonly quarantined: number;
  /** As many as the settings name. */
  readonly discoveries: readonly DiscoveryMetrics[];
  readonly probes: ProbeMetrics;
  /** Lines that the sink dropped, beside what workers dropped. */
  readonly accessLogLinesDropped: number;
  readonly process: ProcessMetrics;
}

/** One source of backends besides the store. */
export interface DiscoveryMetrics {
  readonly name: string;
  readonly up: boolean;
  /** That it names, served or not. */
  readonly backends: number;
  readonly unreadable: number;
}

/** Active checks of backends. */
export interface ProbeMetrics {
  readonly succeeded: number;
  /** Without those that took too long. */
  readonly failed: number;
  readonly timedOut: number;
  readonly inFlight: number;
  /** Addresses that are probed. */
  readonly targets: number;
  /** Backends that their checks have found unhealthy. */
  readonly unhealthy: number;
  /** Times the prober's thread was replaced. */
  readonly restarts: number;
}

export interface ProcessMetrics {
  readonly cpuUserSeconds: number;
  readonly cpuSystemSeconds: number;
  readonly residentBytes: number;
  /** Heap in use by the main thread. */
  readonly heapUsedBytes: number;
  /** Seconds since the epoch. */
  readonly startTimeSeconds: number;
}
