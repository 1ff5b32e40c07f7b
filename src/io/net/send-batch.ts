// What the sessions of one worker send within one turn of the event loop, sent together at its end.
//
// Why wait: a send wakes whoever reads it. Sent one by one between other work, every piece finds its
// reader asleep again and pays for the wake-up; sent back to back, most find it already running.
// Measured at 64 connections: 1 to 3 µs of kernel time less per request (docs/decisions/0007). And
// pieces for one stream (a head, then its body) leave as one.
//
// Hot path: one arena, reused; no objects per send.

import { type PinnedAddress, pin } from "../ffi.ts";

/** Bytes gathered before the turn must end early: some hundred small messages. */
const arenaBytes = 1024 * 1024;
/** A larger piece is sent at once, from where it is: copying it costs more than a wake-up. */
const pieceBytesMax = 16 * 1024;
const piecesMax = 4096;
/** Below this many bytes a loop beats making a view for `set`. */
const loopBytesMax = 64;

/** Takes the place of a stream that was served: nothing joins its piece, and nobody keeps it alive. */
const nobody: BatchTarget = { sendGathered() {} };

/** Whose bytes they are. */
export interface BatchTarget {
  /** Sends `length` bytes from `address`; what the kernel does not take is copied from `bytes[at..]`. */
  sendGathered(bytes: Uint8Array, at: number, length: number, address: PinnedAddress): void;
}

/**
 * A target that adds while it is being sent (because it was told of a failure, say) adds behind all
 * that wait, and is sent in the same flush; one that flushes sends the rest first. Neither moves the
 * bytes that the outermost flush has handed out: the arena is used anew only when that one has ended.
 */
export class SendBatch {
  readonly #arena = new Uint8Array(arenaBytes);
  readonly #arenaAt = pin(this.#arena);
  readonly #targets: BatchTarget[] = [];
  readonly #lengths = new Int32Array(piecesMax);
  readonly #atTurnEnd: (action: () => void) => void;
  readonly #turnEnded = (): void => {
    this.#isScheduled = false;
    this.flush();
  };
  /** Where the next bytes go. */
  #end = 0;
  #count = 0;
  /** The first piece that was not handed out yet, and where its bytes start. */
  #next = 0;
  #nextAt = 0;
  #isFlushing = false;
  #isScheduled = false;

  /** @param atTurnEnd Runs an action once, when this turn's events have been handled. */
  constructor(atTurnEnd: (action: () => void) => void) {
    this.#atTurnEnd = atTurnEnd;
  }

  /** Takes a copy of bytes[start..end); false: no room for it, send it yourself after `flush`. */
  add(target: BatchTarget, bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (length > pieceBytesMax) return false;
    if (this.#end + length > arenaBytes || this.#count === piecesMax) {
      this.flush();
      if (this.#isFlushing) return false;
    }
    this.#copy(bytes, start, end);
    const last = this.#count - 1;
    if (last >= 0 && this.#targets[last] === target) this.#lengths[last]! += length;
    else {
      this.#targets[this.#count] = target;
      this.#lengths[this.#count++] = length;
    }
    if (!this.#isFlushing) this.#schedule();
    return true;
  }

  /** Sends everything that was not handed out yet, in order. */
  flush(): void {
    const isInner = this.#isFlushing;
    this.#isFlushing = true;
    try {
      while (this.#next < this.#count) this.#sendNext();
    } finally {
      if (!isInner) this.#endFlush();
    }
  }

  #sendNext(): void {
    const i = this.#next++;
    const at = this.#nextAt;
    const target = this.#targets[i]!;
    const length = this.#lengths[i]!;
    this.#targets[i] = nobody;
    this.#nextAt = at + length;
    target.sendGathered(this.#arena, at, length, this.#arenaAt + at);
  }

  #endFlush(): void {
    this.#isFlushing = false;
    // A target threw: those behind it are still to be sent.
    if (this.#next < this.#count) return this.#schedule();
    this.#end = this.#count = this.#next = this.#nextAt = 0;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#atTurnEnd(this.#turnEnded);
  }

  #copy(bytes: Uint8Array, start: number, end: number): void {
    const arena = this.#arena;
    let at = this.#end;
    this.#end = at + (end - start);
    if (end - start > loopBytesMax) {
      arena.set(bytes.subarray(start, end), at);
      return;
    }
    for (let i = start; i < end; i++) arena[at++] = bytes[i]!;
  }
}
