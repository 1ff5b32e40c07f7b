// A request that waits for its turn at its service: what a backend is to get of it so far. Its body, but for what was sent
// before, waits where it is.
//
// Does not know why it waits, nor how it is sent (Delivery). Made with the first request of an exchange that waits.

import type { Exchange } from "./exchange.ts";
import type { WaiterOwner, WaitRefusal } from "./waiting-line.ts";

const noBytes = new Uint8Array(0);

export class HeldRequest implements WaiterOwner {
  /** The first `savedLength` bytes. */
  saved: Uint8Array = noBytes;
  savedLength = 0;
  /** A backend was tried before: it is sent on a connection of its own. */
  isAgain = false;
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Keeps a copy of these bytes, and waits; or fails the exchange, if there is no place left to wait at. */
  begin(bytes: Uint8Array, length: number, isAgain: boolean): void {
    const { delivery, client, lateness } = this.#exchange;
    this.saved = bytes.slice(0, length);
    this.savedLength = length;
    this.isAgain = isAgain;
    const refusal = delivery.choice.wait(this);
    if (refusal !== undefined) return this.#exchange.fail(503, refusal, "");
    client.progressed(lateness.silentMsMax);
  }

  forget(): void {
    this.saved = noBytes;
    this.savedLength = 0;
  }

  onTurn(): boolean {
    const { delivery, stickyPlace } = this.#exchange;
    const backend = delivery.choice.next(stickyPlace?.backend);
    if (backend === undefined && delivery.choice.mustWait) return false;
    delivery.goesOn(backend);
    return true;
  }

  onWaitedTooLong(reason: WaitRefusal): void {
    this.#exchange.fail(503, reason, "");
  }
}
