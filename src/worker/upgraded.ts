// A client's connection after a 101: a tunnel to the backend, counted while it lasts; the exchange that led to it is
// over, and in the access log, when both directions have ended.

import type { Stream } from "../io/stream.ts";
import { Counter } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { Tunnel, type TunnelOwner } from "./tunnel.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";

/** Told once, when the connection is gone. */
export interface UpgradedOwner {
  onEnded(): void;
}

export class Upgraded implements TunnelOwner {
  readonly tunnel: Tunnel;
  readonly #counters: Float64Array;
  readonly #exchange: Exchange;
  readonly #owner: UpgradedOwner;
  readonly #upstream: UpstreamConnection;

  /** Takes both connections over; the caller hands on what it had received already, by `tunnel`. */
  constructor(
    context: WorkerContext,
    exchange: Exchange,
    ends: { readonly client: Stream; readonly upstream: UpstreamConnection },
    owner: UpgradedOwner,
  ) {
    this.#counters = context.counters;
    this.#exchange = exchange;
    this.#owner = owner;
    this.#upstream = ends.upstream;
    this.#counters[Counter.upgradedOpen]! += 1;
    ends.upstream.detach();
    const streams = { client: ends.client, upstream: ends.upstream.stream };
    this.tunnel = new Tunnel(context, streams, this, exchange.delivery.choice.asConnection());
  }

  /** Cuts both sides. @param why For the access log. */
  destroy(why = ""): void {
    this.tunnel.destroy(why);
  }

  onTunnelEnd(bytesFromClient: number, bytesToClient: number): void {
    this.#counters[Counter.upgradedOpen]! -= 1;
    this.#upstream.tunnelEnded();
    this.#exchange.record.reason = this.tunnel.cutBy;
    this.#exchange.upgradeEnded(bytesFromClient, bytesToClient);
    this.#owner.onEnded();
  }
}
