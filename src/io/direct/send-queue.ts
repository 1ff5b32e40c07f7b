// Bytes of one stream that wait until the kernel takes more, in one buffer outside V8's heap however small they came:
// a peer that does not read must not make a thousand objects wait for it. What was relayed waits before them, in its pipe.

import { type PinnedAddress, pin } from "../ffi.ts";
import { sendPinned } from "../sockets.ts";
import type { Pipe, PipePool } from "./pipes.ts";

/** What the buffer has to spare at most: a stream that waits holds little more than its bytes. */
const spareBytesMax = 4096;
const noBytes: Uint8Array = new Uint8Array(0);
const EAGAIN = 11;

export class SendQueue {
  #bytes = noBytes;
  #address: PinnedAddress = 0;
  #start = 0;
  #end = 0;
  #pipe: Pipe | undefined;
  #pipes: PipePool | undefined;

  get length(): number {
    return this.#end - this.#start + (this.#pipe === undefined ? 0 : this.#pipe.bytes);
  }

  /** Before anything else has been added; goes back to `pipes` when it is empty. */
  addPipe(pipe: Pipe, pipes: PipePool): void {
    this.#pipe = pipe;
    this.#pipes = pipes;
  }

  /** Takes a copy of source[start..end). */
  add(source: Uint8Array, start: number, end: number): void {
    const count = end - start;
    if (this.#end + count > this.#bytes.length) this.#makeRoom(count);
    this.#bytes.set(source.subarray(start, end), this.#end);
    this.#end += count;
  }

  /** Sends what the kernel takes: 0, or the negative errno of a connection that is broken. */
  sendTo(fd: number): number {
    if (this.#pipe !== undefined) {
      const errno = this.#pipe.sendAllTo(fd);
      if (errno !== 0) return errno === EAGAIN ? 0 : -errno;
      this.#dropPipe();
    }
    while (this.#start < this.#end) {
      const sent = sendPinned(fd, this.#address + this.#start, this.#end - this.#start);
      if (sent < 0) return sent === -EAGAIN ? 0 : sent;
      this.#start += sent;
    }
    this.clear();
    return 0;
  }

  /** Nothing waits any more, and nothing is held. */
  clear(): void {
    this.#bytes = noBytes;
    this.#start = this.#end = 0;
    this.#dropPipe();
  }

  #dropPipe(): void {
    if (this.#pipe === undefined) return;
    this.#pipes?.giveBack(this.#pipe);
    this.#pipe = undefined;
  }

  #makeRoom(count: number): void {
    const length = this.#end - this.#start;
    const needed = length + count;
    const bytes = Buffer.allocUnsafeSlow(needed + Math.min(needed, spareBytesMax));
    bytes.set(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = bytes;
    this.#address = pin(bytes);
    this.#start = 0;
    this.#end = length;
  }
}
