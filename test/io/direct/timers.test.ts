// Goal: the loop knows how long until the next timer, whatever is set, run, repeated or cancelled.
// Method: a clock in the test's hand.

import { expect, test } from "vitest";
import { Timers } from "../../../src/io/direct/timers.ts";
import { FakeSystem } from "../../support/fake-system.ts";

function timers(): { readonly system: FakeSystem; readonly timers: Timers } {
  const system = new FakeSystem();
  return { system, timers: new Timers(system) };
}

test("without a timer there is nothing to wait for", () => {
  expect(timers().timers.nextInMs()).toBe(Number.POSITIVE_INFINITY);
});

test("the soonest counts, run or cancelled it counts no more", () => {
  const { system, timers: all } = timers();
  const ran: string[] = [];
  all.after(50, () => ran.push("late"));
  const cancel = all.after(10, () => ran.push("cancelled"));
  all.after(20, () => ran.push("soon"));
  expect(all.nextInMs()).toBe(10);
  cancel();
  expect(all.nextInMs()).toBe(20);
  system.advance(20);
  expect(ran).toEqual(["soon"]);
  expect(all.nextInMs()).toBe(30);
  system.advance(30);
  expect(all.nextInMs()).toBe(Number.POSITIVE_INFINITY);
});

test("one that repeats is due again after each run, until it is ended", () => {
  const { system, timers: all } = timers();
  let runs = 0;
  const end = all.every(100, () => runs++);
  system.advance(250);
  expect(runs).toBe(2);
  expect(all.nextInMs()).toBe(50);
  end();
  expect(all.nextInMs()).toBe(Number.POSITIVE_INFINITY);
});
