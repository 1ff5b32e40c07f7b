// A Stream over one node:net Socket.
//
// Reading goes through `onread` into one buffer that all streams of the worker share: the kernel
// fills it, the session looks at it, and the next read may use it again. Writing goes past Socket's
// queue: what the kernel takes at once is sent by number from the caller's buffer, nothing copied
// or allocated; only the rest is copied and left to the Socket (bench/results/small-requests.json).

import type { Socket } from "node:net";
import { errnoName, pin, sendPinned } from "../sockets.ts";
import type { CloseReason, Stream, StreamEvents } from "../stream.ts";

/** What all streams of one worker share. */
export interface NetShared {
  /** Every read lands here. */
  readonly received: Uint8Array;
  /** Send queue above which `write` answers false, in bytes. */
  readonly sendQueueBytesHigh: number;
  /** Descriptors can be used by number here. */
  readonly byNumber: boolean;
}

/** Nothing was taken and nothing is wrong: errno 11 on every Linux. */
const EAGAIN = 11;

/** The addresses of the two buffers that nearly every write comes from. */
const noBytes: Uint8Array = new Uint8Array(0);
const pinned = { first: noBytes, firstAt: 0, second: noBytes, secondAt: 0 };

function addressOf(bytes: Uint8Array): number {
  if (bytes === pinned.first) return pinned.firstAt;
  if (bytes === pinned.second) return pinned.secondAt;
  pinned.second = pinned.first;
  pinned.secondAt = pinned.firstAt;
  pinned.first = bytes;
  pinned.firstAt = pin(bytes);
  return pinned.firstAt;
}

export class NetStream implements Stream {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  events: StreamEvents;
  readonly #socket: Socket;
  readonly #shared: NetShared;
  /** The descriptor for direct sends; -1: go through the Socket. */
  #fd = -1;
  #connected: boolean;
  #blocked = false;
  #paused = false;
  #over = false;
  /** Why nothing can be sent any more; what the peer sent before may still be read. */
  #sendError: Error | undefined;
  #error: NodeJS.ErrnoException | undefined;

  constructor(
    socket: Socket,
    shared: NetShared,
    options: {
      readonly events: StreamEvents;
      readonly connected: boolean;
      readonly remoteAddress: string;
      readonly remotePort: number;
      readonly localPort: number;
    },
  ) {
    this.#socket = socket;
    this.#shared = shared;
    this.events = options.events;
    this.#connected = options.connected;
    this.remoteAddress = options.remoteAddress;
    this.remotePort = options.remotePort;
    this.localPort = options.localPort;
    if (options.connected) this.#learnDescriptor();
    this.#listen();
  }

  /** Handed to `onread.callback`. */
  receive(count: number): boolean {
    if (!this.#over) this.events.onData(this.#shared.received, 0, count);
    return true;
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("error", (error) => (this.#error = error));
    socket.on("end", () => this.#ended());
    socket.on("close", () => this.#closed());
    if (this.#connected) return;
    socket.once("connect", () => {
      this.#connected = true;
      this.#learnDescriptor();
      if (!this.#over) this.events.onConnect();
    });
  }

  #ended(): void {
    if (this.#over) return;
    // The kernel tells of a reset once: the send has heard it, so the read finds an end.
    if (this.#sendError === undefined) this.events.onEnd();
    else this.#socket.destroy(this.#sendError);
  }

  #learnDescriptor(): void {
    if (!this.#shared.byNumber) return;
    // Not in the documentation, and so asked for with care: without it, writes go through the Socket.
    const handle: unknown = Reflect.get(this.#socket, "_handle");
    if (typeof handle !== "object" || handle === null || !("fd" in handle)) return;
    if (typeof handle.fd === "number" && handle.fd >= 0) this.#fd = handle.fd;
  }

  #closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.events.onClose(this.#reason(), this.#error?.message ?? "");
  }

  #reason(): CloseReason {
    if (this.#connected) return this.#error === undefined ? "finished" : "reset";
    return this.#error?.code === "ECONNREFUSED" ? "refused" : "unreachable";
  }

  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    const socket = this.#socket;
    // Once destroyed, the descriptor's number may already belong to somebody else.
    if (this.#over || socket.destroyed || this.#sendError !== undefined) return true;
    let from = start;
    if (this.#fd >= 0 && socket.writableLength === 0) {
      const sent = sendPinned(this.#fd, addressOf(bytes) + from, end - from);
      if (sent === end - from) return true;
      if (sent >= 0) from += sent;
      else if (sent !== -EAGAIN) {
        this.#failSending(sent);
        return true;
      }
    }
    socket.write(Buffer.from(bytes.subarray(from, end)), this.#onFlushed);
    if (socket.writableLength <= this.#shared.sendQueueBytesHigh) return true;
    this.#blocked = true;
    return false;
  }

  /** A peer that answers, closes and is still sent to: its answer waits to be read (RFC 9112 section 9.6). */
  #failSending(errno: number): void {
    this.#sendError = Object.assign(new Error(`send: ${errnoName(errno)}`), {
      code: errnoName(errno),
    });
    // Nobody is reading: then nobody would ever learn of it.
    if (this.#paused || this.#socket.readableEnded) this.#socket.destroy(this.#sendError);
  }

  readonly #onFlushed = (): void => {
    if (!this.#blocked || this.#over || this.#socket.writableLength > 0) return;
    this.#blocked = false;
    this.events.onWritable();
  };

  end(): void {
    if (!this.#over) this.#socket.end();
  }

  destroy(reset: boolean): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#socket.destroyed) return;
    if (reset && this.#connected) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  pause(): void {
    if (this.#over) return;
    this.#paused = true;
    this.#socket.pause();
    if (this.#sendError !== undefined) this.#socket.destroy(this.#sendError);
  }

  resume(): void {
    if (this.#over) return;
    this.#paused = false;
    this.#socket.resume();
  }
}
