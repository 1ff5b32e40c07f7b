// Goal: whatever a store holds, what serves is consistent, the same on every node, and nothing is set aside
// without need.
// Method: the stories by hand, then random histories of writes that know no rules, held against what
// must be true after each, and against a node that reads the same content afresh.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SetAside } from "../../src/control/set-aside.ts";
import type { Change } from "../../src/model/change.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { matchKeyOf, type Route } from "../../src/model/route.ts";
import { Table } from "../../src/model/table.ts";
import { changeSetOf, putRoute, removeRoute, routeOf } from "../support/table-fixtures.ts";

/** A store without rules, a table, and the set-aside between them. */
class Follower {
  readonly table = new Table();
  readonly setAside = new SetAside(this.table);
  readonly stored = new Map<string, Route>();
  /** "+ two" when it was told to be set aside, "- two" when no more. */
  readonly told: string[] = [];
  #revision = 0;

  /** As a store would: every put has the revision of its write, and keeps that of its match. */
  write(...changes: readonly Change[]): readonly Change[] {
    this.#revision++;
    const stamped = changes.map((change) => this.#stamped(change));
    for (const change of stamped) {
      if (change.kind === "route-put") this.stored.set(change.route.name, change.route);
      if (change.kind === "route-removed") this.stored.delete(change.name);
    }
    return this.take(stamped);
  }

  take(changes: readonly Change[]): readonly Change[] {
    const { changeSet, came, went } = this.setAside.admit(
      changeSetOf(this.table.revision + 1, ...changes),
    );
    this.table.apply(changeSet);
    this.told.push(...came.map(({ key }) => `+ ${key}`), ...went.map(({ key }) => `- ${key}`));
    return changeSet.changes;
  }

  #stamped(change: Change): Change {
    if (change.kind !== "route-put") return change;
    const { route } = change;
    const revision = parseRevision(this.#revision);
    const before = this.stored.get(route.name);
    const kept = before !== undefined && matchKeyOf(before.match) === matchKeyOf(route.match);
    const given = route.matchRevision === 0 ? revision : route.matchRevision;
    const matchRevision = kept ? before.matchRevision : given;
    return { ...change, route: { ...route, revision, matchRevision } };
  }

  /** "a.test -> web", by name. */
  served(): Record<string, string> {
    return servedBy(this.table.routes());
  }

  /** As `served`, without what serves in a version that the store does not hold any more. */
  servedAsStored(): Record<string, string> {
    return servedBy(
      [...this.table.routes()].filter((route) => this.stored.get(route.name) === route),
    );
  }

  aside(): string[] {
    return this.setAside.entries.map(({ key, reason }) => `${key}: ${reason}`);
  }
}

function servedBy(routes: Iterable<Route>): Record<string, string> {
  return Object.fromEntries(
    [...routes]
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((route) => [route.name, matchKeyOf(route.match).replace(/^http |\/$/g, "")]),
  );
}

function claimedAt(matchRevision: number, change: Change): Change {
  if (change.kind !== "route-put") return change;
  return { ...change, route: { ...change.route, matchRevision: parseRevision(matchRevision) } };
}

describe("two routes with one match", () => {
  test("the second is set aside by name, with what to do, and taken up when the first goes", () => {
    const follower = new Follower();
    follower.write(putRoute("one", "a.test"));
    expect(follower.write(putRoute("two", "a.test"))).toEqual([]);
    expect(follower.served()).toEqual({ one: "a.test" });
    expect(follower.aside()).toEqual([
      "routes/two: a.test belongs to route one; remove one of the two",
    ]);
    follower.write(removeRoute("one"));
    expect(follower.served()).toEqual({ two: "a.test" });
    expect(follower.aside()).toEqual([]);
  });

  test.for([[5432], ["a.test"]])("in one write the smaller name serves: %s", ([match = ""]) => {
    for (const names of [
      ["one", "two"],
      ["two", "one"],
    ]) {
      const follower = new Follower();
      follower.write(...names.map((name) => putRoute(name, match)));
      expect(Object.keys(follower.served())).toEqual(["one"]);
    }
  });

  test("who has wanted it longer serves, in whatever order and however often they are heard of", () => {
    const early = claimedAt(3, putRoute("zzz", "a.test"));
    const late = claimedAt(4, putRoute("aaa", "a.test"));
    for (const changes of [
      [early, late],
      [late, early],
    ]) {
      const whole = new Follower();
      expect(whole.take(changes)).toEqual([early]);
      const following = new Follower();
      for (const change of changes) following.take([change]);
      expect(following.served()).toEqual({ zzz: "a.test" });
      expect(following.aside()).toEqual(whole.aside());
    }
  });

  test("who served gives way to an older claim that turns up, and comes back when that goes", () => {
    const follower = new Follower();
    follower.write(putRoute("one", "a.test"), putRoute("other", "b.test"));
    follower.write(putRoute("one", "a.test", "api"));
    expect(follower.write(claimedAt(1, putRoute("aaa", "a.test")))).toEqual([
      removeRoute("one"),
      expect.objectContaining({ route: expect.objectContaining({ name: "aaa" }) }),
    ]);
    expect(follower.served()).toEqual({ aaa: "a.test", other: "b.test" });
    follower.write(removeRoute("aaa"));
    expect(follower.served()).toEqual({ one: "a.test", other: "b.test" });
    expect(follower.told).toEqual(["+ routes/one", "- routes/one"]);
  });

  test("who serves keeps its match when it changes otherwise", () => {
    const follower = new Follower();
    follower.write(putRoute("one", "a.test"));
    follower.write(putRoute("another", "a.test"));
    follower.write(putRoute("one", "a.test", "api"));
    expect([...follower.table.routes()].map(({ service }) => service)).toEqual(["api"]);
    expect(follower.aside()).toHaveLength(1);
  });

  test("of several that wait the earliest is taken up, and the others hear its name", () => {
    const follower = new Follower();
    for (const name of ["one", "three", "two"]) follower.write(putRoute(name, "a.test"));
    follower.write(removeRoute("one"));
    expect(follower.served()).toEqual({ three: "a.test" });
    expect(follower.aside()).toEqual([
      "routes/two: a.test belongs to route three; remove one of the two",
    ]);
    expect(follower.told).toEqual([
      "+ routes/three",
      "+ routes/two",
      "+ routes/two",
      "- routes/three",
    ]);
  });
});

describe("a route whose new version is set aside", () => {
  function waiting(): Follower {
    const follower = new Follower();
    follower.write(putRoute("one", "a.test"), putRoute("two", "b.test"));
    follower.write(putRoute("two", "a.test"));
    return follower;
  }

  test("serves as it did before", () => {
    const follower = waiting();
    expect(follower.served()).toEqual({ one: "a.test", two: "b.test" });
    expect(follower.aside()).toHaveLength(1);
  });

  test("gives its old match up as soon as a route of the store wants that, and waits on", () => {
    const follower = waiting();
    follower.write(putRoute("three", "b.test"));
    expect(follower.served()).toEqual({ one: "a.test", three: "b.test" });
    expect(follower.aside()).toHaveLength(1);
    follower.write(removeRoute("one"));
    expect(follower.served()).toEqual({ two: "a.test", three: "b.test" });
    expect(follower.aside()).toEqual([]);
  });

  test("does not come back to a match that it lost, when that comes free again", () => {
    const follower = waiting();
    follower.write(putRoute("three", "b.test"));
    follower.write(removeRoute("three"));
    expect(follower.served()).toEqual({ one: "a.test" });
  });

  test("is gone when it is removed: neither version comes back", () => {
    const follower = waiting();
    follower.write(removeRoute("two"));
    follower.write(removeRoute("one"));
    expect(follower.served()).toEqual({});
    expect(follower.aside()).toEqual([]);
  });

  test("that was never served is gone when it is removed", () => {
    const follower = new Follower();
    follower.write(putRoute("one", "a.test"));
    follower.write(putRoute("two", "a.test"));
    follower.write(removeRoute("two"));
    follower.write(removeRoute("one"));
    expect(follower.served()).toEqual({});
  });

  test("is set aside no more when it goes back to what it serves", () => {
    const follower = waiting();
    follower.write(putRoute("two", "b.test"));
    expect(follower.aside()).toEqual([]);
    follower.write(removeRoute("one"));
    expect(follower.served()).toEqual({ two: "b.test" });
  });

  test("leaves its old match to who wants it in the same write, in whatever order", () => {
    for (const order of [0, 1]) {
      const follower = new Follower();
      follower.write(putRoute("a", "x.test"), putRoute("b", "z.test"), putRoute("c", "y.test"));
      const write = [putRoute("a", "y.test"), putRoute("b", "x.test")];
      follower.write(...(order === 0 ? write : write.toReversed()));
      expect(follower.served()).toEqual({ b: "x.test", c: "y.test" });
      expect(follower.aside()).toHaveLength(1);
    }
  });

  test("two that swap in two writes have swapped after the second", () => {
    const follower = new Follower();
    follower.write(putRoute("one", "a.test"), putRoute("two", "b.test"));
    follower.write(putRoute("one", "b.test"));
    expect(follower.aside()).toHaveLength(1);
    follower.write(putRoute("two", "a.test"));
    expect(follower.served()).toEqual({ one: "b.test", two: "a.test" });
    expect(follower.aside()).toEqual([]);
  });
});

test.for([
  ["names no route", []],
  ["has no rival", [putRoute("one", "a.test"), removeRoute("two")]],
] as const)("a change that %s passes untouched", ([, changes]) => {
  const changeSet = changeSetOf(1, ...changes);
  expect(new SetAside(new Table()).admit(changeSet).changeSet).toBe(changeSet);
});

test("who wants a match is known to those who ask, the one that serves first", () => {
  const follower = new Follower();
  follower.write(putRoute("two", "a.test"), putRoute("three", "b.test"));
  follower.write(putRoute("one", "a.test"), putRoute("three", "a.test", "api"));
  const { setAside, table } = follower;
  const names = (match: string): string[] =>
    setAside.claimants(matchKeyOf(routeOf("x", match).match)).map(({ name }) => name);
  expect(names("a.test")).toEqual(["two", "one", "three"]);
  // Served by what was left over, and wanted by nobody.
  expect(names("b.test")).toEqual([]);
  const three = routeOf("three", "a.test").name;
  expect([setAside.route(three)?.service, table.route(three)?.service]).toEqual(["api", "web"]);
  expect([...setAside.routes()].map(({ name }) => name)).toEqual(["one", "three"]);
});

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
