// What a worker keeps of a backend between requests: how busy it is, and how it did.
//
// Two things, because one address may stand in many services: the Endpoint is the address (and its
// connections), the BackendState is its membership in one service. Both outlive every change that
// keeps them, full snapshots included, so that a change never makes a busy backend look idle.

import { type Address, splitAddress } from "../model/address.ts";
import type { ServiceName } from "../model/names.ts";

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
  /** Backends of the table that have this address; 0: the table has forgotten it. */
  users = 0;

  constructor(address: Address) {
    const { host, port } = splitAddress(address);
    this.address = address;
    this.host = host;
    this.port = port;
  }
}

/** One backend of one service inside a worker; measurements survive snapshots. */
export class BackendState {
  readonly service: ServiceName;
  readonly endpoint: Endpoint;
  /** 1 to 1000; a share of the service's traffic. */
  weight: number;
  requestsTotal = 0;
  failuresTotal = 0;
  /** In words; "" when the last try succeeded. */
  lastFailure = "";
  /** No longer a backend of its service: a sticky cookie or a pooled connection must not choose it. */
  removed = false;

  constructor(service: ServiceName, endpoint: Endpoint, weight: number) {
    this.service = service;
    this.endpoint = endpoint;
    this.weight = weight;
  }

  get address(): Address {
    return this.endpoint.address;
  }
}
