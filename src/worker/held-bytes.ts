// Bytes that arrived before they could be used. Holds no memory while it holds no bytes: the buffers of the usual size
// belong to the thread, and are lent.

import { HeadScanner } from "../protocol/head-end.ts";
import { crOctet, lfOctet } from "../protocol/octets.ts";

const noBytes = new Uint8Array(0);
/** A head of a browser, or a handful of small requests; more needs a buffer of its own, which is given up. */
const usualBytes = 2048;
/** What a larger buffer has to spare at most: no connection holds more than it must. */
const spareBytesMax = 4096;
/** Buffers that wait for the next bytes: more than connections that hold some in one turn, on a good day. */
const idleBuffersMax = 64;
const idleBuffers: Uint8Array[] = [];

export class HeldBytes {
  /** Valid from `start` to `end`. */
  bytes: Uint8Array = noBytes;
  start = 0;
  end = 0;
  #scanner: HeadScanner | undefined;

  get length(): number {
    return this.end - this.start;
  }

  /** Nothing, or an empty line or half of it: no head has begun (RFC 9112 section 2.2). */
  get holdsNoHead(): boolean {
    const { bytes, start, length } = this;
    if (length > 2) return false;
    return (length < 1 || bytes[start] === crOctet) && (length < 2 || bytes[start + 1] === lfOctet);
  }

  /** Appends a copy of source[from..to). */
  add(source: Uint8Array, from: number, to: number): void {
    const count = to - from;
    if (this.length === 0) this.#scanner?.reset();
    if (this.end + count > this.bytes.length) this.#makeRoom(count);
    this.bytes.set(source.subarray(from, to), this.end);
    this.end += count;
  }

  /** What is before `at` was used. */
  dropTo(at: number): void {
    if (at === this.start) return;
    if (at >= this.end) this.clear();
    else this.start = at;
    this.#scanner?.reset();
  }

  /** The bytes are none any more: whoever still reads them must be done before others add to theirs. */
  clear(): void {
    this.start = this.end = 0;
    this.#giveUp();
  }

  /** Whether what begins at `start` is worth parsing as a head; after true the next call begins a new head. */
  mayBeHead(limits: { readonly headBytesMax: number }): boolean {
    this.#scanner ??= new HeadScanner(limits);
    return this.#scanner.scan(this.bytes, this.start, this.end);
  }

  #makeRoom(count: number): void {
    const { length } = this;
    const needed = length + count;
    const old = this.bytes.subarray(this.start, this.end);
    if (needed <= this.bytes.length) this.bytes.set(old);
    else {
      const room = roomFor(needed);
      room.set(old);
      this.#giveUp();
      this.bytes = room;
    }
    this.end = length;
    this.start = 0;
  }

  #giveUp(): void {
    if (this.bytes.length === usualBytes && idleBuffers.length < idleBuffersMax) {
      idleBuffers.push(this.bytes);
    }
    this.bytes = noBytes;
  }
}

function roomFor(needed: number): Uint8Array {
  if (needed > usualBytes) return new Uint8Array(needed + Math.min(needed, spareBytesMax));
  return idleBuffers.pop() ?? new Uint8Array(usualBytes);
}
