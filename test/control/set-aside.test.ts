// Goal: whatever a store holds, what serves is consistent, and nothing is set aside without need.
// Method: the stories by hand, then random histories of writes that know no rules, held against what
// must be true after each.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SetAside } from "../../src/control/set-aside.ts";
import type { Change } from "../../src/model/change.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { matchKeyOf, type Route } from "../../src/model/route.ts";
import { Table } from "../../src/model/table.ts";
import { changeSetOf, putRoute, removeRoute } from "../support/table-fixtures.ts";

/** A store without rules, a table, and the set-aside between them. */
class Follower {
  readonly table = new Table();
  readonly setAside = new SetAside();
  readonly stored = new Map<string, Route>();
  #revision = 0;

  /** As a store would: every put has the revision of its write. */
  write(...changes: readonly Change[]): readonly Change[] {
    this.#revision++;
    const stamped = changes.map((change) => stampedAt(this.#revision, change));
    for (const change of stamped) {
      if (change.kind === "route-put") this.stored.set(change.route.name, change.route);
      if (change.kind === "route-removed") this.stored.delete(change.name);
    }
    const admitted = this.setAside.admit(this.table, changeSetOf(this.#revision, ...stamped));
    this.table.apply(admitted);
    return admitted.changes;
  }

  /** "a.test -> web", by name. */
  served(): Record<string, string> {
    return Object.fromEntries(
      [...this.table.routes()]
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
        .map((route) => [route.name, matchKeyOf(route.match).replace(/^http |\/$/g, "")]),
    );
  }

  aside(): string[] {
    return this.setAside.entries.map(({ key, reason }) => `${key}: ${reason}`);
  }
}

function stampedAt(revision: number, change: Change): Change {
  if (change.kind !== "route-put") return change;
  return { ...change, route: { ...change.route, revision: parseRevision(revision) } };
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

  test("when a table is read whole the earlier revision serves, in whatever order it is read", () => {
    const early = stampedAt(3, putRoute("zzz", "a.test"));
    const late = stampedAt(4, putRoute("aaa", "a.test"));
    for (const changes of [
      [early, late],
      [late, early],
    ]) {
      const setAside = new SetAside();
      const admitted = setAside.admit(new Table(), changeSetOf(9, ...changes));
      expect(admitted.changes).toEqual([early]);
    }
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

  test("gives its old match up when it is taken up, so that the next can have it", () => {
    const follower = waiting();
    follower.write(putRoute("three", "b.test"));
    expect(follower.aside()).toHaveLength(2);
    follower.write(removeRoute("one"));
    expect(follower.served()).toEqual({ two: "a.test", three: "b.test" });
    expect(follower.aside()).toEqual([]);
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

  test("keeps its old match from whoever wants it in the same write, in whatever order", () => {
    for (const order of [0, 1]) {
      const follower = new Follower();
      follower.write(putRoute("a", "x.test"), putRoute("b", "z.test"), putRoute("c", "y.test"));
      const write = [putRoute("a", "y.test"), putRoute("b", "x.test")];
      follower.write(...(order === 0 ? write : write.toReversed()));
      expect(follower.served()).toEqual({ a: "x.test", b: "z.test", c: "y.test" });
      expect(follower.aside()).toHaveLength(2);
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

test("a change that names no route passes untouched", () => {
  const changeSet = changeSetOf(1);
  expect(new SetAside().admit(new Table(), changeSet)).toBe(changeSet);
});

describe("whatever is written", () => {
  const names = ["a", "b", "c", "d", "e"];
  const matches = ["v.test", "w.test", "x.test", "y.test", 5432] as const;
  const write = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom(...names),
      match: fc.option(fc.constantFrom(...matches), { nil: undefined, freq: 3 }),
    }),
    { selector: ({ name }) => name, minLength: 1, maxLength: 4 },
  );
  const changesOf = (items: readonly { name: string; match?: string | number | undefined }[]) =>
    items.map(({ name, match }) =>
      match === undefined ? removeRoute(name) : putRoute(name, match),
    );

  test("one route per match serves, and what does not serve waits for one that does", () => {
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
});

/** @param lastGood What each route served last, kept from write to write. */
function checkConsistent(follower: Follower, lastGood: Map<string, Route>): void {
  const { table, stored, setAside } = follower;
  const served = [...table.routes()];
  const keys = served.map(({ match }) => matchKeyOf(match));
  expect(new Set(keys).size).toBe(keys.length);
  for (const route of served) expect(table.routeOfMatch(matchKeyOf(route.match))).toBe(route);
  const waiting = new Set(setAside.entries.map(({ key }) => key.replace("routes/", "")));
  for (const route of served) {
    expect(stored.has(route.name)).toBe(true);
    // As stored, or, when that waits, as it was.
    expect(route).toBe(waiting.has(route.name) ? lastGood.get(route.name) : stored.get(route.name));
  }
  for (const [name, route] of stored) {
    if (table.route(route.name) === route) expect(waiting.has(name)).toBe(false);
    else {
      expect(waiting.has(name)).toBe(true);
      const holder = table.routeOfMatch(matchKeyOf(route.match));
      expect(setAside.entries.find(({ key }) => key === `routes/${name}`)?.reason).toContain(
        `belongs to route ${holder?.name};`,
      );
    }
  }
  expect([...waiting].every((name) => stored.has(name))).toBe(true);
  lastGood.clear();
  for (const route of served) lastGood.set(route.name, route);
}
