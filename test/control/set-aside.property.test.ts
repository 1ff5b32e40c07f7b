// Goal: whatever a store holds, what serves is consistent, and the same on every node whatever it saw before.
// Method: random histories of writes that know no rules, held against what must be true after each, and
// against nodes that read the same content afresh.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { matchKeyOf, type Route } from "../../src/model/route.ts";
import { claimedAt, Follower } from "../support/rule-less-store.ts";
import { putRoute, removeRoute } from "../support/table-fixtures.ts";

describe("whatever is written", () => {
  const names = ["a", "b", "c", "d", "e"];
  const matches = ["v.test", "w.test", "x.test", "y.test", 5432] as const;
  const write = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom(...names),
      match: fc.option(fc.constantFrom(...matches), { nil: undefined, freq: 3 }),
      // Mostly the store's; sometimes what a hand or a backup says.
      claimed: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 9 })),
    }),
    { selector: ({ name }) => name, minLength: 1, maxLength: 4 },
  );
  type Items = typeof write extends fc.Arbitrary<infer T> ? T : never;
  const changesOf = (items: Items) =>
    items.map(({ name, match, claimed }) =>
      match === undefined ? removeRoute(name) : claimedAt(claimed, putRoute(name, match)),
    );

  test("one route per match serves, the one with the older claim; the others wait by name", () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 25 }), (history) => {
        const follower = new Follower();
        const lastGood = new Map<string, Route>();
        for (const items of history) {
          follower.write(...changesOf(items));
          checkConsistent(follower, lastGood);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("a node that reads the content afresh serves the same, but for what is left over", () => {
    fc.assert(
      fc.property(
        fc.array(write, { maxLength: 15 }),
        fc.infiniteStream(fc.nat()),
        (history, dice) => {
          const follower = new Follower();
          for (const items of history) follower.write(...changesOf(items));
          const content = [...follower.stored.values()]
            .map((route) => ({
              change: { kind: "route-put", route } as const,
              at: dice.next().value,
            }))
            .toSorted((a, b) => a.at - b.at)
            .map(({ change }) => change);
          // Whole, or in pieces, in any order.
          const fresh = new Follower();
          while (content.length > 0) fresh.take(content.splice(0, 1 + (dice.next().value % 3)));
          const whole = new Follower();
          for (const other of [fresh, whole]) {
            if (other === whole) {
              whole.take(
                [...follower.stored.values()].map((route) => ({ kind: "route-put", route })),
              );
            }
            for (const [name, route] of follower.stored) other.stored.set(name, route);
            expect(other.servedAsStored()).toEqual(follower.servedAsStored());
            expect(other.aside().toSorted()).toEqual(follower.aside().toSorted());
          }
          expect(whole.served()).toEqual(follower.servedAsStored());
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("a store without conflicts is served whole, whatever happened before", () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 12 }), (history) => {
        const follower = new Follower();
        for (const items of history) {
          follower.write(...changesOf(items));
          const keys = new Set([...follower.stored.values()].map(({ match }) => matchKeyOf(match)));
          if (keys.size < follower.stored.size) continue;
          expect(new Map([...follower.table.routes()].map((it) => [it.name, it]))).toEqual(
            new Map(follower.stored),
          );
          expect(follower.aside()).toEqual([]);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("the order within a write does not matter", () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 12 }), (history) => {
        const [forward, backward] = [new Follower(), new Follower()];
        for (const items of history) {
          forward.write(...changesOf(items));
          backward.write(...changesOf(items).toReversed());
        }
        expect(backward.served()).toEqual(forward.served());
        expect(backward.aside().toSorted()).toEqual(forward.aside().toSorted());
      }),
      { numRuns: 1_000 },
    );
  });

  test("what is told adds up to what is set aside", () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 15 }), (history) => {
        const follower = new Follower();
        for (const items of history) follower.write(...changesOf(items));
        const open = new Set<string>();
        for (const line of follower.told) {
          if (line.startsWith("+")) open.add(line.slice(2));
          else expect(open.delete(line.slice(2))).toBe(true);
        }
        expect([...open].toSorted()).toEqual(
          follower.setAside.entries.map(({ key }) => key).toSorted(),
        );
      }),
      { numRuns: 1_000 },
    );
  });
});

test("a change costs what waits for its match, not all that waits", () => {
  const follower = new Follower();
  const pairs = 20_000;
  const all = (name: string) =>
    Array.from({ length: pairs }, (_, i) => putRoute(`${name}${i}`, `h${i}.test`));
  follower.write(...all("a"));
  follower.write(...all("b"));
  expect(follower.setAside.entries).toHaveLength(pairs);
  const began = performance.now();
  for (let i = 0; i < 2_000; i++) follower.write(putRoute("a7", "h7.test", `s${i % 7}`));
  // Looking at all of them each time takes a hundred times as long.
  expect(performance.now() - began).toBeLessThan(1_000);
});

/** @param lastGood What each route served last, kept from write to write. */
function checkConsistent(follower: Follower, lastGood: Map<string, Route>): void {
  const { table, stored, setAside } = follower;
  const served = [...table.routes()];
  const keys = served.map(({ match }) => matchKeyOf(match));
  expect(new Set(keys).size).toBe(keys.length);
  for (const route of served) expect(table.routeOfMatch(matchKeyOf(route.match))).toBe(route);
  const winners = new Map<string, Route>();
  for (const route of stored.values()) {
    const key = matchKeyOf(route.match);
    const rival = winners.get(key);
    const older =
      rival === undefined ||
      route.matchRevision < rival.matchRevision ||
      (route.matchRevision === rival.matchRevision && route.name < rival.name);
    if (older) winners.set(key, route);
  }
  for (const winner of winners.values()) {
    expect(table.routeOfMatch(matchKeyOf(winner.match))).toBe(winner);
  }
  // What else serves is the last good version of one that waits, at a match that nobody wants.
  for (const route of served) {
    if (stored.get(route.name) === route) continue;
    expect(lastGood.get(route.name)).toBe(route);
    expect(stored.has(route.name)).toBe(true);
    expect(winners.has(matchKeyOf(route.match))).toBe(false);
  }
  const waiting = [...stored.values()].filter(
    (route) => winners.get(matchKeyOf(route.match)) !== route,
  );
  expect(setAside.entries.map(({ key }) => key).toSorted()).toEqual(
    waiting.map(({ name }) => `routes/${name}`).toSorted(),
  );
  for (const route of waiting) {
    expect(setAside.entries.find(({ key }) => key === `routes/${route.name}`)?.reason).toContain(
      `belongs to route ${winners.get(matchKeyOf(route.match))?.name};`,
    );
    // Nobody loses the match it served for nothing.
    const before = lastGood.get(route.name);
    if (before === undefined || winners.has(matchKeyOf(before.match))) continue;
    expect(table.route(route.name)).toBe(before);
  }
  lastGood.clear();
  for (const route of served) lastGood.set(route.name, route);
}
