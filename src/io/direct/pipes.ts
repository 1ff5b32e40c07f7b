// The pipes of one worker, through which its streams relay: few are kept, and no more than a bound are open.
//
// A pipe goes back to those that are kept only when it is empty: what it held was one connection's.

import type { DescriptorLedger } from "../io.ts";
import { closeHeld } from "../sockets.ts";
import { growPipe, openPipe, pipeEnds, spliceBytes } from "../splice.ts";

/**
 * Room for this many times the bytes of one filling: a slot holds one fragment, and 1,448 bytes of a packet take as much as 4 KiB
 * of a sender on this machine.
 */
const roomFactor = 4;

export interface PipeLimits {
  /** What one filling may bring, and so what may wait in a pipe, in bytes. */
  readonly fillBytes: number;
  /** Open at a time. */
  readonly pipesMax: number;
  /** Kept open while nobody uses them. */
  readonly pipesKeptMax: number;
}

const EINTR = 4;
const EIO = 5;

export class Pipe {
  /** What waits in it. */
  bytes = 0;
  /** The end to read from, and the end to write to. */
  readonly out: number;
  readonly in: number;

  constructor(out: number, into: number) {
    this.out = out;
    this.in = into;
  }

  /** Takes from a socket: bytes, 0 or a negative errno. It has to be empty, or -EAGAIN does not mean the socket. */
  fillFrom(fd: number, most: number): number {
    const count = spliceBytes(fd, this.in, most);
    if (count > 0) this.bytes += count;
    return count;
  }

  /** Gives to a socket what is in it: 0 when nothing is left, or an errno (EAGAIN: the socket takes no more now). */
  sendAllTo(fd: number): number {
    while (this.bytes > 0) {
      const count = spliceBytes(this.out, fd, this.bytes);
      // None of what is known to be there: as if it had broken, or this would never end.
      if (count === 0) return EIO;
      if (count > 0) this.bytes -= count;
      else if (count !== -EINTR) return -count;
    }
    return 0;
  }
}

export class PipePool {
  readonly #kept: Pipe[] = [];
  readonly #ledger: DescriptorLedger;
  readonly #limits: PipeLimits;
  #open = 0;

  constructor(ledger: DescriptorLedger, limits: PipeLimits) {
    this.#ledger = ledger;
    this.#limits = limits;
  }

  get fillBytes(): number {
    return this.#limits.fillBytes;
  }

  /** An empty pipe; undefined: there are enough, or no descriptors for one. */
  take(): Pipe | undefined {
    return this.#kept.pop() ?? this.#make();
  }

  /** Whatever is in it is lost. */
  giveBack(pipe: Pipe): void {
    if (pipe.bytes === 0 && this.#kept.length < this.#limits.pipesKeptMax) this.#kept.push(pipe);
    else this.#close(pipe);
  }

  /** Closes those that nobody uses. */
  close(): void {
    for (const pipe of this.#kept) this.#close(pipe);
    this.#kept.length = 0;
  }

  #make(): Pipe | undefined {
    if (this.#open >= this.#limits.pipesMax || openPipe() < 0) return undefined;
    const [out, into] = [pipeEnds[0]!, pipeEnds[1]!];
    this.#ledger.hold(out);
    this.#ledger.hold(into);
    this.#open++;
    growPipe(into, roomFactor * this.#limits.fillBytes);
    return new Pipe(out, into);
  }

  #close(pipe: Pipe): void {
    this.#open--;
    closeHeld(pipe.out, this.#ledger);
    closeHeld(pipe.in, this.#ledger);
  }
}
