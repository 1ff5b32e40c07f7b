// What the limits say of one request before a backend is bothered with it, and while it is under way: the
// size of its body, the upgraded connections of the node, its time as a whole, the pace of its client.

import { Row } from "../channel/connection-counts.ts";
import { unlimited } from "../limits.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import type { LimitName } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { Pace } from "./pace.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";

/** One per exchange, lent with it. */
export class RequestLimits implements TimerOwner {
  readonly pace: Pace;
  readonly #context: WorkerContext;
  readonly #exchange: Exchange;
  /** For the whole request; made with the first one that has such a limit. */
  #timer: Timer | undefined;
  /** It counts as an upgraded connection, from before the backend agrees: many may ask at once. */
  #isCounted = false;

  constructor(context: WorkerContext, exchange: Exchange) {
    this.#context = context;
    this.#exchange = exchange;
    this.pace = new Pace(context, exchange);
  }

  /** The limit that the request is beyond; undefined: none, and its time begins. Then `end` must follow. */
  begin(head: RequestHead): LimitName | undefined {
    const { limits, wheel, connections } = this.#context;
    if (head.contentLength > limits.bodyBytesMax) return "body-bytes";
    if (head.upgrade) {
      this.#isCounted = connections.claim(Row.Upgraded, limits.upgradedConnectionsMax);
      if (!this.#isCounted) return "upgraded-connections";
    }
    if (limits.requestMsMax !== unlimited) {
      this.#timer ??= new Timer(this);
      wheel.arm(this.#timer, limits.requestMsMax);
    }
    return undefined;
  }

  onTimeout(): void {
    this.#exchange.lateness.timedOut("request-time");
  }

  /** It goes on as a tunnel, for as long as it likes. */
  endTimes(): void {
    if (this.pace.watches) this.pace.end();
    if (this.#timer !== undefined) this.#context.wheel.disarm(this.#timer);
  }

  end(): void {
    this.endTimes();
    if (!this.#isCounted) return;
    this.#isCounted = false;
    this.#context.connections.release(Row.Upgraded);
  }
}
