// Goal: a table that was patched is the table that was built; its indexes say what a search would find;
// and it is not slower for having been patched often.
// Method: random ChangeSets over a small world, so that swaps, moves and reuse are common, beside a
// naive list.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Change, Snapshot } from "../../src/model/change.ts";
import { matchKeyOf } from "../../src/model/route.ts";
import { Policy } from "../../src/model/service.ts";
import { Table } from "../../src/model/table.ts";
import {
  backend,
  backendRemoved,
  matchOf,
  rev,
  route,
  routeRemoved,
  service,
  serviceRemoved,
} from "../routing/changes.ts";
import {
  backendOf,
  changeSetOf,
  putRoute,
  removeRoute,
  routeOf,
} from "../support/table-fixtures.ts";

const names = ["r1", "r2", "r3", "r4"];
const matches = ["a.com", "a.com/p", "*.a.com", "tcp:1", "tcp:2"];
const services = ["s1", "s2", "s3"];
const addresses = ["10.0.0.1:1", "10.0.0.2:2", "[::1]:3"];

const nameOf = fc.constantFrom(...names);
const serviceOf = fc.constantFrom(...services);
const addressOf = fc.constantFrom(...addresses);
const policy = fc.constantFrom(undefined, ...Object.values(Policy));
const anyChange: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(nameOf, fc.constantFrom(...matches), serviceOf, fc.boolean())
      .map((given) => route(...given)),
  },
  { weight: 2, arbitrary: nameOf.map(routeRemoved) },
  { weight: 3, arbitrary: fc.tuple(serviceOf, addressOf, fc.nat(3)).map((it) => backend(...it)) },
  { weight: 2, arbitrary: fc.tuple(serviceOf, addressOf).map((given) => backendRemoved(...given)) },
  { weight: 1, arbitrary: fc.tuple(serviceOf, policy).map((given) => service(...given)) },
  { weight: 1, arbitrary: serviceOf.map(serviceRemoved) },
);

/** What a change is about: a ChangeSet names no thing twice. */
function subjectOf(change: Change): string {
  switch (change.kind) {
    case "route-put":
      return `route ${change.route.name}`;
    case "route-removed":
      return `route ${change.name}`;
    case "service-put":
      return `service ${change.service.name}`;
    case "service-removed":
      return `service ${change.name}`;
    case "backend-put":
      return `backend ${change.backend.service} ${change.backend.address}`;
    default:
      return `backend ${change.service} ${change.address}`;
  }
}

const history = fc.array(
  fc.uniqueArray(anyChange, { minLength: 1, maxLength: 6, selector: subjectOf }),
  { maxLength: 25 },
);

const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

const snapshotOf = (revision: number, world: ReadonlyMap<string, Change>): Snapshot => {
  const put = [...world.values()];
  return {
    revision: rev(revision),
    routes: put.flatMap((each) => (each.kind === "route-put" ? [each.route] : [])),
    services: put.flatMap((each) => (each.kind === "service-put" ? [each.service] : [])),
    backends: put.flatMap((each) => (each.kind === "backend-put" ? [each.backend] : [])),
  };
};

const sorted = ({ revision, routes, services: known, backends }: Snapshot): unknown => ({
  revision,
  routes: routes.toSorted(byText),
  services: known.toSorted(byText),
  backends: backends.toSorted(byText),
});

/** The world after the changes; undefined: two routes would have one match. */
function after(
  world: ReadonlyMap<string, Change>,
  changes: readonly Change[],
): Map<string, Change> | undefined {
  const next = new Map(world);
  for (const change of changes) {
    if (change.kind.endsWith("-put")) next.set(subjectOf(change), change);
    else next.delete(subjectOf(change));
  }
  const keys = snapshotOf(0, next).routes.map((each) => matchKeyOf(each.match));
  return new Set(keys).size === keys.length ? next : undefined;
}

function expectIs(table: Table, wanted: Snapshot): void {
  expect(sorted(table.snapshot())).toEqual(sorted(wanted));
  expect(table.revision).toBe(wanted.revision);
  expect([table.routeCount, table.backendCount]).toEqual([
    wanted.routes.length,
    wanted.backends.length,
  ]);
  for (const name of names) {
    expect(table.route(routeOf(name, 1).name)).toEqual(wanted.routes.find((r) => r.name === name));
  }
  for (const key of matches.map((match) => matchKeyOf(matchOf(match)))) {
    const holder = wanted.routes.find((each) => matchKeyOf(each.match) === key);
    expect(table.routeOfMatch(key)).toEqual(holder);
  }
  for (const name of services.map((each) => backendOf(each, "a:1").service)) {
    const routes = wanted.routes.filter((each) => each.service === name);
    const backends = wanted.backends.filter((each) => each.service === name);
    const ofService = table.routesOfService(name);
    expect([...ofService.keys()].toSorted()).toEqual(routes.map((each) => each.name).toSorted());
    expect([...ofService.values()].toSorted(byText)).toEqual(routes.toSorted(byText));
    expect(ofService.size).toBe(routes.length);
    const found = table.backendsOf(name);
    expect([...found.values()].toSorted(byText)).toEqual(backends.toSorted(byText));
    expect(found.size).toBe(backends.length);
    for (const each of backends) expect(found.get(each.address)).toEqual(each);
    const settings = wanted.services.find((each) => each.name === name);
    expect(table.service(name)).toEqual(settings);
    expect(table.serviceNames().has(name)).toBe(
      settings !== undefined || routes.length > 0 || backends.length > 0,
    );
  }
}

test("patched by any ChangeSets, a table is the one that a snapshot makes, and both are the naive one", () => {
  fc.assert(
    fc.property(history, (sets) => {
      const table = new Table();
      let world: ReadonlyMap<string, Change> = new Map();
      let revision = 0;
      for (const changes of sets) {
        const next = after(world, changes);
        if (next === undefined) continue;
        world = next;
        revision += 3;
        table.apply({ revision: rev(revision), changes });
        const wanted = snapshotOf(revision, world);
        expectIs(table, wanted);
        expectIs(Table.of(table.snapshot()), wanted);
      }
    }),
    { numRuns: 200 },
  );
});

describe("a table", () => {
  test("lets two routes swap their matches in one ChangeSet", () => {
    const table = new Table();
    table.apply(changeSetOf(1, putRoute("r1", "a.com"), putRoute("r2", "b.com")));
    table.apply(changeSetOf(2, putRoute("r1", "b.com"), putRoute("r2", "a.com")));
    expect(table.routeOfMatch(matchKeyOf(matchOf("a.com")))?.name).toBe("r2");
    expect(table.routeOfMatch(matchKeyOf(matchOf("b.com")))?.name).toBe("r1");
  });

  test("lets a match be taken before its holder goes", () => {
    const table = new Table();
    table.apply(changeSetOf(1, putRoute("r1", "a.com")));
    table.apply(changeSetOf(2, putRoute("r2", "a.com"), removeRoute("r1")));
    expect(table.routeOfMatch(matchKeyOf(matchOf("a.com")))?.name).toBe("r2");
  });

  test("takes no older revision, and stays as it was; changes of no store keep the revision", () => {
    const table = new Table();
    table.apply(changeSetOf(5, putRoute("r1", "a.com")));
    expect(() => table.apply(changeSetOf(4, removeRoute("r1")))).toThrow("revisions only grow");
    expect(table.routeCount).toBe(1);
    table.apply(changeSetOf(5, removeRoute("r1")));
    expect([table.revision, table.routeCount]).toEqual([5, 0]);
  });
});

test("one route or backend that comes and goes among 50,000 costs the same each time", () => {
  const size = 50_000;
  const table = new Table();
  const numbers = Array.from({ length: size }, (_, i) => i);
  table.apply(changeSetOf(1, ...numbers.map((i) => putRoute(`r${i}`, `h${i}.com`))));
  table.apply(
    changeSetOf(2, ...numbers.map((i) => backend("web", `10.0.${i >> 8}.${i & 255}:80`))),
  );
  let revision = 3;
  const flap = (put: Change, gone: Change): number => {
    const began = performance.now();
    for (let i = 0; i < 80_000; i++) {
      table.apply(changeSetOf(revision++, put));
      table.apply(changeSetOf(revision++, gone));
    }
    return performance.now() - began;
  };
  // Some 100 ms each at most; with a Set of all names or a Map of all backends, several seconds.
  expect(flap(putRoute("flap", "flap.com"), removeRoute("flap"))).toBeLessThan(1_000);
  expect(flap(backend("web", "a:1"), backendRemoved("web", "a:1"))).toBeLessThan(1_000);
  expect(flap(service("flap"), serviceRemoved("flap"))).toBeLessThan(1_000);
  expect([table.routeCount, table.backendCount]).toEqual([size, size]);
});
