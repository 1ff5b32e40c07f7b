// A Stream over one node:net Socket.
//
// Reading goes through `onread` into one buffer that all streams of the worker share: the kernel
// fills it, the session looks at it, and the next read may use it again. Writing goes past Socket's
// queue: small pieces are gathered and sent by number at the end of the turn (send-batch.ts), large
// ones at once from the caller's buffer. Of what the kernel does not take, one piece at a time is left
// to the Socket, whose queue costs some 300 bytes per piece; what comes behind it is gathered here.

import type { Socket } from "node:net";
import { connectReason } from "../connect-reason.ts";
import { errnoName, type PinnedAddress, pin } from "../ffi.ts";
import { keepAliveTimes } from "../keep-alive.ts";
import { keepAlive, limitUnsent, outputQueue, sendPinned } from "../sockets.ts";
import type { CloseReason, Stream, StreamEvents } from "../stream.ts";
import type { BatchTarget, SendBatch } from "./send-batch.ts";
import { WaitingBytes } from "./waiting-bytes.ts";

/** What all streams of one worker share. */
export interface NetShared {
  /** Every read lands here. */
  readonly received: Uint8Array;
  /** Send queue above which `write` answers false, in bytes. */
  readonly sendQueueBytesHigh: number;
  /** What the kernel takes of a dialled stream without being able to send it; an accepted one's listener says. */
  readonly unsentBytesMax: number | undefined;
  /** Descriptors can be used by number here. */
  readonly byNumber: boolean;
  /** What is sent in this turn. */
  readonly batch: SendBatch;
}

/** How Node writes an IPv4 address inside IPv6 (RFC 4291 section 2.5.5.2); `peerText` leaves it off too. */
const mappedPrefix = "::ffff:";

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

export class NetStream implements Stream, BatchTarget {
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
  /** Behind the piece that the Socket has; made by the first that has to wait. */
  #waiting: WaitingBytes | undefined;
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

  /** Asked of the kernel when somebody wants to know. */
  get localAddress(): string {
    const address = this.#socket.localAddress ?? "";
    return address.startsWith(mappedPrefix) ? address.slice(mappedPrefix.length) : address;
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
      this.#limitUnsent();
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

  /** Where it cannot be said, the kernel's buffers are as large as its settings make them. */
  #limitUnsent(): void {
    const { unsentBytesMax } = this.#shared;
    if (this.#fd >= 0 && unsentBytesMax !== undefined) limitUnsent(this.#fd, unsentBytesMax);
  }

  #closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.events.onClose(this.#reason(), this.#error?.message ?? "");
  }

  #reason(): CloseReason {
    if (this.#connected) return this.#error === undefined ? "finished" : "reset";
    return connectReason(this.#error?.code);
  }

  get queuedBytes(): number {
    return this.#socket.writableLength + (this.#waiting?.length ?? 0);
  }

  get unacknowledgedBytes(): number {
    const { queuedBytes } = this;
    return this.#fd < 0 || this.#socket.destroyed
      ? queuedBytes
      : queuedBytes + outputQueue(this.#fd);
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    const socket = this.#socket;
    // Once destroyed, the descriptor's number may already belong to somebody else.
    if (this.#over || socket.destroyed || this.#sendError !== undefined) return true;
    if (this.#fd < 0) this.#queue(bytes, start, end);
    else if (this.queuedBytes === 0 && this.#shared.batch.add(this, bytes, start, end)) {
      return true;
    } else {
      // Larger than a batch takes, or behind what waits already: in order, and from where it is.
      this.#shared.batch.flush();
      this.#send(bytes, start, end - start, addressOf(bytes) + start);
    }
    return !this.#blocked;
  }

  sendGathered(bytes: Uint8Array, at: number, length: number, address: PinnedAddress): void {
    if (this.#over || this.#socket.destroyed || this.#sendError !== undefined) return;
    this.#send(bytes, at, length, address);
  }

  #send(bytes: Uint8Array, at: number, length: number, address: PinnedAddress): void {
    let sent = 0;
    if (this.queuedBytes === 0) {
      sent = sendPinned(this.#fd, address, length);
      if (sent === length) return;
      if (sent < 0) {
        if (sent !== -EAGAIN) return this.#failSending(sent);
        sent = 0;
      }
    }
    this.#queue(bytes, at + sent, at + length);
  }

  /** Leaves bytes to the Socket, which sends them when the kernel takes more; or behind those that it has. */
  #queue(bytes: Uint8Array, start: number, end: number): void {
    const socket = this.#socket;
    if (this.queuedBytes > 0) {
      this.#waiting ??= new WaitingBytes();
      this.#waiting.add(bytes, start, end);
    } else {
      const copy = Buffer.allocUnsafeSlow(end - start);
      copy.set(bytes.subarray(start, end));
      socket.write(copy, this.#onFlushed);
    }
    if (this.queuedBytes > this.#shared.sendQueueBytesHigh) this.#blocked = true;
  }

  /** The Socket has sent its piece: the next one is all that waits. */
  #queueWaiting(): void {
    const bytes = this.#waiting?.take();
    if (bytes !== undefined) this.#socket.write(bytes, this.#onFlushed);
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
    if (this.#over || this.#socket.destroyed) return;
    this.#queueWaiting();
    if (!this.#blocked || this.queuedBytes > 0) return;
    this.#blocked = false;
    this.events.onWritable();
  };

  end(): void {
    if (this.#over) return;
    this.#shared.batch.flush();
    this.#queueWaiting();
    this.#socket.end();
  }

  destroy(reset: boolean): void {
    if (this.#over) return;
    // What was written before has been written: it leaves first, as far as the kernel takes it.
    this.#shared.batch.flush();
    this.#over = true;
    if (this.#socket.destroyed) return;
    if (reset && this.#connected) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** Where there are no descriptors by number Node asks: every second then, ten times (libuv). */
  keepAlive(idleMs: number): void {
    if (this.#over || this.#socket.destroyed) return;
    if (this.#fd >= 0) keepAlive(this.#fd, keepAliveTimes(idleMs));
    else this.#socket.setKeepAlive(true, idleMs);
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
