// A Stream without a socket: keeps what it is given, and lets a test say how much the peer takes.

import type { Stream, StreamEvents } from "../../src/io/stream.ts";
import { sendQueueBytesHigh } from "../../src/limits.ts";

const nobody: StreamEvents = {
  onConnect() {},
  onData() {},
  onEnd() {},
  onWritable() {},
  onClose() {},
};

export class RecordingStream implements Stream {
  readonly remoteAddress = "192.0.2.7";
  readonly remotePort = 50_000;
  readonly localAddress = "198.51.100.1";
  readonly localPort = 8080;
  events: StreamEvents = nobody;
  /** Everything written, as latin1. */
  text = "";
  /** One entry per `write`. */
  readonly writes: string[] = [];
  /** "end", "destroy", "reset", in the order in which they were asked for. */
  readonly calls: string[] = [];
  paused = false;
  queuedBytes = 0;
  /** Of what was written, taken by the kernel and not by the peer. */
  kernelBytes = 0;
  /** Written bytes stay in the queue until `drain`. */
  stuck = false;
  readonly #high: number;

  constructor(high: number = sendQueueBytesHigh) {
    this.#high = high;
  }

  get unacknowledgedBytes(): number {
    return this.queuedBytes + this.kernelBytes;
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    const piece = Buffer.from(bytes.subarray(start, end)).toString("latin1");
    this.writes.push(piece);
    this.text += piece;
    if (this.stuck) this.queuedBytes += end - start;
    return this.queuedBytes <= this.#high;
  }

  /** The peer takes everything. */
  drain(): void {
    const wasFull = this.queuedBytes > this.#high;
    this.queuedBytes = 0;
    if (wasFull) this.events.onWritable();
  }

  end(): void {
    this.calls.push("end");
  }

  destroy(reset: boolean): void {
    this.calls.push(reset ? "reset" : "destroy");
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  keepAlive(idleMs: number): void {
    this.calls.push(`keepalive ${idleMs}`);
  }

  /** As if the peer had sent this. */
  receive(text: string): void {
    const bytes = Buffer.from(text, "latin1");
    this.events.onData(bytes, 0, bytes.length);
  }
}
