// Goal: short times are kept to two ticks of 5 ms, long ones by the worker's wheel, and nothing turns while nothing
// is armed.
// Method: a clock in the test's hand.

import { describe, expect, test } from "vitest";
import { shortTickMs, shortTimesMsMax, timerTickMs } from "../../src/limits.ts";
import { Deadline, ShortTimes } from "../../src/worker/short-times.ts";
import { TimerWheel } from "../../src/worker/timer-wheel.ts";
import { FakeSystem } from "../support/fake-system.ts";

function made() {
  const system = new FakeSystem();
  system.advance(1_234.5);
  const coarse = new TimerWheel({ tickMs: timerTickMs, nowMs: system.monotonicMs() });
  system.every(timerTickMs, () => coarse.advance(system.monotonicMs()));
  const times = new ShortTimes(system, coarse);
  const fired: number[] = [];
  const deadline = (): Deadline =>
    new Deadline(times, { onTimeout: () => void fired.push(system.monotonicMs()) });
  return { system, times, deadline, fired };
}

describe("a time", () => {
  test.for([1, 5, 7, 50, 333, 2_600, shortTimesMsMax])("of %i ms is kept", (ms) => {
    const { system, deadline, fired } = made();
    for (let i = 0; i < 20; i++) {
      const armedMs = system.monotonicMs();
      deadline().arm(ms);
      system.advance(ms + 2 * shortTickMs);
      const latenessMs = fired.at(-1)! - armedMs - ms;
      expect(fired.length).toBe(i + 1);
      expect(latenessMs).toBeGreaterThanOrEqual(0);
      expect(latenessMs).toBeLessThanOrEqual(2 * shortTickMs);
      system.advance(i * 1.7);
    }
  });

  test("that is longer is the worker's wheel's: within 200 ms", () => {
    const { system, deadline, fired } = made();
    const armedMs = system.monotonicMs();
    deadline().arm(shortTimesMsMax + 1);
    expect(system.timerCount).toBe(1);
    system.advance(shortTimesMsMax + 1 + 2 * timerTickMs);
    expect(fired.length).toBe(1);
    expect(fired[0]! - armedMs).toBeGreaterThan(shortTimesMsMax);
  });

  test("is replaced by the next one, whichever wheel has it", () => {
    const { system, deadline, fired } = made();
    const one = deadline();
    one.arm(10);
    one.arm(8_000);
    system.advance(500);
    expect(fired).toEqual([]);
    one.arm(10);
    system.advance(30);
    expect(fired.length).toBe(1);
    system.advance(20_000);
    expect(fired.length).toBe(1);
  });

  test("that moves from one wheel to the other leaves the others as they are", () => {
    const { system, deadline, fired } = made();
    const quiet = system.timerCount;
    const one = deadline();
    one.arm(8_000);
    one.arm(20);
    system.advance(30);
    expect([fired.length, system.timerCount]).toEqual([1, quiet]);
    one.arm(20);
    one.arm(8_000);
    system.advance(10);
    expect(system.timerCount).toBe(quiet);
    deadline().arm(20);
    system.advance(30);
    expect(fired.length).toBe(2);
  });
});

describe("nothing turns", () => {
  test("while nothing is armed, nor after", () => {
    const { system, deadline, fired } = made();
    const quiet = system.timerCount;
    const one = deadline();
    const other = deadline();
    one.arm(20);
    other.arm(40);
    other.arm(60);
    expect(system.timerCount).toBe(quiet + 1);
    one.disarm();
    one.disarm();
    system.advance(100);
    expect(fired.length).toBe(1);
    expect(system.timerCount).toBe(quiet);
    other.arm(20);
    expect(system.timerCount).toBe(quiet + 1);
    other.disarm();
    system.advance(10);
    expect(system.timerCount).toBe(quiet);
  });

  test("and a time that begins after a rest is whole", () => {
    const { system, deadline, fired } = made();
    deadline().arm(20);
    system.advance(10_000);
    deadline().arm(20);
    system.advance(19);
    expect(fired.length).toBe(1);
    system.advance(11);
    expect(fired.length).toBe(2);
  });

  test("while the process stands still: what passed hardly counts", () => {
    const { system, deadline, fired } = made();
    deadline().arm(50);
    system.advance(10);
    system.stall(5_000);
    system.advance(20);
    expect(fired).toEqual([]);
    system.advance(30);
    expect(fired.length).toBe(1);
  });
});
