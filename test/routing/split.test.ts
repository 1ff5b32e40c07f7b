// Goal: a split sends each service its share, nothing to one without backends, and never loses a request.
// Method: draws along the line of weights, and many from a fixed seed, counted; backends that come and go.

import { describe, expect, test } from "vitest";
import { parseServiceName } from "../../src/model/names.ts";
import type { RouteOptions } from "../../src/model/route-options.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { backend, backendRemoved, change, matchHttp, routeWith, tableOf } from "./changes.ts";

const split = (...shares: readonly (readonly [string, number])[]): RouteOptions => ({
  split: shares.map(([name, weight]) => ({ service: parseServiceName(name), weight })),
});

function tableWith(shares: readonly (readonly [string, number])[]): RouteTable {
  return tableOf(
    routeWith("r", "a.com", undefined, split(...shares)),
    ...shares.map(([name], i) => backend(name, `10.0.0.${i + 1}:80`)),
  );
}

const drawn = (table: RouteTable, draw: number): string | undefined =>
  matchHttp(table, "a.com", "/")?.serviceFor(() => draw)?.name;

describe("a split", () => {
  test("draws along the line of weights", () => {
    const table = tableWith([
      ["a", 90],
      ["b", 0],
      ["c", 10],
    ]);
    const draws = [0, 0.5, 0.8999, 0.9001, 0.9999];
    expect(draws.map((draw) => drawn(table, draw))).toEqual(["a", "a", "a", "c", "c"]);
  });

  test("sends each its share", () => {
    const table = tableWith([
      ["a", 700],
      ["b", 200],
      ["c", 100],
    ]);
    const system = new FakeSystem({ seed: 11 });
    const found = matchHttp(table, "a.com", "/")!;
    const counts = new Map<string, number>();
    for (let i = 0; i < 10_000; i++) {
      const name = found.serviceFor(() => system.random())!.name;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    expect(counts.get("a")! / 10_000).toBeCloseTo(0.7, 1);
    expect(counts.get("b")! / 10_000).toBeCloseTo(0.2, 1);
    expect(counts.get("c")! / 10_000).toBeCloseTo(0.1, 1);
  });

  test("leaves out a service while it has no backend", () => {
    const table = tableWith([
      ["a", 90],
      ["b", 10],
    ]);
    change(table, backendRemoved("a", "10.0.0.1:80"));
    expect([0, 0.5, 0.99].map((draw) => drawn(table, draw))).toEqual(["b", "b", "b"]);
    change(table, backend("a", "10.0.0.3:80"));
    expect([0, 0.5, 0.99].map((draw) => drawn(table, draw))).toEqual(["a", "a", "b"]);
  });

  test("names a service all the same when none has a backend, and none of weight 0", () => {
    const table = tableOf(
      routeWith("r", "a.com", undefined, split(["a", 0], ["b", 1], ["c", 2])),
      backend("a", "10.0.0.1:80"),
    );
    expect([0, 0.99].map((draw) => drawn(table, draw))).toEqual(["b", "b"]);
  });

  test("follows the services into the table that replaces its own", () => {
    const before = tableWith([
      ["a", 1],
      ["b", 1],
    ]);
    const held = matchHttp(before, "a.com", "/")!;
    const made = RouteTable.build();
    made.add([backend("b", "10.0.0.9:80")]);
    made.finish(before.revision, before);
    expect(held.serviceFor(() => 0)?.name).toBe("b");
  });

  test("and a mirror keep their services alive, and let them go", () => {
    const table = tableOf(
      routeWith("r", "a.com", "web", { mirror: { service: parseServiceName("m"), percent: 5 } }),
      routeWith("s", "b.com", undefined, split(["a", 1], ["b", 0])),
    );
    const names = (): string[] => [...table.services()].map(({ name }) => name).toSorted();
    expect(names()).toEqual(["a", "b", "m", "web"]);
    expect(matchHttp(table, "a.com", "/")?.mirror).toBe(table.service("m"));
    expect(matchHttp(table, "b.com", "/")?.mirror).toBeUndefined();
    change(table, routeWith("r", "a.com", "web"), routeWith("s", "b.com", "b"));
    expect(names()).toEqual(["b", "web"]);
    expect(matchHttp(table, "b.com", "/")?.serviceFor(() => 0)?.name).toBe("b");
  });

  test("is not drawn for a route of one service", () => {
    const table = tableOf(routeWith("r", "a.com", "web"));
    const never = (): number => expect.unreachable("one service needs no draw");
    expect(matchHttp(table, "a.com", "/")?.serviceFor(never)?.name).toBe("web");
  });
});
