// What a route says of the tries of its requests, for one exchange: how long each may take, when a second backend is
// asked as well, which answers are none. Made with the first request of an exchange whose route says any of it.
//
// Knows: the route's rule, its times, the second leg. Does not know how a request is sent again (Delivery), nor who
// may be chosen and who pays (BackendChoice).

import { RetryRule } from "../routing/retry-rule.ts";
import { Counter } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import type { Delivery } from "./delivery.ts";
import type { Exchange } from "./exchange.ts";
import { Hedge, type HedgeOwner } from "./hedge.ts";
import { Deadline } from "./short-times.ts";

const noRule = new RetryRule({});

export class Tries implements HedgeOwner {
  readonly #context: WorkerContext;
  readonly #exchange: Exchange;
  readonly #delivery: Delivery;
  readonly #tryTime: Deadline;
  readonly #hedgeTime: Deadline;
  #rule = noRule;
  #hedge: Hedge | undefined;
  /** What is under way was the second leg. */
  #isHedged = false;

  constructor(context: WorkerContext, exchange: Exchange, delivery: Delivery) {
    this.#context = context;
    this.#exchange = exchange;
    this.#delivery = delivery;
    this.#tryTime = new Deadline(context.shortTimes, {
      onTimeout: () => this.#tryIsOver(),
    });
    this.#hedgeTime = new Deadline(context.shortTimes, {
      onTimeout: () => this.#hedgeIsDue(),
    });
  }

  /** The request was sent for the first time. @param mayHedge It may be asked of two backends at once. */
  begin(rule: RetryRule, mayHedge: boolean): void {
    this.#rule = rule;
    this.#isHedged = false;
    this.tryBegins();
    if (mayHedge && rule.hedgeMs > 0) this.#hedgeTime.arm(rule.hedgeMs);
  }

  /** The request goes out once more. */
  tryBegins(): void {
    this.#isHedged = false;
    if (this.#rule.perTryMs > 0) this.#tryTime.arm(this.#rule.perTryMs);
  }

  /** No answer, nor a try, is awaited any more. */
  end(): void {
    this.#tryTime.disarm();
    this.#hedgeTime.disarm();
    this.dropSecond();
  }

  /** The client gets the answer of the backend that is asked now. */
  answered(): void {
    if (this.#isHedged) this.#context.counters[Counter.hedgesWon]! += 1;
    this.end();
  }

  isRefused(status: number): boolean {
    return this.#rule.statuses.includes(status);
  }

  get method(): number {
    return this.#exchange.method;
  }

  /** A second backend is asked as well, and may still answer. */
  get hedges(): boolean {
    return this.#hedge?.connection !== undefined;
  }

  // --- times

  #tryIsOver(): void {
    const { lateness, requestBody } = this.#exchange;
    // It is the client who is waited for.
    if (!requestBody.done && lateness.awaitsClient) return this.tryBegins();
    this.#delivery.tryTimedOut();
  }

  #hedgeIsDue(): void {
    const { requestBody } = this.#exchange;
    if (!requestBody.done) return this.#hedgeTime.arm(this.#rule.hedgeMs);
    const first = this.#delivery.repeatable;
    if (first === undefined) return;
    const { choice } = this.#delivery;
    const slow = choice.current;
    const backend = choice.hedge();
    if (backend === undefined) return;
    this.#context.counters[Counter.hedges]! += 1;
    this.#exchange.record.noteRetry("hedge", slow?.address ?? "");
    this.#hedge ??= new Hedge(this.#context, choice, this);
    this.#hedge.send(backend, first);
  }

  // --- the second leg

  hedgeAnswers(): void {
    this.#delivery.goesOnBesides();
  }

  hedgeRefused(status: number): void {
    this.#delivery.choice.hedgeRefused(status);
    this.dropSecond();
  }

  hedgeFails(why: string): void {
    if (why !== "") this.#delivery.choice.failed(why, this.#delivery.choice.hedged);
    this.dropSecond();
  }

  /** The first leg is over: the second one is what is under way, and what it has brought is read. */
  takeOver(): void {
    const hedge = this.#hedge!;
    const { bytes, length, sentMs } = hedge;
    const { perTryMs } = this.#rule;
    this.#isHedged = true;
    this.#delivery.adopt(hedge.take());
    if (perTryMs > 0) {
      this.#tryTime.arm(Math.max(1, perTryMs - (this.#context.nowMs() - sentMs)));
    }
    if (length > 0) this.#delivery.onUpstreamData(bytes, 0, length);
  }

  /** Whatever it says is nobody's answer. */
  dropSecond(): void {
    if (!this.hedges) return;
    this.#hedge!.drop();
    this.#delivery.choice.hedgeDone();
  }
}
