// What the streams of one worker send within one turn, sent together at its end.
//
// Why wait: a send wakes whoever reads it. Sent one by one between other work, every piece finds its reader asleep again
// and pays for the wake-up; sent back to back, most find it already running. And pieces of one stream (a head, then its
// body) leave as one.
//
// A stream has one piece at most: were there two, and the first not taken whole, the second would overtake its rest.
// Hot path: one arena, reused; no objects per send.

import { copyBytes, copyShort, shortBytesMax, viewOf } from "../copy-bytes.ts";
import { type PinnedAddress, pin } from "../ffi.ts";
import type { Driver, Pieces } from "./driver.ts";

/** Bytes gathered before the turn's sends must begin early: some hundred small messages. */
const arenaBytes = 1024 * 1024;
/** A larger piece is sent at once, from where it is: copying it costs more than a wake-up. */
const pieceBytesMax = 16 * 1024;
const piecesMax = 1024;
/** Whose bytes they are. */
export interface Sender {
  readonly fd: number;
  /** Which piece is its own; the outbox sets it. -1: none. */
  piece: number;
  /** Not all was taken: `sent` bytes were, or it is the negative errno. The rest is bytes[at + sent .. at + length). */
  onUnsent(sent: number, bytes: Uint8Array, at: number, length: number): void;
  /** What it had in the outbox has been handed to the kernel; asked for by `afterFlush`. */
  onFlushed(): void;
}

export class Outbox {
  readonly #arena = new Uint8Array(arenaBytes);
  readonly #view = new DataView(this.#arena.buffer);
  readonly #arenaAt: PinnedAddress = pin(this.#arena);
  readonly #senders: (Sender | undefined)[] = [];
  readonly #starts = new Int32Array(piecesMax);
  readonly #pieces: Pieces = {
    fds: new Int32Array(piecesMax),
    addresses: new Float64Array(piecesMax),
    lengths: new Int32Array(piecesMax),
    results: new Int32Array(piecesMax),
  };
  readonly #waitForFlush: Sender[] = [];
  readonly #driver: Driver;
  readonly #atTurnEnd: (action: () => void) => void;
  readonly #turnEnded = (): void => {
    this.#isScheduled = false;
    this.flush();
  };
  #end = 0;
  #count = 0;
  #isScheduled = false;

  /** @param atTurnEnd Runs an action once, when this turn's events have been handed out. */
  constructor(driver: Driver, atTurnEnd: (action: () => void) => void) {
    this.#driver = driver;
    this.#atTurnEnd = atTurnEnd;
  }

  /** Takes a copy of bytes[start..end); false: there is no room for it, send it yourself. What was before has left then. */
  add(sender: Sender, bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    const last = this.#count - 1;
    const joins = sender.piece >= 0;
    if (
      length > pieceBytesMax ||
      this.#end + length > arenaBytes ||
      this.#count === piecesMax ||
      (joins && sender.piece !== last)
    ) {
      this.flush();
      return false;
    }
    if (joins) this.#pieces.lengths[last]! += length;
    else this.#begin(sender, length);
    this.#copy(bytes, start, end);
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#atTurnEnd(this.#turnEnded);
    }
    return true;
  }

  #begin(sender: Sender, length: number): void {
    const i = this.#count++;
    const { fds, addresses, lengths } = this.#pieces;
    sender.piece = i;
    this.#senders[i] = sender;
    this.#starts[i] = this.#end;
    fds[i] = sender.fd;
    addresses[i] = this.#arenaAt + this.#end;
    lengths[i] = length;
  }

  #copy(bytes: Uint8Array, start: number, end: number): void {
    const count = end - start;
    if (count > shortBytesMax) copyBytes(bytes, start, end, this.#arena, this.#end);
    else copyShort(this.#view, this.#end, viewOf(bytes), start, count);
    this.#end += count;
  }

  /** `sender.onFlushed` is called when its piece has been handed to the kernel. */
  afterFlush(sender: Sender): void {
    this.#waitForFlush.push(sender);
  }

  /** Hands everything to the kernel. Tells only the senders, who call nobody. */
  flush(): void {
    const count = this.#count;
    if (count === 0) return;
    const { lengths, results } = this.#pieces;
    this.#driver.sendAll(count, this.#pieces);
    this.#count = this.#end = 0;
    for (let i = 0; i < count; i++) {
      const sender = this.#senders[i]!;
      this.#senders[i] = undefined;
      sender.piece = -1;
      if (results[i] === lengths[i]) continue;
      sender.onUnsent(results[i]!, this.#arena, this.#starts[i]!, lengths[i]!);
    }
    for (const sender of this.#waitForFlush) sender.onFlushed();
    this.#waitForFlush.length = 0;
  }
}
