// One connection to a backend: dialling, in use by one request, or idle in the pool.

import { copyBytes } from "../io/copy-bytes.ts";
import type { CloseReason, Stream, StreamEvents } from "../io/stream.ts";
import type { Endpoint } from "../routing/backend-state.ts";
import { Counter } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import type { KnownAnswer } from "./known-heads.ts";
import { limited } from "./limited.ts";
import { Timer } from "./timer-wheel.ts";

/** Whoever uses the connection at the moment. */
export interface UpstreamOwner {
  onUpstreamConnect(): void;
  onUpstreamData(bytes: Uint8Array, start: number, end: number): void;
  onUpstreamEnd(): void;
  onUpstreamWritable(): void;
  /** Not connected (`connected` false: nothing was sent), or broken. */
  onUpstreamClose(reason: CloseReason, message: string): void;
}

/** What a connection begins with, ahead of any request: it names one connection of one client. */
export interface SentPreface {
  readonly bytes: Uint8Array;
  /** Connections that began with it and wait for that client's next request. */
  readonly idle: UpstreamConnection[];
}

const noBytes = new Uint8Array(0);
/** A buffer up to this size stays with an idle connection; a larger one is given back. */
const keptBytesMax = 2048;
/** What a buffer that grew has to spare at most: a connection that stalls holds little more than its bytes. */
const spareBytesMax = 4096;

export class UpstreamConnection implements StreamEvents {
  readonly endpoint: Endpoint;
  readonly preface: SentPreface | undefined;
  readonly timer: Timer;
  stream!: Stream;
  owner: UpstreamOwner | undefined;
  connected = false;
  /** It has answered a request before: it may have been closed while it was idle. */
  reused = false;
  /** The pool's age when it was dialled. */
  readonly born: number;
  /** Position in the pool's list of idle ones; -1: not there. */
  idleIndex = -1;
  /** A request head kept for sending it again; `savedLength` 0: none. */
  saved: Uint8Array = noBytes;
  savedLength = 0;
  /** How the last request that nothing was known of was answered here. */
  lastAnswer: KnownAnswer | undefined = undefined;
  readonly #context: WorkerContext;
  #connectMs = 0;

  constructor(
    context: WorkerContext,
    endpoint: Endpoint,
    owner: UpstreamOwner,
    preface: SentPreface | undefined,
  ) {
    this.#context = context;
    this.born = context.pool.age;
    this.endpoint = endpoint;
    this.owner = owner;
    this.preface = preface;
    this.timer = new Timer(this);
  }

  /** Starts to connect; the outcome reaches the owner. @param connectMs For it; undefined: the node's limit. */
  dial(connectMs: number | undefined): void {
    const { io, wheel, limits, counters } = this.#context;
    this.#connectMs = connectMs ?? limits.connectMsMax;
    this.stream = io.dial(this.endpoint.host, this.endpoint.port, this);
    wheel.arm(this.timer, this.#connectMs);
    counters[Counter.upstreamOpen]! += 1;
    this.endpoint.connections += 1;
    this.#context.counted.changed(this.endpoint);
  }

  /** Keeps a copy of a head until it has been answered. */
  save(bytes: Uint8Array, length: number): void {
    if (this.saved.length < length) this.saved = new Uint8Array(Math.max(1024, length));
    copyBytes(bytes, 0, length, this.saved, 0);
    this.savedLength = length;
  }

  /** Keeps more behind it: bytes[start..end) of the body. */
  saveMore(bytes: Uint8Array, start: number, end: number): void {
    const length = this.savedLength + (end - start);
    if (this.saved.length < length) {
      const grown = new Uint8Array(length + Math.min(length, spareBytesMax));
      grown.set(this.saved.subarray(0, this.savedLength));
      this.saved = grown;
    }
    this.saved.set(bytes.subarray(start, end), this.savedLength);
    this.savedLength = length;
  }

  /** What was kept is not needed any more. */
  forgetSaved(): void {
    this.savedLength = 0;
    if (this.saved.length > keptBytesMax) this.saved = noBytes;
  }

  /** Gives up: nothing more is heard of it. With `reset` the backend sees RST rather than FIN. */
  destroy(reset: boolean): void {
    this.#context.pool.forget(this);
    this.#context.wheel.disarm(this.timer);
    this.owner = undefined;
    this.#gone();
    this.stream.destroy(reset);
  }

  /** Its stream belongs to a tunnel now, which counts its end. */
  detach(): void {
    this.#context.wheel.disarm(this.timer);
    this.owner = undefined;
    this.#counted = false;
  }

  #counted = true;
  #gone(): void {
    if (!this.#counted) return;
    this.#counted = false;
    this.tunnelEnded();
  }

  /** Whoever it was detached for says so when it is over. */
  tunnelEnded(): void {
    this.#context.counters[Counter.upstreamOpen]! -= 1;
    this.endpoint.connections -= 1;
    this.#context.counted.changed(this.endpoint);
  }

  onConnect(): void {
    this.connected = true;
    this.#context.counters[Counter.upstreamConnects]! += 1;
    this.#context.wheel.disarm(this.timer);
    const preface = this.preface?.bytes;
    if (preface !== undefined) this.stream.write(preface, 0, preface.length);
    this.owner?.onUpstreamConnect();
  }

  onData(bytes: Uint8Array, start: number, end: number): void {
    if (this.owner !== undefined) this.owner.onUpstreamData(bytes, start, end);
    // Nobody asked: whatever this is, it must not become the answer to the next request.
    else this.destroy(true);
  }

  onEnd(): void {
    if (this.owner !== undefined) this.owner.onUpstreamEnd();
    else this.destroy(false);
  }

  onWritable(): void {
    this.owner?.onUpstreamWritable();
  }

  onClose(reason: CloseReason, message: string): void {
    this.#context.pool.forget(this);
    this.#context.wheel.disarm(this.timer);
    this.#gone();
    const { owner } = this;
    this.owner = undefined;
    owner?.onUpstreamClose(reason, message);
  }

  /** The dial took too long, or nobody needed the connection for a while. */
  onTimeout(): void {
    const { owner } = this;
    if (!this.connected) limited(this.#context.counters, "connect-time");
    this.destroy(!this.connected);
    owner?.onUpstreamClose("unreachable", `no connection within ${this.#connectMs} ms`);
  }
}
