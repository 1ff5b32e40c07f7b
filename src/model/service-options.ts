// What a service may say beside its policy: how its backends are checked, when they are left out, how much they are
// given, and how connections to them are kept. Most services say nothing of it.
//
// Always in canonical form: what is absent has the default that its comment names; durations are whole ms.

/** How a backend's health is asked for. */
export type Probe =
  | {
      readonly kind: "http";
      /** Of the request: "/healthz". */
      readonly path: string;
      /** Of its Host field; absent: the backend's address. */
      readonly host?: string;
      /** That are healthy; absent: 200 to 399, as the kubelet has it. */
      readonly statuses?: readonly number[];
      /** Bytes that the beginning of the body must hold, as UTF-8; absent: any body. */
      readonly body?: string;
    }
  | { readonly kind: "tcp" }
  /** grpc.health.v1.Health/Check of this service; "": of the server as a whole. */
  | { readonly kind: "grpc"; readonly service: string };

export interface HealthCheck {
  readonly probe: Probe;
  /** From one probe to the next of the same backend, before jitter. */
  readonly intervalMs: number;
  /** For a whole probe. */
  readonly timeoutMs: number;
  /** Probes in a row until an unhealthy backend is healthy. */
  readonly healthyThreshold: number;
  /** Probes in a row until a healthy backend is unhealthy. */
  readonly unhealthyThreshold: number;
}

/** When a backend that fails requests is left out for a while, without any probe. */
export interface Ejection {
  /** Nothing is ejected. */
  readonly off?: true;
  /** Failures in a row (5xx answers, broken connections, timeouts); absent: ejectionFailures. */
  readonly consecutiveFailures?: number;
  /** Of answers within the look-back: below this share, and below the others, a backend is ejected; absent: ejectionSuccessPercent; 0: never. */
  readonly successPercentMin?: number;
  /** Of the first time; each further one is longer. Absent: ejectionBaseMs. */
  readonly baseMs?: number;
  /** Absent: ejectionMaxMs. */
  readonly maxMs?: number;
}

/** Counted over all workers of a node, each node for itself. TCP and upgraded connections count as a request each. */
export interface ServiceLimits {
  /** Requests in flight to one backend. */
  readonly requestsPerBackend?: number;
  /** Open connections to one backend, idle ones too. */
  readonly connectionsPerBackend?: number;
  /** Requests in flight of the whole service. */
  readonly requests?: number;
  /** TCP and upgraded connections of the whole service. */
  readonly connections?: number;
  /** Requests and TCP connections that may wait for room; absent: none, they are refused at once. */
  readonly queue?: number;
  /** How long they may; absent: queueMs of limits. */
  readonly queueMs?: number;
}

/** What requests are kept together by, with Policy.RingHash. */
export type HashKey =
  | { readonly kind: "client" }
  | { readonly kind: "path" }
  /** Names without case. */
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string };

/** Backends whose label "zone" is the node's come first. */
export interface ZonePreference {
  /** While at least this share of the weight of the zone's backends is usable, they get all; below, the others their part. 1 to 100. */
  readonly usablePercentMin: number;
}

/** Of TCP routes and upgraded connections; what is absent is as the node's limits say. */
export interface TcpSettings {
  readonly connectTries?: number;
  readonly connectMs?: number;
  readonly idleMs?: number;
  readonly halfClosedMs?: number;
  /** Idle time before the kernel asks whether the peer is there (SO_KEEPALIVE), of both sides. */
  readonly keepaliveMs?: number;
}

/** New requests and connections are held. */
export interface Pause {
  /** How many may wait, on each node. */
  readonly queue: number;
  /** How long each may. */
  readonly queueMs: number;
  /** ms since the epoch. */
  readonly sinceMs: number;
  /** The service had no settings before: they go with the pause. */
  readonly made?: true;
}

export interface ServiceOptions {
  /** Absent: by the client's address. */
  readonly hashKey?: HashKey;
  readonly zone?: ZonePreference;
  /** How long a new or returning backend takes to come to its full share; absent: it has it at once. */
  readonly slowStartMs?: number;
  readonly limits?: ServiceLimits;
  readonly healthCheck?: HealthCheck;
  /** Absent: with its defaults. */
  readonly ejection?: Ejection;
  readonly tcp?: TcpSettings;
  /** Not a setting that is put: PauseService and ResumeService alone change it. */
  readonly pause?: Pause;
}

/** Same in everything: the canonical form makes that a comparison of texts. */
export function sameServiceOptions(
  a: ServiceOptions | undefined,
  b: ServiceOptions | undefined,
): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
