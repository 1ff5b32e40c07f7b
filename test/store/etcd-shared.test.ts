// Goal: many stores on one etcd are one table: no lost update, no double effect, no lost acknowledgement, whatever
// is lost on the way, and the same revisions everywhere.
// Method: a real etcd; writers at once; a proxy that cuts links in the middle of requests and answers, from a seed
// (SEED=n repeats the choices, as far as the machine allows).

import { describe, expect, onTestFinished, test } from "vitest";
import { RouterError } from "../../src/model/errors.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision, type Revision } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import type { EtcdStore } from "../../src/store/etcd-store.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { until } from "../support/until.ts";
import { etcdFixture } from "./etcd-fixture.ts";
import { put, putRoute, removeRoute, sorted, take } from "./samples.ts";

const etcd = etcdFixture();
const forever = new AbortController().signal;

describe("two stores on one prefix", () => {
  test("tell the same table, history and revisions, a third one that comes later too", async () => {
    const prefix = etcd.prefix();
    const [one, other] = [await etcd.open({ prefix }), await etcd.open({ prefix })];
    await other.read();
    const watched = take(other, parseRevision(0), 6);
    // What arrives in one answer of the watch would be one change.
    await reached(other, await put(one, putRoute("a"), putRoute("b")));
    await reached(other, await put(one, putRoute("a", { sticky: true })));
    await reached(one, await put(other, removeRoute("b")));
    await etcd.server.ctl("put", `${prefix}/routes/c`, byHand("c"));
    await etcd.server.ctl("put", `${prefix}/services/web`, '{"policy":"POLICY_RANDOM"}');
    await etcd.server.ctl("del", `${prefix}/routes/c`);
    const sets = await watched;
    const revision = sets.at(-1)?.revision ?? 0;
    const third = await etcd.open({ prefix });
    for (const store of [one, other, third]) await reached(store, revision);
    const snapshots = await Promise.all([one, other, third].map((store) => store.read()));
    for (const snapshot of snapshots) expect(sorted(snapshot)).toEqual(sorted(snapshots[0]!));
    expect(await take(one, parseRevision(0), 6)).toEqual(sets);
    const table = new Table();
    for (const set of sets) table.apply(set);
    expect(sorted(table.snapshot())).toEqual(sorted(snapshots[0]!));
  });

  test("what a hand deleted last is known to a store that comes later, by its revision", async () => {
    const prefix = etcd.prefix();
    const one = await etcd.open({ prefix });
    const revision = await put(one, putRoute("a"), putRoute("b"));
    await etcd.server.ctl("del", `${prefix}/routes/a`);
    await etcd.server.ctl("put", "/elsewhere", "x");
    await reached(one, revision + 1);
    const other = await etcd.open({ prefix });
    await reached(other, revision + 1);
    expect((await other.read()).revision).toBe((await one.read()).revision);
    const expected = parseRevision(revision + 1);
    expect(await other.commit({ expected, changes: [putRoute("c")] })).toBeGreaterThan(expected);
  });

  test("of 200 writers at one revision, over three stores, exactly one wins a round, and no update is lost", async () => {
    const prefix = etcd.prefix();
    const stores = await Promise.all(
      ["n1", "n2", "n3"].map((nodeName) => etcd.open({ prefix, nodeName })),
    );
    await put(stores[0]!, putRoute("counter", { labels: { n: "0" } }));
    for (let round = 1; round <= 5; round++) {
      const { revision } = await stores[0]!.read();
      for (const store of stores) await reached(store, revision);
      const writes = Array.from({ length: 200 }, (_, writer) => {
        const labels = { n: String(round), by: String(writer) };
        const changes = [putRoute("counter", { labels })];
        return stores[writer % 3]!.commit({ expected: revision, changes });
      });
      const results = await Promise.allSettled(writes);
      const won = results.filter((result) => result.status === "fulfilled");
      expect(won, `round ${round}`).toHaveLength(1);
      for (const result of results) {
        if (result.status === "fulfilled") continue;
        expect(result.reason).toMatchObject({
          code: "revision-conflict",
          details: { metadata: { current: String(won[0]?.value) } },
        });
      }
      const winner = results.findIndex((result) => result.status === "fulfilled");
      for (const store of stores) await reached(store, won[0]!.value);
      for (const store of stores) {
        expect((await store.read()).routes).toMatchObject([
          { labels: { n: String(round), by: String(winner) } },
        ]);
      }
    }
  }, 30_000);

  test("writers that read and try again lose no update", async () => {
    const prefix = etcd.prefix();
    const stores = await Promise.all(
      ["n1", "n2"].map((nodeName) => etcd.open({ prefix, nodeName })),
    );
    await put(stores[0]!, putRoute("counter", { labels: { n: "0" } }));
    async function add(store: EtcdStore): Promise<void> {
      for (;;) {
        const { revision: expected, routes } = await store.read();
        const n = Number(routes[0]?.labels["n"] ?? 0) + 1;
        const changes = [putRoute("counter", { labels: { n: String(n) } })];
        try {
          return void (await store.commit({ expected, changes }));
        } catch (thrown) {
          const { code, details } = RouterError.from(thrown);
          if (code !== "revision-conflict") throw thrown;
          await reached(store, Number(details.metadata?.["current"]));
        }
      }
    }
    await Promise.all(
      Array.from({ length: 8 }, async (_, writer) => {
        for (let i = 0; i < 25; i++) await add(stores[writer % 2]!);
      }),
    );
    const store = await etcd.open({ prefix });
    expect((await store.read()).routes).toMatchObject([{ labels: { n: "200" } }]);
  }, 30_000);
});

describe("answers and requests that are lost", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

  test(`300 writes: no double effect, no lost acknowledgement, every refusal true (SEED=${seed})`, async () => {
    const random = new SeededRandom(seed);
    const proxy = await startFaultProxy({ port: etcd.server.port });
    onTestFinished(() => proxy.close());
    const prefix = etcd.prefix();
    const store = await etcd.open({ prefix, endpoint: proxy.endpoint });
    const truth = await etcd.client();
    const told = { stored: 0, refused: 0, unknown: 0 };
    const wrong: string[] = [];
    for (let i = 0; i < 300; i++) {
      const key = `${prefix}/routes/r${i}`;
      const done = outcome(put(store, putRoute(`r${i}`)));
      // Some of the answer's bytes, or of the request's, pass; then the link is cut.
      if (random.chance(0.25)) {
        proxy.cutAfter(1 + random.below(120), random.chance(0.7) ? "down" : "up");
        await Promise.race([
          done,
          until(() => proxy.open === 0, "the link is cut").catch(() => {}),
        ]);
        await proxy.heal();
      }
      const result = await done;
      const { kvs } = await truth.range({ key });
      const kv = kvs[0];
      if (kv !== undefined && kv.createRevision !== kv.modRevision) wrong.push(`${i}: twice`);
      if (typeof result === "number") {
        told.stored++;
        if (kv?.modRevision !== result) wrong.push(`${i}: ${result}, etcd: ${kv?.modRevision}`);
      } else if (result === "WRITE_OUTCOME_UNKNOWN") told.unknown++;
      else {
        told.refused++;
        if (kv !== undefined) wrong.push(`${i}: refused (${result}) and stored`);
      }
    }
    expect(wrong).toEqual([]);
    expect(told.stored).toBeGreaterThan(200);
    expect(told.unknown).toBeLessThan(10);
    // Whatever was on its way has arrived by now: nothing appears later.
    const names = sorted(await (await etcd.open({ prefix })).read()).routes.map(({ name }) => name);
    expect(names.length).toBeGreaterThanOrEqual(told.stored);
    expect(names.length).toBeLessThanOrEqual(told.stored + told.unknown);
    await put(store, putRoute("last"));
    expect(sorted(await store.read()).routes.map(({ name }) => name)).toEqual(
      [...names, "last"].toSorted(),
    );
  }, 120_000);
});

describe("an operator's word", () => {
  test("takes a wiped etcd for all nodes, and what was written since goes on", async () => {
    const prefix = etcd.prefix();
    const stores = await Promise.all(
      ["n1", "n2"].map((nodeName) => etcd.open({ prefix, nodeName })),
    );
    const revision = await put(stores[0]!, putRoute("a"), putRoute("b"));
    await reached(stores[1]!, revision);
    await etcd.server.ctl("del", `${prefix}/table`);
    for (const store of stores) {
      await until(() => store.condition.kind === "held", "the store without its marker is held");
      expect((await store.read()).routes).toHaveLength(2);
      await expect(put(store, putRoute("c"))).rejects.toMatchObject({
        code: "store-unavailable",
        message: expect.stringContaining("store accept"),
      });
    }
    await etcd.server.ctl("del", `${prefix}/routes/a`);
    expect(await stores[0]!.accept()).toBe(true);
    for (const store of stores) {
      await until(() => store.condition.kind === "current", "the other takes it too");
      expect((await store.read()).routes).toMatchObject([{ name: "b" }]);
      expect(await store.accept()).toBe(false);
    }
    const later = await put(stores[1]!, putRoute("c"));
    await reached(stores[0]!, later);
    expect((await stores[0]!.read()).routes).toHaveLength(2);
    const marker = await etcd.server.ctl("get", "--print-value-only", `${prefix}/table`);
    expect(JSON.parse(marker)).toMatchObject({ replaces: [expect.any(String)] });
  }, 20_000);
});

function byHand(name: string): string {
  return JSON.stringify({
    http: { domain: `${name}.example.com` },
    service: parseServiceName("web"),
  });
}

/** What a commit came to: its revision, or why not. */
async function outcome(commit: Promise<Revision>): Promise<number | string> {
  try {
    return await commit;
  } catch (thrown) {
    const { code, message, details } = RouterError.from(thrown);
    if (details.reason === "WRITE_OUTCOME_UNKNOWN") return details.reason;
    return `${code}: ${message}`;
  }
}

/** Resolves when the store has come to `revision`. */
async function reached(store: EtcdStore, revision: number): Promise<void> {
  const { revision: at } = await store.read();
  if (at >= revision) return;
  for await (const set of store.watch(at, forever)) if (set.revision >= revision) return;
}
