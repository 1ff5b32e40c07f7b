// Goal: whatever the store and the discoveries say, in whatever order, the table has the store's backends and,
// where it has none, what the first discovery names.
// Method: random histories, held against the two rules after each step.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { DiscoveredBackends } from "../../src/control/discovered-backends.ts";
import { type Backend, backendKeyOf } from "../../src/model/backend.ts";
import type { Change } from "../../src/model/change.ts";
import { Table } from "../../src/model/table.ts";
import { backendOf, changeSetOf } from "../support/table-fixtures.ts";

const addresses = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
const backendIn = fc
  .tuple(
    fc.constantFrom("web", "db"),
    fc.constantFrom(...addresses),
    fc.integer({ min: 1, max: 3 }),
  )
  .map(([service, address, weight]) => backendOf(service, address, weight));
const uniqueBackends = fc.uniqueArray(backendIn, { selector: backendKeyOf, maxLength: 4 });
const step = fc.oneof(
  fc.record({
    kind: fc.constant("store" as const),
    puts: uniqueBackends,
    removed: fc.constantFrom(...addresses),
  }),
  fc.record({
    kind: fc.constant("found" as const),
    sets: fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 1 }), uniqueBackends), {
      selector: ([place]) => place,
      minLength: 1,
    }),
    note: fc.integer({ min: 1, max: 2 }),
  }),
);

test("the store's backends win, then those of the first discovery; nothing else is there", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (history) => {
      const table = new Table();
      const discovered = new DiscoveredBackends(table, 2);
      const stored = new Map<string, Backend>();
      const sets: Map<string, { backend: Backend; source: string }>[] = [new Map(), new Map()];
      for (const [index, one] of history.entries()) {
        if (one.kind === "store") {
          const gone = backendOf("web", one.removed);
          const changes: Change[] = one.puts
            .filter((backend) => backendKeyOf(backend) !== backendKeyOf(gone))
            .map((backend) => ({ kind: "backend-put", backend }));
          changes.push({ kind: "backend-removed", service: gone.service, address: gone.address });
          stored.delete(backendKeyOf(gone));
          for (const change of changes) {
            if (change.kind === "backend-put")
              stored.set(backendKeyOf(change.backend), change.backend);
          }
          table.apply(discovered.admit(changeSetOf(index, ...changes)));
        } else {
          const told = new Map(
            one.sets.map(([place, backends]) => [
              place,
              backends.map((backend) => ({ backend, source: `${place}/${one.note}` })),
            ]),
          );
          for (const [place, found] of told) {
            sets[place] = new Map(found.map((it) => [backendKeyOf(it.backend), it]));
          }
          const changes = discovered.replace(told);
          const named = changes.map((change) =>
            change.kind === "backend-put"
              ? backendKeyOf(change.backend)
              : change.kind === "backend-removed"
                ? backendKeyOf(change)
                : "",
          );
          expect(new Set(named).size, "nothing is named twice").toBe(named.length);
          table.apply(changeSetOf(index, ...changes));
        }
        const expected = new Map<string, [number, string | undefined]>();
        for (const set of sets.toReversed()) {
          for (const [key, { backend, source }] of set) expected.set(key, [backend.weight, source]);
        }
        for (const [key, backend] of stored) expected.set(key, [backend.weight, undefined]);
        const found = new Map(
          [...table.backends()].map((backend) => [
            backendKeyOf(backend) as string,
            [backend.weight, discovered.sourceOf(backend)] as [number, string | undefined],
          ]),
        );
        expect(found).toEqual(expected);
        expect([discovered.countOf(0), discovered.countOf(1)]).toEqual(
          sets.map(({ size }) => size),
        );
      }
    }),
    { numRuns: 2_000 },
  );
});

test("what has not changed is not named, and a change of the store alone passes untouched", () => {
  const table = new Table();
  const discovered = new DiscoveredBackends(table, 1);
  const put = { kind: "backend-put", backend: backendOf("web", "10.0.0.1:80") } as const;
  const changeSet = changeSetOf(1, put);
  expect(discovered.admit(changeSet)).toBe(changeSet);
  const found = [{ backend: backendOf("web", "10.0.0.2:80"), source: "etcd:/1" }];
  const changes = discovered.replace(new Map([[0, found]]));
  expect(changes).toHaveLength(1);
  table.apply(changeSetOf(1, ...changes));
  expect(discovered.replace(new Map([[0, [...found]]]))).toEqual([]);
  const other = changeSetOf(2, put);
  expect(discovered.admit(other)).toBe(other);
  // The store had none to remove.
  const { service, address } = found[0]!.backend;
  const removal = changeSetOf(3, { kind: "backend-removed", service, address });
  expect(discovered.admit(removal)).toEqual(changeSetOf(3));
  // It has moved to another key: known by that, and nothing for workers.
  expect(discovered.replace(new Map([[0, [{ ...found[0]!, source: "etcd:/2" }]]]))).toEqual([]);
  expect(discovered.sourceOf(found[0]!.backend)).toBe("etcd:/2");
});
