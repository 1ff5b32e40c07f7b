// Goal: of routes with one match one serves, the others wait with a reason, and nothing is set aside without need.
// Method: the stories by hand.

import { describe, expect, test } from "vitest";
import { SetAside } from "../../src/control/set-aside.ts";
import { matchKeyOf } from "../../src/model/route.ts";
import { Table } from "../../src/model/table.ts";
import { claimedAt, Follower } from "../support/rule-less-store.ts";
import { changeSetOf, putRoute, removeRoute, routeOf } from "../support/table-fixtures.ts";

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
