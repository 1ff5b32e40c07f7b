// Goal: of a thousand routes that are not served each one's change is known by its revisions, and what is told of them
// stays short.

import { expect, test } from "vitest";
import { newestUnserved, routesOfPorts, unservedAt } from "../../src/control/unserved.ts";
import { unservedTextCharactersMax, unservedToldMax } from "../../src/limits.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import { routeOf } from "../support/table-fixtures.ts";

const r = parseRevision;

/** Routes to ports from 3000 on, at revisions from 1 on. */
function tableOf(count: number, revisionOf: (index: number) => number): Table {
  const table = new Table();
  const changes = Array.from({ length: count }, (_, index) => {
    const revision = r(revisionOf(index));
    const route = { ...routeOf(`r${index}`, 3000 + index), revision, matchRevision: revision };
    return { kind: "route-put", route } as const;
  });
  table.apply({ revision: r(count), changes });
  return table;
}

const problems = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ port: 3000 + index, reason: "is taken" }));

test("the newest are told, newest first", () => {
  const routes = [
    ...routesOfPorts(
      tableOf(1_000, (index) => index + 1),
      problems(1_000),
    ),
  ];
  const told = newestUnserved(routes);
  expect(told.map(({ revision }) => revision)).toEqual(
    Array.from({ length: unservedToldMax }, (_, index) => 1_000 - index),
  );
  expect(told[0]?.reason).toBe("route r999 is not served: is taken");
  expect([unservedAt(routes, r(1)), unservedAt(routes, r(1_001))]).toEqual([
    "route r0 is not served: is taken",
    undefined,
  ]);
});

test("a change of a thousand routes is told in few words", () => {
  const routes = [
    ...routesOfPorts(
      tableOf(1_000, () => 7),
      problems(1_000),
    ),
  ];
  const [told, ...others] = newestUnserved(routes);
  expect(others).toEqual([]);
  expect(told?.reason).toMatch(/^route r0 is not served: is taken; route r1 .* more$/);
  expect(told?.reason.length).toBeLessThan(unservedTextCharactersMax + 20);
  expect(unservedAt(routes, r(7))).toBe(told?.reason);
});

test("a port that no route wants any more is nobody's trouble", () => {
  expect([...routesOfPorts(new Table(), problems(3))]).toEqual([]);
});
