// Bytes both ways between two streams, whatever they mean: TCP routes, and connections after a 101.
// Back-pressure and half-close go through in both directions.
//
// Bulk is left to the streams where they can: the kernel moves it, and only its amount is told. Small messages are copied:
// for them that is cheaper (docs/decisions/0033).

import type { CloseReason, RelayEvents, Stream, StreamEvents } from "../io/stream.ts";
import type { TcpSettings } from "../model/service-options.ts";
import { Counter, type LimitName } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import { limited } from "./limited.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";

export interface TunnelEnds {
  readonly client: Stream;
  readonly upstream: Stream;
}

/** Told once, when both directions have ended, or one side broke. */
export interface TunnelOwner {
  onTunnelEnd(bytesFromClient: number, bytesToClient: number): void;
}

/** Reads in a row that filled the whole receive buffer: then more of that kind is on its way. */
const fullReadsMin = 2;
/** Below this many bytes in one go the kernel's moving costs more than a copy. */
const relayedBytesMin = 16 * 1024;
/** So many of those in a row: the bulk is over. */
const smallRelaysMax = 4;

/** One direction: what its source does. */
class Side implements StreamEvents, RelayEvents {
  bytes = 0;
  /** It sends no more, and the other side was told. */
  ended = false;
  readonly #tunnel: Tunnel;
  readonly #to: Stream;
  readonly #from: Stream;
  readonly #counters: Float64Array;
  readonly #counter: number;
  /** Full reads in a row, or, while it is relayed, small pieces. */
  #inRow = 0;

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
    this.#passed(end - start);
    if (!this.#to.write(bytes, start, end)) this.#from.pause();
    if (end - start < bytes.length) this.#inRow = 0;
    else if (++this.#inRow >= fullReadsMin) this.#relay();
  }

  #passed(bytes: number): void {
    this.bytes += bytes;
    this.#counters[this.#counter]! += bytes;
    this.#tunnel.active();
  }

  #relay(): void {
    this.#inRow = 0;
    this.#from.relayTo?.(this.#to, this);
  }

  onRelayed(bytes: number): void {
    this.#passed(bytes);
    if (bytes >= relayedBytesMin) this.#inRow = 0;
    else if (++this.#inRow >= smallRelaysMax) {
      this.#inRow = 0;
      this.#from.stopRelay?.();
    }
  }

  onEnd(): void {
    this.ended = true;
    this.#to.end();
    this.#tunnel.halfClosed();
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
  readonly #settings: TcpSettings | undefined;
  readonly #timer = new Timer(this);
  readonly #fromClient: Side;
  readonly #fromUpstream: Side;
  /** Why it was cut, if a limit did; "" else. */
  cutBy = "";
  /** How long neither side may send anything, in ms. */
  #idleMsMax: number;
  /** What waited to be sent when the time was last up, in bytes. */
  #unsentBytes = Number.POSITIVE_INFINITY;
  #closed = 0;
  #over = false;

  /**
   * Takes both streams over; the caller hands on what it had received already with `write`.
   *
   * @param settings Of the service; what they leave out is as the node's limits say.
   */
  constructor(
    context: WorkerContext,
    { client, upstream }: TunnelEnds,
    owner: TunnelOwner,
    settings?: TcpSettings,
  ) {
    this.#context = context;
    this.client = client;
    this.upstream = upstream;
    this.#owner = owner;
    this.#settings = settings;
    this.#idleMsMax = settings?.idleMs ?? context.limits.tunnelIdleMsMax;
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
    if (settings?.keepaliveMs !== undefined) {
      client.keepAlive?.(settings.keepaliveMs);
      upstream.keepAlive?.(settings.keepaliveMs);
    }
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
    this.#unsentBytes = Number.POSITIVE_INFINITY;
    this.#context.wheel.arm(this.#timer, this.#idleMsMax);
  }

  /**
   * One direction is over. The other may go on as long as bytes come; but a peer that sends no more has
   * often left, and only the next byte towards it would tell.
   */
  halfClosed(): void {
    this.#idleMsMax = this.#settings?.halfClosedMs ?? this.#context.limits.tunnelHalfClosedMsMax;
    this.active();
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

  /** Cuts both sides. @param why For the access log. */
  destroy(why = ""): void {
    this.cutBy = why;
    this.client.destroy(true);
    this.upstream.destroy(true);
    this.#finish();
  }

  /**
   * Cuts both, each so that it knows: whoever was told the end still gets from the kernel what was sent
   * before it; all others are reset, or half of what was to come would look like the whole.
   */
  onTimeout(): void {
    const half = this.#fromClient.ended || this.#fromUpstream.ended;
    if (half && this.#isStillTaken()) return;
    this.cutBy = `idle: ${this.#bound(half)}`;
    this.client.destroy(!this.#fromUpstream.ended || this.client.queuedBytes > 0);
    this.upstream.destroy(!this.#fromClient.ended || this.upstream.queuedBytes > 0);
    this.#finish();
  }

  /** In words, and counted: of the node, or of the service in its place. */
  #bound(half: boolean): string {
    const name = this.#limit(half);
    const said = limited(this.#context.counters, name);
    if (name === "tunnel-idle-time" && this.#settings?.idleMs !== undefined) {
      return "idle_time of the service";
    }
    return name === "tunnel-half-closed-time" && this.#settings?.halfClosedMs !== undefined
      ? "half_closed_time of the service"
      : said;
  }

  #limit(half: boolean): LimitName {
    if (this.#closed > 0) return "body-idle-time";
    return half ? "tunnel-half-closed-time" : "tunnel-idle-time";
  }

  /** A slow reader gets the rest as long as it takes some: then the time begins anew. */
  #isStillTaken(): boolean {
    const unsentBytes = this.client.queuedBytes + this.upstream.queuedBytes;
    if (unsentBytes === 0 || unsentBytes >= this.#unsentBytes) return false;
    this.active();
    this.#unsentBytes = unsentBytes;
    return true;
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#context.wheel.disarm(this.#timer);
    this.#owner.onTunnelEnd(this.#fromClient.bytes, this.#fromUpstream.bytes);
  }
}
