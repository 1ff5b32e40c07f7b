// Goal: in every situation in which the stock watcher lost events, went blind or hung, our follower equals etcd
// within 5 s of the link's return (a half-open link is found first: keep-alive, 15 s).
// Method: a real etcd behind a link that is refused, cut, deafened; afterwards everything is compared. The figures
// are printed. The numbers in the names are those of the scripts that showed the faults.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Operation } from "../../src/etcd/etcd.ts";
import type { FollowedBatch } from "../../src/etcd/followed.ts";
import { always, openClient, put } from "../support/etcd-client.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { until } from "../support/until.ts";
import { equalMsMax, expectEqual, fill, openWorld, type World } from "./evidence-world.ts";
import { MarkedOwner, RecordingOwner } from "./followed-fixture.ts";

const never = new AbortController().signal;
let server: EtcdServer;

beforeAll(async () => {
  server = await startEtcd();
});
afterAll(() => server.stop());

function report(situation: string, tookMs: number, world: World): void {
  const { link, followed } = world;
  console.log(
    `${situation}: equal ${tookMs} ms after the link's return; ${followed.entries.size} keys, ` +
      `${followed.listsTotal} lists, ${link.accepted} links, ${followed.repairsTotal} repairs`,
  );
}

/** The link is down while `work` writes; then it is up again, with its faults. */
async function whileAway<T>(world: World, work: () => Promise<T>): Promise<T> {
  world.link.refuse();
  world.link.cut();
  const result = await work();
  await world.link.listen();
  return result;
}

async function startWorld(prefix: string): Promise<World> {
  const world = await openWorld({ server, prefix, owner: new RecordingOwner() });
  await world.followed.started(never);
  return world;
}

test("02: 5,000 revisions behind, cut again and again while it catches up", async () => {
  const world = await startWorld("e02/");
  await put(world.direct, "e02/first", "x");
  const last = await whileAway(world, () => fill(world.direct, "e02/", 5_000, 100));
  const before = world.link.accepted;
  world.link.cutAfter(300_000, "down");
  report("5,000 revisions behind", await expectEqual(world, last, equalMsMax), world);
  expect(world.link.accepted - before).toBeGreaterThan(2);
});

test("04: cut as soon as the watch is created", async () => {
  const world = await startWorld("e04/");
  const last = await whileAway(world, () => fill(world.direct, "e04/", 30, 100_000, 10));
  const before = world.link.accepted;
  world.link.cutAfter(1_500, "down");
  await until(() => world.link.accepted > before + 3, "some short links");
  await world.link.heal();
  report("created, then cut", await expectEqual(world, last, equalMsMax), world);
});

test("05: a backlog of 9 MB", async () => {
  const world = await startWorld("e05/");
  const last = await whileAway(world, () => fill(world.direct, "e05/", 900, 10_000));
  report("a backlog of 9 MB", await expectEqual(world, last, equalMsMax), world);
});

test("03: compacted while away, with deletes", async () => {
  const world = await startWorld("e03/");
  await fill(world.direct, "e03/", 200, 100);
  const last = await whileAway(world, async () => {
    await world.direct.transact(always({ kind: "delete", key: "e03/1", end: "e03/2" }));
    const { header } = await put(world.direct, "e03/new", "x");
    await server.ctl("compact", "--physical", String(header.revision));
    return header.revision;
  });
  report("compacted while away", await expectEqual(world, last, equalMsMax), world);
  expect(world.followed.listsTotal).toBe(2);
});

test("06: a half-open link", { timeout: 40_000 }, async () => {
  const world = await startWorld("e06/");
  const first = await put(world.direct, "e06/a", "x");
  await world.followed.reached(first.header.revision, never);
  world.link.deafen();
  const { header } = await put(world.direct, "e06/b", "x");
  const tookMs = await expectEqual(world, header.revision, 19_000);
  console.log(`a half-open link: found and equal after ${tookMs} ms`);
});

test("13: plain restarts of etcd under writes", async () => {
  const world = await startWorld("e13/");
  let last = 0;
  for (let round = 0; round < 3; round++) {
    await server.restart();
    for (let n = 0; n < 20; n++) {
      last = (await put(world.direct, `e13/${round}-${n}`, "x")).header.revision;
    }
  }
  report("3 plain restarts", await expectEqual(world, last, equalMsMax), world);
});

describe("15: one revision over several answers", () => {
  /** Each transaction puts 100 keys to its own number: a mix is half a transaction. */
  class WholeOwner extends RecordingOwner {
    override apply(batch: FollowedBatch): ReadonlySet<string> {
      const unread = super.apply(batch);
      const rounds = new Set([...this.serves.values()].map((text) => text.slice(0, 4)));
      if (rounds.size > 1) this.faults.push(`half a transaction at ${batch.revision}`);
      return unread;
    }
  }

  test("cut inside the backlog, and split into small pieces", async () => {
    const world = await openWorld({ server, prefix: "e15/", owner: new WholeOwner() });
    await world.followed.started(never);
    const last = await whileAway(world, async () => {
      let revision = 0;
      for (let round = 1; round <= 6; round++) {
        const value = `${1_000 + round}${"x".repeat(10_000)}`;
        const puts = Array.from(
          { length: 100 },
          (_, n): Operation => ({ kind: "put", key: `e15/${n}`, value }),
        );
        revision = (await world.direct.transact(always(...puts))).header.revision;
      }
      return revision;
    });
    world.link.cutAfter(2_300_000, "down");
    world.link.split(15, 20_000, "down");
    await until(() => world.link.accepted >= 3, "two cuts");
    await world.link.heal();
    report("fragments", await expectEqual(world, last, equalMsMax), world);
  });
});

describe("07, 17: authentication", () => {
  const asRoot = "--user=root:r00t";
  const bob = { user: "bob", password: "b0b" } as const;
  let guarded: EtcdServer;

  beforeAll(async () => {
    guarded = await startEtcd({ extraArgs: ["--auth-token-ttl=1"] });
    await guarded.ctl("user", "add", "root:r00t");
    await guarded.ctl("user", "grant-role", "root", "root");
    await guarded.ctl("user", "add", "bob:b0b");
    await guarded.ctl("role", "add", "some");
    await guarded.ctl("role", "grant-permission", "some", "--prefix=true", "readwrite", "ok/");
    await guarded.ctl("user", "grant-role", "bob", "some");
    await guarded.ctl("auth", "enable");
  });
  afterAll(() => guarded.stop());

  test("a restart of etcd, then a token that ran out", async () => {
    const world = await openWorld({
      server: guarded,
      prefix: "ok/",
      owner: new RecordingOwner(),
      user: bob,
    });
    await world.followed.started(never);
    await guarded.restart();
    const restarted = await put(world.direct, "ok/1", "after the restart");
    report(
      "a restart under authentication",
      await expectEqual(world, restarted.header.revision, equalMsMax),
      world,
    );
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // etcd's own clock: the token lives 1 s
    world.link.cut();
    const expired = await put(world.direct, "ok/1", "after the token ran out");
    report(
      "an expired token",
      await expectEqual(world, expired.header.revision, equalMsMax),
      world,
    );
  });

  test("a prefix that may not be read is told, blinds nobody, and is followed once it may", async () => {
    const world = await openWorld({
      server: guarded,
      prefix: "more/",
      owner: new RecordingOwner(),
      user: bob,
    });
    const { followed, owner, far, log } = world;
    await until(() => owner.conditions.length > 0, "a condition");
    expect(followed.condition).toMatchObject({
      kind: "starting",
      cause: expect.stringMatching(/permission/),
    });
    expect(await far.range({ key: "ok/1" })).toMatchObject({ more: false });
    await guarded.ctl(
      asRoot,
      "role",
      "grant-permission",
      "some",
      "--prefix=true",
      "readwrite",
      "more/",
    );
    const { header } = await put(world.direct, "more/1", "x");
    report(
      "a permission that was granted",
      await expectEqual(world, header.revision, equalMsMax),
      world,
    );
    expect(log.entries.filter(({ level }) => level === "warn")).toHaveLength(1);
  });
});

describe("another past", () => {
  const marker = "h/table";

  class HeldOwner extends MarkedOwner {
    override identityOf(get: Parameters<MarkedOwner["identityOf"]>[0]) {
      return super.identityOf(() => get(marker));
    }
  }

  test("wiped, then restored from an older backup, then accepted", {
    timeout: 40_000,
  }, async () => {
    await using etcd = await startEtcd();
    const options = { serves: (key: string) => key.startsWith("h/routes/") };
    const owner = new HeldOwner();
    const writer = await openClient(etcd.endpoint);
    await put(writer, marker, '{"store":"a"}');
    await put(writer, "h/routes/x", "1");
    const world = await openWorld({ server: etcd, prefix: "h/", owner, options });
    const { followed } = world;
    await followed.started(never);
    const backup = `${etcd.dataDir}.backup`;
    await etcd.ctl("snapshot", "save", backup);
    const { header } = await put(world.direct, "h/routes/y", "1");
    await followed.reached(header.revision, never);

    await etcd.kill();
    await etcd.wipe();
    await etcd.restart();
    await until(() => followed.condition.kind === "held", "held");
    expect(followed.condition).toMatchObject({ finding: "wiped", removed: 2 });
    expect(owner.serves.size).toBe(3);

    await etcd.kill();
    await etcd.restore(backup);
    await etcd.restart();
    await until(() => JSON.stringify(followed.condition).includes("restored"), "restored", 12_000);
    expect(followed.condition).toMatchObject({ kind: "held", removed: 1, changed: 0 });
    expect(await followed.accept()).toBe(true);
    expect([...owner.serves.keys()].toSorted()).toEqual(["h/routes/x", marker]);
    const next = await put(world.direct, "h/routes/z", "1");
    await expectEqual(world, next.header.revision, equalMsMax);
    expect(owner.batches.some(({ anew }) => anew === true)).toBe(true);
  });
});
