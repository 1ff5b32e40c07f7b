// Goal: however a table came to be, it answers the same; and the answer is the one of the rules.
// Method: random changes over a small world, so that conflicts, swaps and reuse are common. After each
// one, three tables are asked everything: the one that was patched, one built from scratch, and a list
// that is searched naively. A refused change must be one that the naive table refuses too.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { Policy } from "../../src/model/service.ts";
import { Table } from "../../src/model/table.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import {
  asking,
  backend,
  backendRemoved,
  matchHttp,
  rev,
  route,
  routeRemoved,
  service,
  serviceRemoved,
} from "./changes.ts";
import { type NaiveRequest, NaiveTable } from "./naive-table.ts";

const domains = ["a.com", "x.a.com", "*.a.com", "*.x.a.com", "*.com", "*"];
const prefixes = ["/", "/p", "/p/q", "/p/q/r", "/q", "/p//q", "/pp", "=/p", "=/p/", "=/p/q", "=/"];
const conditions = [
  "",
  " [GET]",
  " [POST|GET]",
  " [header x-a=1]",
  " [header x-a=1 header x-b]",
  " [header !x-a]",
  " [header x-a=1*]",
  " [query v=2]",
  " [query !v query w]",
  " [GET header x-a query v=2*]",
];
const hosts = [
  "a.com",
  "x.a.com",
  "y.a.com",
  "z.x.a.com",
  "b.com",
  "com",
  "",
  ".a.com",
  "z..a.com",
];
const paths = ["/", "/p", "/p/", "/p/q", "/p/qq", "/p/q/r/s", "/q", "//p", "/p//q", "/pp", "*", ""];
const rests: readonly Pick<NaiveRequest, "method" | "headers">[] = [
  { method: "GET", headers: {} },
  { method: "POST", headers: { "X-A": "1" } },
  { method: "GET", headers: { "x-a": "12", "X-B": "" } },
  { method: "get", headers: { "x-a": "1", "X-A": "2", "x-b": "1" } },
];
const queries = ["", "?", "?v=2", "?w&v=23", "?vv=2&v", "?v=3&v=2&&w="];
/** Every host with every path, each with one of the rests. */
const requests: readonly NaiveRequest[] = hosts.flatMap((host, h) =>
  paths.map((path, p) => ({
    host,
    target: `${path}${queries[(h + p) % queries.length]}`,
    ...rests[(h * 3 + p) % rests.length]!,
  })),
);
const ports = [1, 2, 3];

const name = fc.constantFrom("r1", "r2", "r3", "r4", "r5", "r6");
const serviceName = fc.constantFrom("s1", "s2", "s3");
const address = fc.constantFrom("10.0.0.1:1", "10.0.0.2:2", "[::1]:3");
const match = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.constantFrom(...domains),
        fc.constantFrom(...prefixes),
        fc.oneof(fc.constant(""), fc.constantFrom(...conditions)),
      )
      .map((parts) => parts.join("")),
  },
  { weight: 1, arbitrary: fc.constantFrom(...ports).map((port) => `tcp:${port}`) },
);
const anyChange: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(name, match, serviceName, fc.constantFrom(1, 2))
      .map(([n, m, s, since]) => route(n, m, s, false, since)),
  },
  { weight: 2, arbitrary: name.map(routeRemoved) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(serviceName, address, fc.constantFrom(1, 100))
      .map(([s, a, w]) => backend(s, a, w)),
  },
  { weight: 2, arbitrary: fc.tuple(serviceName, address).map(([s, a]) => backendRemoved(s, a)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(serviceName, fc.constantFrom(undefined, ...Object.values(Policy)))
      .map(([s, p]) => service(s, p)),
  },
  { weight: 1, arbitrary: serviceName.map(serviceRemoved) },
);
const history = fc.array(fc.array(anyChange, { minLength: 1, maxLength: 5 }), { maxLength: 25 });

function builtFrom(table: Table, previous?: RouteTable): RouteTable {
  const { routes, services, backends } = table.snapshot();
  const builder = RouteTable.build();
  builder.add(backends.map((each) => ({ kind: "backend-put", backend: each })));
  for (const each of routes) builder.add([{ kind: "route-put", route: each }]);
  builder.add(services.map((each) => ({ kind: "service-put", service: each })));
  return builder.finish(table.revision, previous);
}

/** Everything a table says to the outside. */
function answersOf(table: RouteTable): unknown {
  return {
    http: requests.map(({ host, target, ...rest }) => matchHttp(table, host, target, rest)?.name),
    tcp: ports.map((port) => table.matchTcp(port)?.name),
    routeCount: table.routeCount,
    services: [...table.services()]
      .map((each) => ({
        name: each.name,
        policy: each.policy,
        backends: each.backends.map(({ address: at, weight }) => `${at} ${weight}`).toSorted(),
      }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    endpoints: [...table.endpoints()]
      .map((each): [string, number] => [each.address, each.users])
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  };
}

function expectedOf(naive: NaiveTable): unknown {
  return {
    http: requests.map((request) => naive.matchHttp(request)?.name),
    tcp: ports.map((port) => naive.matchTcp(port)?.name),
    routeCount: naive.routes.length,
    services: naive.serviceNames().map((each) => ({
      name: each,
      policy: naive.settings.get(each) ?? "least-loaded",
      backends: [...naive.backends]
        .filter(([key]) => key.startsWith(`${each} `))
        .map(([key, weight]) => `${key.split(" ")[1]} ${weight}`)
        .toSorted(),
    })),
    endpoints: naive.addresses(),
  };
}

function expectExplainAgrees(table: RouteTable): void {
  for (const { host, target, ...rest } of requests) {
    const explained = table.explain(asking(host.toUpperCase(), target, rest), () => 0.5);
    const matched = matchHttp(table, host, target, rest);
    expect(explained.route, `${host} ${target}`).toBe(matched?.name ?? "");
    expect(explained.service).toBe(matched?.service?.name ?? "");
    expect(explained.backend === "").toBe((matched?.service?.backends.length ?? 0) === 0);
  }
}

test("patched, built from scratch and searched naively, a table gives the same answers", () => {
  fc.assert(
    fc.property(history, (changeSets) => {
      const patched = RouteTable.build().finish(rev(0));
      const table = new Table();
      let naive = new NaiveTable();
      for (const [i, changes] of changeSets.entries()) {
        const revision = rev(i + 1);
        const after = naive.after(changes);
        if (after === undefined) {
          expect(() => patched.prepare(changes, revision)).toThrow(/both match/);
        } else {
          patched.prepare(changes, revision).apply();
          table.apply({ revision, changes });
          naive = after;
        }
        expect(answersOf(patched)).toEqual(expectedOf(naive));
      }
      expectExplainAgrees(patched);
      const scratch = builtFrom(table);
      expect(answersOf(scratch)).toEqual(expectedOf(naive));
      const successor = builtFrom(table, patched);
      expect(answersOf(successor)).toEqual(expectedOf(naive));
    }),
    { numRuns: 300 },
  );
});
