// Goal: a change set that is accepted leaves a table without conflicts, as its author wished it.
// Method: random change sets on random tables; those that are refused must name a reason, those that are
// accepted are applied and looked at.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ChangeDraft, planChanges, type RouteDraft } from "../../src/control/change-plan.ts";
import { storedAsServed } from "../../src/control/table-view.ts";
import type { Change } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { matchKeyOf } from "../../src/model/route.ts";
import { Table } from "../../src/model/table.ts";
import { backendOf, changeSetOf, putRoute, routeOf } from "../support/table-fixtures.ts";

const names = ["one", "two", "three", "a-io", "tcp-5000"];
const matches = ["a.io", "b.io", "*.a.io", 5000, 5001];

const nameIn = fc.constantFrom(...names);
const matchIn = fc.constantFrom(...matches);
const serviceIn = fc.constantFrom("web", "api");

function draftOf(
  mode: RouteDraft["mode"],
  name: string | undefined,
  match: string | number,
  service: string,
): ChangeDraft {
  const route = routeOf(name ?? "x", match, service);
  return {
    kind: "put-route",
    route: { ...route, mode, name: name === undefined ? undefined : route.name, field: "route" },
  };
}

const putIn = fc
  .tuple(
    fc.constantFrom("create", "put"),
    fc.option(nameIn, { nil: undefined }),
    matchIn,
    serviceIn,
  )
  .map(([mode, name, match, service]) => draftOf(mode as "put", name, match, service));
const removeIn = nameIn.map(
  (name): ChangeDraft => ({ kind: "remove-route", name: routeOf(name, 1).name, field: "name" }),
);
const dropServiceIn = serviceIn.map(
  (name): ChangeDraft => ({ kind: "remove-service", name: parseServiceName(name), field: "name" }),
);
const draftsIn = fc.array(fc.oneof(putIn, putIn, removeIn, dropServiceIn), {
  minLength: 1,
  maxLength: 5,
});

/** Routes with distinct names and matches, of services with settings. */
const tableIn = fc
  .tuple(fc.shuffledSubarray(names), fc.shuffledSubarray(matches), serviceIn)
  .map(([someNames, someMatches, service]) => {
    const table = new Table();
    const count = Math.min(someNames.length, someMatches.length);
    const settings: Change = {
      kind: "service-put",
      service: { name: parseServiceName("web"), policy: undefined },
    };
    const routes = Array.from({ length: count }, (_, i) =>
      putRoute(someNames[i]!, someMatches[i]!, service),
    );
    table.apply(changeSetOf(1, settings, ...routes));
    return table;
  });

describe("planChanges", () => {
  test("what is accepted leaves no conflict, and every wish holds", () => {
    let accepted = 0;
    fc.assert(
      fc.property(tableIn, draftsIn, (table, drafts) => {
        const before = table.snapshot();
        let steps: ReturnType<typeof planChanges>;
        try {
          steps = planChanges(drafts, table, 7, storedAsServed(table));
        } catch (error) {
          expect(error).toBeInstanceOf(RouterError);
          expect((error as RouterError).code).toMatch(
            /^(already-exists|not-found|failed-precondition|invalid-argument)$/,
          );
          expect(table.snapshot()).toEqual(before);
          return;
        }
        accepted++;
        expect(steps).toHaveLength(drafts.length);
        const changes = steps.flatMap(({ change }) => (change === undefined ? [] : [change]));
        if (changes.length > 0) table.apply({ revision: parseRevision(2), changes });
        const keys = [...table.routes()].map(({ match }) => matchKeyOf(match));
        expect(new Set(keys).size).toBe(keys.length);
        for (const route of table.routes()) {
          expect(table.routeOfMatch(matchKeyOf(route.match))).toBe(route);
        }
        for (const [index, draft] of drafts.entries())
          checkWish(draft, steps[index]?.after?.name, table);
        // Asked for again, there is nothing left to do.
        const puts = drafts.filter(({ kind }) => kind === "put-route");
        for (const step of planChanges(puts, table, 8, storedAsServed(table))) {
          expect(step.action).toBe("none");
        }
      }),
      { numRuns: 2_000 },
    );
    expect(accepted).toBeGreaterThan(200);
  });

  test("swapping matches in one request is no conflict", () => {
    const table = Table.of({
      revision: parseRevision(1),
      routes: [routeOf("one", "a.io"), routeOf("two", "b.io")],
      services: [],
      backends: [],
    });
    const steps = planChanges(
      [draftOf("put", "one", "b.io", "web"), draftOf("put", "two", "a.io", "web")],
      table,
      7,
      storedAsServed(table),
    );
    expect(steps.map(({ action }) => action)).toEqual(["update", "update"]);
  });

  test.for<readonly [what: string, joined: number | undefined, as: number | undefined]>([
    ["is new: the store says how old it is", undefined, undefined],
    ["is there: as old as it was", 7, 7],
    ["a version left that knew of no ages: older than all", -1, 0],
  ])("a backend that %s", ([, joined, as]) => {
    const backend = backendOf("web", "10.0.0.1:80");
    const there =
      joined === undefined
        ? []
        : [joined < 0 ? backend : { ...backend, joined: parseRevision(joined) }];
    const table = Table.of({
      revision: parseRevision(9),
      routes: [],
      services: [],
      backends: there,
    });
    const wanted = { ...backend, weight: 7 };
    const [step] = planChanges(
      [{ kind: "put-backend", backend: wanted }],
      table,
      7,
      storedAsServed(table),
    );
    expect(step?.action).toBe(joined === undefined ? "create" : "update");
    const expected = as === undefined ? wanted : { ...wanted, joined: as };
    expect(step?.change).toStrictEqual({ kind: "backend-put", backend: expected });
  });

  test("a service that is put stays paused, and one that only lacks the pause is as it was", () => {
    const name = parseServiceName("web");
    const pause = { queue: 5, queueMs: 1_000, sinceMs: 7 };
    const table = Table.of({
      revision: parseRevision(9),
      routes: [],
      services: [{ name, policy: undefined, options: { slowStartMs: 5_000, pause } }],
      backends: [],
    });
    const put = (slowStartMs: number) =>
      planChanges(
        [
          {
            kind: "put-service",
            service: { name, policy: undefined, options: { slowStartMs } },
            field: "service",
          },
        ],
        table,
        7,
        storedAsServed(table),
      )[0];
    expect(put(5_000)).toStrictEqual({ action: "none" });
    expect(put(6_000)).toStrictEqual({
      action: "update",
      change: {
        kind: "service-put",
        service: { name, policy: undefined, options: { slowStartMs: 6_000, pause } },
      },
    });
  });
});

function checkWish(draft: ChangeDraft, name: string | undefined, table: Table): void {
  if (draft.kind === "put-route") {
    const holder = table.routeOfMatch(matchKeyOf(draft.route.match));
    expect(holder).toMatchObject({ name, service: draft.route.service });
    if (draft.route.name !== undefined) expect(name).toBe(draft.route.name);
  }
  if (draft.kind === "remove-route") expect(table.route(draft.name)).toBeUndefined();
  if (draft.kind === "remove-service") expect(table.routesOfService(draft.name).size).toBe(0);
}
