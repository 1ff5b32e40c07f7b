// Goal: a store is a store: whatever is written, memory and SQLite tell the same table, the same history and
// the same answers, also after SQLite was closed and opened again in between.
// Method: random sequences of writes, renewals, time and restarts, done to both; small bounds, so that the
// history is pruned on the way. fast-check prints the seed and the smallest sequence that differs.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type BackendKey, backendKeyOf } from "../../src/model/backend.ts";
import type { Change } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import { anyTarget } from "../support/any-route.ts";
import { anyService } from "../support/any-service.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { backendAt, putBackend, putRoute, removeRoute, sorted, take } from "./samples.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

type Step =
  | {
      readonly kind: "write";
      readonly off: number;
      readonly changes: readonly Change[];
      readonly id?: string;
    }
  | { readonly kind: "renew"; readonly key: BackendKey }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "reopen" };

const history = { revisionsMax: 12, changesMax: 40 };

const routeName = fc.constantFrom("a", "b", "c", "d", "e");
const service = fc.constantFrom("web", "mail").map((name) => parseServiceName(name));
const addresses = ["10.0.0.1:80", "10.0.0.2:80", "[::1]:80"];
const address = fc.constantFrom(...addresses);
const labels = fc.dictionary(
  fc.constantFrom("owner", "x/y"),
  fc.string({ unit: "grapheme", maxLength: 9 }),
  {
    noNullPrototype: true,
  },
);

const change: fc.Arbitrary<Change> = fc.oneof(
  fc
    .record({ name: routeName, labels, target: anyTarget })
    .map(({ name, target, ...parts }) => putRoute(name, { ...parts, ...target })),
  routeName.map((name) => removeRoute(name)),
  fc.record({ name: service, settings: anyService({ paused: true }) }).map(
    ({ name, settings }): Change => ({
      kind: "service-put",
      service: { ...settings, name },
    }),
  ),
  service.map((name): Change => ({ kind: "service-removed", name })),
  fc
    .record({
      at: address,
      service,
      weight: fc.integer({ min: 1, max: 1000 }),
      labels,
      ttlMs: fc.option(fc.constantFrom(1000, 2500), { nil: undefined }),
      joined: fc.option(fc.nat(40).map(parseRevision), { nil: undefined }),
      drain: fc.option(
        fc.record({ state: fc.constantFrom("draining", "drained"), deadlineMs: fc.nat() }),
        { nil: undefined },
      ),
    })
    .map(({ at, ttlMs, joined, drain, ...others }) => {
      const parts = {
        ...others,
        ...(joined === undefined ? {} : { joined }),
        ...(drain === undefined ? {} : { drain }),
      };
      if (ttlMs === undefined) return putBackend(at, parts);
      // No two backends end at the same moment: their order would be free after a restart.
      const own = addresses.indexOf(at) * 10 + parts.service.length;
      return putBackend(at, { ...parts, ttlMs: ttlMs + own });
    }),
  fc.record({ at: address, service }).map(({ at, ...parts }): Change => {
    return { kind: "backend-removed", service: parts.service, address: backendAt(at).address };
  }),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record(
      {
        kind: fc.constant("write" as const),
        off: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1),
        changes: fc.array(change, { minLength: 1, maxLength: 6 }),
        id: fc.constantFrom("r1", "r2", "r3"),
      },
      { requiredKeys: ["kind", "off", "changes"] },
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ at: address, service })
      .map(
        ({ at, ...parts }): Step => ({ kind: "renew", key: backendKeyOf(backendAt(at, parts)) }),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 15 }).map((n): Step => ({ kind: "wait", ms: n * 100 })),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "reopen" }) },
);

/** What the step answers; an error as its code and details. */
async function done(
  store: Store,
  system: FakeSystem,
  what: Step,
  number: number,
): Promise<unknown> {
  switch (what.kind) {
    case "write": {
      const expected = parseRevision((await store.read()).revision + what.off);
      const { changes, id } = what;
      const request =
        id === undefined
          ? {}
          : { request: { id, fingerprint: `f${number}`, answer: Uint8Array.of(number) } };
      return outcome(store.commit({ expected, changes, ...request }));
    }
    case "renew":
      return store.keepAlive(what.key);
    case "wait":
      return system.advance(what.ms);
    default:
      return undefined;
  }
}

async function outcome<T>(answer: Promise<T>): Promise<unknown> {
  return answer.catch((thrown: unknown) => {
    const { code, message, details } = RouterError.from(thrown);
    return { code, message, details };
  });
}

/** Everything that the port tells. */
async function told(store: Store) {
  const snapshot = sorted(await store.read());
  const oldest = Math.max(0, snapshot.revision - history.revisionsMax);
  const watched = await Promise.all(
    Array.from({ length: snapshot.revision - oldest + 1 }, (_, i) =>
      outcome(take(store, parseRevision(oldest + i), snapshot.revision - oldest - i)),
    ),
  );
  const requests = await Promise.all(["r1", "r2", "r3"].map((id) => store.findRequest(id)));
  return { snapshot, watched, requests, rejected: store.rejected };
}

// Every run makes a file of its own and syncs every write: the time is the disk's.
test("memory and SQLite tell the same after any sequence of writes", {
  timeout: 60_000,
}, async () => {
  const directory = temporaryDirectory();
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const path = `${directory}/${(run += 1)}.db`;
      const systems = [new FakeSystem(), new FakeSystem()] as const;
      const memory = new MemoryStore({ system: systems[0], history });
      let sqlite = await SqliteStore.open({ path, system: systems[1], history });
      for (const [number, one] of steps.entries()) {
        if (one.kind === "reopen") {
          await sqlite.close();
          sqlite = await SqliteStore.open({ path, system: systems[1], history });
          // A restart gives every backend its whole TTL again; memory cannot restart, so it is told.
          for (const backend of (await memory.read()).backends)
            await memory.keepAlive(backendKeyOf(backend));
        }
        expect(await done(sqlite, systems[1], one, number)).toEqual(
          await done(memory, systems[0], one, number),
        );
      }
      const [inMemory, onDisk] = [await told(memory), await told(sqlite)];
      expect(onDisk).toEqual(inMemory);
      expect(sorted(Table.of(onDisk.snapshot).snapshot())).toEqual(onDisk.snapshot);
      await memory.close();
      await sqlite.close();
    }),
    { numRuns: 50 },
  );
});
