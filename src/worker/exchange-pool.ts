// Exchanges that wait for a request: a connection is lent one while a request of its own is under way, and costs
// little between them.
//
// The one that was given back last is lent first. No more are kept than `exchangesIdleMax`.

import type { WorkerContext } from "./context.ts";
import { Exchange, type ExchangeClient } from "./exchange.ts";

export class ExchangePool {
  readonly #context: () => WorkerContext;
  readonly #idleMax: number;
  /** The first `#idleCount` count; the array keeps its length, which costs more to change than to count. */
  readonly #idle: Exchange[] = [];
  #idleCount = 0;

  /** @param context Asked late: the context holds this pool. */
  constructor(context: () => WorkerContext, idleMax: number) {
    this.#context = context;
    this.#idleMax = idleMax;
  }

  /** For one request of this client, until `giveBack`. */
  lend(client: ExchangeClient): Exchange {
    const exchange =
      this.#idleCount > 0 ? this.#idle[--this.#idleCount]! : new Exchange(this.#context());
    exchange.lendTo(client);
    return exchange;
  }

  /** Its request is over: answered, aborted, or its tunnel has ended. */
  giveBack(exchange: Exchange): void {
    exchange.rest();
    if (this.#idleCount < this.#idleMax) this.#idle[this.#idleCount++] = exchange;
  }
}
