// The Driver port on io_uring: readiness comes from the ring, and a turn's pieces leave through it in one call.
//
// Knows: which slot watches which descriptor, that a watch must be begun again when the kernel ended it, what to do when the
// kernel refuses. Does not know: streams, turns, HTTP; nor how a ring is laid out, see ring.ts.
//
// The kernel never writes to memory of ours but the rings: watches carry no buffer, and a send is over when the call returns.
// So nothing has to be kept for an operation that is under way, and what completes late is told by its generation.

import { type Driver, Event, type Pieces } from "../direct/driver.ts";
import { lastErrno, libc, SocketError } from "../ffi.ts";
import type { ThreadLedger } from "../io.ts";
import { CQE_MORE, Errno, MSG_DONTWAIT, MSG_NOSIGNAL } from "./layout.ts";
import { type EnterCall, generationsMax, Ring, slotsMax } from "./ring.ts";

export interface UringOptions {
  /** Of the ring; see `RingSizes`. */
  readonly submissions?: number;
  readonly completions?: number;
  /** Who must know the ring's descriptor, and what is mapped of it. */
  readonly ledger?: ThreadLedger;
  /** Instead of the kernel's, for tests that let a call fail. */
  readonly enter?: EnterCall;
}

/** Pieces of one call, and changes of watches in one turn; beyond that there are more calls. 32 KiB of memory. */
const submissionsDefault = 512;
/** Events between two calls; beyond that the kernel keeps them and needs another call. 32 KiB of memory. */
const completionsDefault = 2048;

/** Kinds of operations, in their user data. */
const Kind = { Watch: 1, Unwatch: 2, Send: 3 } as const;

/** Bits: the slot is in a list; its watch is to begin again. */
const Mark = { Happened: 1, Ended: 2, BeginAgain: 4 } as const;

/** Slots that there is room for before the first growth. */
const slotsFirst = 64;
/** Not Event.Urgent: a poll that goes on tells what the wake-up names, and the kernel names that with all data (sock_def_readable). */
const watchedEvents = Event.Readable | Event.Writable | Event.PeerEnded;
/** What whoever watches hears when a watch cannot be: the next call says how. */
const broken = Event.Error | Event.HangUp | Event.Readable | Event.Writable;
const noGeneration = -1;
/** Not a result of send(2): the piece is under way. */
const underWay = -0x8000_0000;
/** How often the kernel is asked again before its refusal counts. */
const triesMax = 4;

/** Throws SocketError with the reason where the kernel gives this thread no ring. */
export function openUringDriver(options: UringOptions = {}): UringDriver {
  return new UringDriver(options);
}

export class UringDriver implements Driver {
  readonly name = "uring";
  readonly #ring: Ring;
  readonly #beginAgainMax: number;
  /** By slot. The generation is `noGeneration` where nobody watches. */
  #fds = new Int32Array(slotsFirst);
  #generations = new Int32Array(slotsFirst).fill(noGeneration);
  /** By slot: what happened since the last `wait` returned, and bits of `Mark`. */
  #bits = new Int32Array(slotsFirst);
  #marks = new Uint8Array(slotsFirst);
  /** Slots, each at most once: those that something happened to, and those whose watch the kernel ended. */
  #happened = new Int32Array(slotsFirst);
  #ended = new Int32Array(slotsFirst);
  #happenedCount = 0;
  #endedCount = 0;
  /** The events of the last `wait`. */
  #slots = new Int32Array(slotsFirst);
  #slotGenerations = new Int32Array(slotsFirst);
  #events = new Int32Array(slotsFirst);
  /** The sends that are under way: which ones, how many, and where their results go. */
  #batch = 0;
  #underWay = 0;
  #results: Int32Array = new Int32Array(0);

  constructor(options: UringOptions) {
    const { submissions = submissionsDefault, completions = completionsDefault } = options;
    this.#ring = Ring.open({ ...options, submissions, completions });
    this.#beginAgainMax = completions / 2;
  }

  watch(fd: number, slot: number, generation: number): void {
    if (slot >= this.#fds.length) this.#grow(slot);
    this.#makeRoom();
    this.#ring.poll(fd, watchedEvents, Kind.Watch, slot, generation);
    this.#fds[slot] = fd;
    this.#generations[slot] = generation;
  }

  unwatch(_fd: number, slot: number, generation: number): void {
    if (this.#generations[slot] !== generation) return;
    this.#generations[slot] = noGeneration;
    this.#forget(slot);
    this.#makeRoom();
    // Goes to the kernel with the next call, at the latest with the turn's `wait`: until then it holds the socket open.
    this.#ring.cancel(Kind.Watch, slot, generation, Kind.Unwatch);
  }

  /** A watch that is cancelled holds its descriptor open until the kernel has come to it. */
  settle(): void {
    this.#ring.wait(0);
    this.#collect();
  }

  wait(ms: number): number {
    this.#watchEndedAgain();
    const later = this.#happenedCount === 0 && this.#endedCount === 0;
    const answer = this.#ring.wait(later ? ms : 0);
    this.#collect();
    if (answer === -Errno.EBADR) this.#watchAllAgain();
    return this.#takeHappened();
  }

  slotAt(index: number): number {
    return this.#slots[index]!;
  }

  generationAt(index: number): number {
    return this.#slotGenerations[index]!;
  }

  eventsAt(index: number): number {
    return this.#events[index]!;
  }

  sendAll(count: number, pieces: Pieces): void {
    // One piece alone: send(2) costs less than an entry, a call and a completion.
    if (count === 1) return sendDirectly(0, pieces);
    let from = 0;
    while (from < count) {
      this.#makeRoom();
      const end = Math.min(count, from + this.#ring.room);
      this.#sendPart(from, end, pieces);
      from = end;
    }
  }

  close(): void {
    this.#generations.fill(noGeneration);
    this.#ring.takeBack(this.#ring.queued);
    // So that sockets are closed now, and not when the kernel comes to what is left of the ring.
    this.#ring.cancelEverything(Kind.Unwatch);
    this.#ring.wait(0);
    this.#collect();
    this.#ring.close();
  }

  /** Every one is over when this returns. What the kernel does not take as an entry is sent by a call each. */
  #sendPart(from: number, end: number, pieces: Pieces): void {
    const { fds, addresses, lengths, results } = pieces;
    this.#batch = (this.#batch + 1) % generationsMax;
    this.#results = results;
    this.#underWay = end - from;
    for (let index = from; index < end; index++) {
      results[index] = underWay;
      const address = addresses[index]!;
      this.#ring.send(fds[index]!, address, lengths[index]!, Kind.Send, index, this.#batch);
    }
    if (this.#submit() !== 0) {
      const left = Math.min(this.#ring.queued, end - from);
      this.#ring.takeBack(left);
      this.#underWay -= left;
      for (let index = end - left; index < end; index++) sendDirectly(index, pieces);
    }
    // Completions that found no room: there is some now.
    for (let tries = 0; this.#underWay > 0; tries++) {
      if (tries === triesMax) {
        throw new SocketError(
          "io_uring_enter",
          Errno.EBUSY,
          "did not complete sends that do not wait",
        );
      }
      this.#ring.wait(0);
      this.#collect();
    }
  }

  /** Hands over what is queued; not 0: the kernel takes no more even when everything is read that waits here. */
  #submit(): number {
    for (let tries = 1; ; tries++) {
      const refused = this.#ring.submit();
      this.#collect();
      if (refused === 0 || tries === triesMax) return refused;
      this.#ring.wait(0);
      this.#collect();
    }
  }

  #makeRoom(): void {
    if (this.#ring.room > 0) return;
    const refused = this.#submit();
    if (this.#ring.room > 0) return;
    throw new SocketError("io_uring_enter", refused, "with a full submission queue");
  }

  /** Reads every completion; what happened to watched descriptors is kept for `wait`. */
  #collect(): void {
    const ring = this.#ring;
    while (ring.next()) {
      if (ring.kind === Kind.Watch) this.#noteWatch(ring);
      else if (ring.kind === Kind.Send) this.#noteSend(ring);
      // Nothing is to be done where there was nothing to end.
    }
  }

  #noteWatch({ slot, generation, result, flags }: Ring): void {
    if (this.#generations[slot] !== generation) return;
    if (result >= 0) this.#note(slot, result);
    else if (result === -Errno.ECANCELED) return;
    else if (!isPassing(result)) return this.#note(slot, broken);
    if ((flags & CQE_MORE) === 0) this.#noteEnded(slot);
  }

  #note(slot: number, events: number): void {
    this.#bits[slot] = this.#bits[slot]! | events;
    const marks = this.#marks[slot]!;
    if ((marks & Mark.Happened) !== 0) return;
    this.#marks[slot] = marks | Mark.Happened;
    this.#happened[this.#happenedCount++] = slot;
  }

  #noteEnded(slot: number): void {
    const marks = this.#marks[slot]!;
    this.#marks[slot] = marks | Mark.Ended | Mark.BeginAgain;
    if ((marks & Mark.Ended) === 0) this.#ended[this.#endedCount++] = slot;
  }

  #noteSend({ slot, generation, result }: Ring): void {
    if (generation !== this.#batch || this.#results[slot] !== underWay) return;
    this.#results[slot] = result;
    this.#underWay--;
  }

  /** What is known of a slot is not about whoever has it now; its places in the lists stay. */
  #forget(slot: number): void {
    this.#bits[slot] = 0;
    this.#marks[slot] = this.#marks[slot]! & ~Mark.BeginAgain;
  }

  #takeHappened(): number {
    let count = 0;
    for (let index = 0; index < this.#happenedCount; index++) {
      const slot = this.#happened[index]!;
      this.#marks[slot] = this.#marks[slot]! & ~Mark.Happened;
      const events = this.#bits[slot]!;
      if (events === 0) continue;
      this.#bits[slot] = 0;
      this.#slots[count] = slot;
      this.#slotGenerations[count] = this.#generations[slot]!;
      this.#events[count++] = events;
    }
    this.#happenedCount = 0;
    return count;
  }

  /**
   * A watch that begins again tells at once of what is so: nothing is missed in between. The kernel ends watches when completions
   * find no room; so they begin again when there is some, and no more of them in a turn than completions have room for.
   */
  #watchEndedAgain(): void {
    if (this.#endedCount === 0 || this.#ring.overflowed) return;
    for (let most = this.#beginAgainMax; most > 0 && this.#endedCount > 0; most--) {
      const slot = this.#ended[--this.#endedCount]!;
      const marks = this.#marks[slot]!;
      this.#marks[slot] = marks & ~(Mark.Ended | Mark.BeginAgain);
      if ((marks & Mark.BeginAgain) === 0) continue;
      this.#makeRoom();
      this.#ring.poll(this.#fds[slot]!, watchedEvents, Kind.Watch, slot, this.#generations[slot]!);
    }
  }

  /** After completions were lost nobody knows which watches the kernel still has. */
  #watchAllAgain(): void {
    for (let slot = 0; slot < this.#generations.length; slot++) {
      const generation = this.#generations[slot]!;
      if (generation === noGeneration) continue;
      this.#makeRoom();
      this.#ring.cancel(Kind.Watch, slot, generation, Kind.Unwatch);
      this.#noteEnded(slot);
    }
  }

  #grow(slot: number): void {
    if (slot >= slotsMax) throw new SocketError("io_uring", Errno.EINVAL, `${slot} is no slot`);
    let length = this.#fds.length;
    while (length <= slot) length *= 2;
    const longer = (words: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const copy = new Int32Array(length);
      copy.set(words);
      return copy;
    };
    const known = this.#generations.length;
    this.#fds = longer(this.#fds);
    this.#generations = longer(this.#generations).fill(noGeneration, known);
    this.#bits = longer(this.#bits);
    this.#happened = longer(this.#happened);
    this.#ended = longer(this.#ended);
    this.#slots = longer(this.#slots);
    this.#slotGenerations = longer(this.#slotGenerations);
    this.#events = longer(this.#events);
    const marks = new Uint8Array(length);
    marks.set(this.#marks);
    this.#marks = marks;
  }
}

/** The kernel had no memory at the moment. */
function isPassing(result: number): boolean {
  return result === -Errno.ENOMEM || result === -Errno.EAGAIN || result === -Errno.EBUSY;
}

function sendDirectly(index: number, { fds, addresses, lengths, results }: Pieces): void {
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  const sent = libc().send(fds[index]!, addresses[index]!, lengths[index]!, flags);
  results[index] = sent < 0 ? -lastErrno() : sent;
}
