// Goal: what is followed equals etcd whatever happens to lists and watches, and every batch keeps its promises.
// Method: a fake etcd that cuts, stalls, loses, repeats and lies on request; a clock by hand.

import { describe, expect, test } from "vitest";
import { RouterError } from "../../src/model/errors.ts";
import { FakeEtcd, storeUnavailable, unreachable } from "../support/fake-etcd.ts";
import { turns } from "../support/until.ts";
import { follow } from "./followed-fixture.ts";

const never = new AbortController().signal;

function etcdWith(values: Readonly<Record<string, string>>): FakeEtcd {
  const etcd = new FakeEtcd();
  for (const [key, text] of Object.entries(values)) etcd.put(key, text);
  return etcd;
}

describe("the first list", () => {
  test("is one batch, at the newest revision of the keys that count", async () => {
    const etcd = etcdWith({ "/p/a": "1", "/p/b": "2", "/p/nodes/n": "3", "/q": "4" });
    const { owner, followed, pass } = follow({
      etcd,
      options: { counts: (key) => !key.startsWith("/p/nodes/") },
    });
    await followed.started(never);
    expect(owner.batches).toHaveLength(1);
    expect(owner.batches[0]).toMatchObject({ revision: 3, deletes: [] });
    expect(owner.batches[0]?.puts.map(({ key }) => key)).toEqual(["/p/a", "/p/b", "/p/nodes/n"]);
    await pass(50);
    expect(followed).toMatchObject({ revision: 3, condition: { kind: "current" }, listsTotal: 1 });
  });

  test("of nothing is a batch too, so that the owner knows that nothing is there", async () => {
    const { owner, followed } = follow();
    await followed.started(never);
    expect(owner.batches).toEqual([{ revision: 0, puts: [], deletes: [] }]);
  });

  test("learns of a later delete from the watch, and only the revision moves", async () => {
    const etcd = etcdWith({ "/p/a": "1", "/p/b": "2" });
    const deleted = etcd.delete("/p/b");
    etcd.elsewhere(5);
    const { owner, followed, pass, equal } = follow({ etcd });
    await pass(50);
    expect(owner.batches).toHaveLength(2);
    expect(owner.batches[1]).toEqual({ revision: deleted, puts: [], deletes: [] });
    expect(followed.revision).toBe(deleted);
    expect(equal()).toBe(true);
  });

  test("begins the watch at the list when what came before is compacted", async () => {
    const etcd = etcdWith({ "/p/a": "1", "/p/b": "2" });
    etcd.delete("/p/b");
    etcd.elsewhere(5);
    etcd.compact();
    const { owner, followed, pass } = follow({ etcd });
    await pass(200);
    expect(etcd.watchStarts).toEqual([3, etcd.revision + 1]);
    expect(followed.listsTotal).toBe(1);
    etcd.put("/p/c", "3");
    await pass(50);
    expect(owner.serves).toEqual(new Map(Object.entries({ "/p/a": "1", "/p/c": "3" })));
  });

  test("is not undone by what the watch tells again of keys that do not count", async () => {
    const etcd = etcdWith({ "/p/a": "1" });
    for (const value of ["1", "2", "3"]) etcd.put("/p/nodes/n", value);
    const { owner, followed, pass } = follow({
      etcd,
      options: { counts: (key) => !key.startsWith("/p/nodes/") },
    });
    await pass(100);
    expect(etcd.watchStarts).toEqual([3]);
    expect(owner.batches).toHaveLength(1);
    expect(followed).toMatchObject({ revision: 2, condition: { kind: "current" } });
  });

  test("leaves out what is to be skipped, and so does the watch", async () => {
    const etcd = etcdWith({ "/p/a": "1", "/p/requests/1": "x", "/p/z": "2" });
    const skip = { key: "/p/requests/", end: "/p/requests0" };
    const { owner, pass } = follow({ etcd, options: { skip } });
    await pass(50);
    etcd.put("/p/requests/2", "y");
    etcd.put("/p/b", "3");
    await pass(50);
    expect([...owner.serves.keys()]).toEqual(["/p/a", "/p/z", "/p/b"]);
  });
});

describe("the watch", () => {
  test("hands over a transaction whole, however it is cut into fragments", async () => {
    const { etcd, owner, pass, equal } = follow();
    await pass(50);
    etcd.faults.fragmentEvents = 2;
    etcd.putAll({ "/p/a": "1", "/p/b": "1", "/p/c": "1", "/p/d": "1", "/p/e": "1" });
    await pass(50);
    expect(owner.batches.map(({ puts }) => puts.length)).toEqual([0, 5]);
    expect(equal()).toBe(true);
  });

  test("resumes before a revision of which only fragments came", async () => {
    const { etcd, owner, pass, equal } = follow();
    await pass(50);
    etcd.faults.fragmentEvents = 2;
    let told = 0;
    etcd.faults.message = () => (++told === 2 ? "cut" : "tell");
    etcd.putAll({ "/p/a": "1", "/p/b": "1", "/p/c": "1", "/p/d": "1", "/p/e": "1" });
    await pass(300);
    expect(etcd.watchStarts).toEqual([1, 1]);
    expect(owner.batches.map(({ puts }) => puts.length)).toEqual([0, 5]);
    expect(equal()).toBe(true);
  });

  test("ignores what it was told before", async () => {
    const { etcd, owner, pass } = follow();
    await pass(50);
    etcd.faults.message = () => "repeat";
    etcd.put("/p/a", "1");
    etcd.delete("/p/a");
    etcd.put("/p/a", "2");
    await pass(50);
    expect(owner.batches).toHaveLength(4);
    expect(owner.serves).toEqual(new Map([["/p/a", "2"]]));
  });

  test("does not move on by what headers say", async () => {
    const { etcd, pass, equal } = follow();
    await pass(50);
    const first = etcd.put("/p/first", "x");
    await pass(50);
    etcd.faults.cutOnCreated = true;
    etcd.cut();
    for (let n = 0; n < 30; n++) etcd.put(`/p/${n}`, "x");
    await pass(300);
    etcd.faults.cutOnCreated = false;
    etcd.say({ kind: "progress", header: etcd.header });
    etcd.cut();
    await pass(2_000);
    expect(etcd.watchStarts.slice(1).every((start) => start === first + 1)).toBe(true);
    expect(equal()).toBe(true);
  });

  test("does not move on by the header of a backlog that comes in several answers", async () => {
    const { etcd, owner, pass, equal } = follow();
    await pass(50);
    etcd.faults.down = unreachable();
    etcd.cut();
    for (let n = 0; n < 30; n++) etcd.put(`/p/${n}`, "x");
    etcd.faults.answerRevisions = 10;
    let answers = 0;
    etcd.faults.message = () => (++answers === 2 ? "cut" : "tell");
    etcd.faults.down = undefined;
    await pass(2_000);
    expect(etcd.watchStarts.slice(1)).toEqual([1, 12]);
    expect(owner.batches.map(({ puts }) => puts.length)).toEqual([0, 10, 10, 10]);
    expect(equal()).toBe(true);
  });

  test("that hears of another cluster lists again", async () => {
    const { etcd, followed, pass } = follow();
    await pass(50);
    etcd.say({ kind: "progress", header: { clusterId: "77", revision: 9 } });
    await pass(200);
    expect(followed.listsTotal).toBe(2);
  });

  test("lists again when its past was compacted, and sees what was deleted meanwhile", async () => {
    const { etcd, owner, followed, pass, equal } = follow({
      etcd: etcdWith({ "/p/a": "1", "/p/b": "2" }),
    });
    await pass(50);
    etcd.faults.down = unreachable();
    etcd.cut();
    await pass(500);
    etcd.delete("/p/a");
    etcd.put("/p/c", "3");
    etcd.compact();
    etcd.faults.down = undefined;
    await pass(5_000);
    expect(equal()).toBe(true);
    expect(followed.listsTotal).toBe(2);
    expect(owner.batches.at(-1)).toMatchObject({ deletes: ["/p/a"], puts: [{ key: "/p/c" }] });
    expect(owner.kinds).toEqual(["current", "away", "current"]);
  });

  test("that is never created is given up", async () => {
    const { etcd, followed, pass } = follow();
    etcd.faults.watchesStall = true;
    await pass(5_200);
    expect(followed.condition.kind).toBe("away");
    etcd.resume();
    await pass(3_000);
    expect(followed.condition.kind).toBe("current");
  });

  test("tries again when the owner threw, from the same place", async () => {
    const { etcd, owner, followed, pass, equal } = follow();
    await pass(50);
    owner.failure = new Error("a bug of the owner's");
    etcd.put("/p/a", "1");
    await pass(300);
    expect(followed.condition).toMatchObject({ kind: "away", cause: "a bug of the owner's" });
    owner.failure = undefined;
    await pass(3_000);
    expect(equal()).toBe(true);
    expect(owner.serves.get("/p/a")).toBe("1");
  });
});

describe("the condition", () => {
  test("names the cause, since when, and changes once however often it is tried", async () => {
    const { etcd, system, owner, log, followed, pass } = follow();
    await pass(50);
    const sinceMs = system.wallMs();
    etcd.faults.down = storeUnavailable("ETCD_AUTH", "wrong password for user bob");
    etcd.cut();
    await pass(30_000);
    expect(followed.condition).toEqual({
      kind: "away",
      sinceMs: sinceMs + 50,
      cause: "wrong password for user bob",
      fromCopy: false,
    });
    expect(log.entries.filter(({ level }) => level === "warn")).toHaveLength(1);
    etcd.faults.down = undefined;
    await pass(3_500);
    expect(followed.condition).toEqual({ kind: "current" });
    expect(owner.kinds).toEqual(["current", "away", "away", "current"]);
  });

  test("is starting with a cause while nothing was ever read", async () => {
    const etcd = new FakeEtcd();
    etcd.faults.down = unreachable();
    const { owner, followed, pass } = follow({ etcd });
    await pass(1_000);
    expect(followed.condition).toEqual({ kind: "starting", cause: unreachable().message });
    expect(owner.batches).toEqual([]);
    etcd.faults.down = undefined;
    await pass(3_000);
    expect(owner.kinds).toEqual(["starting", "current"]);
  });

  test("pauses grow to three seconds, with jitter", async () => {
    const etcd = new FakeEtcd();
    etcd.faults.down = unreachable();
    const { pass } = follow({ etcd });
    await pass(60_000);
    expect(etcd.ranges.length).toBeGreaterThan(60_000 / 3_000);
    expect(etcd.ranges.length).toBeLessThan(60_000 / 1_500 + 10);
  });
});

describe("waiting", () => {
  test("for a revision ends when it was handed over, or the signal aborts", async () => {
    const { etcd, followed, owner, pass } = follow();
    await pass(50);
    let reached = false;
    const waiting = followed.reached(etcd.revision + 2, never).then(() => (reached = true));
    etcd.put("/p/a", "1");
    await pass(50);
    expect(reached).toBe(false);
    etcd.put("/p/a", "2");
    await pass(50);
    await waiting;
    expect(owner.serves.get("/p/a")).toBe("2");
    const giveUp = new AbortController();
    const second = followed.reached(99, giveUp.signal);
    giveUp.abort();
    await second;
  });

  test("ends when it is closed", async () => {
    const { followed, system } = follow();
    const waiting = followed.reached(99, never);
    const closing = followed.close();
    for (let n = 0; n < 5; n++) {
      system.advance(1);
      await turns();
    }
    await Promise.all([closing, waiting]);
    expect(system.timerCount).toBe(0);
  });
});

test("a failure that is no RouterError is told as it is", async () => {
  const etcd = new FakeEtcd();
  etcd.faults.down = new TypeError("surprise") as unknown as RouterError;
  const { followed, pass } = follow({ etcd });
  await pass(100);
  expect(followed.condition).toEqual({ kind: "starting", cause: "surprise" });
});
