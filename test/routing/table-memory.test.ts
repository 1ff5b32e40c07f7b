// Goal: what a route and a service weigh in a worker stays bounded, because every worker has all of them (issue:
// 1 KB per route; docs/decisions/0032). Method: the heap and its array buffers after a collection, before and after
// 50,000 routes that come as a snapshot brings them, decoded from JSON.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { backend, rev, route } from "./changes.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const count = 50_000;
const pieceChanges = 1_000;

/** [what, bytes of each at most, its change]; names of 25 characters or so, as real ones have. */
const cases: readonly (readonly [string, number, (i: number) => Change])[] = [
  ["a route with a domain of its own", 350, (i) => routeTo(i, `app-${i}.tenants.example.com`)],
  [
    "one of three under a domain",
    350,
    (i) => {
      const domain = `app-${Math.floor(i / 3)}.tenants.example.com`;
      return routeTo(i, `${domain}${["/", "/api", "/static"][i % 3]}`);
    },
  ],
  ["one of many under a domain", 350, (i) => routeTo(i, `app.example.com/team-${i}/app`)],
  [
    "a service with a backend",
    650,
    (i) => backend(`web-${i}`, `10.0.${(i >>> 8) & 255}.${i & 255}:${8000 + (i >>> 16)}`),
  ],
];

test.for(cases)("%s weighs at most %i bytes", ([, bytesMax, changeOf]) => {
  const builder = RouteTable.build();
  builder.add([routeTo(count, "other.example.com")]);
  const before = usedBytes();
  for (let from = 0; from < count; from += pieceChanges) {
    const piece = Array.from({ length: pieceChanges }, (_, i) => changeOf(from + i));
    builder.add(JSON.parse(JSON.stringify(piece)) as Change[]);
  }
  const bytes = (usedBytes() - before) / count;
  const table = builder.finish(rev(1));
  expect(table.routeCount + [...table.services()].length).toBeGreaterThan(count);
  expect(bytes).toBeLessThan(bytesMax);
  // Had it been collected, it would say nothing.
  expect(bytes).toBeGreaterThan(100);
});

function routeTo(i: number, match: string): Change {
  return route(`app-${i}-tenants-example-com`, match, "web");
}

function usedBytes(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
