// Goal: a change is whole or nothing, leaves nothing behind, and disturbs nothing that it does not name.
// Method: the defects that the predecessors had, one by one; then a million changes, counted and weighed.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { Policy } from "../../src/model/service.ts";
import type { Endpoint } from "../../src/routing/backend-state.ts";
import { asked } from "../support/picks.ts";
import {
  backend,
  backendRemoved,
  change,
  matchHttp,
  rev,
  route,
  routeRemoved,
  service,
  serviceRemoved,
  tableOf,
} from "./changes.ts";

const namesOf = (things: Iterable<{ readonly name: string }>): string[] =>
  [...things].map(({ name }) => name).toSorted();
const addressesOf = (endpoints: Iterable<Endpoint>): string[] =>
  [...endpoints].map(({ address }) => address).toSorted();

describe("a changed route leaves nothing behind", () => {
  test("when its domain changes", () => {
    const table = tableOf(route("r", "old.com"));
    change(table, route("r", "*.new.com"));
    expect(matchHttp(table, "old.com", "/")).toBeUndefined();
    expect(matchHttp(table, "x.new.com", "/")?.name).toBe("r");
    change(table, route("r", "*"));
    expect(matchHttp(table, "x.new.com", "/")?.match).toMatchObject({ domain: "*" });
    change(table, routeRemoved("r"));
    expect(matchHttp(table, "x.new.com", "/")).toBeUndefined();
  });

  test("when its path changes, and its siblings stay", () => {
    const table = tableOf(
      route("root", "a.com"),
      route("api", "a.com/api"),
      route("deep", "a.com/api/v1"),
    );
    change(table, route("api", "a.com/moved"));
    expect(matchHttp(table, "a.com", "/api/v1")?.name).toBe("deep");
    expect(matchHttp(table, "a.com", "/api/v2")?.name).toBe("root");
    expect(matchHttp(table, "a.com", "/moved")?.name).toBe("api");
  });

  test("when the / of a domain goes, its other paths stay", () => {
    const table = tableOf(route("root", "a.com"), route("api", "a.com/api"));
    change(table, routeRemoved("root"));
    expect(matchHttp(table, "a.com", "/")).toBeUndefined();
    expect(matchHttp(table, "a.com", "/api")?.name).toBe("api");
    change(table, routeRemoved("api"), route("root", "a.com"));
    expect(matchHttp(table, "a.com", "/api")?.name).toBe("root");
  });

  test("when a TCP route's service or port changes", () => {
    const table = tableOf(route("db", "tcp:5432", "old"));
    change(table, route("db", "tcp:5432", "new"));
    expect(table.matchTcp(5432)?.service?.name).toBe("new");
    expect(table.service("old")).toBeUndefined();
    change(table, route("db", "tcp:5433", "new"));
    expect(table.matchTcp(5432)).toBeUndefined();
    expect(table.matchTcp(5433)?.name).toBe("db");
  });

  test("when it turns from HTTP to TCP and back", () => {
    const table = tableOf(route("r", "a.com/x"));
    change(table, route("r", "tcp:1000"));
    expect(matchHttp(table, "a.com", "/x")).toBeUndefined();
    change(table, route("r", "a.com/x"));
    expect(table.matchTcp(1000)).toBeUndefined();
    expect(matchHttp(table, "a.com", "/x")?.name).toBe("r");
    expect(table.routeCount).toBe(1);
  });
});

describe("prepare", () => {
  test("says which TCP ports come and go, and not those that change hands", () => {
    const table = tableOf(route("a", "tcp:1"), route("b", "tcp:2"), route("c", "tcp:3"));
    const prepared = table.prepare(
      [routeRemoved("a"), route("d", "tcp:1"), route("b", "tcp:4"), route("c", "tcp:3", "other")],
      rev(2),
    );
    expect(prepared.tcpPortsAdded).toEqual([4]);
    expect(prepared.tcpPortsRemoved).toEqual([2]);
  });

  test("touches nothing before apply", () => {
    const table = tableOf(route("a", "a.com"), backend("web", "10.0.0.1:80"));
    const prepared = table.prepare(
      [routeRemoved("a"), route("b", "b.com", "other"), backendRemoved("web", "10.0.0.1:80")],
      rev(2),
    );
    expect(matchHttp(table, "a.com", "/")?.name).toBe("a");
    expect(namesOf(table.services())).toEqual(["web"]);
    expect(addressesOf(table.endpoints())).toEqual(["10.0.0.1:80"]);
    expect(table.revision).toBe(1);
    expect(addressesOf(prepared.apply())).toEqual(["10.0.0.1:80"]);
    expect(namesOf(table.services())).toEqual(["other"]);
    expect(addressesOf(table.endpoints())).toEqual([]);
    expect(table.revision).toBe(2);
  });

  const conflicts: readonly { name: string; before: Change[]; changes: Change[]; says: RegExp }[] =
    [
      {
        name: "a domain that another route has",
        before: [route("a", "x.com")],
        changes: [route("ok", "ok.com"), route("b", "X.com.")],
        says: /"a" and "b" both match x\.com/,
      },
      {
        name: "a path that another route has",
        before: [route("a", "x.com/p"), route("c", "x.com")],
        changes: [route("ok", "ok.com"), route("b", "x.com/p/")],
        says: /both match x\.com\/p/,
      },
      {
        name: "a port that another route has",
        before: [route("a", "tcp:1")],
        changes: [route("ok", "ok.com"), route("b", "tcp:1")],
        says: /both match tcp:1/,
      },
      {
        name: "a match that two of its own routes claim",
        before: [],
        changes: [route("ok", "ok.com"), route("a", "*.x.com"), route("b", "*.x.com")],
        says: /both match \*\.x\.com/,
      },
      {
        name: "a match whose owner is put again in the same change",
        before: [route("a", "x.com")],
        changes: [route("ok", "ok.com"), route("b", "x.com"), route("a", "x.com", "other")],
        says: /both match x\.com/,
      },
    ];
  test.for(conflicts)("refuses $name, and the table stays as it was", (conflict) => {
    const table = tableOf(...conflict.before);
    const refused = (): unknown => table.prepare(conflict.changes, rev(2));
    expect(refused).toThrow(RouterError);
    expect(refused).toThrow(conflict.says);
    expect(matchHttp(table, "ok.com", "/")).toBeUndefined();
    expect(table.routeCount).toBe(conflict.before.length);
    expect(table.revision).toBe(1);
  });

  test("lets two routes swap their matches in one change", () => {
    const table = tableOf(route("a", "a.com"), route("b", "b.com/x"), route("c", "tcp:1"));
    change(table, route("a", "b.com/x"), route("b", "tcp:1"), route("c", "a.com"));
    expect(matchHttp(table, "b.com", "/x")?.name).toBe("a");
    expect(table.matchTcp(1)?.name).toBe("b");
    expect(matchHttp(table, "a.com", "/")?.name).toBe("c");
  });

  test("hears the last word about a route that one change names twice", () => {
    const table = tableOf();
    change(table, route("a", "a.com"), routeRemoved("a"), route("b", "b.com"), route("b", "c.com"));
    expect(matchHttp(table, "a.com", "/")).toBeUndefined();
    expect(matchHttp(table, "b.com", "/")).toBeUndefined();
    expect(matchHttp(table, "c.com", "/")?.name).toBe("b");
  });

  test("refuses a revision that goes back, and takes the same one again", () => {
    const table = tableOf();
    expect(() => table.prepare([], rev(0))).toThrow(/revision 0 cannot follow 1/);
    table.prepare([route("a", "a.com")], rev(1)).apply();
    expect([table.revision, matchHttp(table, "a.com", "/")?.name]).toEqual([1, "a"]);
  });

  test("is applied once, and not after another change", () => {
    const table = tableOf();
    const first = table.prepare([route("a", "a.com")], rev(2));
    const second = table.prepare([route("b", "a.com")], rev(3));
    first.apply();
    expect(() => first.apply()).toThrow(/once/);
    expect(() => second.apply()).toThrow(/before any other/);
    expect(matchHttp(table, "a.com", "/")?.name).toBe("a");
  });

  test("is not applied after another one of the same revision", () => {
    const table = tableOf();
    const [first, second] = [table.prepare([], rev(1)), table.prepare([], rev(1))];
    first.apply();
    expect(() => second.apply()).toThrow(/before any other/);
  });

  test("does not mind removing what is not there", () => {
    const table = tableOf(route("a", "a.com"));
    change(table, routeRemoved("x"), serviceRemoved("x"), backendRemoved("x", "1.2.3.4:5"));
    expect(namesOf(table.services())).toEqual(["web"]);
  });
});

describe("services and backends", () => {
  test("a service lives as long as a route, a backend or settings name it", () => {
    const table = tableOf();
    change(table, route("a", "a.com", "s"), route("b", "b.com", "s"));
    change(table, route("a", "a.com", "s"), route("a", "a.com", "s"));
    change(table, backend("s", "10.0.0.1:80"), service("s", Policy.Random));
    const state = table.service("s");
    for (const last of [routeRemoved("a"), routeRemoved("b"), serviceRemoved("s")]) {
      change(table, last);
      expect(table.service("s")).toBe(state);
    }
    expect(state?.policy).toBe(Policy.LeastLoaded);
    change(table, backendRemoved("s", "10.0.0.1:80"));
    expect(table.service("s")).toBeUndefined();
  });

  test("a service keeps its state when its only route is replaced by another", () => {
    const table = tableOf(route("a", "a.com", "s"));
    const state = table.service("s");
    change(table, routeRemoved("a"), route("b", "b.com", "s"));
    expect(table.service("s")).toBe(state);
  });

  test("a backend keeps what was measured when it is put again with another weight", () => {
    const table = tableOf(backend("s", "10.0.0.1:80"), backend("s", "10.0.0.2:80"));
    const state = table.service("s")?.backendAt("10.0.0.1:80");
    state!.requestsTotal = 7;
    const picker = table.service("s")?.picker;
    change(table, backendRemoved("s", "10.0.0.1:80"), backend("s", "10.0.0.1:80", 5));
    expect(table.service("s")?.backendAt("10.0.0.1:80")).toBe(state);
    expect(state).toMatchObject({ weight: 5, requestsTotal: 7, removed: false });
    expect(state?.endpoint.users).toBe(1);
    expect(table.service("s")?.picker).not.toBe(picker);
  });

  test("the same backend put again does not disturb the picker", () => {
    const table = tableOf(backend("s", "10.0.0.1:80"), service("s", Policy.RoundRobin));
    const picker = table.service("s")?.picker;
    change(table, backend("s", "10.0.0.1:80"), service("s", Policy.RoundRobin));
    expect(table.service("s")?.picker).toBe(picker);
  });

  test("a new policy holds for the backends that are there, and its end too", () => {
    const table = tableOf(backend("s", "10.0.0.1:80"), backend("s", "10.0.0.2:80"));
    const picks = (): string[] =>
      Array.from(
        { length: 4 },
        () => table.service("s")!.picker.pick(asked(() => 0, [], 0))!.address,
      );
    change(table, service("s", Policy.RoundRobin));
    expect(new Set(picks()).size).toBe(2);
    change(table, serviceRemoved("s"));
    expect(new Set(picks()).size).toBe(1);
  });

  test("a removed backend says so, and its address goes with its last user", () => {
    const table = tableOf(backend("s", "10.0.0.1:80"), backend("t", "10.0.0.1:80"));
    const [inS, inT] = ["s", "t"].map((name) => table.service(name)?.backendAt("10.0.0.1:80"));
    expect(inS?.endpoint).toBe(inT?.endpoint);
    expect(inS?.endpoint.users).toBe(2);
    expect(table.prepare([backendRemoved("s", "10.0.0.1:80")], rev(2)).apply()).toEqual([]);
    expect(inS?.removed).toBe(true);
    expect(inT?.removed).toBe(false);
    const released = table.prepare([backendRemoved("t", "10.0.0.1:80")], rev(3)).apply();
    expect(released).toEqual([inT?.endpoint]);
    expect([...table.endpoints()]).toEqual([]);
  });

  test("an address that moves to another service within one change keeps its connections", () => {
    const table = tableOf(backend("s", "10.0.0.1:80"));
    const endpoint = table.service("s")?.backendAt("10.0.0.1:80")?.endpoint;
    change(table, backendRemoved("s", "10.0.0.1:80"), backend("t", "10.0.0.1:80"));
    expect(table.service("t")?.backendAt("10.0.0.1:80")?.endpoint).toBe(endpoint);
    expect([...table.endpoints()]).toEqual([endpoint]);
  });

  test("a service of many backends finds each by its address", () => {
    const addresses = Array.from({ length: 300 }, (_, i) => `10.0.${i % 7}.${i % 256}:${80 + i}`);
    const table = tableOf(...addresses.map((address) => backend("s", address)));
    expect(table.service("s")?.backendAt(addresses[17]!)?.address).toBe(addresses[17]);
    change(table, backendRemoved("s", addresses[17]!));
    for (const address of addresses) {
      const expected = address === addresses[17] ? undefined : address;
      expect(table.service("s")?.backendAt(address)?.address).toBe(expected);
    }
  });

  test("an endpoint knows where to dial, IPv6 without brackets", () => {
    const table = tableOf(backend("s", "[2001:DB8::1]:8080"), backend("s", "db.internal:5432"));
    expect([...table.endpoints()].map(({ host, port }) => [host, port])).toEqual([
      ["2001:db8::1", 8080],
      ["db.internal", 5432],
    ]);
  });
});

test("a million changes leave nothing behind", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heldBytes = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const table = tableOf(route("stays", "stays.com", "stays"));
  const turn = (i: number): void => {
    const [name, host, own, address] = [
      `r${i}`,
      `h${i}.com`,
      `s${i}`,
      `10.1.${i % 250}.1:${1 + (i % 60_000)}`,
    ];
    change(table, route(name, `*.${host}/x`, own), backend(own, address), service(own));
    change(
      table,
      route(name, `${host}/y`, own),
      route(`${name}-tcp`, `tcp:${1 + (i % 60_000)}`, own),
    );
    change(
      table,
      routeRemoved(name),
      routeRemoved(`${name}-tcp`),
      backendRemoved(own, address),
      serviceRemoved(own),
    );
  };
  for (let i = 0; i < 2_000; i++) turn(i);
  const before = heldBytes();
  for (let i = 2_000; i < 113_112; i++) turn(i); // nine changes each
  expect(heldBytes() - before).toBeLessThan(2_000_000);
  expect(table.routeCount).toBe(1);
  expect(namesOf(table.services())).toEqual(["stays"]);
  expect([...table.endpoints()]).toEqual([]);
});
