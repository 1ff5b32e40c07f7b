// How long nothing may happen in one exchange, and whose fault it is when a time is over: the client's, who brings its
// request or takes its answer too slowly, or the backend's.
//
// Knows: what the limits say of waiting. Does not know how a time is measured (the session's timer, RequestLimits,
// Pace) nor what an exchange does to fail.

import { Counter, type LimitName } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { limited } from "./limited.ts";

/** Who waits for its turn is told by the line when that takes too long. In ms. */
const noMsMax = 2 ** 31;

/** One per exchange, lent with it. */
export class Lateness {
  readonly #context: WorkerContext;
  readonly #exchange: Exchange;

  constructor(context: WorkerContext, exchange: Exchange) {
    this.#context = context;
    this.#exchange = exchange;
  }

  /** How long nothing may happen, in ms. */
  get silentMsMax(): number {
    if (this.#exchange.delivery.isWaiting) return noMsMax;
    const { bodyIdleMsMax, responseHeadMsMax } = this.#context.limits;
    return this.#awaitsAnswer ? responseHeadMsMax : bodyIdleMsMax;
  }

  /** Body bytes of the request could be taken, and none are there. */
  get awaitsClient(): boolean {
    const { delivery, client } = this.#exchange;
    return delivery.takesBody && !client.holdsBytes && !this.#isBackendSlow();
  }

  /** A timer ran out in the middle of the exchange: by default that of the session. */
  timedOut(limit: LimitName = this.#silenceLimit): void {
    const exchange = this.#exchange;
    const { counters } = this.#context;
    if (exchange.response.refusedPartial()) return;
    const detail = limited(counters, limit);
    if (exchange.response.begun && exchange.client.stream.queuedBytes > 0) {
      return exchange.fail(408, "client-slow", detail);
    }
    const isOurs = exchange.delivery.isWaiting || this.#isBackendSlow();
    if (!exchange.requestBody.done && !isOurs) {
      return exchange.fail(408, "request-slow", detail);
    }
    counters[Counter.upstreamTimeouts]! += 1;
    exchange.delivery.choice.failed("timeout");
    exchange.fail(504, "backend-slow", detail);
  }

  /** The time that the route allows the whole request is over. */
  outOfTime(limitMs: number): void {
    const exchange = this.#exchange;
    const { delivery, response, requestBody } = exchange;
    if (response.refusedPartial()) return;
    const detail = `its route allows ${limitMs} ms`;
    if (!response.begun) {
      if (!requestBody.done && this.awaitsClient) return exchange.fail(408, "request-slow", detail);
      this.#context.counters[Counter.upstreamTimeouts]! += 1;
      // One that others, or the wait for its turn, had left little time is not to blame.
      const { choice } = delivery;
      const hadAll = choice.tries === 1 && choice.waitedMs === 0;
      if (hadAll || choice.hedged !== undefined) choice.failed("timeout");
    }
    exchange.fail(504, "request-time", detail);
  }

  /** No try was answered within the time that the route allows each. */
  outOfTries(): void {
    this.#context.counters[Counter.upstreamTimeouts]! += 1;
    this.#exchange.fail(504, "try-time", "");
  }

  /** The client brings its request, or takes its answer, too slowly. */
  tooSlow(): void {
    const detail = limited(this.#context.counters, "body-rate");
    if (!this.#exchange.response.begun) return this.#exchange.fail(408, "request-slow", detail);
    this.#exchange.breakOff("client-slow", detail, true);
  }

  /** Which limit it is to be silent for too long. */
  get #silenceLimit(): LimitName {
    return this.#awaitsAnswer ? "answer-time" : "body-idle-time";
  }

  /** Neither body is under way: the backend is to begin its answer. */
  get #awaitsAnswer(): boolean {
    return this.#exchange.requestBody.done && !this.#exchange.response.begun;
  }

  /** While the request's body is under way: it is the backend that does not do its part. */
  #isBackendSlow(): boolean {
    return this.#exchange.waitsForContinue || this.#exchange.delivery.queuedBytes > 0;
  }
}
