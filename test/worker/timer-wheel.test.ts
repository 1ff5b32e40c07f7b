// Goal: every deadline fires once, never early, at most two ticks late, whatever is armed, moved and
// disarmed meanwhile, also from inside a timeout.
// Method: a seeded simulation against a map of deadlines; SEED=n replays one run.

import { describe, expect, test } from "vitest";
import { Timer, TimerWheel } from "../../src/worker/timer-wheel.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const tickMs = 100;
const seeds = process.env["SEED"] === undefined ? [1, 2, 3, 4, 5, 6, 7, 8] : [+process.env["SEED"]];

/** Arms, moves and disarms at random, and checks every timeout against the deadline that was asked. */
class Simulation {
  readonly #random: SeededRandom;
  readonly #wheel: TimerWheel;
  readonly #timers: Timer[] = [];
  /** When each armed timer was asked to fire. */
  readonly #wanted = new Map<Timer, number>();
  #nowMs = 12_345.5;
  #depth = 0;
  /** Time that passed inside timeouts of this turn; those behind them in the list wait for it. */
  #insideMs = 0;
  fired = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#wheel = new TimerWheel({ tickMs, nowMs: this.#nowMs });
    for (let i = 0; i < 40; i++) {
      const timer: Timer = new Timer({ onTimeout: () => this.#onTimeout(timer) });
      this.#timers.push(timer);
    }
  }

  #onTimeout(timer: Timer): void {
    const wantedMs = this.#wanted.get(timer);
    expect(wantedMs, "a timer that was not armed fired").toBeDefined();
    expect(this.#nowMs).toBeGreaterThanOrEqual(wantedMs ?? 0);
    expect(this.#nowMs - (wantedMs ?? 0)).toBeLessThanOrEqual(2 * tickMs + this.#insideMs);
    this.#wanted.delete(timer);
    this.fired++;
    // What sessions do inside a timeout: arm themselves again, arm or disarm others.
    for (let i = this.#random.below(3); i > 0; i--) this.#act();
    if (this.#depth < 3 && this.#random.chance(0.05)) this.#passInside();
  }

  #act(): void {
    const timer = this.#random.one(this.#timers);
    if (this.#random.chance(0.3)) {
      this.#wheel.disarm(timer);
      this.#wanted.delete(timer);
      return;
    }
    const bound = this.#random.one([0, 1, tickMs, 3_000, 51_200, 51_200 * 3]);
    const delayMs = this.#random.next() * bound;
    this.#wheel.arm(timer, delayMs);
    this.#wanted.set(timer, this.#nowMs + delayMs);
  }

  #passInside(): void {
    const ms = this.#random.next() * tickMs;
    this.#insideMs += ms;
    this.#nowMs += ms;
    this.#depth++;
    this.#wheel.advance(this.#nowMs);
    this.#depth--;
  }

  /** Sessions act at a moment of which the wheel has not heard; then comes its next tick. */
  step(): void {
    const ms = this.#random.next() * tickMs;
    const beforeMs = this.#random.next() * ms;
    this.#nowMs += beforeMs;
    for (let i = this.#random.below(4); i > 0; i--) this.#act();
    this.#nowMs += ms - beforeMs;
    this.#insideMs = 0;
    this.#wheel.advance(this.#nowMs);
  }

  /** Nothing is armed any more: all that is waited for comes. */
  settle(): void {
    for (const timer of this.#timers) timer.owner.onTimeout = () => this.#wanted.delete(timer);
    for (let i = 0; i < 3_000; i++) {
      this.#nowMs += tickMs;
      this.#wheel.advance(this.#nowMs);
    }
    expect(this.#wanted.size, "timers that never fired").toBe(0);
  }
}

test.for(seeds)("deadlines fire once, not early, at most two ticks late, seed %i", (seed) => {
  const simulation = new Simulation(seed);
  for (let i = 0; i < 5_000; i++) simulation.step();
  expect(simulation.fired).toBeGreaterThan(500);
  simulation.settle();
});

function made(): {
  wheel: TimerWheel;
  timer: (onTimeout: () => void) => Timer;
  pass: (ms: number) => void;
} {
  const wheel = new TimerWheel({ tickMs, nowMs: 0 });
  let nowMs = 0;
  return {
    wheel,
    timer: (onTimeout) => new Timer({ onTimeout }),
    pass: (ms) => {
      for (const end = nowMs + ms; nowMs < end; ) wheel.advance((nowMs += tickMs));
    },
  };
}

describe("a wheel", () => {
  test("goes on when a timeout disarms all the others that are due with it", () => {
    const { wheel, timer, pass } = made();
    let fired = 0;
    const timers: Timer[] = [];
    for (let i = 0; i < 5; i++) {
      timers.push(
        timer(() => {
          fired++;
          for (const other of timers) wheel.disarm(other);
        }),
      );
    }
    for (const one of timers) wheel.arm(one, 500);
    pass(1_000);
    expect(fired).toBe(1);
  });

  test("does not fire what a timeout beside it has moved to later", () => {
    const { wheel, timer, pass } = made();
    const fired: string[] = [];
    const late = timer(() => fired.push("late"));
    const first = timer(() => {
      fired.push("first");
      wheel.arm(late, 1_000);
    });
    wheel.arm(late, 500);
    wheel.arm(first, 500);
    pass(1_000);
    // Whichever of the two came first: "late" fired at most once, and not after it was moved.
    const early = fired.filter((name) => name === "late").length;
    pass(1_000);
    expect(fired.filter((name) => name === "late").length).toBe(early + 1);
  });

  test("fires a timer again that armed itself for no time at all, but not in the same turn", () => {
    const { wheel, timer, pass } = made();
    let fired = 0;
    const self: Timer = timer(() => {
      fired++;
      wheel.arm(self, 0);
    });
    wheel.arm(self, 0);
    pass(tickMs);
    expect(fired).toBe(1);
    pass(tickMs);
    expect(fired).toBe(2);
  });

  test("counts little of a time in which the thread stood still", () => {
    const wheel = new TimerWheel({ tickMs, nowMs: 0 });
    let fired = 0;
    const timer = new Timer({ onTimeout: () => fired++ });
    wheel.arm(timer, 1_000);
    // Stopped for half a minute: what the peer sent meanwhile waits to be read.
    wheel.advance(30_000);
    expect(fired).toBe(0);
    for (let nowMs = 30_100; nowMs <= 31_200; nowMs += tickMs) wheel.advance(nowMs);
    expect(fired).toBe(1);
  });
});
