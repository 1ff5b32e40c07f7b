// The time of this turn of the event loop: read once, however many requests ask.
//
// A turn at full load handles some thirty requests within half a millisecond, and each would ask
// four times; asking the kernel every time took 2 % of a worker's CPU.

import type { System } from "../system.ts";

export class TurnClock {
  readonly #system: Pick<System, "monotonicMs" | "wallMs" | "atTurnEnd">;
  readonly #forget = (): void => {
    this.#known = false;
  };
  #known = false;
  #monotonicMs = 0;
  #wallMs = 0;

  constructor(system: Pick<System, "monotonicMs" | "wallMs" | "atTurnEnd">) {
    this.#system = system;
  }

  /** As System.monotonicMs, at the first time that this turn asked. */
  monotonicMs(): number {
    if (!this.#known) this.#ask();
    return this.#monotonicMs;
  }

  /** As System.wallMs, at the first time that this turn asked. */
  wallMs(): number {
    if (!this.#known) this.#ask();
    return this.#wallMs;
  }

  #ask(): void {
    this.#known = true;
    this.#monotonicMs = this.#system.monotonicMs();
    this.#wallMs = this.#system.wallMs();
    this.#system.atTurnEnd(this.#forget);
  }
}
