// One direction between two streams, moved by the kernel: socket, pipe, socket.
//
// A pipe is needed only between two calls, unless the target's peer is slow: then what is in it waits there as the first of
// what the target has to send, and nothing more is taken from the source. So an idle relay holds none, and a pipe is
// filled only when it is empty: else nobody could tell whether it is the source that has nothing or the pipe that is full.

import { isAtMark } from "../sockets.ts";
import type { RelayEvents } from "../stream.ts";
import type { Pipe, PipePool } from "./pipes.ts";

/** Where it goes. */
export interface RelayTarget {
  readonly fd: number;
  /** False: nothing can be sent there any more. */
  readonly canRelay: boolean;
  /** Nothing waits to be sent. */
  isEmpty(): boolean;
  /** What is in it was not taken (EAGAIN), or cannot be; the pipe belongs to the target from now on. */
  onPipeUnsent(errno: number, pipe: Pipe, pipes: PipePool): void;
}

/** How moving ended; a negative errno: the source is broken. It was told once, and a read would find an orderly end. */
export const Moved = {
  /** It cannot be moved now: what comes, and what is wrong, has to be read. */
  Nothing: 0,
  /** The source has no more for now. */
  All: 1,
  /** There may be more, but others have their turn. */
  Some: 2,
  /** The target has to send first. */
  Waits: 3,
} as const;

const EINTR = 4;
const EAGAIN = 11;
/** Not of the connection: what cannot be moved can still be read. */
const ENOMEM = 12;
const EINVAL = 22;

/** Fillings in a row, 1 MiB as a rule and a fifth of a ms: then others have their turn. */
const fillingsMax = 16;

export class Relay {
  readonly #target: RelayTarget;
  readonly #told: RelayEvents;
  readonly #pipes: PipePool;
  #bytes = 0;

  constructor(target: RelayTarget, told: RelayEvents, pipes: PipePool) {
    this.#target = target;
    this.#told = told;
    this.#pipes = pipes;
  }

  /** Moves what the source has to what the target takes. Told of it is at the end, and may do anything. */
  move(fd: number): number {
    this.#bytes = 0;
    const moved = this.#moveSome(fd);
    if (this.#bytes > 0) this.#told.onRelayed(this.#bytes);
    return moved;
  }

  #moveSome(fd: number): number {
    const target = this.#target;
    for (let fillings = 0; fillings < fillingsMax; fillings++) {
      const isEmpty = target.isEmpty();
      if (!target.canRelay) return Moved.Nothing;
      if (!isEmpty) return Moved.Waits;
      const count = this.#fill(fd);
      if (count === -EAGAIN) return isAtMark(fd) ? Moved.Nothing : Moved.All;
      if (count === 0 || count === -ENOMEM || count === -EINVAL) return Moved.Nothing;
      if (count < 0 && count !== -EINTR) return count;
    }
    return Moved.Some;
  }

  /** What `Pipe.fillFrom` answers; 0 also when there is no pipe. */
  #fill(fd: number): number {
    const pipe = this.#pipes.take();
    if (pipe === undefined) return 0;
    const count = pipe.fillFrom(fd, this.#pipes.fillBytes);
    if (count > 0) this.#bytes += count;
    const errno = pipe.sendAllTo(this.#target.fd);
    if (errno === 0) this.#pipes.giveBack(pipe);
    else this.#target.onPipeUnsent(errno, pipe, this.#pipes);
    return count;
  }
}
