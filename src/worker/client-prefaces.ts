// What backends are told of one client's connection by the PROXY protocol, and the idle connections that
// began with it: they serve this client's connection and no other, since a preface cannot be taken back.

import type { ConnectionEnds } from "../io/stream.ts";
import { ProxyProtocol } from "../model/service.ts";
import { writePreface } from "../protocol/proxy-preface-writer.ts";
import type { SentPreface } from "./upstream-connection.ts";

/** A client's connection, as a preface names it. */
export interface PrefacedClient {
  readonly ends: ConnectionEnds;
  /** Made for the first service that wants one. */
  prefaces: ClientPrefaces | undefined;
}

export class ClientPrefaces {
  readonly #client: ConnectionEnds;
  readonly #made: Partial<Record<ProxyProtocol, SentPreface>> = {};

  constructor(client: ConnectionEnds) {
    this.#client = client;
  }

  /** The same one for every connection of that version. */
  of(version: ProxyProtocol): SentPreface {
    const { remoteAddress, remotePort, localAddress, localPort } = this.#client;
    return (this.#made[version] ??= {
      idle: [],
      bytes: writePreface(version === ProxyProtocol.V1 ? 1 : 2, {
        source: remoteAddress,
        sourcePort: remotePort,
        destination: localAddress,
        destinationPort: localPort,
      }),
    });
  }

  /** Closes the idle ones. */
  close(): void {
    for (const { idle } of Object.values(this.#made)) {
      for (let last = idle.at(-1); last !== undefined; last = idle.at(-1)) last.destroy(false);
    }
  }
}
