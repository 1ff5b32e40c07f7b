// Goal: the limit is the node's: no order of claims of several workers passes it, what a dead worker leaves
// is cleared, and addresses are told apart well enough.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ConnectionCounts,
  clearColumn,
  connectionMemory,
  listenerRow,
  Row,
} from "../../src/channel/connection-counts.ts";
import { listenersCountedMax, unlimited } from "../../src/limits.ts";
import { parseIp } from "../../src/model/ip-address.ts";

function shared(slots: number, addressSeed = 0) {
  const memory = connectionMemory(slots, addressSeed);
  const workers = Array.from({ length: slots }, (_, slot) => new ConnectionCounts(memory, slot));
  return { memory, workers, first: workers[0]!, second: workers.at(-1)! };
}

describe("a row", () => {
  test("counts what all workers have, and takes no more than its limit", () => {
    const { first, second } = shared(3);
    const row = listenerRow(0);
    expect([first.claim(row, 3), second.claim(row, 3), first.claim(row, 3)]).toEqual([
      true,
      true,
      true,
    ]);
    expect([first.claim(row, 3), second.claim(row, 3)]).toEqual([false, false]);
    expect([first.total(row), second.total(row)]).toEqual([3, 3]);
    second.release(row);
    expect([first.claim(row, 3), first.claim(row, 3)]).toEqual([true, false]);
  });

  test("is one of many that do not touch each other", () => {
    const { first, second } = shared(2, 7);
    const rows = [Row.Node, Row.Upgraded, listenerRow(0), listenerRow(listenersCountedMax - 1)];
    for (const [i, row] of rows.entries()) for (let n = 0; n <= i; n++) first.claim(row, 100);
    second.claimAddress([0x0a000001], 1);
    expect(rows.map((row) => second.total(row))).toEqual([1, 2, 3, 4]);
  });

  test("without a limit it only counts", () => {
    const { first } = shared(1);
    for (let i = 0; i < 1_000; i++) expect(first.claim(Row.Node, unlimited)).toBe(true);
    expect(first.total(Row.Node)).toBe(1_000);
  });

  test("of a listener that came after too many others counts nothing, and refuses nobody", () => {
    const { first } = shared(1);
    const row = listenerRow(listenersCountedMax);
    expect([first.claim(row, 0), first.claim(row, 0)]).toEqual([true, true]);
    first.release(row);
  });

  test("never holds more than its limit, whatever the order of claims and releases", () => {
    const step = fc.record({ slot: fc.nat(3), claims: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 200 }),
        fc.integer({ min: 0, max: 6 }),
        (steps, max) => {
          const { workers } = shared(4);
          const held = [0, 0, 0, 0];
          for (const { slot, claims } of steps) {
            const sum = held.reduce((a, b) => a + b, 0);
            if (claims) {
              const got = workers[slot]!.claim(Row.Node, max);
              expect(got).toBe(sum < max);
              if (got) held[slot]!++;
            } else if (held[slot]! > 0) {
              workers[slot]!.release(Row.Node);
              held[slot]!--;
            }
          }
          expect(workers[0]!.total(Row.Node)).toBe(held.reduce((a, b) => a + b, 0));
        },
      ),
    );
  });
});

test("a worker that is gone leaves nothing behind, and takes nothing of the others' along", () => {
  const { memory, first, second } = shared(2, 7);
  const words = parseIp("192.0.2.1")!;
  for (const counts of [first, second]) {
    counts.claim(Row.Node, unlimited);
    counts.claim(listenerRow(3), unlimited);
    counts.claimAddress(words, 10);
  }
  clearColumn(memory, 0);
  expect([second.total(Row.Node), second.total(listenerRow(3))]).toEqual([1, 1]);
  expect(second.claimAddress(words, 2)).toBeDefined();
  expect(second.claimAddress(words, 2)).toBeUndefined();
  clearColumn(memory, 1);
  expect(first.total(Row.Node)).toBe(0);
});

describe("an address", () => {
  /** How many of `address` two workers take, in turns, with a limit of 3; what is refused leaves no trace. */
  function taken(...addresses: readonly string[]): number {
    const { first, second } = shared(2, 99);
    let count = 0;
    for (let i = 0; i < 20; i++) {
      const words = parseIp(addresses[i % addresses.length]!)!;
      if ((i % 2 === 0 ? first : second).claimAddress(words, 3) !== undefined) count++;
    }
    return count;
  }

  test("has its limit on all workers together", () => {
    expect(taken("192.0.2.1")).toBe(3);
  });

  test("is the same in its spelling of IPv6", () => {
    expect(taken("192.0.2.1", "::ffff:192.0.2.1")).toBe(3);
  });

  test("is not its neighbour", () => {
    expect(taken("192.0.2.1", "192.0.2.2")).toBe(6);
  });

  test("of IPv6 is its /64", () => {
    expect(taken("2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::")).toBe(3);
    expect(taken("2001:db8::1", "2001:db8:0:1::1")).toBe(6);
  });

  test("is not an IPv6 address of the same bits", () => {
    expect(taken("32.1.13.184", "2001:db8::")).toBe(6);
  });

  test("is free again when its connections are", () => {
    const { first } = shared(1, 5);
    const words = parseIp("198.51.100.9")!;
    const rows = first.claimAddress(words, 1)!;
    expect(first.claimAddress(words, 1)).toBeUndefined();
    first.releaseAddress(rows);
    expect(first.claimAddress(words, 1)).toBeDefined();
  });

  test("is rarely taken for others: 10,000 at their limit are in the way of under 1 in 500", () => {
    const { first } = shared(1, 123_456_789);
    for (let i = 0; i < 10_000; i++) first.claimAddress([0x0a000000 + i * 7], 1);
    let refused = 0;
    for (let i = 0; i < 10_000; i++) {
      const rows = first.claimAddress([0xc0000000 + i], 1);
      if (rows === undefined) refused++;
      else first.releaseAddress(rows);
    }
    expect(refused).toBeLessThan(20);
  });

  test("that is not counted is always welcome", () => {
    const { first } = shared(1, 0);
    for (let i = 0; i < 5; i++) expect(first.claimAddress([1], 1)).toEqual([]);
    expect(first.countsAddresses).toBe(false);
  });
});
