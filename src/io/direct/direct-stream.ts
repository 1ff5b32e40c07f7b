// A Stream over one descriptor, with the calls of libc themselves: no Socket, no buffer and no event object in between.
//
// Reading goes into one buffer that all streams of the worker share: the kernel fills it, the session looks at it, and the
// next read may use it again. Small pieces are gathered and sent at the end of the turn (outbox.ts), large ones at once
// from the caller's buffer. Only what the kernel does not take is copied, and then waits here (send-queue.ts).
//
// The kernel is asked until it has nothing more, since a driver tells of each change once (edge triggered). What must not
// be told to the session now, because it is in the middle of a call or has paused, waits for the next turn.

import { connectReason } from "../connect-reason.ts";
import { errnoName, type PinnedAddress } from "../ffi.ts";
import { keepAliveTimes } from "../keep-alive.ts";
import {
  closeHeld,
  connectOutcome,
  keepAlive,
  limitUnsent,
  localAddressOf,
  outputQueue,
  receivePinned,
  resetOnClose,
  sendPinned,
  shutdownSending,
} from "../sockets.ts";
import type { CloseReason, RelayEvents, Stream, StreamEvents } from "../stream.ts";
import type { DirectShared } from "./direct-shared.ts";
import { Event } from "./driver.ts";
import type { Sender } from "./outbox.ts";
import { pinned } from "./pinned.ts";
import type { Pipe, PipePool } from "./pipes.ts";
import { Moved, Relay, type RelayTarget } from "./relay.ts";
import { SendQueue } from "./send-queue.ts";
import type { Seat, Watcher } from "./turn-loop.ts";

export interface DirectEnds {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
}

const EINTR = 4;
const EAGAIN = 11;
/** Reads of one stream in a row: then others have their turn. */
const readsMax = 4;
/** The peer's end, or a failure, is behind what can still be read. */
const endBits = Event.PeerEnded | Event.HangUp | Event.Error;

export class DirectStream implements Stream, Watcher, Sender, RelayTarget {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  events: StreamEvents;
  /** -1: there is none yet, or none any more. */
  fd = -1;
  piece = -1;
  goesOn = false;
  readonly #shared: DirectShared;
  #seat: Seat | undefined;
  #connected: boolean;
  /** Made by the first bytes that have to wait. */
  #queue: SendQueue | undefined;
  /** Where what is received goes, unless it is told. */
  #relay: Relay | undefined;
  /** Whose relay ends here: it may wait until nothing waits here any more. */
  #feeder: DirectStream | undefined;
  #blocked = false;
  #paused = false;
  /** There may be something to read that nobody was told of. */
  #readable = false;
  /** An end is there: reading goes on until it is found. */
  #hasEnd = false;
  /** The peer sends urgent data: reads stop at its marks, so a short one is not all. */
  #hasMarks = false;
  #inputEnded = false;
  #endAsked = false;
  #endSent = false;
  /** Nothing can be sent any more, with this errno; what the peer sent before may still be read. */
  #sendErrno = 0;
  #over = false;
  /** To be told in the next turn. */
  #closing: { readonly reason: CloseReason; readonly message: string } | undefined;

  /** @param options.connected False: the descriptor that it will get is one that connects. */
  constructor(
    shared: DirectShared,
    options: { readonly events: StreamEvents; readonly connected: boolean } & DirectEnds,
  ) {
    this.#shared = shared;
    this.events = options.events;
    this.#connected = options.connected;
    this.remoteAddress = options.remoteAddress;
    this.remotePort = options.remotePort;
    this.localPort = options.localPort;
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** Takes charge of a descriptor; else closes it and answers why ("" when all is well). */
  attach(fd: number): string {
    const { loop, ledger } = this.#shared;
    ledger.hold(fd);
    this.fd = fd;
    try {
      this.#seat = loop.watch(fd, this);
      return "";
    } catch (error) {
      this.#closeFd();
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Could not connect: told in the next turn, unless somebody tries another address (`onRefused`). @param errno 0: none. */
  failToConnect(errno: number, message = `connect: ${errnoName(errno)}`): void {
    this.#closeFd();
    if (this.onRefused?.() === true) return;
    this.#closeLater(connectReason(errno === 0 ? undefined : errnoName(errno)), message);
  }

  /** Tries the next address of a name; false: there is none. */
  onRefused: (() => boolean) | undefined;

  /** Asked of the kernel when somebody wants to know. */
  get localAddress(): string {
    return this.fd < 0 ? "" : localAddressOf(this.fd);
  }

  get queuedBytes(): number {
    return this.#queue === undefined ? 0 : this.#queue.length;
  }

  get unacknowledgedBytes(): number {
    return this.fd < 0 ? 0 : this.queuedBytes + outputQueue(this.fd);
  }

  // --- what the kernel says

  onEvents(events: number): void {
    if (this.#over) return;
    if (!this.#connected) this.#connectEnded(events);
    else if ((events & Event.Writable) !== 0 && this.#queue !== undefined) this.#sendWaiting();
    if (this.#over || !this.#connected) return;
    if ((events & Event.Urgent) !== 0) this.#hasMarks = true;
    if ((events & endBits) !== 0) this.#hasEnd = true;
    else if ((events & Event.Readable) === 0) return;
    this.#readable = true;
    // Else it has its turn when the events of this one are handed out.
    if (!this.#paused && !this.goesOn) this.#read();
  }

  onTurn(): void {
    if (this.#over) return;
    const closing = this.#closing;
    if (closing !== undefined) this.#close(closing.reason, closing.message);
    else if (this.#readable && !this.#paused) this.#read();
  }

  #connectEnded(events: number): void {
    const errno = connectOutcome(this.fd);
    if (errno !== 0) return this.failToConnect(errno);
    if ((events & Event.Writable) === 0) return;
    this.#connected = true;
    this.onRefused = undefined;
    const { unsentBytesMax } = this.#shared;
    if (unsentBytesMax !== undefined) limitUnsent(this.fd, unsentBytesMax);
    this.events.onConnect();
    if (this.#over) return;
    // Written while it connected; or ended, and nothing was left to send.
    if (this.#queue !== undefined) this.#sendWaiting();
    else if (this.#endAsked && this.piece < 0) this.onFlushed();
  }

  #read(): void {
    if (this.#relay !== undefined && this.#relayed(this.#relay)) return;
    const { received, receivedAt, loop } = this.#shared;
    for (let reads = 0; ; reads++) {
      if (reads === readsMax) return loop.goOn(this);
      const count = receivePinned(this.fd, receivedAt, received.length);
      if (count <= 0) {
        if (count === -EINTR) continue;
        this.#readable = false;
        if (count === 0) this.#ended();
        else if (count !== -EAGAIN) this.#broke("recv", -count);
        else if (this.#sendErrno !== 0) this.#broke("send", this.#sendErrno);
        return;
      }
      // Less than there was room for: the next change is told again.
      const isAll = count < received.length && !this.#hasEnd && !this.#hasMarks;
      if (isAll) this.#readable = false;
      this.events.onData(received, 0, count);
      if (isAll || this.#over || this.#paused) return;
    }
  }

  #ended(): void {
    // The kernel tells of a reset once: the send has heard it, so the read finds an end.
    if (this.#sendErrno !== 0) return this.#broke("send", this.#sendErrno);
    if (!this.#inputEnded) {
      this.#inputEnded = true;
      this.#hasEnd = false;
      this.events.onEnd();
      if (this.#over) return;
    }
    if (this.#endSent) this.#close("finished", "");
  }

  #broke(call: string, errno: number): void {
    this.#close("reset", `${call}: ${errnoName(errno)}`);
  }

  /** False: what comes has to be read. */
  #relayed(relay: Relay): boolean {
    // Nobody would be told of a failure that reading finds.
    const moved = this.#sendErrno !== 0 ? Moved.Nothing : relay.move(this.fd);
    if (this.#over || this.#paused) return true;
    if (moved === Moved.Some) this.#shared.loop.goOn(this);
    else if (moved === Moved.All) this.#readable = false;
    else if (moved < 0) this.#broke("splice", -moved);
    return moved !== Moved.Nothing;
  }

  #sendWaiting(): void {
    const queue = this.#queue!;
    const errno = queue.sendTo(this.fd);
    if (errno !== 0) return this.#failSending(-errno);
    if (queue.length > 0) return;
    this.#queue = undefined;
    this.#feeder?.goOn();
    if (this.#endAsked) this.#sendEnd();
    if (!this.#blocked || this.#over) return;
    this.#blocked = false;
    this.events.onWritable();
  }

  // --- what the session says

  write(bytes: Uint8Array, start: number, end: number): boolean {
    // What comes behind an end, or when nothing can be sent any more, has nobody to go to.
    if (this.#over || this.#endAsked || this.#sendErrno !== 0) return true;
    if (!this.#connected) this.#wait(bytes, start, end);
    else if (this.queuedBytes === 0 && this.#shared.outbox.add(this, bytes, start, end))
      return true;
    // Larger than the outbox takes, or behind what waits already: in order, and from where it is.
    else if (this.#sendErrno === 0) this.#send(bytes, start, end);
    return !this.#blocked;
  }

  #send(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (this.queuedBytes > 0) return this.#wait(bytes, start, end);
    const sent = sendPinned(this.fd, this.#addressOf(bytes) + start, length);
    if (sent !== length) this.onUnsent(sent, bytes, start, length);
  }

  /** Of the shared buffer it is known; others are pinned for the call. */
  #addressOf(bytes: Uint8Array): PinnedAddress {
    const { received, receivedAt } = this.#shared;
    return bytes === received ? receivedAt : pinned(bytes);
  }

  onUnsent(sent: number, bytes: Uint8Array, at: number, length: number): void {
    if (this.#over) return;
    if (sent < 0 && sent !== -EAGAIN) this.#failSending(-sent);
    else this.#wait(bytes, at + Math.max(0, sent), at + length);
  }

  #wait(bytes: Uint8Array, start: number, end: number): void {
    (this.#queue ??= new SendQueue()).add(bytes, start, end);
    if (this.queuedBytes > this.#shared.sendQueueBytesHigh) this.#blocked = true;
  }

  // --- relaying

  relayTo(target: Stream, told: RelayEvents): boolean {
    const { pipes } = this.#shared;
    if (pipes === undefined || this.#over || !(target instanceof DirectStream)) return false;
    this.#relay = new Relay(target, told, pipes);
    target.#feeder = this;
    return true;
  }

  stopRelay(): void {
    this.#relay = undefined;
  }

  goOn(): void {
    if (!this.#over && this.#readable && !this.#paused) this.#shared.loop.goOn(this);
  }

  get canRelay(): boolean {
    return this.#connected && !this.#over && !this.#endAsked && this.#sendErrno === 0;
  }

  /** What was written before goes first. */
  isEmpty(): boolean {
    if (this.piece >= 0) this.#shared.outbox.flush();
    return this.#queue === undefined;
  }

  onPipeUnsent(errno: number, pipe: Pipe, pipes: PipePool): void {
    this.#queue = new SendQueue();
    this.#queue.addPipe(pipe, pipes);
    if (errno !== EAGAIN) this.#failSending(errno);
  }

  #dropQueue(): void {
    this.#queue?.clear();
    this.#queue = undefined;
  }

  // --- ends of sending

  /** A peer that answers, closes and is still sent to: its answer waits to be read (RFC 9112 section 9.6). */
  #failSending(errno: number): void {
    this.#sendErrno = errno;
    this.#dropQueue();
    // Nobody is reading: then nobody would ever learn of it.
    if (this.#paused || this.#inputEnded) this.#closeLater("reset", `send: ${errnoName(errno)}`);
    else {
      this.#readable = true;
      this.#shared.loop.goOn(this);
    }
  }

  end(): void {
    if (this.#over || this.#endAsked) return;
    this.#endAsked = true;
    if (this.piece >= 0) this.#shared.outbox.afterFlush(this);
    else if (this.#connected) this.onFlushed();
  }

  onFlushed(): void {
    if (!this.#over && this.queuedBytes === 0) this.#sendEnd();
  }

  #sendEnd(): void {
    if (this.#endSent || this.fd < 0 || this.#over) return;
    this.#endSent = true;
    shutdownSending(this.fd);
    if (this.#inputEnded) this.#closeLater("finished", "");
  }

  destroy(reset: boolean): void {
    if (this.#over) return;
    // What was written before has been written: it leaves first, as far as the kernel takes it.
    if (this.piece >= 0) this.#shared.outbox.flush();
    if (reset && this.#connected && this.fd >= 0) resetOnClose(this.fd);
    this.#leave();
  }

  keepAlive(idleMs: number): void {
    if (this.fd >= 0) keepAlive(this.fd, keepAliveTimes(idleMs));
  }

  pause(): void {
    if (this.#over) return;
    this.#paused = true;
    if (this.#sendErrno !== 0) this.#closeLater("reset", `send: ${errnoName(this.#sendErrno)}`);
  }

  resume(): void {
    if (this.#over || !this.#paused) return;
    this.#paused = false;
    if (this.#readable) this.#shared.loop.goOn(this);
  }

  // --- ends

  #closeLater(reason: CloseReason, message: string): void {
    this.#closing ??= { reason, message };
    this.#shared.loop.goOn(this);
  }

  /** Only from the loop: never inside a call that the session makes. */
  #close(reason: CloseReason, message: string): void {
    if (this.piece >= 0) this.#shared.outbox.flush();
    this.#leave();
    this.events.onClose(reason, message);
  }

  #leave(): void {
    this.#over = true;
    this.#dropQueue();
    this.#relay = undefined;
    this.#feeder = undefined;
    this.onRefused = undefined;
    this.#closeFd();
  }

  #closeFd(): void {
    const { fd } = this;
    if (fd < 0) return;
    const { loop, ledger } = this.#shared;
    if (this.#seat !== undefined) loop.unwatch(fd, this.#seat);
    this.#seat = undefined;
    this.fd = -1;
    closeHeld(fd, ledger);
  }
}
