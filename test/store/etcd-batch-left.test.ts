// Goal: what a writer that dies leaves of a large write is finished by others, once, and is never seen in half.
// Method: stores on one etcd in memory; the writer dies when its write is stored and none of it is unfolded.

import { describe, expect, test } from "vitest";
import type { Write } from "../../src/store/store.ts";
import { contentOf, type WorldNode } from "../support/batch-world.ts";
import { unreachable } from "../support/fake-etcd.ts";
import { turns, until } from "../support/until.ts";
import { type Begun, begun, commit, expectTidy } from "./batch-fixture.ts";
import type { Fate } from "./lossy-etcd.ts";
import { put, putRoute } from "./samples.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** Stored, and the writer dead before it unfolded any of it. */
async function left(more: Partial<Write> = {}): Promise<Begun & { readonly third: WorldNode }> {
  const one = await begun();
  const { world, writer } = one;
  const third = await world.open();
  await world.read(third, (table) => one.seen.add(contentOf(table)));
  let sent = 0;
  const dying = Promise.withResolvers<void>();
  writer.link.fate = (): Fate => {
    if (sent++ < 4) return "arrives";
    dying.resolve();
    return "request lost";
  };
  void commit(one, more).catch(() => undefined);
  await dying.promise;
  void world.kill(writer);
  await turns();
  expect(world.guard).toHaveProperty("batch");
  expect(one.seen.size).toBe(2);
  return { ...one, third };
}

describe("a large write that its writer left", () => {
  test("is finished by whoever writes next, and two do that at once", async () => {
    const one = await left();
    const { world, follower, third, seen } = one;
    const { revision: expected } = await follower.store.read();
    const writes = [follower, third].map(({ store }, n) =>
      store.commit({ expected, changes: [putRoute(`next${n}`)] }),
    );
    const results = await Promise.all(writes.map((write) => world.settled(write)));
    // The unfolding moved the table on: both have to decide anew.
    for (const result of results) {
      expect(result).toMatchObject({ reason: { code: "revision-conflict" } });
    }
    expect(seen.size).toBe(2);
    expectTidy(one);
    for (const [n, { store }] of [follower, third].entries()) {
      const stored = await world.settled(put(store, putRoute(`next${n}`)));
      expect(stored.status).toBe("fulfilled");
      await turns();
    }
    expect(world.keys("routes")).toHaveLength(202);
  });

  test("is finished by a node that only follows, after some seconds", async () => {
    const one = await left();
    const { world, seen } = one;
    await world.pass(2_900);
    expect(world.keys("batches")).toHaveLength(3);
    await world.pass(4_000);
    expectTidy(one);
    expect(seen.size).toBe(2);
    expect(world.system.timerCount).toBeLessThan(10);
  });

  test("is finished later when etcd does not answer then", async () => {
    const one = await left();
    const { world, follower, third } = one;
    for (const { link } of [follower, third]) link.fate = () => "request lost";
    await world.pass(20_000);
    expect(world.guard).toHaveProperty("batch");
    for (const { link } of [follower, third]) link.fate = () => "arrives";
    await world.pass(15_000);
    expectTidy(one);
  });

  test("serves on from the copy on disk, and is whole there", async () => {
    const one = await left();
    const { world, seen } = one;
    const directory = temporaryDirectory();
    const node = await world.open(directory);
    await world.kill(node); // writes the copy
    world.etcd.faults.down = unreachable();
    world.etcd.cut();
    const again = await world.open(directory);
    await world.pass(1_000);
    expect(again.store.condition).toMatchObject({ kind: "away", stale: true });
    const contents = new Set<string>();
    await world.read(again, (table) => contents.add(contentOf(table)));
    expect(contents.size).toBe(1);
    expect([...seen]).toContain([...contents][0]);
    expect([...contents][0]).not.toBe(one.before);
  });

  test("writes over what a hand puts there meanwhile, and not over what it puts elsewhere", async () => {
    const one = await left();
    const { world, follower, third } = one;
    const byHand = '{"http":{"domain":"hand.example.com"},"service":"hand"}';
    world.etcd.put("/x/routes/r0", byHand);
    world.etcd.put("/x/routes/hand", byHand.replace("hand.", "other."));
    await turns();
    const services = async ({ store }: WorldNode): Promise<Record<string, string>> => {
      const { routes } = await store.read();
      return Object.fromEntries(routes.map(({ name, service }) => [name, service ?? ""]));
    };
    for (const node of [follower, third, await world.open()]) {
      expect(await services(node)).toMatchObject({ r0: "new", r1: "new", hand: "hand" });
    }
    await world.pass(10_000);
    expectTidy(one);
    for (const node of [follower, third, await world.open()]) {
      expect(await services(node)).toMatchObject({ r0: "new", r1: "new", hand: "hand" });
    }
  });

  test("is a part of the store that an operator accepts", async () => {
    const one = await left();
    const { world, follower, third, seen } = one;
    const guard = world.etcd.kvs.get("/x/table")!.text!;
    world.etcd.putAll({
      "/x/table": guard.replace(/"store":"[^"]*"/, '"store":"another"'),
      "/x/routes/r249": undefined,
    });
    await turns(10);
    await world.pass(500);
    expect(follower.store.condition).toMatchObject({ kind: "held" });
    expect((await world.settled(follower.store.accept())).status).toBe("fulfilled");
    expect(world.guard).toMatchObject({ write: "accepted", batch: expect.any(String), parts: 3 });
    await world.pass(20_000);
    expectTidy(one);
    for (const { store } of [follower, third]) {
      expect(store.condition).toMatchObject({ kind: "current" });
      expect((await store.read()).routes).toHaveLength(200);
    }
    expect(new Set([...seen].map((content) => content.replaceAll(/ \d+$/gm, ""))).size).toBe(2);
  });

  test("answers its request id with the revision that it has become", async () => {
    const request = { id: "r", fingerprint: "f", answer: new Uint8Array(2 * 1024 * 1024).fill(7) };
    const { world, follower, third } = await left({ request });
    const found = await world.settled(follower.store.findRequest("r"));
    const { revision } = await follower.store.read();
    expect(found).toMatchObject({ value: { ...request, revision } });
    expect(world.guard).not.toHaveProperty("batch");
    expect(await third.store.findRequest("r")).toMatchObject({ revision });
    await world.settled(put(follower.store, putRoute("next")));
    const { revision: stored = 0, since = 0 } = (await third.store.findRequest("r")) ?? {};
    expect(stored).toBe(since);
    expect(stored).toBeLessThan(revision);
  });
});

describe("parts that nobody names", () => {
  test("go after some seconds, and mean nothing before", async () => {
    const one = await begun();
    const { world, follower, seen } = one;
    const { revision } = await follower.store.read();
    world.etcd.put("/x/batches/b/1", '{"entries":[["routes/r0"]]}');
    world.etcd.put("/x/batches/b/2", "nonsense");
    await turns();
    expect((await follower.store.read()).revision).toBe(revision);
    expect(follower.store.rejected).toMatchObject([
      { key: "/x/batches/b/2", reason: expect.stringMatching(/no part of a large write/) },
    ]);
    await world.pass(10_000);
    expectTidy(one);
    expect(follower.store.rejected).toEqual([]);
    expect(seen.size).toBe(1);
  });

  test("go before a commit that would have named them, and then it is refused", async () => {
    const one = await begun();
    const { world, writer, follower, seen } = one;
    let sent = 0;
    const dying = Promise.withResolvers<void>();
    writer.link.fate = (): Fate => {
      if (sent++ < 3) return "arrives";
      dying.resolve();
      return sent === 4 ? "late" : "request lost";
    };
    void commit(one).catch(() => undefined);
    await dying.promise;
    void world.kill(writer);
    await world.pass(10_000);
    expect(world.keys("batches")).toEqual([]);
    expect(await writer.link.deliver()).toBe(0);
    await world.pass(1_000);
    expect(seen.size).toBe(1);
    expect((await world.settled(put(follower.store, putRoute("next")))).status).toBe("fulfilled");
  });
});

describe("a large write and others", () => {
  test("others leave the unfolding to its writer while that goes on", async () => {
    const one = await begun();
    const { world, writer, follower } = one;
    const { link } = writer;
    const transact = link.transact.bind(link);
    link.transact = async (transaction) => {
      await turns(1);
      return transact(transaction);
    };
    const large = commit(one);
    await until(() => "batch" in world.guard, "an open batch");
    const { revision: expected } = await follower.store.read();
    const small = world.settled(follower.store.commit({ expected, changes: [putRoute("next")] }));
    expect((await large).status).toBe("fulfilled");
    expect(await small).toMatchObject({ reason: { code: "revision-conflict" } });
    expect(follower.link.sent).toEqual([]);
    expectTidy(one);
  });

  test("a part that arrives twice changes nothing", async () => {
    const one = await begun();
    const { link } = one.writer;
    const transact = link.transact.bind(link);
    const fates: Fate[] = ["late"];
    link.fate = () => fates.shift() ?? "arrives";
    const delivered: number[] = [];
    link.transact = async (transaction) => {
      // The commit: what was late comes just before it.
      if (transaction.success.some(({ key }) => key.endsWith("/table"))) {
        delivered.push(await link.deliver());
      }
      return transact(transaction);
    };
    expect((await commit(one)).status).toBe("fulfilled");
    expect(delivered[0]).toBe(0);
    expectTidy(one);
  });
});

describe("a watch that loses a part", () => {
  test("shows the old table until a list has told the whole of the new one", async () => {
    const one = await begun();
    const { world, writer, follower, seen } = one;
    const lose = world.etcd.faults.message;
    let lost = 0;
    world.etcd.faults.message = (message) => {
      const isPart =
        message.kind === "events" &&
        message.events.some((event) => event.kind === "put" && event.kv.key.endsWith("/2"));
      if (isPart && lost++ === 1) return "lose";
      return lose(message);
    };
    let sent = 0;
    writer.link.fate = () => (sent++ < 4 ? "arrives" : "request lost");
    void commit(one).catch(() => undefined);
    await world.pass(1_000);
    expect(world.guard).toHaveProperty("batch");
    expect(seen.size).toBe(2);
    await world.kill(writer);
    await world.pass(10_000);
    expect(lost).toBeGreaterThan(1);
    expect(seen.size).toBe(2);
    expect((await follower.store.read()).routes).toHaveLength(200);
    expectTidy(one);
  });
});
