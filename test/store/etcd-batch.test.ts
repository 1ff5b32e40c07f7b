// Goal: a write that is larger than a transaction of etcd is whole for everybody who serves, whatever happens in the
// middle of it, and leaves nothing behind (CP-26).
// Method: stores on one etcd in memory; the writer dies, or loses a request or an answer, at every single transaction,
// while one reader follows and others start at that very moment; time is the test's.

import { describe, expect, test } from "vitest";
import { etcdRequestBytesMax } from "../../src/limits.ts";
import { parseAddress } from "../../src/model/address.ts";
import { revisionZero } from "../../src/model/revision.ts";
import type { Write } from "../../src/store/store.ts";
import { contentOf } from "../support/batch-world.ts";
import { turns } from "../support/until.ts";
import { alone, begun, changes, commit, expectTidy, steps } from "./batch-fixture.ts";
import type { Fate } from "./lossy-etcd.ts";
import { put, putBackend, putRoute } from "./samples.ts";

describe("a large write", () => {
  test("is one change of the table at one revision; what follows changes no more than revisions", async () => {
    const one = await begun();
    const { world, writer, follower, seen, before } = one;
    const sets: number[] = [];
    const sent = writer.link.sent.length;
    const stop = new AbortController();
    const { revision: start } = await follower.store.read();
    void (async () => {
      for await (const set of follower.store.watch(start, stop.signal))
        sets.push(set.changes.length);
    })();
    const result = await commit(one);
    const { revision, routes } = await writer.store.read();
    expect(result).toEqual({ status: "fulfilled", value: revision });
    await turns();
    stop.abort();
    expect(writer.link.sent.length - sent).toBe(steps);
    expect(seen.size).toBe(2);
    expect(routes).toHaveLength(200);
    const all = 250;
    expect(sets.filter((count) => count > 0)).toEqual([all, 200]);
    expect(contentOf({ snapshot: () => ({ revision, routes, services: [], backends: [] }) })).toBe(
      [...seen].find((content) => content !== before),
    );
    expectTidy(one);
    expect(world.keys("routes")).toHaveLength(200);
    // The answered revision is that of the table.
    const next = { expected: revision, changes: [putRoute("next")] };
    expect((await world.settled(writer.store.commit(next))).status).toBe("fulfilled");
  });

  test("has one revision of the match for all its new routes, on every node, before and after", async () => {
    const one = await begun();
    await commit(one);
    const fresh = await one.world.open();
    for (const { store } of [one.writer, one.follower, fresh]) {
      const { routes } = await store.read();
      const since = routes.filter(({ name }) => Number(name.slice(1)) >= 200);
      expect(since).toHaveLength(50);
      expect(new Set(since.map(({ matchRevision }) => matchRevision)).size).toBe(1);
      expect(since[0]!.matchRevision).toBeGreaterThan(1);
      expect(since[0]!.matchRevision).toBeLessThan(since[0]!.revision);
    }
    expect(await fresh.store.read()).toEqual(
      expect.objectContaining({ revision: (await one.writer.store.read()).revision }),
    );
  });
});

test("backends of a large write are as old as their keys, on every node; those that were there keep their age", async () => {
  const { world, writer, follower } = await begun();
  const old = await put(writer.store, putBackend("10.0.0.1:1"));
  const many = Array.from({ length: 200 }, (_, i) =>
    putBackend(`10.0.0.1:${i + 1}`, { weight: 7 }),
  );
  const written = await world.settled(writer.store.commit({ expected: old, changes: many }));
  expect(written.status).toBe("fulfilled");
  await turns();
  const fresh = await world.open();
  const agesIn = async (store: typeof writer.store) =>
    new Map((await store.read()).backends.map(({ address, joined }) => [address, joined]));
  const ages = await agesIn(writer.store);
  expect(ages.size).toBe(200);
  expect(ages.get(parseAddress("10.0.0.1:1"))).toBe(old);
  expect([...ages.values()].filter((joined) => joined !== undefined && joined > old)).toHaveLength(
    199,
  );
  expect(await agesIn(follower.store)).toEqual(ages);
  expect(await agesIn(fresh.store)).toEqual(ages);
});

describe("a writer that dies", () => {
  const points = Array.from({ length: steps }, (_, step) => step).flatMap((step) =>
    (["request lost", "answer lost", "late"] as const).map((fate) => [step, fate] as const),
  );

  test.for(points)(
    "at transaction %i (%s) leaves the old table or the new one, to everybody",
    async ([step, fate]) => {
      const one = await begun(step + 1);
      const { world, writer, follower, seen, before } = one;
      const look = (table: Parameters<typeof contentOf>[0]): void =>
        void seen.add(contentOf(table));
      let sent = 0;
      const dying = Promise.withResolvers<void>();
      writer.link.fate = (): Fate => {
        if (sent++ < step) return "arrives";
        dying.resolve();
        return sent === step + 1 ? fate : "request lost";
      };
      const { revision: expected } = await writer.store.read();
      const lost = writer.store.commit({ expected, changes }).catch(() => undefined);
      await dying.promise;
      await turns(1);
      const third = await world.open();
      await world.read(third, look);
      const killed = world.kill(writer);
      await world.pass(100);
      await world.read(await world.open(), look);
      // Whatever still was on its way arrives in the middle, and again when all is over.
      await writer.link.deliver();
      await world.read(await world.open(), look);
      await world.pass(10_000);
      await killed;
      await lost;
      await writer.link.deliver();
      await world.pass(10_000);
      expectTidy(one);
      const contents = new Set<string>();
      for (const { store } of [follower, third, await world.open()]) {
        await world.read({ store, link: writer.link }, (table) => contents.add(contentOf(table)));
      }
      expect(contents.size).toBe(1);
      expect(seen.size).toBeLessThanOrEqual(2);
      expect(follower.store.rejected).toEqual([]);
      expect([...seen]).toContain(before);
      expect([...seen]).toContain([...contents][0]);
      expect(world.keys("routes")).toHaveLength(200);
      expect(world.keys("routes").includes("/x/routes/r249")).toBe(![...contents].includes(before));
      // Everybody can go on.
      expect((await world.settled(put(follower.store, putRoute("next")))).status).toBe("fulfilled");
    },
  );
});

describe("a writer that loses a request or an answer", () => {
  test.for(
    Array.from({ length: steps }, (_, step) => step).flatMap((step) =>
      [["request lost"], ["answer lost"], ["late"], ["late", "answer lost", "late"]].map(
        (fates) => [step, fates as Fate[]] as const,
      ),
    ),
  )("at transaction %i (%j) tells the truth", async ([step, fates]) => {
    const one = await begun();
    const { world, writer, follower, seen, before } = one;
    let sent = 0;
    writer.link.fate = () => (sent++ < step ? undefined : fates.shift()) ?? "arrives";
    const result = await commit(one);
    expect(await writer.link.deliver()).toBe(0);
    await world.pass(10_000);
    const { revision } = await follower.store.read();
    if (result.status === "fulfilled") expect(result.value).toBe(revision);
    else expect(result.reason).toMatchObject({ message: expect.stringMatching(/^nothing was/) });
    expect(seen.size).toBe(result.status === "fulfilled" ? 2 : 1);
    expect([...seen]).toContain(before);
    expectTidy(one);
  });
});

describe("what is larger than a transaction", () => {
  const at = (expected: Write["expected"], ...all: Write["changes"]): Write => ({
    expected,
    changes: all,
  });
  const routes = (count: number): Write["changes"] =>
    Array.from({ length: count }, (_, i) => putRoute(`r${i}`));

  test("of etcd's operations goes through a batch, and one that is not does not", async () => {
    const { link, store, settled } = await alone();
    expect(await settled(store.commit(at(revisionZero, ...routes(126))))).toMatchObject({
      status: "fulfilled",
    });
    expect(link.sent).toHaveLength(1);
    const { revision } = await store.read();
    expect(await settled(store.commit(at(revision, ...routes(127))))).toMatchObject({
      status: "fulfilled",
    });
    expect(link.sent).toHaveLength(1 + 5);
    expect((await store.read()).routes).toHaveLength(127);
  });

  test("of etcd's bytes as well", async () => {
    const { world, link, store, settled } = await alone();
    const labels = Object.fromEntries(
      Array.from({ length: 32 }, (_, i) => [`k${i}`, "€".repeat(256)]),
    );
    const large = routes(70).map((change) =>
      change.kind === "route-put" ? { ...change, route: { ...change.route, labels } } : change,
    );
    expect(await settled(store.commit(at(revisionZero, ...large)))).toMatchObject({
      status: "fulfilled",
    });
    for (const { success } of link.sent) {
      const bytes = success.reduce(
        (sum, one) => sum + (one.kind === "put" ? Buffer.byteLength(one.value) : 0),
        0,
      );
      expect(bytes).toBeLessThan(etcdRequestBytesMax);
    }
    expect((await store.read()).routes).toHaveLength(70);
    expect(world.etcd.kvs.get("/x/routes/r69")?.bytes).toBeGreaterThan(24_000);
  });

  const answer = new Uint8Array(3 * 1024 * 1024);
  const noise = (): Uint8Array => answer.map(() => Math.random() * 256);
  const huge = { labels: { k: "x".repeat(1024 * 1024) } };

  test.for<readonly [what: string, changes: Write["changes"], more: Partial<Write>]>([
    [
      "with backends that have a TTL",
      [...routes(126), putBackend("10.0.0.1:1", { ttlMs: 9_000 })],
      {},
    ],
    [
      "with the answer that is kept",
      routes(1),
      { request: { id: "r", fingerprint: "f", answer: noise() } },
    ],
    [
      "with the answer that is kept",
      routes(127),
      { request: { id: "r", fingerprint: "f", answer: noise() } },
    ],
    ["too large for etcd: 200 operations", [...routes(199), putRoute("huge", huge)], {}],
    [
      "too large for etcd: 200 operations",
      Array.from({ length: 200 }, (_, i) =>
        putRoute(`r${i}`, { labels: { k: "x".repeat(200_000) } }),
      ),
      {},
    ],
  ])("%s is refused before anything is written, with what to do", async ([what, all, more]) => {
    const { world, link, store } = await alone();
    const { revision } = world.etcd;
    await expect(
      store.commit({ expected: revisionZero, changes: all, ...more }),
    ).rejects.toMatchObject({
      code: "resource-exhausted",
      message: expect.stringMatching(new RegExp(`${what}.*nothing was written: split it`)),
      details: { reason: "CHANGE_TOO_LARGE" },
    });
    expect([world.etcd.revision, link.sent.length]).toEqual([revision, 0]);
  });
});
