// Goal: no two names have one row at a time, whatever comes and goes; only what needs a row has one; none is lost.

import { describe, expect, test } from "vitest";
import { RowBook } from "../../src/control/row-book.ts";
import type { Change } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import type { ServiceOptions } from "../../src/model/service-options.ts";
import { Table } from "../../src/model/table.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { backendOf } from "../support/table-fixtures.ts";

const put = (name: string, options?: ServiceOptions): Change => ({
  kind: "service-put",
  service: { name: parseServiceName(name), policy: undefined, ...(options && { options }) },
});
const backend = (service: string, address: string): Change => ({
  kind: "backend-put",
  backend: backendOf(service, address),
});
const gone = (service: string, address: string): Change => {
  const { service: name, address: at } = backendOf(service, address);
  return { kind: "backend-removed", service: name, address: at };
};

function made(rows = 100) {
  const table = new Table();
  const book = new RowBook(rows);
  const change = (...changes: Change[]) => {
    table.apply({ revision: table.revision, changes });
    return book.follow(changes, table).map(([name]) => name);
  };
  return { table, book, change };
}

const a = "10.0.0.1:80";
const b = "10.0.0.2:80";

describe("a row", () => {
  test.for<[string, ServiceOptions | undefined, string[]]>([
    ["nothing", undefined, []],
    ["only other options", { slowStartMs: 5 }, []],
    ["a pause", { pause: { queue: 1, queueMs: 1, sinceMs: 1 } }, ["web"]],
    ["a limit of its own", { limits: { requests: 5 } }, ["web"]],
    ["a limit of requests", { limits: { requestsPerBackend: 5 } }, ["web", `web ${a}`, `web ${b}`]],
    ["a limit of connections", { limits: { connectionsPerBackend: 5 } }, ["web", a, b]],
  ])("is given to a service with %s", ([, options, names]) => {
    const { change } = made();
    const came = change(backend("web", a), backend("web", b), put("web", options), put("api"));
    expect(came).toEqual(names);
  });

  test("is given to what comes later, and to what was there at the start", () => {
    const { table, change } = made();
    change(put("web", { limits: { requestsPerBackend: 1 } }));
    expect(change(backend("web", a), backend("api", b))).toEqual([`web ${a}`]);
    const later = new RowBook();
    expect(later.begin(table).map(([name]) => name)).toEqual(["web", `web ${a}`]);
  });

  test("is kept until nobody counts there, and then another's", () => {
    const { book, change } = made(2);
    change(put("web", { limits: { requestsPerBackend: 1 } }), backend("web", a));
    const row = book.rowOf(`web ${a}`);
    change(gone("web", a));
    expect(change(backend("web", b))).toEqual([]);
    expect(book.missing).toBe(1);
    expect(book.reclaim(() => false)).toEqual([]);
    expect(book.rowOf(`web ${a}`)).toBe(row);
    expect(book.reclaim((at) => at === row)).toEqual([`web ${a}`]);
    // The next change of the service tries again.
    expect(change(backend("web", b))).toEqual([`web ${b}`]);
    expect([book.rowOf(`web ${b}`), book.missing]).toEqual([row, 0]);
  });

  test("is still the name's when it comes back in time", () => {
    const { book, change } = made();
    change(put("web", { limits: { requests: 1 } }));
    const row = book.rowOf("web");
    change(put("web"));
    expect(change(put("web", { limits: { requests: 2 } }))).toEqual([]);
    expect(book.reclaim(() => true)).toEqual([]);
    expect(book.rowOf("web")).toBe(row);
  });

  test("of an address goes with the last service that counts its connections", () => {
    const { book, change } = made();
    const limits = { connectionsPerBackend: 1 };
    change(put("web", { limits }), put("api", { limits }), backend("web", a), backend("api", a));
    change(gone("web", a));
    expect(book.reclaim(() => true)).toEqual([]);
    expect(book.rowOf(a)).toBeDefined();
    change(gone("api", a));
    expect(book.reclaim(() => true)).toEqual([a]);
  });
});

test.for([1, 2, 3, 4, 5])("rows are never shared, whatever happens, seed %i", (seed) => {
  const random = new SeededRandom(seed);
  const any = <T>(of: readonly T[]): T => of[Math.floor(random.next() * of.length)]!;
  const { table, book, change } = made(20);
  const services = ["web", "api", "db"];
  const addresses = Array.from({ length: 6 }, (_, i) => `10.0.0.${i + 1}:80`);
  const options: (ServiceOptions | undefined)[] = [
    undefined,
    { limits: { requests: 1 } },
    { limits: { requestsPerBackend: 1 } },
    { limits: { connectionsPerBackend: 1, requestsPerBackend: 1 } },
    { pause: { queue: 1, queueMs: 1, sinceMs: 1 } },
  ];
  for (let step = 0; step < 400; step++) {
    const service = any(services);
    const dice = random.next();
    if (dice < 0.3) change(put(service, any(options)));
    else if (dice < 0.6) change(backend(service, any(addresses)));
    else if (dice < 0.8) change(gone(service, any(addresses)));
    else book.reclaim(() => random.next() < 0.5);
    const rows = book.entries().map(([, row]) => row);
    expect(new Set(rows).size).toBe(rows.length);
    expect(Math.max(-1, ...rows)).toBeLessThan(20);
  }
  book.reclaim(() => true);
  // Whoever is wanted has a row now, and nobody else.
  for (const service of services)
    change(put(service, table.service(parseServiceName(service))?.options));
  const fresh = new RowBook();
  fresh.begin(table);
  const names = (one: RowBook) =>
    one
      .entries()
      .map(([name]) => name)
      .toSorted();
  if (fresh.entries().length <= 20) expect(names(book)).toEqual(names(fresh));
});
