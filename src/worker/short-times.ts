// Times that are too short for the worker's wheel, whose tick is a tenth of a second: what a route gives a try, a
// hedge, or a whole request. A wheel of a few ms, which turns only while something is armed on it.
//
// Knows which of the two wheels is fine enough. As on any wheel, time in which the thread stands still hardly counts:
// whoever is measured by it is not to pay for that.

import { shortTickMs, shortTimesMsMax } from "../limits.ts";
import type { System } from "../system.ts";
import { Timer, type TimerOwner, TimerWheel } from "./timer-wheel.ts";

/** One per worker. */
export class ShortTimes {
  readonly #system: Pick<System, "after" | "monotonicMs">;
  readonly #coarse: TimerWheel;
  readonly #fine: TimerWheel;
  #isTurning = false;
  readonly #turn = (): void => {
    this.#fine.advance(this.#system.monotonicMs());
    this.#isTurning = this.#fine.armed > 0;
    if (this.#isTurning) this.#system.after(shortTickMs, this.#turn);
  };

  constructor(system: Pick<System, "after" | "monotonicMs">, coarse: TimerWheel) {
    this.#system = system;
    this.#coarse = coarse;
    this.#fine = new TimerWheel({ tickMs: shortTickMs, nowMs: system.monotonicMs() });
  }

  /** The wheel for a time of so many ms; what is armed on it must be disarmed on it. */
  wheelFor(delayMs: number): TimerWheel {
    if (delayMs > shortTimesMsMax) return this.#coarse;
    if (!this.#isTurning) {
      this.#isTurning = true;
      // It stood still: its time is that of its last turn.
      this.#fine.advance(this.#system.monotonicMs());
      this.#system.after(shortTickMs, this.#turn);
    }
    return this.#fine;
  }
}

/** A timer for times of any length; at most two ticks late, of `shortTickMs` up to `shortTimesMsMax`. */
export class Deadline {
  readonly #times: ShortTimes;
  readonly #timer: Timer;
  #wheel: TimerWheel | undefined;

  constructor(times: ShortTimes, owner: TimerOwner) {
    this.#times = times;
    this.#timer = new Timer(owner);
  }

  /** Asks for `onTimeout` after `delayMs`; replaces what was armed before. */
  arm(delayMs: number): void {
    const wheel = this.#times.wheelFor(delayMs);
    if (this.#wheel !== wheel) this.disarm();
    this.#wheel = wheel;
    wheel.arm(this.#timer, delayMs);
  }

  disarm(): void {
    this.#wheel?.disarm(this.#timer);
  }
}
