// Bytes both ways between two streams, whatever they mean: TCP routes, and connections after a 101.
// Back-pressure and half-close go through in both directions.

import type { CloseReason, Stream, StreamEvents } from "../io/stream.ts";
import { Counter } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import { limited } from "./limited.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";

/** Told once, when both directions have ended, or one side broke. */
export interface TunnelOwner {
  onTunnelEnd(bytesFromClient: number, bytesToClient: number): void;
}

/** One direction: what its source does. */
class Side implements StreamEvents {
  bytes = 0;
  readonly #tunnel: Tunnel;
  readonly #to: Stream;
  readonly #from: Stream;
  readonly #counters: Float64Array;
  readonly #counter: number;

  constructor(
    tunnel: Tunnel,
    options: {
      readonly from: Stream;
      readonly to: Stream;
      readonly counters: Float64Array;
      readonly counter: number;
    },
  ) {
    this.#tunnel = tunnel;
    this.#from = options.from;
    this.#to = options.to;
    this.#counters = options.counters;
    this.#counter = options.counter;
  }

  onConnect(): void {}

  onData(bytes: Uint8Array, start: number, end: number): void {
    this.bytes += end - start;
    this.#counters[this.#counter]! += end - start;
    this.#tunnel.active();
    if (!this.#to.write(bytes, start, end)) this.#from.pause();
  }

  onEnd(): void {
    this.#to.end();
  }

  /** What we sent to our own peer has gone out: the other side may send again. */
  onWritable(): void {
    this.#to.resume();
  }

  onClose(reason: CloseReason): void {
    this.#tunnel.sideClosed(this.#to, reason);
  }
}

export class Tunnel implements TimerOwner {
  readonly client: Stream;
  readonly upstream: Stream;
  readonly #context: WorkerContext;
  readonly #owner: TunnelOwner;
  readonly #timer = new Timer(this);
  readonly #fromClient: Side;
  readonly #fromUpstream: Side;
  /** Why it was cut, if a limit did; "" else. */
  cutBy = "";
  #closed = 0;
  #over = false;

  /** Takes both streams over; the caller hands on what it had received already with `write`. */
  constructor(context: WorkerContext, client: Stream, upstream: Stream, owner: TunnelOwner) {
    this.#context = context;
    this.client = client;
    this.upstream = upstream;
    this.#owner = owner;
    const { counters } = context;
    this.#fromClient = new Side(this, {
      from: client,
      to: upstream,
      counters,
      counter: Counter.bytesFromClients,
    });
    this.#fromUpstream = new Side(this, {
      from: upstream,
      to: client,
      counters,
      counter: Counter.bytesToClients,
    });
    client.events = this.#fromClient;
    upstream.events = this.#fromUpstream;
    client.resume();
    upstream.resume();
    this.active();
  }

  /** Bytes that the client had sent before. */
  fromClient(bytes: Uint8Array, start: number, end: number): void {
    if (end > start) this.#fromClient.onData(bytes, start, end);
  }

  /** Bytes that the backend had sent before. */
  fromUpstream(bytes: Uint8Array, start: number, end: number): void {
    if (end > start) this.#fromUpstream.onData(bytes, start, end);
  }

  /** The client had ended its side before. */
  clientEnded(): void {
    this.#fromClient.onEnd();
  }

  active(): void {
    this.#context.wheel.arm(this.#timer, this.#context.limits.tunnelIdleMsMax);
  }

  sideClosed(other: Stream, reason: CloseReason): void {
    if (this.#over) return;
    // A reset goes on as a reset; an orderly end leaves the other side time for what is queued.
    if (reason !== "finished") {
      other.destroy(true);
      this.#finish();
    } else if (++this.#closed === 2) this.#finish();
    else {
      other.end();
      this.#context.wheel.arm(this.#timer, this.#context.limits.bodyIdleMsMax);
    }
  }

  /** Cuts both sides. */
  destroy(): void {
    this.client.destroy(true);
    this.upstream.destroy(true);
    this.#finish();
  }

  onTimeout(): void {
    const limit = this.#closed === 0 ? "tunnel-idle-time" : "body-idle-time";
    this.cutBy = `idle: ${limited(this.#context.counters, limit)}`;
    this.destroy();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#context.wheel.disarm(this.#timer);
    this.#owner.onTunnelEnd(this.#fromClient.bytes, this.#fromUpstream.bytes);
  }
}
