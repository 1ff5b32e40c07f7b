// Goal: all requests of a turn see one time, and the next turn sees a later one.
// Method: a clock that counts how often it is asked, and a turn that ends when the test says so.

import { expect, test } from "vitest";
import { TurnClock } from "../../src/worker/turn-clock.ts";

class Clock {
  asked = 0;
  timeMs = 1000;
  readonly #ends: (() => void)[] = [];

  monotonicMs(): number {
    this.asked++;
    return this.timeMs;
  }

  wallMs(): number {
    return this.timeMs + 1_790_000_000_000;
  }

  atTurnEnd(action: () => void): void {
    this.#ends.push(action);
  }

  endTurn(): number {
    const ends = this.#ends.splice(0);
    for (const end of ends) end();
    return ends.length;
  }
}

test("asks once a turn, whoever asks and for whichever time", () => {
  const system = new Clock();
  const clock = new TurnClock(system);
  expect(clock.wallMs()).toBe(1_790_000_001_000);
  system.timeMs = 1007;
  expect([clock.monotonicMs(), clock.monotonicMs()]).toEqual([1000, 1000]);
  expect(system.asked).toBe(1);
  expect(system.endTurn()).toBe(1);
});

test("asks anew in the next turn, and leaves a turn alone that asks nothing", () => {
  const system = new Clock();
  const clock = new TurnClock(system);
  clock.monotonicMs();
  system.endTurn();
  system.timeMs = 1007;
  expect(system.endTurn()).toBe(0);
  expect([clock.monotonicMs(), clock.wallMs()]).toEqual([1007, 1_790_000_001_007]);
  expect(system.asked).toBe(2);
});
