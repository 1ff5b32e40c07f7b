// One io_uring: entries go in, completions come out.
//
// Knows: the two rings and their memory, the few operations that drivers use, what the kernel may refuse.
// Does not know: connections, streams, HTTP, who watches what; see uring-driver.ts.
//
// One thread opens, uses and closes it (IORING_SETUP_SINGLE_ISSUER). Completions are made inside `submit` and `wait` only
// (IORING_SETUP_DEFER_TASKRUN), so the kernel never writes to the rings while JavaScript reads them.

import { lastErrno, libc, type PinnedAddress, SocketError } from "../ffi.ts";
import {
  CANCEL_ALL,
  CANCEL_ANY,
  cqe,
  Enter,
  Errno,
  getEventsArg,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  Op,
  POLL_ADD_MULTI,
  SQ_CQ_OVERFLOW,
  SQE_CQE_SKIP_SUCCESS,
  SYS_io_uring_enter,
  sqe,
} from "./layout.ts";
import { RingMemory, type RingPlaces, type RingSizes } from "./ring-memory.ts";

/** Slots are below. With a kind, below 8, they fill the low half of an operation's user data. */
export const slotsMax = 2 ** 28;
/** Generations are below. The high half of the user data. */
export const generationsMax = 2 ** 30;

/** io_uring_enter(2): how many entries the kernel took, or a negative errno. */
export type EnterCall = (
  ring: number,
  submit: number,
  complete: number,
  flags: number,
  argument: PinnedAddress,
  argumentBytes: number,
) => number;

export interface RingOptions extends RingSizes {
  /** Instead of the kernel's, for tests that let a call fail. */
  readonly enter?: EnterCall;
}

export class Ring {
  readonly fd: number;
  /** The completion that `next` came to. */
  kind = 0;
  slot = 0;
  generation = 0;
  /** What the operation answered: a negative errno where it failed. */
  result = 0;
  flags = 0;

  readonly #enterCall: EnterCall;
  readonly #memory: RingMemory;
  readonly #at: RingPlaces;
  #words: Int32Array;
  #sqes: Int32Array;
  #sqTail: number;
  #cqHead: number;
  #cqTail: number;
  #queued = 0;

  /** Throws SocketError: the code and message of io_uring_setup(2) or mmap(2). */
  static open(options: RingOptions): Ring {
    return new Ring(RingMemory.open(options), options.enter ?? enterKernel);
  }

  private constructor(memory: RingMemory, enter: EnterCall) {
    this.fd = memory.fd;
    this.#memory = memory;
    this.#enterCall = enter;
    this.#at = memory.at;
    this.#words = memory.words;
    this.#sqes = memory.sqes;
    this.#sqTail = memory.words[this.#at.sqTail]!;
    this.#cqHead = memory.words[this.#at.cqHead]!;
    this.#cqTail = this.#cqHead;
  }

  /** Entries that the kernel has not taken yet. */
  get queued(): number {
    return this.#queued;
  }

  /** Entries that can be added before the next `submit`. */
  get room(): number {
    return this.#memory.submissions - this.#queued;
  }

  /** Completions wait in the kernel that found no room here: read what is here, then `wait`. */
  get overflowed(): boolean {
    return (this.#words[this.#at.sqFlags]! & SQ_CQ_OVERFLOW) !== 0;
  }

  /**
   * Tells of `events` (poll(2)) on `fd` again and again, at once of those that are so already, until it is cancelled or
   * completes without CQE_MORE. Throws SocketError (wrong arguments; no room and the kernel takes nothing).
   */
  poll(fd: number, events: number, kind: number, slot: number, generation: number): void {
    this.#checkDescriptor(fd);
    const at = this.#entry(Op.PollAdd, fd, kind, slot, generation);
    this.#sqes[at + sqe.length] = POLL_ADD_MULTI;
    this.#sqes[at + sqe.opFlags] = events;
  }

  /**
   * Ends what was begun with the same kind, slot and generation; that completes with -ECANCELED. This itself completes, as
   * `ownKind`, only if there was nothing to end.
   */
  cancel(kind: number, slot: number, generation: number, ownKind: number): void {
    checkUserData(kind, slot, generation);
    const skip = SQE_CQE_SKIP_SUCCESS << 8;
    const at = this.#entry(Op.AsyncCancel | skip, -1, ownKind, slot, generation);
    this.#sqes[at + sqe.address] = lowOf(kind, slot);
    this.#sqes[at + sqe.address + 1] = generation;
    // Without CANCEL_ALL: there is one at most, and the kernel's search for more gets dearer with every connection.
  }

  /** Ends everything. */
  cancelEverything(ownKind: number): void {
    const skip = SQE_CQE_SKIP_SUCCESS << 8;
    const at = this.#entry(Op.AsyncCancel | skip, -1, ownKind, 0, 0);
    this.#sqes[at + sqe.opFlags] = CANCEL_ANY | CANCEL_ALL;
  }

  /**
   * As send(2) with MSG_DONTWAIT and MSG_NOSIGNAL. It has completed when the `submit` or `wait` that submits it returns, also
   * when the socket is full (-EAGAIN, or fewer bytes): the bytes are the caller's again.
   */
  send(
    fd: number,
    address: PinnedAddress,
    length: number,
    kind: number,
    slot: number,
    generation: number,
  ): void {
    this.#checkDescriptor(fd);
    checkMemory(address, length);
    const at = this.#entry(Op.Send, fd, kind, slot, generation);
    this.#sqes[at + sqe.address] = low(address);
    this.#sqes[at + sqe.address + 1] = high(address);
    this.#sqes[at + sqe.length] = length;
    this.#sqes[at + sqe.opFlags] = MSG_DONTWAIT | MSG_NOSIGNAL;
  }

  /** Hands over what is queued and waits for nothing: 0, or the negative errno of what keeps the kernel from taking the rest. */
  submit(): number {
    while (this.#queued > 0) {
      const taken = this.#enter(0, 0, 0, 0);
      if (taken < 0 && taken !== -Errno.EINTR) return taken;
      if (taken === 0) return -Errno.EAGAIN;
    }
    return 0;
  }

  /**
   * Hands over what is queued and waits until there is a completion, but `ms` at most; 0: makes the completions that are due
   * and waits for none. 0, or a negative errno: -EINTR, -ETIME, or why the kernel takes nothing (-EAGAIN, -EBUSY, -ENOMEM) or
   * that it has lost completions (-EBADR).
   */
  wait(ms: number): number {
    let answer: number;
    if (ms > 0) {
      const at = this.#memory.timeLimit(Math.min(Math.ceil(ms), waitMsMax));
      answer = this.#enter(1, Enter.GetEvents | Enter.ExtArg, at, getEventsArg.bytes);
    } else {
      answer = this.#enter(0, Enter.GetEvents, 0, 0);
    }
    return answer < 0 ? answer : 0;
  }

  /** Goes to the next completion; false: there is none at the moment. */
  next(): boolean {
    const words = this.#words;
    if (this.#cqHead === this.#cqTail) {
      if (this.#memory.closed) return false;
      this.#cqTail = Atomics.load(words, this.#at.cqTail);
      if (this.#cqHead === this.#cqTail) return false;
    }
    const at = this.#at.cqes + (this.#cqHead & this.#at.cqMask) * cqe.words;
    const userDataLow = words[at + cqe.userDataLow]!;
    this.kind = userDataLow >>> 28;
    this.slot = userDataLow & (slotsMax - 1);
    this.generation = words[at + cqe.userDataHigh]!;
    this.result = words[at + cqe.result]!;
    this.flags = words[at + cqe.flags]!;
    this.#cqHead = (this.#cqHead + 1) | 0;
    return true;
  }

  /** Takes the last `count` entries back, which the kernel has not taken. */
  takeBack(count: number): void {
    if (count > this.#queued)
      throw wrong(`${count} of ${this.#queued} entries cannot be taken back`);
    this.#queued -= count;
    this.#sqTail = (this.#sqTail - count) | 0;
  }

  /** Gives the memory and the descriptor back. What is in flight ends some time later: cancel it first. */
  close(): void {
    this.#memory.close();
    this.#words = this.#memory.words;
    this.#sqes = this.#memory.sqes;
    this.#queued = 0;
    this.#cqHead = this.#cqTail;
  }

  /** The index of a cleared entry's first word. */
  #entry(opcodeFlags: number, fd: number, kind: number, slot: number, generation: number): number {
    checkUserData(kind, slot, generation);
    if (this.#queued === this.#memory.submissions) this.#makeRoom();
    const at = (this.#sqTail & this.#at.sqMask) * sqe.words;
    const words = this.#sqes;
    // What an operation does not use must be 0. A loop: `fill` is a call, and costs more than sixteen stores.
    for (let word = at; word < at + sqe.words; word++) words[word] = 0;
    words[at + sqe.opcodeFlags] = opcodeFlags;
    words[at + sqe.fd] = fd;
    words[at + sqe.userDataLow] = lowOf(kind, slot);
    words[at + sqe.userDataHigh] = generation;
    this.#sqTail = (this.#sqTail + 1) | 0;
    this.#queued++;
    return at;
  }

  #makeRoom(): void {
    const refused = this.submit();
    if (this.#queued < this.#memory.submissions) return;
    throw new SocketError("io_uring_enter", refused, "with a full submission queue");
  }

  #enter(complete: number, flags: number, argument: number, argumentBytes: number): number {
    if (this.#memory.closed) throw wrong("the ring is closed");
    const words = this.#words;
    words[this.#at.cqHead] = this.#cqHead;
    // What was written before must be there before the tail says so.
    Atomics.store(words, this.#at.sqTail, this.#sqTail);
    const answer = this.#enterCall(this.fd, this.#queued, complete, flags, argument, argumentBytes);
    if (answer > 0) this.#queued -= answer;
    return answer;
  }

  #checkDescriptor(fd: number): void {
    if (!Number.isInteger(fd) || fd < 0) throw wrong(`${fd} is no descriptor`);
    if (fd === this.fd) throw wrong("a ring is not asked of itself");
  }
}

/** 24 days: what fits everywhere. */
const waitMsMax = 2 ** 31 - 1;

const enterKernel: EnterCall = (ring, submit, complete, flags, argument, argumentBytes) => {
  const calls = libc();
  const answer = calls.syscall(
    SYS_io_uring_enter,
    ring,
    submit,
    complete,
    flags,
    argument,
    argumentBytes,
  );
  return answer < 0 ? -lastErrno() : answer;
};

function checkUserData(kind: number, slot: number, generation: number): void {
  if (kind >>> 0 !== kind || kind > 7) throw wrong(`${kind} is no kind of operation`);
  if (slot >>> 0 !== slot || slot >= slotsMax) throw wrong(`${slot} is no slot`);
  if (generation >>> 0 !== generation || generation >= generationsMax) {
    throw wrong(`${generation} is no generation`);
  }
}

/** Nobody can know here whether memory is there; the kernel answers -EFAULT. */
function checkMemory(address: number, length: number): void {
  if (!Number.isSafeInteger(address) || address <= 0 || address >= 2 ** 52) {
    throw wrong(`${address} is no address`);
  }
  if (length >>> 0 !== length || length >= 2 ** 31) throw wrong(`${length} is no length`);
}

const lowOf = (kind: number, slot: number): number => (kind << 28) | slot;
const low = (address: PinnedAddress): number => (address % 2 ** 32) | 0;
const high = (address: PinnedAddress): number => Math.floor(address / 2 ** 32);
const wrong = (what: string): SocketError => new SocketError("io_uring", Errno.EINVAL, what);
