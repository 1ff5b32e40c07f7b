// What the limits say of one request before a backend is bothered with it, and while it is under way: the
// size of its body, the upgraded connections of the node, its time as a whole, the pace of its client.

import { Row } from "../channel/connection-counts.ts";
import { unlimited } from "../limits.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import type { LimitName } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { Pace } from "./pace.ts";
import { Deadline } from "./short-times.ts";
import type { TimerOwner } from "./timer-wheel.ts";

/** One per exchange, lent with it. */
export class RequestLimits implements TimerOwner {
  readonly pace: Pace;
  readonly #context: WorkerContext;
  readonly #exchange: Exchange;
  /** For the whole request; made with the first one that has such a limit. */
  #time: Deadline | undefined;
  /** What the route allows, if that is less than what the node does; in ms, else 0. */
  #routeMs = 0;
  /** It counts as an upgraded connection, from before the backend agrees: many may ask at once. */
  #isCounted = false;

  constructor(context: WorkerContext, exchange: Exchange) {
    this.#context = context;
    this.#exchange = exchange;
    this.pace = new Pace(context, exchange);
  }

  /**
   * The limit that the request is beyond; undefined: none, and its time begins. Then `end` must follow.
   * @param timeoutMs What its route allows it.
   */
  begin(head: RequestHead, timeoutMs: number | undefined): LimitName | undefined {
    const { limits, connections } = this.#context;
    if (head.contentLength > limits.bodyBytesMax) return "body-bytes";
    if (head.upgrade) {
      this.#isCounted = connections.claim(Row.Upgraded, limits.upgradedConnectionsMax);
      if (!this.#isCounted) return "upgraded-connections";
    }
    if (timeoutMs !== undefined || limits.requestMsMax !== unlimited) this.#armTime(timeoutMs);
    return undefined;
  }

  /** The smaller one holds. */
  #armTime(timeoutMs = unlimited): void {
    const { requestMsMax } = this.#context.limits;
    this.#routeMs = timeoutMs < requestMsMax ? timeoutMs : 0;
    this.#time ??= new Deadline(this.#context.shortTimes, this);
    this.#time.arm(Math.min(timeoutMs, requestMsMax));
  }

  onTimeout(): void {
    const { lateness } = this.#exchange;
    if (this.#routeMs === 0) lateness.timedOut("request-time");
    else lateness.outOfTime(this.#routeMs);
  }

  /** It goes on as a tunnel, for as long as it likes. */
  endTimes(): void {
    if (this.pace.watches) this.pace.end();
    if (this.#time !== undefined) this.#time.disarm();
  }

  end(): void {
    this.endTimes();
    if (!this.#isCounted) return;
    this.#isCounted = false;
    this.#context.connections.release(Row.Upgraded);
  }
}
