// What a worker keeps of a backend between requests: how busy it is, and how it did.
//
// Two things, because one address may stand in many services: the Endpoint is the address (and its
// connections), the BackendState is its membership in one service. Both outlive every change that
// keeps them, full snapshots included, so that a change never makes a busy backend look idle.

import { type Address, splitAddress } from "../model/address.ts";
import type { ServiceName } from "../model/names.ts";
import { BackendRecord } from "./backend-record.ts";
import type { LatencyAverage } from "./latency-average.ts";

/** One upstream address inside a worker, shared by every service that lists it; survives snapshots. */
export class Endpoint {
  readonly address: Address;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** Requests and connections that this worker has open there; counted by the worker. */
  inFlight = 0;
  /** For the worker's connection pool; routing never looks inside. */
  pool: unknown = undefined;
  /** Connections that this worker has open there, idle ones too; counted by the worker. */
  connections = 0;
  /** Backends of the table that have this address; 0: the table has forgotten it. */
  users = 0;

  constructor(address: Address) {
    const { host, port } = splitAddress(address);
    this.address = address;
    this.host = host;
    this.port = port;
  }
}

/** What its checks say of a backend; "unknown" until they have said something, and where there are none. */
export type CheckState = "unknown" | "healthy" | "unhealthy";

/** How a backend stands beside its weight; replaced, never edited, and one for all that are plain. */
export interface Standing {
  /** Of its label "zone"; "" without one. */
  readonly zone: string;
  /** It leaves: nothing new goes there. */
  readonly draining: boolean;
  readonly check: CheckState;
  /** Why; "" while it is unknown. */
  readonly checkReason: string;
  /** Left out after failures until then, in ms, monotonic; 0: it is not. */
  readonly ejectedUntilMs: number;
  /** The failure that was the last straw: then it is left out, also beyond that time, until a request has tried it. */
  readonly ejectionReason: string;
  /** It has started slowly since then, in ms, monotonic; undefined: it has its full share. */
  readonly slowSinceMs: number | undefined;
}

/** Of most backends. */
export const plainStanding: Standing = {
  zone: "",
  draining: false,
  check: "unknown",
  checkReason: "",
  ejectedUntilMs: 0,
  ejectionReason: "",
  slowSinceMs: undefined,
};

/** One backend of one service inside a worker; measurements survive snapshots. */
export class BackendState {
  readonly service: ServiceName;
  readonly endpoint: Endpoint;
  /** 1 to 1000; a share of the service's traffic. */
  weight: number;
  /** What it weighs at the moment, for pickers: its weight, less while it starts slowly. Set by its ServiceState alone. */
  share: number;
  /** The revision that brought it; the oldest backend has the smallest. */
  joined = 0;
  standing = plainStanding;
  /** Requests and connections that this worker has open there for this service; counted by the worker. */
  inFlight = 0;
  requestsTotal = 0;
  /** What its requests have taught; undefined: nothing yet. */
  record: BackendRecord | undefined = undefined;
  /** Made by the policy that picks by it; others measure nothing. */
  latency: LatencyAverage | undefined = undefined;
  /** No longer a backend of its service: a sticky cookie or a pooled connection must not choose it. */
  removed = false;

  constructor(service: ServiceName, endpoint: Endpoint, weight: number) {
    this.service = service;
    this.endpoint = endpoint;
    this.weight = weight;
    this.share = weight;
  }

  /** Changes how it stands; its service is to be refreshed then. */
  stand(change: Partial<Standing>): void {
    this.standing = { ...this.standing, ...change };
  }

  /** An answer of it has begun, or a try there has ended without one, after `latencyMs`. */
  observe(latencyMs: number, nowMs: number): void {
    this.latency?.observe(latencyMs, nowMs);
  }

  get address(): Address {
    return this.endpoint.address;
  }

  /** Of its last failure, in words; "" when the last try succeeded. */
  get lastFailure(): string {
    return this.record?.lastFailure ?? "";
  }

  get failuresTotal(): number {
    return this.record?.failuresTotal ?? 0;
  }

  /** Its record, made if there is none. */
  recorded(nowMs: number): BackendRecord {
    return (this.record ??= new BackendRecord(nowMs));
  }
}
