// What the main thread and a worker tell each other, over one MessagePort per worker incarnation.

import type { MessagePort } from "node:worker_threads";
import type * as limits from "../limits.ts";
import type { Change } from "../model/change.ts";
import type { Position } from "../model/position.ts";
import type { Revision } from "../model/revision.ts";
import type { Page } from "../model/route-options.ts";
import type { ConnectionMemory } from "./connection-counts.ts";
import type { DescriptorMemory } from "./descriptors.ts";
import type { InFlightMemory } from "./in-flight.ts";
import type { RateMemory } from "./rate-buckets.ts";

/** Which table: `position` decides what follows on what, `revision` is what users know it by. */
export interface TableVersion {
  readonly position: Position;
  /** The store's, when this table was made; several positions may have the same. */
  readonly revision: Revision;
}

/** A listening socket that the main thread owns and lends to one worker. */
export interface ListenerLoan {
  /** Never reused. */
  readonly id: number;
  readonly protocol: "http" | "tcp";
  /** As bound: "0.0.0.0", "::", "127.0.0.1". */
  readonly address: string;
  readonly port: number;
  /**
   * The descriptor of the worker's own SO_REUSEPORT socket, which the worker accepts from and never
   * closes; undefined where descriptors cannot be lent: the worker then listens itself with reusePort.
   */
  readonly fd: number | undefined;
  /** Where its connections are counted, all workers together; the same in all of them. */
  readonly row: number;
}

/** Which adapter carries the connections: descriptors with io_uring or epoll, or Node's own sockets. */
export type IoName = "uring" | "epoll" | "net";

/** Constants of limits.ts that the settings replace, by their names there. */
export type LimitOverrides = Readonly<Partial<Record<keyof typeof limits, number>>>;

/** Limits and settings that a worker needs; see limits.ts for their sources. Times in ms. */
export interface WorkerSettings {
  readonly io: IoName;
  readonly accessLog: boolean;
  /** CIDR ranges whose forwarding fields are kept. */
  readonly trustForwarded: readonly string[];
  /** CIDR ranges whose connections begin with a PROXY protocol preface. */
  readonly proxyProtocol: readonly string[];
  /** What the node says instead of the router's own words, by status. */
  readonly pages: readonly Page[];
  /** What the router calls itself in Via; undefined: it writes none. */
  readonly via: string | undefined;
  /** Requests get Forwarded (RFC 7239) beside X-Forwarded-*. */
  readonly forwarded: boolean;
  /** Where the node stands, as the label "zone" of backends says it; "": it does not say. */
  readonly zone: string;
  /** Over those of limits.ts, by their names there. */
  readonly limits: LimitOverrides;
  /** As the worker's first table comes; see the message `sticky-keys`. */
  readonly stickyKeys: StickyKeys;
  /** Makes `crash` and `stall` messages work; only tests and fault scripts set it. */
  readonly faultHooks: boolean;
}

/** What sticky cookies are sealed with; 32 bytes each. */
export interface StickyKeys {
  /** Seals and opens. */
  readonly current: Uint8Array;
  /** Only opens, so that sessions outlive a change; undefined: there was no change. */
  readonly previous: Uint8Array | undefined;
}

/** What `pool.run` hands to a worker. */
export interface WorkerStart {
  /** This incarnation; never reused. */
  readonly workerId: number;
  /** Position among the workers, 0 to N-1; a replacement has its predecessor's. */
  readonly slot: number;
  readonly control: MessagePort;
  /** telemetry/counters.ts: written by the worker, read by the main thread. */
  readonly counters: SharedArrayBuffer;
  /** connection-counts.ts: how many connections all workers have, each in a column of its own. */
  readonly connections: ConnectionMemory;
  /** rate-buckets.ts: what routes have let in, all workers together. */
  readonly rates: RateMemory;
  /** in-flight.ts: what services with limits have in flight, all workers together. */
  readonly inFlight: InFlightMemory;
  /** descriptors.ts: what the worker holds by number, for the main thread to close when the worker dies. */
  readonly descriptors: DescriptorMemory;
  /** telemetry/log-pages.ts: access-log lines on their way; undefined: no access log. */
  readonly logMemory: SharedArrayBuffer | undefined;
  readonly settings: WorkerSettings;
}

/** What `explain` asks. */
export type ExplainQuestion =
  | {
      readonly kind: "http";
      readonly method: string;
      readonly host: string;
      readonly path: string;
      readonly headers: Readonly<Record<string, string>>;
      /** Who asks; "": nobody in particular. */
      readonly clientAddress: string;
    }
  | { readonly kind: "tcp"; readonly port: number };

export interface Explanation {
  readonly revision: Revision;
  /** Empty strings: nothing matched; `steps` says why. */
  readonly route: string;
  readonly service: string;
  readonly backend: string;
  readonly steps: readonly string[];
  /** What the router would answer by itself; 0: a backend answers. */
  readonly status: number;
}

/** What one worker measured of one backend; plain data. */
export interface BackendMeasure {
  readonly service: string;
  readonly address: string;
  /** Requests and connections of this service. */
  readonly inFlight: number;
  readonly total: number;
  readonly failures: number;
  /** The last failure in words, "" when the last try succeeded. */
  readonly lastFailure: string;
  /** Open to the address, idle ones too, of whichever service. Absent: none. */
  readonly connectionsOpen?: number;
  /** Times that it was left out after failures. Absent: never. */
  readonly ejections?: number;
  /** It is left out now. */
  readonly ejection?: EjectionMeasure;
  /** Of the last minute or two, by model/latency-buckets.ts: latencyPercentileMs reads them. Absent: there were none. */
  readonly latencies?: Uint32Array;
}

export interface EjectionMeasure {
  /** How much longer, in ms; 0: a request may try it now, and it is back when that succeeds. */
  readonly forMs: number;
  /** The failure that was the last straw: "HTTP 500", "connect refused". */
  readonly reason: string;
}

/** A backend of a service, or with the address "" all of the service's backends together. */
export interface OpenPlace {
  readonly service: string;
  readonly address: string;
}

/** What the checks say of one backend of one service. */
export interface CheckVerdict {
  readonly service: string;
  readonly address: string;
  /** "unknown": there are no checks, or they have said nothing yet. */
  readonly state: "unknown" | "healthy" | "unhealthy";
  /** "HTTP 500 (3 times)"; "" while it is unknown. */
  readonly reason: string;
}

/** A backend that a worker leaves out after failures; told to the other workers of its node. */
export interface SharedEjection {
  readonly service: string;
  readonly address: string;
  /** For how long, from now; 0: it is back. */
  readonly forMs: number;
  readonly reason: string;
}

export type ToWorker =
  | (TableVersion & {
      /** Everything; replaces whatever the worker had. Pieces so that no single turn is long. */
      readonly kind: "snapshot";
      /** Each piece is JSON text (UTF-8) of an array of Change, all of them puts. */
      readonly pieces: readonly Uint8Array[];
      /** All that shall be open afterwards. */
      readonly listeners: readonly ListenerLoan[];
    })
  | (TableVersion & {
      /** With `base` equal to `position` and no changes when only listeners come or go. */
      readonly kind: "delta";
      /** What the worker must have for this to fit. */
      readonly base: Position;
      readonly changes: readonly Change[];
      readonly opened: readonly ListenerLoan[];
      /** Ids of loans that end: stop accepting; open connections carry on. */
      readonly closed: readonly number[];
    })
  | { readonly kind: "explain"; readonly id: number; readonly question: ExplainQuestion }
  | { readonly kind: "measure"; readonly id: number; readonly service: string | undefined }
  /** What is open at each of these places. */
  | { readonly kind: "count"; readonly id: number; readonly places: readonly OpenPlace[] }
  /** Replaces what the worker knew of these. */
  | { readonly kind: "health"; readonly verdicts: readonly CheckVerdict[] }
  /** What other workers have found. */
  | { readonly kind: "ejected"; readonly ejections: readonly SharedEjection[] }
  /** Rows of in-flight.ts that have a name from now on, or none any more. */
  | {
      readonly kind: "rows";
      readonly came: readonly (readonly [name: string, row: number])[];
      readonly gone: readonly string[];
    }
  /** Replaces the keys that the worker has. */
  | { readonly kind: "sticky-keys"; readonly keys: StickyKeys }
  /** The node will leave: answers carry Connection: close from now on, and everything else goes on. */
  | { readonly kind: "leaving" }
  | { readonly kind: "drain"; readonly deadlineMs: number }
  | { readonly kind: "crash" }
  | { readonly kind: "stall"; readonly ms: number };

export type FromWorker =
  /** Listens to its port; has no table yet. */
  | { readonly kind: "ready" }
  /** For people: it serves, but not as it should (another adapter than was asked for, no descriptors to accept with). */
  | { readonly kind: "trouble"; readonly reason: string }
  /** This table serves, and its listeners accept. */
  | (TableVersion & { readonly kind: "ack"; readonly refused: readonly RefusedListener[] })
  /** This table was refused as a whole; the old one serves on. */
  | (TableVersion & { readonly kind: "nack"; readonly reason: string })
  | { readonly kind: "explained"; readonly id: number; readonly explanation: Explanation }
  | { readonly kind: "measured"; readonly id: number; readonly measures: readonly BackendMeasure[] }
  /** Requests and connections in flight, in the order of the places. */
  | { readonly kind: "counted"; readonly id: number; readonly counts: readonly number[] }
  /** For the other workers. */
  | { readonly kind: "ejected"; readonly ejections: readonly SharedEjection[] }
  /** A page of `logMemory` with whole access-log lines; the receiver releases it. */
  | { readonly kind: "log"; readonly page: number; readonly length: number }
  /** Work has ended; `cut` is what was still open at the deadline. */
  | { readonly kind: "drained"; readonly cut: number };

/** A loan on which this worker could not listen. */
export interface RefusedListener {
  readonly id: number;
  readonly reason: string;
}
