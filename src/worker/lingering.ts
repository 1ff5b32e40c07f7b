// The end of a client's connection that was answered for the last time: says goodbye, then reads and drops what still
// comes. Closing at once would reset the connection, and the client might never see its answer (RFC 9112 section 9.6).

import type { CloseReason, Stream, StreamEvents } from "../io/stream.ts";
import { Counter } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import { limited } from "./limited.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";

/** Told once, when the connection is gone. */
export interface LingeringOwner {
  onEnded(): void;
}

export class Lingering implements StreamEvents, TimerOwner {
  readonly #context: WorkerContext;
  readonly #stream: Stream;
  readonly #owner: LingeringOwner;
  readonly #timer = new Timer(this);
  /** What the client had not acknowledged when that was last looked at, in bytes. */
  #unsentBytes = Number.POSITIVE_INFINITY;

  /** Takes the stream over. */
  constructor(context: WorkerContext, stream: Stream, owner: LingeringOwner) {
    this.#context = context;
    this.#stream = stream;
    this.#owner = owner;
    stream.events = this;
    stream.end();
    stream.resume();
    context.wheel.arm(this.#timer, context.limits.lingerMsMax);
  }

  onConnect(): void {}

  onData(_bytes: Uint8Array, start: number, end: number): void {
    this.#context.counters[Counter.bytesFromClients]! += end - start;
  }

  onEnd(): void {}

  onWritable(): void {}

  onClose(_reason: CloseReason): void {
    this.#finish();
  }

  /** A slow reader gets the rest of its answer as long as it keeps the pace; the kernel sends its part alone. */
  onTimeout(): void {
    const { limits, wheel, counters } = this.#context;
    if (this.#stream.queuedBytes > 0) {
      const unsentBytes = this.#stream.unacknowledgedBytes;
      const taken = this.#unsentBytes - unsentBytes;
      this.#unsentBytes = unsentBytes;
      if (taken > 0 && taken * 1_000 >= limits.bodyRateMin * limits.lingerMsMax) {
        return wheel.arm(this.#timer, limits.lingerMsMax);
      }
      limited(counters, "body-rate");
    }
    this.#stream.destroy(false);
    this.#finish();
  }

  /** Cuts it at once. */
  destroy(): void {
    this.#stream.destroy(true);
    this.#finish();
  }

  #finish(): void {
    this.#context.wheel.disarm(this.#timer);
    this.#owner.onEnded();
  }
}
