// Changes of what is in use: around one host and path, its service, its backends and a second route over it. Knows the
// API; does not know what is watched meanwhile. Each leaves somebody there who answers.

import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { type Client, routeFields } from "./rpc-node.ts";

export interface RelatedNames {
  readonly host: string;
  readonly path: string;
  /** The service that the host's own route names. */
  readonly service: string;
  /** Of another backend that does the same; it comes and goes. */
  readonly address: string;
}

const wait = Wait.NODE;
const roundRobin = 1;
const leastConnections = 2;

export class RelatedChanges {
  writes = 0;
  readonly #client: Client;
  readonly #names: RelatedNames;

  constructor(client: Client, names: RelatedNames) {
    this.#client = client;
    this.#names = names;
  }

  /** Everything comes; whoever connects now may meet the other backend. */
  async come(): Promise<void> {
    const { host, path, service, address } = this.#names;
    const other = `${service}-other`;
    await this.#call("putService", { service: { name: service, policy: leastConnections }, wait });
    await this.#call("registerBackend", { backend: { service, address }, wait });
    await this.#call("registerBackend", { backend: { service: other, address }, wait });
    const route = routeFields(`${host}${path}`, other, { name: `${service}-over` });
    await this.#call("addRoute", { route, wait });
  }

  /** And goes. */
  async go(): Promise<void> {
    const { service, address } = this.#names;
    await this.#call("removeRoute", { name: `${service}-over`, wait });
    await this.#call("deregisterBackend", { service: `${service}-other`, address, wait });
    await this.#call("deregisterBackend", { service, address, wait });
    await this.#call("putService", { service: { name: service, policy: roundRobin }, wait });
  }

  async #call(method: Parameters<Client["call"]>[0], fields: object): Promise<void> {
    this.writes++;
    await this.#client.call(method, fields);
  }
}
