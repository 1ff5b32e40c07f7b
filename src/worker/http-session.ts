// One client connection speaking HTTP/1: finds the requests in its bytes, one after the other, lets
// an exchange answer each, and decides when the connection ends.
//
// Bytes that cannot be used yet (half a head, a body whose backend is still being dialled, a second
// request behind one that is not answered, or whose client does not read its answers) are held, up
// to a bound; then the reading stops. All stopping and going on is decided in #steer.

import type { CloseReason, ConnectionEnds, Stream, StreamEvents } from "../io/stream.ts";
import type { BackendState } from "../routing/backend-state.ts";
import { Counter } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import { cutExchange } from "./drains.ts";
import type { Exchange, ExchangeClient } from "./exchange.ts";
import { HeldBytes } from "./held-bytes.ts";
import type { KnownRequest } from "./known-heads.ts";
import { limited } from "./limited.ts";
import { Lingering, type LingeringOwner } from "./lingering.ts";
import type { Reason } from "./local-answer.ts";
import { refuse, refuseMalformed } from "./refusal.ts";
import { type Downstream, describeDownstream } from "./request-writer.ts";
import type { Session, Sessions } from "./sessions.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";
import { Upgraded, type UpgradedOwner } from "./upgraded.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";

/** Where the connection stands; `linger`: answered for the last time, the rest is read and dropped. */
const State = { Head: 0, Body: 1, Answer: 2, Tunnel: 3, Linger: 4, Gone: 5 } as const;

export class HttpSession
  implements StreamEvents, ExchangeClient, TimerOwner, UpgradedOwner, LingeringOwner, Session
{
  readonly stream: Stream;
  readonly downstream: Downstream;
  readonly #context: WorkerContext;
  readonly #sessions: Sessions;
  readonly #timer = new Timer(this);
  readonly #held = new HeldBytes();
  /** The request under way: there is one in the states Body, Answer and Tunnel. */
  #exchange: Exchange | undefined;
  #state: number = State.Head;
  /** How many requests it has brought. */
  #requests = 0;
  #known: KnownRequest | undefined;
  #inputEnded = false;
  /** The time that runs is that of a client which has ended its side. */
  #mayHaveLeft = false;
  #consuming = false;
  /** While bytes are consumed: some stand behind the head that was read last. */
  #isFollowed = false;
  #stopped = false;
  /** What the connection goes on as, in the states Tunnel and Linger. */
  #after: Upgraded | Lingering | undefined;

  /** @param ends Between whom, if a preface says so; undefined: the stream's own. */
  constructor(context: WorkerContext, sessions: Sessions, stream: Stream, ends?: ConnectionEnds) {
    const client = ends ?? stream;
    this.#context = context;
    this.#sessions = sessions;
    this.stream = stream;
    const trusted = context.trusted.contains(client.remoteAddress);
    this.downstream = describeDownstream(client, trusted, context.forwarded);
    stream.events = this;
    sessions.add(this);
    context.wheel.arm(this.#timer, context.limits.downstreamIdleMsMax);
  }

  get holdsBytes(): boolean {
    return this.#consuming ? this.#isFollowed : this.#held.length > 0;
  }

  get isSpent(): boolean {
    return this.#requests >= this.#context.limits.requestsPerConnectionMax;
  }

  /**
   * Lets nothing happen for `limitMs`, or less for a client that has ended its side: it may be waiting,
   * but most have left, and what we send would tell, but there is nothing to send (decision 0024).
   * While something is queued it is there: whoever is not would have reset the connection.
   */
  progressed(limitMs: number): void {
    const { wheel, limits } = this.#context;
    this.#mayHaveLeft =
      this.#inputEnded &&
      this.#state === State.Answer &&
      this.stream.queuedBytes === 0 &&
      limits.clientEndedMsMax < limitMs;
    wheel.arm(this.#timer, this.#mayHaveLeft ? limits.clientEndedMsMax : limitMs);
  }

  // --- what the client does

  onConnect(): void {}

  onData(bytes: Uint8Array, start: number, end: number): void {
    this.#context.counters[Counter.bytesFromClients]! += end - start;
    if (this.#held.length === 0) {
      const at = this.#consume(bytes, start, end);
      if (at < end && this.#state < State.Linger) this.#hold(bytes, at, end);
      this.#steer();
      return;
    }
    this.#hold(bytes, start, end);
    this.#goOn();
  }

  onEnd(): void {
    this.#inputEnded = true;
    this.#endOfInput();
    if (this.#state === State.Answer) this.progressed(this.#exchange!.lateness.silentMsMax);
  }

  onWritable(): void {
    this.#exchange?.clientWritable();
    if (this.#state !== State.Head) return;
    this.#awaitHead();
    this.#goOn();
  }

  onClose(_reason: CloseReason): void {
    this.#exchange?.abort();
    this.#leave();
  }

  // --- what the exchange says

  requestMayGoOn(): void {
    if (this.#state < State.Tunnel) this.#goOn();
  }

  exchangeDone(close: boolean): void {
    this.#giveBack();
    if (close) return this.#linger();
    this.#state = State.Head;
    this.#context.wheel.arm(this.#timer, this.#context.limits.downstreamIdleMsMax);
    // Called from within #consume: its loop goes on by itself.
    if (this.#consuming) return;
    this.#awaitHead();
    this.#goOn();
  }

  cut(): void {
    this.stream.destroy(true);
    this.#leave();
  }

  upgraded(upstream: UpstreamConnection, early: Uint8Array, start: number, end: number): void {
    const held = this.#held;
    this.#state = State.Tunnel;
    this.#context.wheel.disarm(this.#timer);
    const ends = { client: this.stream, upstream };
    const after = new Upgraded(this.#context, this.#exchange!, ends, this);
    this.#after = after;
    const { tunnel } = after;
    tunnel.fromUpstream(early, start, end);
    tunnel.fromClient(held.bytes, held.start, held.end);
    held.clear();
    if (this.#inputEnded) tunnel.clientEnded();
  }

  onEnded(): void {
    this.#leave();
  }

  // --- what the worker says

  /** No further request on this connection; what is under way carries on. */
  drain(): void {
    if (this.#exchange !== undefined) this.#exchange.keepAlive = false;
    if (this.#state !== State.Head || !this.#held.holdsNoHead) return;
    // A request may be on its way: from the kernel, it is here a tick later; the first one, from afar.
    const { wheel, limits } = this.#context;
    wheel.arm(this.#timer, this.#requests > 0 ? 0 : limits.firstRequestMsMax);
  }

  /** Also with a part of a head: one that comes slowly must not keep others out. */
  get waitingSinceMs(): number {
    if (this.#state !== State.Head || this.stream.queuedBytes > 0) return Number.POSITIVE_INFINITY;
    const { downstreamIdleMsMax, requestHeadMsMax } = this.#context.limits;
    return (
      this.#timer.deadlineMs - (this.#held.holdsNoHead ? downstreamIdleMsMax : requestHeadMsMax)
    );
  }

  giveWay(): void {
    this.stream.destroy(false);
    this.#leave();
  }

  destroy(): void {
    if (this.#state === State.Gone) return;
    if (this.#after !== undefined) return this.#after.destroy();
    this.stream.destroy(true);
    this.onClose("destroyed");
  }

  cutAt(backend: BackendState): void {
    if (this.#exchange !== undefined) cutExchange(this.#exchange, this.#after, backend);
  }

  // --- finding requests

  /** Uses bytes[start..end) as far as it can and answers where it stopped. */
  #consume(bytes: Uint8Array, start: number, end: number): number {
    this.#consuming = true;
    let at = start;
    while (at < end && this.#state < State.Answer && !this.#isClogged) {
      const next =
        this.#state === State.Head
          ? this.#readHead(bytes, at, end)
          : this.#readBody(bytes, at, end);
      if (next < 0) break;
      at = next;
    }
    this.#consuming = false;
    if (this.#state >= State.Linger) return end;
    return at;
  }

  /** Where the head ended, or -1 when it is not whole. */
  #readHead(bytes: Uint8Array, at: number, end: number): number {
    const { requestHeads, exchanges } = this.#context;
    const next = requestHeads.read(this.#known, bytes, at, end);
    if (next === 0) return -1;
    if (next < 0) {
      this.#malformed(-next, requestHeads.fresh.error);
      return end;
    }
    this.#context.requestHead = requestHeads.current;
    this.#known = requestHeads.known;
    const exchange = (this.#exchange = exchanges.lend(this));
    this.#requests++;
    this.#isFollowed = next < end;
    exchange.begin(requestHeads.bytes, this.#known);
    // Answered within that call.
    if (this.#exchange === undefined) return next;
    this.#awaitMore(exchange);
    // Nothing behind the head yet: it must not wait for its body (Expect: 100-continue does).
    if (this.#state === State.Body && next === end && exchange.takesBody)
      exchange.feedRequest(bytes, end, end);
    return next;
  }

  /** Where the body's bytes ended, or -1 while they cannot be taken. */
  #readBody(bytes: Uint8Array, at: number, end: number): number {
    const exchange = this.#exchange;
    if (exchange?.takesBody !== true) return -1;
    const next = exchange.feedRequest(bytes, at, end);
    if (this.#state === State.Body) this.#awaitMore(exchange);
    return next;
  }

  /** Of the body, or the answer when it is whole. */
  #awaitMore(exchange: Exchange): void {
    this.#state = exchange.requestBody.done ? State.Answer : State.Body;
    this.progressed(exchange.lateness.silentMsMax);
  }

  #hold(bytes: Uint8Array, start: number, end: number): void {
    const begins = this.#held.holdsNoHead;
    this.#held.add(bytes, start, end);
    if (begins) this.#awaitHead();
  }

  /** From its first bytes on a head has only so long, however it trickles; an empty line is none of it. */
  #awaitHead(): void {
    if (this.#state !== State.Head || this.#held.holdsNoHead) return;
    const { wheel, limits } = this.#context;
    wheel.arm(this.#timer, this.#isClogged ? limits.bodyIdleMsMax : limits.requestHeadMsMax);
  }

  /** Goes on with what is held. */
  #goOn(): void {
    const held = this.#held;
    if (this.#consuming) return;
    if (held.length > 0 && this.#state < State.Answer && this.#isUsable()) {
      const at = this.#consume(held.bytes, held.start, held.end);
      if (this.#state < State.Tunnel) this.#heldUsedTo(at);
    }
    this.#steer();
    if (this.#inputEnded) this.#endOfInput();
  }

  #heldUsedTo(at: number): void {
    const held = this.#held;
    const wasUsed = at > held.start;
    held.dropTo(at);
    if (wasUsed) this.#awaitHead();
  }

  /** Between requests: the client does not read its answers, so it gets no further ones. */
  get #isClogged(): boolean {
    return (
      this.#state === State.Head &&
      this.stream.queuedBytes > this.#context.limits.sendQueueBytesHigh
    );
  }

  /**
   * Stops reading while more than a head's worth is held that cannot be used now, or while the
   * backend is slow in taking the body; reads on as soon as neither is so. Whatever changes one of
   * them comes by here: every use of held bytes, and `onWritable` of either side.
   */
  #steer(): void {
    if (this.#state >= State.Tunnel) return;
    const waits = this.#state !== State.Head || this.#isClogged;
    const stop =
      (waits && this.#held.length > this.#context.limits.headBytesMax) ||
      (this.#state === State.Body && this.#exchange?.isUpstreamClogged === true);
    if (stop === this.#stopped) return;
    this.#stopped = stop;
    if (stop) this.stream.pause();
    else this.stream.resume();
  }

  /** A head that comes in many pieces is only parsed when it can be whole, or wrong. */
  #isUsable(): boolean {
    return this.#state !== State.Head || this.#held.mayBeHead(this.#context.limits);
  }

  // --- ends

  /** The client sends no more. What is complete is still answered (a half-close is legal). */
  #endOfInput(): void {
    if (this.#state === State.Head) {
      // Whole requests may be held back until the client reads.
      if (this.#held.length === 0 || (!this.#isClogged && !this.#refusedHeld())) this.#linger();
    } else if (
      this.#state === State.Body &&
      (this.#held.length === 0 || this.#exchange?.takesBody === true)
    ) {
      this.#exchange?.fail(400, "request-malformed", "the body ended early");
    }
  }

  onTimeout(): void {
    switch (this.#state) {
      case State.Head:
        if (this.#held.holdsNoHead || this.#isClogged) return this.#idleTooLong();
        if (this.#refusedHeld()) return;
        return this.#refuse(408, "request-slow", limited(this.#context.counters, "head-time"));
      case State.Body:
      case State.Answer:
        return this.#mayHaveLeft ? this.#abandon() : this.#exchange?.lateness.timedOut();
      default:
    }
  }

  /** As if the client had reset its connection: the backend hears of it. */
  #abandon(): void {
    this.stream.destroy(this.#exchange!.abandon());
    this.#leave();
  }

  #idleTooLong(): void {
    const { draining, counters } = this.#context;
    if (!draining) limited(counters, this.#held.holdsNoHead ? "idle-time" : "body-idle-time");
    this.#linger();
  }

  /** No more will come of this head: whether it was wrong already, which the scanner does not look for. */
  #refusedHeld(): boolean {
    const { bytes, start, end } = this.#held;
    const { fresh } = this.#context.requestHeads;
    const next = fresh.parse(bytes, start, end);
    if (next < 0) this.#malformed(-next, fresh.error);
    return next < 0;
  }

  #malformed(status: number, detail: string): void {
    refuseMalformed(this.#context, this.stream, this.downstream.address, status, detail);
    this.#linger();
  }

  #refuse(status: number, reason: Reason, detail: string): void {
    refuse(this.#context, this.stream, this.downstream.address, { status, reason, detail });
    this.#linger();
  }

  /** Nothing further is read as a request. */
  #linger(): void {
    this.#state = State.Linger;
    this.#held.clear();
    this.#context.wheel.disarm(this.#timer);
    this.#after = new Lingering(this.#context, this.stream, this);
  }

  #giveBack(): void {
    if (this.#exchange !== undefined) this.#context.exchanges.giveBack(this.#exchange);
    this.#exchange = undefined;
  }

  #leave(): void {
    this.#state = State.Gone;
    this.#context.wheel.disarm(this.#timer);
    this.#held.clear();
    this.#giveBack();
    this.downstream.prefaces?.close();
    this.#sessions.remove(this);
  }
}
