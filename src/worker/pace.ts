// Whether a client keeps the pace: what it brings of its request, or takes of its answer, must come to
// `bodyRateMin` on average, once it has had `bodyRateGraceMs` to get going. The rate and the grace are
// Kestrel's (MinRequestBodyDataRate, MinResponseDataRate).
//
// It is a bucket: bytes fill it, time empties it, and a client whose bucket is empty is too slow. It holds
// what `bodyIdleMsMax` empties and no more. A plain average would let one that was fast for a second, or
// filled the buffers of its kernel, be slow for hours.
//
// Only time in which the client is the one who is waited for counts: not while a backend is dialled, does
// not read, or has nothing to say. One that is answered while it still sends is in a conversation, and
// may think before it speaks. A body is looked at once in `bodyRateLookMs` while it is under way, and a
// request that came and went at once never.

import type { WorkerContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";

/** A look that is later than this many times its time counts as this many: the worker stood still, not the client. */
const looksCountedMax = 2;

export class Pace implements TimerOwner {
  /** The next look is due. */
  watches = false;
  readonly #context: WorkerContext;
  readonly #exchange: Exchange;
  readonly #timer = new Timer(this);
  #lookedMs = 0;
  /** By how much the client may still fall behind, in bytes. */
  #spareBytes = 0;
  /** Of the body, when it was last looked at. */
  #bytesBefore = 0;
  /** The answer's queue has been over its high mark, and not been empty since. */
  #isAnswer = false;
  /** Bytes of the answer that were written, and not acknowledged, when that began. */
  #writtenBefore = 0;
  #unsentBefore = 0;

  constructor(context: WorkerContext, exchange: Exchange) {
    this.#context = context;
    this.#exchange = exchange;
  }

  /** The request's body is under way. */
  watchRequest(): void {
    if (this.watches) return;
    // What has come so far came at once.
    this.#begin();
  }

  /** The client does not take its answer as fast as it comes. */
  watchAnswer(): void {
    if (this.#isAnswer) return;
    this.#isAnswer = true;
    this.#writtenBefore = this.#exchange.response.bytes;
    this.#unsentBefore = this.#exchange.client.stream.unacknowledgedBytes;
    this.#begin();
  }

  /** There is nothing to watch any more. */
  end(): void {
    this.watches = false;
    this.#isAnswer = false;
    this.#context.wheel.disarm(this.#timer);
  }

  #begin(): void {
    const { nowMs, limits } = this.#context;
    this.#spareBytes = (limits.bodyRateMin * limits.bodyRateGraceMs) / 1_000;
    this.#bytesBefore = 0;
    this.#lookedMs = nowMs();
    this.#again();
  }

  #again(): void {
    const { wheel, limits } = this.#context;
    this.watches = true;
    wheel.arm(this.#timer, limits.bodyRateLookMs);
  }

  onTimeout(): void {
    const { nowMs, limits } = this.#context;
    const now = nowMs();
    const passedMs = Math.min(now - this.#lookedMs, looksCountedMax * limits.bodyRateLookMs);
    this.#lookedMs = now;
    if (this.#isAnswer) this.#lookAtAnswer(passedMs);
    else this.#lookAtRequest(passedMs);
  }

  #lookAtRequest(passedMs: number): void {
    const exchange = this.#exchange;
    // In a conversation nobody is late; it is over when the answer is.
    if (exchange.response.begun || exchange.requestBody.done) return this.end();
    const waitedMs = exchange.lateness.awaitsClient ? passedMs : 0;
    if (this.#fallsBehind(exchange.requestBody.bytes, waitedMs)) return exchange.lateness.tooSlow();
    this.#again();
  }

  #lookAtAnswer(passedMs: number): void {
    const { client, response } = this.#exchange;
    if (client.stream.queuedBytes === 0) return this.end();
    const written = response.bytes - this.#writtenBefore;
    const taken = written - (client.stream.unacknowledgedBytes - this.#unsentBefore);
    // The kernel's own queue may move for minutes before it takes anything more of ours.
    if (taken > this.#bytesBefore) client.progressed(this.#context.limits.bodyIdleMsMax);
    if (this.#fallsBehind(taken, passedMs)) return this.#exchange.lateness.tooSlow();
    this.#again();
  }

  /** @param bytes All of them since the beginning. */
  #fallsBehind(bytes: number, waitedMs: number): boolean {
    const { bodyRateMin, bodyRateGraceMs, bodyIdleMsMax } = this.#context.limits;
    const fullBytes = (bodyRateMin * Math.max(bodyRateGraceMs, bodyIdleMsMax)) / 1_000;
    const due = (bodyRateMin * waitedMs) / 1_000;
    const filled = Math.min(this.#spareBytes + bytes - this.#bytesBefore, fullBytes);
    this.#bytesBefore = bytes;
    this.#spareBytes = filled - due;
    return this.#spareBytes < 0;
  }
}
