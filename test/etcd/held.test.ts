// Goal: a wiped, restored or replaced etcd takes nothing away until it is right again or an operator says so.
// Method: a fake etcd that loses its past in each way, an owner with a marker, a clock by hand.

import { describe, expect, test } from "vitest";
import { FakeEtcd, unreachable } from "../support/fake-etcd.ts";
import type { RecordingLog } from "../support/recording-log.ts";
import { follow, MarkedOwner, markerKey } from "./followed-fixture.ts";

function storeA(): FakeEtcd {
  const etcd = new FakeEtcd();
  etcd.putAll({ [markerKey]: '{"store":"a"}', "/p/routes/x": "1", "/p/routes/y": "1" });
  return etcd;
}

/** An operator's word leaves a line in the log. */
const told = (log: RecordingLog) =>
  log.entries.filter(({ message }) => message.includes("as an operator said"));

/** The marker is no route: only those serve. */
const options = { serves: (key: string) => key.startsWith("/p/routes/") };

async function followed(etcd = storeA(), owner = new MarkedOwner()) {
  const fixture = follow({ etcd, owner, options });
  await fixture.pass(100);
  return fixture;
}

const serving = new Map(
  Object.entries({ [markerKey]: '{"store":"a"}', "/p/routes/x": "1", "/p/routes/y": "1" }),
);

describe("held", () => {
  test("when the prefix is deleted before our eyes, marker and all", async () => {
    const { etcd, owner, followed: it, log, pass } = await followed();
    etcd.deleteRange({ key: "/p/", end: "/p0" });
    await pass(200);
    expect(it.condition).toMatchObject({
      kind: "held",
      finding: "wiped",
      removed: 2,
      changed: 0,
      added: 0,
    });
    expect(owner.serves).toEqual(serving);
    await pass(60_000);
    expect(log.entries.filter(({ level }) => level === "warn")).toHaveLength(1);
    expect(etcd.watchCount).toBe(0);
  });

  test("when only the marker is deleted, although every route is there", async () => {
    const { etcd, owner, followed: it, pass } = await followed();
    etcd.delete(markerKey);
    await pass(200);
    expect(it.condition).toMatchObject({ kind: "held", finding: "wiped" });
    etcd.delete("/p/routes/x"); // no proof any more
    await pass(10_000);
    expect(owner.serves).toEqual(serving);
  });

  test("when the data directory is lost", async () => {
    const { etcd, owner, followed: it, pass } = await followed();
    etcd.wipe();
    await pass(500);
    expect(it.condition).toMatchObject({ kind: "held", finding: "wiped", removed: 2 });
    expect(owner.serves).toEqual(serving);
    expect(it.revision).toBe(2);
  });

  test("when an older backup was restored", async () => {
    const etcd = storeA();
    const backup = etcd.backup();
    etcd.put("/p/routes/z", "1");
    const { owner, followed: it, pass } = await followed(etcd);
    etcd.restore(backup);
    await pass(500);
    expect(it.condition).toMatchObject({ kind: "held", finding: "restored", removed: 1 });
    expect(owner.serves.has("/p/routes/z")).toBe(true);
  });

  test("when an older backup was restored and written on, past our revision", async () => {
    const etcd = storeA();
    const backup = etcd.backup();
    etcd.put("/p/routes/z", "1");
    const { owner, followed: it, pass } = await followed(etcd);
    etcd.faults.down = unreachable();
    etcd.restore(backup);
    etcd.elsewhere(20);
    etcd.faults.down = undefined;
    await pass(500);
    expect(it.condition).toMatchObject({ kind: "held", finding: "restored", removed: 1 });
    expect(owner.serves.has("/p/routes/z")).toBe(true);
  });

  test("when another store is in its place", async () => {
    const { etcd, owner, followed: it, pass } = await followed();
    const other = new FakeEtcd();
    other.putAll({ [markerKey]: '{"store":"b"}', "/p/routes/x": "other" });
    other.elsewhere(50);
    etcd.restore(other.backup(), "77");
    await pass(500);
    expect(it.condition).toMatchObject({
      kind: "held",
      finding: "replaced",
      removed: 1,
      changed: 1,
    });
    expect(owner.serves).toEqual(serving);
  });

  test("when etcd answers empty lists", async () => {
    const { etcd, owner, followed: it, pass } = await followed();
    etcd.faults.emptyRanges = true;
    etcd.faults.watchesStall = true;
    await pass(35_000);
    expect(it.condition).toMatchObject({ kind: "held", finding: "wiped" });
    expect(owner.serves).toEqual(serving);
    etcd.faults.emptyRanges = false;
    etcd.resume();
    await pass(6_000);
    expect(it.condition.kind).toBe("current");
  });

  test("no longer, by itself, when the right data is back", async () => {
    const { etcd, owner, followed: it, log, pass, equal } = await followed();
    const backup = etcd.backup();
    etcd.wipe();
    await pass(500);
    etcd.restore(backup);
    etcd.put("/p/routes/new", "1");
    await pass(6_000);
    expect(it.condition.kind).toBe("current");
    expect(equal()).toBe(true);
    expect(owner.kinds.slice(-2)).toEqual(["held", "current"]);
    expect(log.messages().at(-1)).toBe("etcd is followed");
  });

  test("no longer when the marker was put back by hand", async () => {
    const { etcd, followed: it, pass, equal } = await followed();
    etcd.delete(markerKey);
    await pass(200);
    etcd.put(markerKey, '{"store":"a"}');
    await pass(6_000);
    expect(it.condition.kind).toBe("current");
    expect(equal()).toBe(true);
  });

  test("for a marker that went is forgotten with the hold", async () => {
    const { etcd, followed: it, pass } = await followed();
    etcd.delete(markerKey);
    await pass(200);
    etcd.put(markerKey, '{"store":"a"}');
    await pass(6_000);
    etcd.putSilently(markerKey, undefined);
    await pass(35_000); // by the list: nothing that serves goes
    expect(it.condition.kind).toBe("current");
  });

  test("no longer when the store says that it replaces ours", async () => {
    const { etcd, owner, followed: it, pass, equal } = await followed();
    etcd.wipe("88");
    await pass(500);
    etcd.putAll({ [markerKey]: '{"store":"b","replaces":["a"]}', "/p/routes/q": "1" });
    await pass(6_000);
    expect(it.condition.kind).toBe("current");
    expect(equal()).toBe(true);
    expect(owner.batches.at(-1)).toMatchObject({ anew: true, revision: 2 });
  });

  test("not when the replacing marker comes by the watch", async () => {
    const { etcd, owner, followed: it, pass, equal } = await followed();
    etcd.put(markerKey, '{"store":"b","replaces":["a"]}');
    await pass(200);
    expect(owner.kinds).toEqual(["current"]);
    expect(equal()).toBe(true);
    etcd.put(markerKey, '{"store":"c"}');
    await pass(200);
    expect(it.condition).toMatchObject({ kind: "held", finding: "replaced" });
  });

  test("stays while etcd is away, and accept then says so", async () => {
    const { etcd, followed: it, pass } = await followed();
    etcd.wipe();
    await pass(500);
    etcd.faults.down = unreachable();
    await pass(6_000);
    expect(it.condition.kind).toBe("held");
    const accepting = it.accept().then(
      () => "taken",
      (error: Error) => error.message,
    );
    await pass(100);
    expect(await accepting).toBe(unreachable().message);
    expect(it.condition.kind).toBe("held");
  });
});

describe("accept", () => {
  test("takes what is held, and follows it from there on", async () => {
    const { etcd, owner, followed: it, log, pass, equal } = await followed();
    etcd.wipe();
    etcd.put("/p/routes/only", "1");
    await pass(500);
    const accepting = it.accept();
    await pass(100);
    expect(await accepting).toBe(true);
    expect(it.condition.kind).toBe("current");
    expect(told(log)).toMatchObject([{ fields: { removed: 2, changed: 0, added: 1 } }]);
    expect(equal()).toBe(true);
    expect(owner.batches.at(-1)).toMatchObject({ anew: true });
    etcd.put("/p/routes/more", "1");
    await pass(100);
    expect(equal()).toBe(true);
    expect(owner.faults).toEqual([]);
  });

  test("takes a store that is far behind, and follows it from there on", async () => {
    const etcd = storeA();
    etcd.elsewhere(50);
    etcd.put("/p/routes/x", "late");
    const { owner, followed: it, pass, equal } = await followed(etcd);
    etcd.wipe();
    etcd.put("/p/routes/x", "other");
    await pass(500);
    const accepting = it.accept();
    await pass(100);
    expect(await accepting).toBe(true);
    expect(it.revision).toBe(2);
    etcd.cut();
    await pass(500);
    etcd.put("/p/routes/x", "more");
    await pass(500);
    expect(it.condition.kind).toBe("current");
    expect(equal()).toBe(true);
    expect(owner.faults).toEqual([]);
  });

  test("at the start is meant for the first list, not for what is lost later", async () => {
    const etcd = storeA();
    const fixture = follow({
      etcd,
      owner: new MarkedOwner(),
      options: { ...options, accept: true },
    });
    await fixture.pass(100);
    expect(told(fixture.log)).toEqual([]);
    etcd.wipe();
    await fixture.pass(500);
    expect(fixture.followed.condition).toMatchObject({ kind: "held", finding: "wiped" });
  });

  test("is false when nothing is held", async () => {
    const { followed: it } = await followed();
    expect(await it.accept()).toBe(false);
  });

  test("rejects when it is closed meanwhile", async () => {
    const { etcd, system, followed: it, pass } = await followed();
    etcd.wipe();
    await pass(500);
    etcd.faults.callsHang = true;
    const accepting = it.accept().catch((error: Error) => error.message);
    await pass(50);
    const closing = it.close();
    etcd.resume();
    system.advance(1);
    await closing;
    expect(await accepting).toContain("closed");
  });
});

describe("not held", () => {
  test("when another cluster holds the very same", async () => {
    const { etcd, owner, log, pass, equal } = await followed();
    const copy = new FakeEtcd();
    copy.elsewhere(3);
    for (const { key, text } of etcd.kvs.values()) copy.put(key, text);
    etcd.restore(copy.backup(), "99");
    await pass(500);
    expect(owner.kinds.at(-1)).toBe("current");
    expect(equal()).toBe(true);
    expect(log.messages()).toContain("a list of etcd is odd, but takes nothing away: it is taken");
  });

  test("when the older backup lacks only what was deleted since: it is watched again", async () => {
    const { etcd, owner, followed: it, pass } = await followed();
    const state = etcd.backup();
    etcd.put("/p/routes/z", "1");
    await pass(100);
    etcd.delete("/p/routes/z");
    await pass(100);
    etcd.restore(state);
    etcd.elsewhere(50);
    await pass(10_000);
    expect(it.condition.kind).toBe("current");
    const lists = it.listsTotal;
    etcd.put("/p/routes/new", "1");
    await pass(50);
    expect([it.listsTotal, owner.serves.get("/p/routes/new")]).toEqual([lists, "1"]);
  });

  test("when everything is deleted entry by entry", async () => {
    const { etcd, owner, followed: it, pass } = await followed();
    etcd.deleteRange({ key: "/p/routes/", end: "/p/routes0" });
    await pass(200);
    expect(it.condition.kind).toBe("current");
    expect(owner.serves.size).toBe(1);
  });

  test("when routes were deleted and compacted while we were away", async () => {
    const { etcd, owner, followed: it, pass } = await followed();
    etcd.faults.down = unreachable();
    etcd.cut();
    etcd.deleteRange({ key: "/p/routes/", end: "/p/routes0" });
    etcd.compact();
    etcd.faults.down = undefined;
    await pass(1_000);
    expect(it.condition.kind).toBe("current");
    expect(owner.serves.size).toBe(1);
  });

  test("when events were lost, even that of the newest key", async () => {
    const { etcd, followed: it, pass, equal } = await followed();
    etcd.put("/p/routes/x", "2");
    await pass(50);
    etcd.putSilently("/p/routes/y", "2");
    etcd.putSilently("/p/routes/x", undefined);
    etcd.put("/p/routes/w", "2");
    await pass(35_000);
    expect(it).toMatchObject({ condition: { kind: "current" }, repairsTotal: 2 });
    expect(equal()).toBe(true);
  });
});
