// Goal: a node starts from its copy when etcd is away, ends where it was, and does not lose it to a wiped etcd.
// Method: follow, close, follow again over the same real file; etcd away, slow, wiped, changed in between.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { FollowedCondition } from "../../src/etcd/followed.ts";
import { FollowedPrefix } from "../../src/etcd/followed-prefix.ts";
import { etcdFirstListMs } from "../../src/limits.ts";
import { realSystem } from "../../src/system.ts";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { FakeEtcd, unreachable } from "../support/fake-etcd.ts";
import { recordingLog } from "../support/recording-log.ts";
import { until } from "../support/until.ts";
import { MarkedOwner, markerKey, range, sameContent } from "./followed-fixture.ts";

/** Also writes down how much served when a condition was told. */
class TellingOwner extends MarkedOwner {
  readonly told: { readonly kind: string; readonly served: number }[] = [];

  override conditionChanged(condition: FollowedCondition): void {
    super.conditionChanged(condition);
    this.told.push({ kind: condition.kind, served: this.serves.size });
  }
}

function open(etcd: FakeEtcd, copyPath: string, accept = false) {
  const owner = new TellingOwner();
  const log = recordingLog();
  const serves = (key: string): boolean => key.startsWith("/p/routes/");
  const followed = FollowedPrefix.open({
    etcd,
    system: realSystem,
    log,
    range,
    owner,
    name: "etcd:http://fake:2379/p",
    serves,
    copyPath,
    accept,
  });
  onTestFinished(() => followed.close());
  return { followed, owner, log };
}

const never = new AbortController().signal;

/** A store that was followed and whose copy was written: x serves "1" although etcd has nonsense for it. */
async function written(): Promise<{ etcd: FakeEtcd; path: string }> {
  const etcd = new FakeEtcd();
  const path = join(temporaryDirectory(), "copy");
  etcd.putAll({ [markerKey]: '{"store":"a"}', "/p/routes/x": "1", "/p/routes/y": "1" });
  const { followed, owner } = open(etcd, path);
  await followed.started(never);
  etcd.put("/p/routes/x", "bad at first");
  await until(() => owner.unread.size === 1, "the first bad value");
  etcd.put("/p/routes/x", "bad");
  etcd.put("/p/routes/z", "bad from the start");
  await until(() => owner.unread.size === 2, "the bad values");
  await followed.close();
  return { etcd, path };
}

const served = new Map(
  Object.entries({ [markerKey]: '{"store":"a"}', "/p/routes/x": "1", "/p/routes/y": "1" }),
);

describe("a start from the copy", () => {
  test("ends with the same last good values, and says that it is from the copy", async () => {
    const { etcd, path } = await written();
    etcd.faults.down = unreachable();
    const startMs = performance.now();
    const { followed, owner, log } = open(etcd, path);
    await followed.started(never);
    // At once: a list that failed outright is not waited for.
    expect(performance.now() - startMs).toBeLessThan(etcdFirstListMs);
    expect(owner.serves).toEqual(served);
    expect([...owner.unread]).toEqual(["/p/routes/x", "/p/routes/z"]);
    expect(followed.revision).toBe(etcd.revision);
    expect(followed.entries.get("/p/routes/x")?.text).toBe("bad");
    await until(() => followed.condition.kind === "away", "away");
    expect(followed.condition).toMatchObject({ cause: unreachable().message, fromCopy: true });
    expect(log.entries.map(({ message }) => message)).toEqual([
      "etcd cannot be followed; what was last seen goes on",
    ]);
    etcd.put("/p/routes/new", "1");
    etcd.delete("/p/routes/y");
    etcd.faults.down = undefined;
    await until(() => followed.condition.kind === "current", "etcd");
    expect(sameContent(followed.entries, etcd)).toBe(true);
    // Its return is one line: that the copy was left before the watch stood is none of its own.
    expect(log.entries.map(({ message }) => message)).toEqual([
      "etcd cannot be followed; what was last seen goes on",
      "etcd is followed",
    ]);
    expect(owner.serves.get("/p/routes/x")).toBe("1");
    expect(owner.serves.has("/p/routes/y")).toBe(false);
  });

  test("keeps last good values when etcd is there at once", async () => {
    const { etcd, path } = await written();
    const { followed, owner } = open(etcd, path);
    await followed.started(never);
    expect(owner.serves).toEqual(served);
    expect(owner.conditions).toEqual([{ kind: "current" }]);
    expect(owner.faults).toEqual([]);
  });

  test("serves while the first list takes long, and is no longer away once it is there", async () => {
    const { etcd, path } = await written();
    etcd.faults.callsHang = true;
    const { followed, owner } = open(etcd, path);
    await followed.started(never);
    expect(owner.serves).toEqual(served);
    expect(followed.condition).toMatchObject({ kind: "away", fromCopy: true });
    etcd.resume();
    await until(() => followed.condition.kind === "current", "etcd");
  });

  test("is not lost to an etcd that was wiped meanwhile", async () => {
    const { etcd, path } = await written();
    etcd.wipe();
    const { followed, owner } = open(etcd, path);
    await followed.started(never);
    expect(owner.serves).toEqual(served);
    await until(() => followed.condition.kind === "held", "held");
    // What was known serves before anybody hears that it is held.
    expect(owner.told[0]).toEqual({ kind: "held", served: 3 });
    expect(await followed.accept()).toBe(true);
    expect(owner.serves.size).toBe(0);
  });

  test("is given up for an etcd that was wiped when an operator said so", async () => {
    const { etcd, path } = await written();
    etcd.wipe();
    etcd.put("/p/routes/q", "1");
    const { followed, owner } = open(etcd, path, true);
    await followed.started(never);
    expect(owner.serves).toEqual(new Map([["/p/routes/q", "1"]]));
    expect(owner.batches).toHaveLength(1);
    await followed.close();
    const again = open(etcd, path);
    await again.followed.started(never);
    expect(again.owner.serves).toEqual(new Map([["/p/routes/q", "1"]]));
  });

  test("waits for etcd when the copy is torn, and says so", async () => {
    const { etcd, path } = await written();
    writeFileSync(path, "torn");
    const { followed, owner, log } = open(etcd, path);
    await followed.started(never);
    expect(owner.unread.size).toBe(2);
    expect(owner.batches).toHaveLength(1);
    expect(log.entries[0]).toMatchObject({
      level: "warn",
      message: "the copy on disk cannot be used; the start waits for etcd",
      fields: { file: path, movedTo: `${path}.bad` },
    });
    await followed.close();
    expect(readdirSync(join(path, "..")).toSorted()).toEqual(["copy", "copy.bad"]);
  });

  test("is written anew before long, without a close", async () => {
    const { etcd, path } = await written();
    const { followed } = open(etcd, path);
    await followed.started(never);
    etcd.put("/p/routes/late", "1");
    await followed.reached(etcd.revision, never);
    const later = new FakeEtcd();
    later.faults.down = unreachable();
    await until(() => readFileSync(path, "utf8").includes("/p/routes/late"), "the copy");
    const second = open(later, path);
    await second.followed.started(never);
    expect(second.owner.serves.get("/p/routes/late")).toBe("1");
  });
});
