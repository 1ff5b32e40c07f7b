// One client connection speaking HTTP/1: finds the requests in its bytes, one after the other, lets
// an exchange answer each, and decides when the connection ends.
//
// Bytes that cannot be used yet (half a head, a body whose backend is still being dialled, a second
// request behind one that is not answered, or whose client does not read its answers) are held, up
// to a bound; then the reading stops. All stopping and going on is decided in #steer.

import type { CloseReason, ConnectionEnds, Stream, StreamEvents } from "../io/stream.ts";
import { HeadScanner } from "../protocol/head-end.ts";
import { hostOf } from "../routing/host.ts";
import { Counter } from "../telemetry/counters.ts";
import { flush } from "./body-relay.ts";
import type { WorkerContext } from "./context.ts";
import { dateLineAt } from "./date-line.ts";
import { Exchange, type ExchangeClient } from "./exchange.ts";
import { HeldBytes } from "./held-bytes.ts";
import { type Reason, writeLocalAnswer } from "./local-answer.ts";
import { type Downstream, describeDownstream } from "./request-writer.ts";
import type { Session, Sessions } from "./sessions.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";
import { Tunnel, type TunnelOwner } from "./tunnel.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";

/** Where the connection stands; `linger`: answered for the last time, the rest is read and dropped. */
const State = { Head: 0, Body: 1, Answer: 2, Tunnel: 3, Linger: 4, Gone: 5 } as const;

export class HttpSession implements StreamEvents, ExchangeClient, TimerOwner, TunnelOwner, Session {
  readonly stream: Stream;
  readonly downstream: Downstream;
  readonly #context: WorkerContext;
  readonly #sessions: Sessions;
  readonly #exchange: Exchange;
  readonly #timer = new Timer(this);
  readonly #held = new HeldBytes();
  #scanner: HeadScanner | undefined;
  #state: number = State.Head;
  #host = "";
  #inputEnded = false;
  #consuming = false;
  #stopped = false;
  /** What waited to be sent when lingering was last looked at, in bytes. */
  #unsentBytes = Number.POSITIVE_INFINITY;
  #tunnel: Tunnel | undefined;

  /** @param ends Between whom, if a preface says so; undefined: the stream's own. */
  constructor(context: WorkerContext, sessions: Sessions, stream: Stream, ends?: ConnectionEnds) {
    const client = ends ?? stream;
    this.#context = context;
    this.#sessions = sessions;
    this.stream = stream;
    this.downstream = describeDownstream(client, context.trusted.contains(client.remoteAddress));
    this.#exchange = new Exchange(context, this);
    stream.events = this;
    sessions.add(this);
    context.wheel.arm(this.#timer, context.limits.downstreamIdleMsMax);
  }

  get holdsBytes(): boolean {
    return this.#held.length > 0;
  }

  progressed(limitMs: number): void {
    this.#context.wheel.arm(this.#timer, limitMs);
  }

  // --- what the client does

  onConnect(): void {}

  onData(bytes: Uint8Array, start: number, end: number): void {
    this.#context.counters[Counter.bytesFromClients]! += end - start;
    if (this.#state >= State.Linger) return;
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
  }

  onWritable(): void {
    this.#exchange.clientWritable();
    if (this.#state !== State.Head) return;
    if (this.#held.length > 0) this.#beginHead();
    this.#goOn();
  }

  onClose(_reason: CloseReason): void {
    this.#state = State.Gone;
    this.#exchange.abort();
    this.#leave();
  }

  // --- what the exchange says

  requestMayGoOn(): void {
    if (this.#state < State.Tunnel) this.#goOn();
  }

  exchangeDone(close: boolean): void {
    if (this.#state >= State.Linger) return;
    if (close) return this.#linger();
    this.#state = State.Head;
    this.#context.wheel.arm(this.#timer, this.#context.limits.downstreamIdleMsMax);
    // Called from within #consume: its loop goes on by itself.
    if (this.#consuming) return;
    if (this.#held.length > 0) this.#beginHead();
    this.#goOn();
  }

  cut(): void {
    this.#state = State.Gone;
    this.stream.destroy(true);
    this.#leave();
  }

  upgraded(upstream: UpstreamConnection, early: Uint8Array, start: number, end: number): void {
    const context = this.#context;
    this.#state = State.Tunnel;
    context.wheel.disarm(this.#timer);
    context.counters[Counter.upgradedOpen]! += 1;
    upstream.detach();
    const tunnel = new Tunnel(context, this.stream, upstream.stream, this);
    this.#tunnel = tunnel;
    tunnel.fromUpstream(early, start, end);
    tunnel.fromClient(this.#held.bytes, this.#held.start, this.#held.end);
    this.#held.clear();
    if (this.#inputEnded) tunnel.clientEnded();
  }

  onTunnelEnd(bytesFromClient: number, bytesToClient: number): void {
    const { counters } = this.#context;
    counters[Counter.upgradedOpen]! -= 1;
    counters[Counter.upstreamOpen]! -= 1;
    this.#exchange.upgradeEnded(bytesFromClient, bytesToClient);
    this.#state = State.Gone;
    this.#leave();
  }

  // --- what the worker says

  /** No further request on this connection; what is under way carries on. */
  drain(): void {
    this.#exchange.keepAlive = false;
    if (this.#state !== State.Head || this.#held.length > 0) return;
    // A request may be on its way: from the kernel, it is here a tick later; the first one, from afar.
    const { wheel, limits } = this.#context;
    wheel.arm(this.#timer, this.#exchange.record.startMs < 0 ? limits.firstRequestMsMax : 0);
  }

  destroy(): void {
    if (this.#tunnel !== undefined) return this.#tunnel.destroy();
    if (this.#state === State.Gone) return;
    this.stream.destroy(true);
    this.onClose("destroyed");
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
    const { requestHead: head, wheel, limits } = this.#context;
    const next = head.parse(bytes, at, end);
    if (next === 0) return -1;
    if (next < 0) {
      this.#malformed(-next, head.error, bytes);
      return end;
    }
    if (!this.#isHost(bytes, head.hostStart, head.hostEnd)) {
      this.#host = hostOf(bytes, head.hostStart, head.hostEnd);
    }
    this.#exchange.begin(bytes, this.#host);
    if (!this.#exchange.active) return next;
    if (this.#exchange.requestBody.done) {
      this.#state = State.Answer;
      wheel.arm(this.#timer, limits.responseHeadMsMax);
      return next;
    }
    this.#state = State.Body;
    wheel.arm(this.#timer, limits.bodyIdleMsMax);
    // Nothing behind the head yet: it must not wait for its body (Expect: 100-continue does).
    if (next === end && this.#exchange.takesBody) this.#exchange.feedRequest(bytes, end, end);
    return next;
  }

  /** Where the body's bytes ended, or -1 while they cannot be taken. */
  #readBody(bytes: Uint8Array, at: number, end: number): number {
    const exchange = this.#exchange;
    const { wheel, limits } = this.#context;
    if (!exchange.takesBody) return -1;
    const next = exchange.feedRequest(bytes, at, end);
    if (this.#state !== State.Body) return next;
    if (exchange.requestBody.done) {
      this.#state = State.Answer;
      wheel.arm(this.#timer, limits.responseHeadMsMax);
    } else wheel.arm(this.#timer, limits.bodyIdleMsMax);
    return next;
  }

  /** Whether the host is the one of the last request: then its text need not be made again. */
  #isHost(bytes: Uint8Array, start: number, end: number): boolean {
    const host = this.#host;
    if (host.length !== end - start) return false;
    for (let i = 0; i < host.length; i++) if (bytes[start + i] !== host.charCodeAt(i)) return false;
    return true;
  }

  #hold(bytes: Uint8Array, start: number, end: number): void {
    if (this.#held.length === 0 && this.#state === State.Head) this.#beginHead();
    this.#held.add(bytes, start, end);
  }

  /** The first bytes of a head are held: from now on it has only so long, however it trickles. */
  #beginHead(): void {
    const { wheel, limits } = this.#context;
    wheel.arm(this.#timer, this.#isClogged ? limits.bodyIdleMsMax : limits.requestHeadMsMax);
    this.#scanner?.reset();
  }

  /** Goes on with what is held. */
  #goOn(): void {
    const held = this.#held;
    if (this.#consuming) return;
    if (held.length > 0 && this.#state < State.Answer && this.#worthParsing()) {
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
    if (wasUsed && held.length > 0 && this.#state === State.Head) this.#beginHead();
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
      (this.#state === State.Body && this.#exchange.isUpstreamClogged);
    if (stop === this.#stopped) return;
    this.#stopped = stop;
    if (stop) this.stream.pause();
    else this.stream.resume();
  }

  /** A head that comes in many pieces is only parsed when it can be whole, or wrong. */
  #worthParsing(): boolean {
    if (this.#state !== State.Head) return true;
    const { bytes, start, end } = this.#held;
    this.#scanner ??= new HeadScanner(this.#context.limits);
    return this.#scanner.scan(bytes, start, end);
  }

  // --- ends

  /** The client sends no more. What is complete is still answered (a half-close is legal). */
  #endOfInput(): void {
    if (this.#state === State.Head) {
      // Whole requests may be held back until the client reads.
      if (this.#held.length === 0 || (!this.#isClogged && !this.#refusedHeld())) this.#linger();
    } else if (
      this.#state === State.Body &&
      (this.#held.length === 0 || this.#exchange.takesBody)
    ) {
      this.#exchange.fail(400, "request-malformed", "the body ended early");
    } else if (this.#state === State.Tunnel) this.#tunnel?.clientEnded();
  }

  onTimeout(): void {
    switch (this.#state) {
      case State.Head:
        if (this.#held.length === 0 || this.#isClogged) return this.#linger();
        if (this.#refusedHeld()) return;
        return this.#answerAndClose(408, "request-slow", "", undefined);
      case State.Body:
      case State.Answer:
        return this.#exchange.timedOut();
      case State.Linger:
        return this.#lingered();
      default:
    }
  }

  /** No more will come of this head: whether it was wrong already, which the scanner does not look for. */
  #refusedHeld(): boolean {
    const { bytes, start, end } = this.#held;
    const { requestHead } = this.#context;
    const next = requestHead.parse(bytes, start, end);
    if (next < 0) this.#malformed(-next, requestHead.error, bytes);
    return next < 0;
  }

  #malformed(status: number, detail: string, bytes: Uint8Array): void {
    this.#context.counters[Counter.malformedRequests]! += 1;
    this.#answerAndClose(status, "request-malformed", detail, bytes);
  }

  #answerAndClose(
    status: number,
    reason: Reason,
    detail: string,
    bytes: Uint8Array | undefined,
  ): void {
    const { writer } = this.#context;
    const { record } = this.#exchange;
    record.begin(bytes ?? this.#held.bytes, undefined);
    record.status = status;
    record.reason = detail === "" ? reason : `${reason}: ${detail}`;
    writer.length = 0;
    writeLocalAnswer(writer, {
      status,
      reason,
      detail,
      close: true,
      headOnly: false,
      json: false,
      sayKeepAlive: false,
      dateLine: dateLineAt(this.#context.wallMs()),
    });
    record.bytesOut = writer.length;
    flush(writer, this.stream);
    record.end(this.downstream.address);
    this.#linger();
  }

  /**
   * Says goodbye, then reads and drops what still comes: closing at once would reset the connection
   * and the client might never see its answer (RFC 9112 section 9.6).
   */
  #linger(): void {
    this.#state = State.Linger;
    this.#held.clear();
    this.stream.end();
    this.stream.resume();
    this.#unsentBytes = Number.POSITIVE_INFINITY;
    this.#context.wheel.arm(this.#timer, this.#context.limits.lingerMsMax);
  }

  /** A slow reader gets the rest of its answer as long as it takes some; the kernel sends its part alone. */
  #lingered(): void {
    const { queuedBytes } = this.stream;
    if (queuedBytes > 0 && queuedBytes < this.#unsentBytes) {
      this.#unsentBytes = queuedBytes;
      this.#context.wheel.arm(this.#timer, this.#context.limits.lingerMsMax);
      return;
    }
    this.#state = State.Gone;
    this.stream.destroy(false);
    this.#leave();
  }

  #leave(): void {
    this.#context.wheel.disarm(this.#timer);
    this.#held.clear();
    this.#exchange.choice.leave();
    this.#sessions.remove(this);
  }
}
