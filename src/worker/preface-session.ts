// The beginning of a client's connection that must say whose it is: reads the PROXY protocol preface, and
// hands the connection over to the session of its protocol, with the bytes that follow.
//
// Only connections from `--proxy-protocol` come here. Without a preface, whole and in time, they are
// closed: nothing of theirs reaches a backend, and nobody's address is guessed.

import type { CloseReason, ConnectionEnds, Stream, StreamEvents } from "../io/stream.ts";
import { type Preface, readPreface } from "../protocol/proxy-preface.ts";
import { Counter, Limited } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import type { Door } from "./doors.ts";
import { HeldBytes } from "./held-bytes.ts";
import type { Session, Sessions } from "./sessions.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";

/** What becomes of the connection. */
export interface Onward {
  /** Where it came in; it is counted for its client once that is known. */
  readonly door: Door;
  /** Makes the session that goes on; `ends` undefined: the stream's own. */
  readonly open: (stream: Stream, ends?: ConnectionEnds) => Session;
}

export class PrefaceSession implements StreamEvents, TimerOwner, Session {
  readonly #context: WorkerContext;
  readonly #sessions: Sessions;
  readonly #stream: Stream;
  readonly #onward: Onward;
  readonly #timer = new Timer(this);
  readonly #held = new HeldBytes();

  constructor(context: WorkerContext, sessions: Sessions, stream: Stream, onward: Onward) {
    this.#context = context;
    this.#sessions = sessions;
    this.#stream = stream;
    this.#onward = onward;
    stream.events = this;
    sessions.add(this);
    context.wheel.arm(this.#timer, context.limits.prefaceMsMax);
  }

  onConnect(): void {}

  onData(bytes: Uint8Array, start: number, end: number): void {
    const held = this.#held;
    if (held.length === 0 && this.#decides(bytes, start, end)) return;
    const isFirst = held.length === 0;
    held.add(bytes, start, end);
    if (!isFirst) this.#decides(held.bytes, held.start, held.end);
  }

  /** Whether these bytes, all that came so far, were enough to hand the connection over or to refuse it. */
  #decides(bytes: Uint8Array, start: number, end: number): boolean {
    const reading = readPreface(bytes, start, end, this.#context.limits.prefaceBytesMax);
    if (reading.kind === "incomplete") return false;
    if (reading.kind === "refused") this.#refuse();
    else this.#handOver(reading.preface, bytes, reading.end, end);
    return true;
  }

  #handOver(preface: Preface, bytes: Uint8Array, start: number, end: number): void {
    const { counters, wheel, draining } = this.#context;
    const stream = this.#stream;
    wheel.disarm(this.#timer);
    counters[Counter.prefacesAccepted]! += 1;
    const { door, open } = this.#onward;
    const ends = endsOf(preface);
    const place = door.enterFrom((ends ?? stream).remoteAddress);
    if (place === undefined) return this.destroy();
    const session = this.#sessions.handOver(this, () => open(stream, ends), place);
    if (end > start) stream.events.onData(bytes, start, end);
    if (draining) session.drain();
  }

  #refuse(): void {
    this.#context.counters[Counter.prefacesRefused]! += 1;
    this.#stream.destroy(false);
    this.#leave();
  }

  /** A connection that never said anything, such as a balancer's look whether we are there, is not counted. */
  onEnd(): void {
    if (this.#held.length > 0) return this.#refuse();
    this.#stream.destroy(false);
    this.#leave();
  }

  onWritable(): void {}

  onClose(_reason: CloseReason): void {
    if (this.#held.length > 0) this.#context.counters[Counter.prefacesRefused]! += 1;
    this.#leave();
  }

  onTimeout(): void {
    this.#context.counters[Limited["preface-time"]]! += 1;
    this.#refuse();
  }

  get waitingSinceMs(): number {
    return this.#timer.deadlineMs - this.#context.limits.prefaceMsMax;
  }

  giveWay(): void {
    this.#stream.destroy(false);
    this.#leave();
  }

  /** What is on its way may still come, as with the first request of a connection. */
  drain(): void {
    this.#context.wheel.arm(this.#timer, this.#context.limits.firstRequestMsMax);
  }

  destroy(): void {
    this.#stream.destroy(true);
    this.#leave();
  }

  #leave(): void {
    this.#context.wheel.disarm(this.#timer);
    this.#sessions.remove(this);
  }
}

function endsOf({ ends }: Preface): ConnectionEnds | undefined {
  if (ends === undefined) return undefined;
  return {
    remoteAddress: ends.source,
    remotePort: ends.sourcePort,
    localAddress: ends.destination,
    localPort: ends.destinationPort,
  };
}
