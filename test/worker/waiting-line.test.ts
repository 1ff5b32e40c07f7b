// Goal: order is kept whoever leaves and from where; nobody is told twice, nobody is forgotten.

import { describe, expect, test } from "vitest";
import { Waiter, WaitingLine } from "../../src/worker/waiting-line.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const owner = { onTurn: () => false, onWaitedTooLong() {} };

function waiter(sinceMs: number, deadlineMs = sinceMs + 100): Waiter {
  const made = new Waiter(owner);
  made.sinceMs = sinceMs;
  made.deadlineMs = deadlineMs;
  return made;
}

function inLine(line: WaitingLine): number[] {
  const since: number[] = [];
  for (let one = line.first; one !== undefined; one = one.next) since.push(one.sinceMs);
  expect(line.length).toBe(since.length);
  return since;
}

function lineOf(...times: readonly number[]): { line: WaitingLine; waiters: Waiter[] } {
  const line = new WaitingLine();
  const waiters = times.map((sinceMs) => waiter(sinceMs));
  for (const one of waiters) line.add(one);
  return { line, waiters };
}

describe("a line", () => {
  test.for([0, 1, 2, 3])("is the same without its member %i", (index) => {
    const { line, waiters } = lineOf(1, 2, 3, 4);
    line.remove(waiters[index]!);
    expect(waiters[index]!.line).toBeUndefined();
    expect(inLine(line)).toEqual([1, 2, 3, 4].toSpliced(index, 1));
    line.add(waiter(5));
    expect(inLine(line)).toEqual([...[1, 2, 3, 4].toSpliced(index, 1), 5]);
  });

  test("puts who was through before ahead of those that came later", () => {
    const { line } = lineOf(10, 20, 30);
    for (const sinceMs of [9, 10, 5]) line.addAgain(waiter(sinceMs));
    expect(inLine(line)).toEqual([9, 10, 5, 10, 20, 30]);
    const empty = new WaitingLine();
    empty.addAgain(waiter(1));
    expect(inLine(empty)).toEqual([1]);
  });

  test("tells those whose time is over, in order, and only those", () => {
    const { line } = lineOf(1, 2, 3);
    const told: number[] = [];
    line.expire(100, (one) => told.push(one.sinceMs));
    expect(told).toEqual([]);
    line.expire(102, (one) => told.push(one.sinceMs));
    expect(told).toEqual([1, 2]);
    expect(inLine(line)).toEqual([3]);
  });

  test("finds who is due behind those who are not", () => {
    const { line } = lineOf(1, 2);
    line.add(waiter(3, 50));
    line.add(waiter(4, 500));
    const told: number[] = [];
    line.expire(60, (one) => told.push(one.sinceMs));
    expect([told, inLine(line)]).toEqual([[3], [1, 2, 4]]);
  });

  test("gives all the time that a pause allows, and none less than they had", () => {
    const { line, waiters } = lineOf(1, 2);
    line.extend(50);
    expect(waiters.map(({ deadlineMs }) => deadlineMs)).toEqual([101, 102]);
    line.extend(1_000);
    expect(waiters.map(({ deadlineMs }) => deadlineMs)).toEqual([1_001, 1_002]);
  });

  test("goes on when those that are told take others with them", () => {
    const { line, waiters } = lineOf(1, 2, 3, 4);
    const told: number[] = [];
    line.expire(1_000, (one) => {
      told.push(one.sinceMs);
      if (one === waiters[0]) for (const other of waiters.slice(1, 3)) line.remove(other);
    });
    expect(told).toEqual([1, 4]);
    expect(line.length).toBe(0);
  });
});

test.for([1, 2, 3, 4, 5, 6])("is what a list would be, seed %i", (seed) => {
  const random = new SeededRandom(seed);
  const line = new WaitingLine();
  let model: Waiter[] = [];
  for (let nowMs = 1; nowMs < 2_000; nowMs++) {
    const dice = random.next();
    if (dice < 0.5) {
      const one = waiter(nowMs, nowMs + 1 + random.below(80));
      line.add(one);
      model.push(one);
    } else if (dice < 0.6) {
      const one = waiter(nowMs - random.below(60), nowMs + random.below(80));
      const at = model.findIndex(({ isAgain }) => !isAgain);
      line.addAgain(one);
      model.splice(at < 0 ? model.length : at, 0, one);
    } else if (dice < 0.8 && model.length > 0) {
      const one = random.one(model);
      line.remove(one);
      model = model.filter((other) => other !== one);
    } else {
      const told: Waiter[] = [];
      line.expire(nowMs, (one) => told.push(one));
      expect(told).toEqual(model.filter(({ deadlineMs }) => deadlineMs <= nowMs));
      model = model.filter(({ deadlineMs }) => deadlineMs > nowMs);
    }
    expect(inLine(line)).toEqual(model.map(({ sinceMs }) => sinceMs));
  }
});
