// Goal: workers together never count more than a limit, a dead worker counts nothing, and whoever has waited longest is
// known to all.

import { describe, expect, test } from "vitest";
import {
  clearInFlight,
  Field,
  InFlight,
  type InFlightMemory,
  inFlightMemory,
  inFlightTotal,
  isRowIdle,
  noRow,
  stampOf,
} from "../../src/channel/in-flight.ts";

function workers(count: number): { memory: InFlightMemory; views: InFlight[] } {
  const memory = inFlightMemory(count, 8);
  return { memory, views: Array.from({ length: count }, (_, slot) => new InFlight(memory, slot)) };
}

describe("a claim", () => {
  test("is granted up to the limit, over all workers", () => {
    const { memory, views } = workers(3);
    const own = [0, 0, 0];
    let granted = 0;
    for (let i = 0; i < 30; i++) {
      const slot = i % 3;
      if (!views[slot]!.claim(2, Field.Requests, own[slot]!, 7)) continue;
      own[slot]! += 1;
      granted++;
    }
    expect(granted).toBe(7);
    expect(inFlightTotal(memory, 2, Field.Requests)).toBe(7);
    expect(inFlightTotal(memory, 1, Field.Requests)).toBe(0);
    expect(inFlightTotal(memory, 2, Field.Connections)).toBe(0);
  });

  test("that was refused leaves nothing behind", () => {
    const { memory, views } = workers(2);
    expect(views[0]!.claim(0, Field.Requests, 0, 1)).toBe(true);
    expect(views[1]!.claim(0, Field.Requests, 0, 1)).toBe(false);
    expect(inFlightTotal(memory, 0, Field.Requests)).toBe(1);
    views[0]!.set(0, Field.Requests, 0);
    expect(isRowIdle(memory, 0)).toBe(true);
    expect(views[1]!.claim(0, Field.Requests, 0, 1)).toBe(true);
  });

  test.for([
    [4, 10, 2],
    [4, 3, 1],
    [1, 10, 10],
    [4, 0, 0],
  ] as const)("without a row, one of %i workers has of %i at most %i", ([count, max, part]) => {
    const { views } = workers(count);
    let own = 0;
    while (own < 20 && views[0]!.claim(noRow, Field.Requests, own, max)) own++;
    expect(own).toBe(part);
    expect(views[0]!.total(noRow, Field.Requests, own)).toBe(part);
  });
});

test("a worker that is gone counts nothing, and the others count on", () => {
  const { memory, views } = workers(2);
  views[0]!.set(3, Field.Requests, 5);
  views[0]!.set(7, Field.Waiting, 5);
  views[1]!.set(3, Field.Requests, 2);
  clearInFlight(memory, 0);
  expect(inFlightTotal(memory, 3, Field.Requests)).toBe(2);
  expect(inFlightTotal(memory, 7, Field.Waiting)).toBe(0);
  expect([isRowIdle(memory, 7), isRowIdle(memory, 3)]).toEqual([true, false]);
});

describe("who is first", () => {
  const asked = { aheadMs: 50, awakeMs: 100 };

  function other(firstMs: number, lookedMs: number): InFlight {
    const { views } = workers(2);
    views[1]!.set(0, Field.FirstSince, firstMs === 0 ? 0 : stampOf(firstMs));
    views[1]!.set(0, Field.LookedAt, stampOf(lookedMs));
    return views[0]!;
  }

  test.for([
    ["nobody waits elsewhere", 0, 1_000, false],
    ["another has waited much longer", 800, 1_000, true],
    ["another has waited a little longer", 960, 1_000, false],
    ["another came later", 1_200, 1_000, false],
    ["another has waited longer, but its worker sleeps", 800, 850, false],
  ] as const)("when %s", ([, firstMs, lookedMs, expected]) => {
    const inFlight = other(firstMs, lookedMs);
    expect(inFlight.isOtherFirst(0, { ...asked, sinceMs: 1_000, nowMs: 1_000 })).toBe(expected);
  });

  test("is told rightly when the clock passes 31 and 32 bits", () => {
    for (const baseMs of [2 ** 31, 2 ** 32]) {
      const inFlight = other(baseMs - 150, baseMs);
      const question = { ...asked, sinceMs: baseMs + 10, nowMs: baseMs + 10 };
      expect(inFlight.isOtherFirst(0, question)).toBe(true);
      expect(inFlight.isOtherFirst(0, { ...question, sinceMs: baseMs - 140 })).toBe(false);
    }
  });

  test("does not include oneself", () => {
    const { views } = workers(2);
    views[0]!.set(0, Field.FirstSince, stampOf(1));
    views[0]!.set(0, Field.LookedAt, stampOf(1_000));
    expect(views[0]!.isOtherFirst(0, { ...asked, sinceMs: 1_000, nowMs: 1_000 })).toBe(false);
  });
});

test("rows go by name, as long as they are given", () => {
  const { views } = workers(1);
  const inFlight = views[0]!;
  let told = 0;
  inFlight.onRows = () => void told++;
  expect(inFlight.rowOf("web")).toBe(noRow);
  inFlight.assign(
    [
      ["web", 0],
      ["web 10.0.0.1:80", 5],
    ],
    [],
  );
  expect([inFlight.rowOf("web"), inFlight.rowOf("web 10.0.0.1:80")]).toEqual([0, 5]);
  inFlight.assign([], ["web"]);
  expect([inFlight.rowOf("web"), inFlight.rowOf("web 10.0.0.1:80")]).toEqual([noRow, 5]);
  expect(told).toBe(2);
});
