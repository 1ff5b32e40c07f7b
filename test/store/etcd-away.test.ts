// Goal: promise 6 of a store on etcd: what was last seen goes on, from the copy too, and nothing that is held is taken
// or written to without an operator's word.
// Method: an etcd in memory that goes, comes back, is wiped; a real directory for the copy; time is the test's.

import { describe, expect, onTestFinished, test } from "vitest";
import { backendKeyOf } from "../../src/model/backend.ts";
import { revisionZero } from "../../src/model/revision.ts";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import { FakeEtcd, unreachable } from "../support/fake-etcd.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { until } from "../support/until.ts";
import { backendAt, collect, put, putBackend, putRoute, take } from "./samples.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const forever = new AbortController().signal;

async function opened(etcd: FakeEtcd, directory: string, accept = false, prefix = "/x") {
  const system = new FakeSystem();
  const log = recordingLog();
  const store = await EtcdStore.open({
    etcd,
    system,
    prefix,
    nodeName: "n1",
    directory,
    log,
    accept,
  });
  onTestFinished(() => store.close());
  /** Lets time pass until it is so. */
  const passing = (holds: () => boolean, what: string): Promise<void> =>
    until(() => {
      if (holds()) return true;
      system.advance(50);
      return false;
    }, what);
  return { store, log, passing };
}

describe("an etcd that is gone", () => {
  test("changes nothing of what is read, watched and answered, and is followed again when it is back", async () => {
    const etcd = new FakeEtcd();
    const { store, passing } = await opened(etcd, temporaryDirectory());
    await store.read();
    const revision = await put(store, putRoute("a"), putBackend("10.0.0.1:1", { ttlMs: 5000 }));
    etcd.faults.down = unreachable();
    etcd.cut();
    await passing(() => store.condition.kind === "away", "it is noticed");
    const before = await store.read();
    expect(before).toMatchObject({ revision, routes: [{ name: "a" }] });
    expect(await take(store, revisionZero, 1)).toMatchObject([{ revision }]);
    const next = take(store, revision, 1);
    const away = { code: "store-unavailable" };
    await expect(put(store, putRoute("b"))).rejects.toMatchObject(away);
    await expect(store.findRequest("r")).rejects.toMatchObject(away);
    const key = backendKeyOf(backendAt("10.0.0.1:1"));
    await expect(store.keepAlive(key)).rejects.toMatchObject(away);
    etcd.faults.down = undefined;
    const later = etcd.put("/x/routes/c", '{"http":{"domain":"c.example.com"},"service":"web"}');
    await passing(() => store.condition.kind === "current", "it is followed again");
    expect(await next).toMatchObject([{ revision: later, changes: [{ kind: "route-put" }] }]);
    expect(await put(store, putRoute("b"))).toBeGreaterThan(later);
    expect(await store.keepAlive(key)).toBe(true);
  });

  test("TestHTTPResync: one route removed, one added while the stream was down: both are noticed", async () => {
    const etcd = new FakeEtcd();
    const { store, passing } = await opened(etcd, temporaryDirectory());
    await store.read();
    const revision = await put(store, putRoute("stays"), putRoute("goes"));
    etcd.faults.down = unreachable();
    etcd.cut();
    await passing(() => store.condition.kind === "away", "it is noticed");
    etcd.delete("/x/routes/goes");
    etcd.put("/x/routes/comes", '{"http":{"domain":"comes.example.com"},"service":"web"}');
    etcd.faults.down = undefined;
    await passing(() => store.condition.kind === "current", "it is followed again");
    const { routes } = await store.read();
    expect(routes.map(({ name }) => name).toSorted()).toEqual(["comes", "stays"]);
    const heard = (await take(store, revision, 1)).flatMap(({ changes }) => changes);
    expect(heard.map(({ kind }) => kind).toSorted()).toEqual(["route-put", "route-removed"]);
  });

  test("at a start: the copy is read, stale, and nothing is written before etcd is followed", async () => {
    const etcd = new FakeEtcd();
    const directory = temporaryDirectory();
    const first = await opened(etcd, directory);
    await first.store.read();
    const revision = await put(first.store, putRoute("a"));
    etcd.put("/x/routes/a", "{");
    await first.passing(() => first.store.rejected.length === 1, "the bad value is seen");
    await first.store.close();
    etcd.faults.down = unreachable();
    const { store, passing } = await opened(etcd, directory);
    await passing(
      () => store.condition.kind === "away" && store.condition.stale,
      "the copy is taken",
    );
    const { revision: known, routes } = await store.read();
    expect(routes).toMatchObject([{ name: "a", revision }]);
    expect(store.rejected).toMatchObject([{ key: "/x/routes/a" }]);
    await expect(put(store, putRoute("b"))).rejects.toMatchObject({
      code: "store-unavailable",
      message: expect.stringContaining("nothing is written"),
    });
    etcd.faults.down = undefined;
    const watched = take(store, known, 1);
    const later = etcd.put("/x/routes/c", '{"http":{"domain":"c.example.com"},"service":"web"}');
    await passing(() => store.condition.kind === "current", "etcd is followed");
    expect(await watched).toMatchObject([{ revision: later }]);
    await put(store, putRoute("b"));
    expect((await store.read()).routes).toHaveLength(3);
  });
});

describe("an etcd that never answered", () => {
  test("rejects what is read and written with the cause, until it answers", async () => {
    const etcd = new FakeEtcd();
    etcd.faults.down = unreachable();
    const { store, passing } = await opened(etcd, temporaryDirectory());
    expect(store.condition).toMatchObject({ kind: "away", stale: false });
    const away = { code: "store-unavailable", message: expect.stringContaining("refused") };
    await expect(store.read()).rejects.toMatchObject(away);
    const write = { expected: revisionZero, changes: [putRoute("a")] };
    await expect(store.commit(write)).rejects.toMatchObject(away);
    etcd.faults.down = undefined;
    await passing(() => store.condition.kind === "current", "it answers");
    expect(await store.commit(write)).toBe(etcd.revision);
  });
});

describe("an etcd that was put back to an older copy", () => {
  async function restored() {
    const etcd = new FakeEtcd();
    const one = await opened(etcd, temporaryDirectory());
    const other = await opened(etcd, temporaryDirectory());
    await Promise.all([one.store.read(), other.store.read()]);
    await put(one.store, putRoute("a"));
    const backup = etcd.backup();
    const revision = await put(one.store, putRoute("b"));
    for (let i = 0; i < 20; i++) await put(one.store, putRoute("b"));
    etcd.restore(backup);
    for (const { store, passing } of [one, other]) {
      await passing(() => store.condition.kind === "held", "it is held");
    }
    return { etcd, one, other, revision };
  }

  test("is held: read on, not written to", async () => {
    const { etcd, one } = await restored();
    const { revision } = etcd;
    expect(one.store.condition).toMatchObject({
      kind: "held",
      finding: "restored",
      removed: 1,
      changed: 0,
    });
    expect((await one.store.read()).routes).toHaveLength(2);
    await expect(put(one.store, putRoute("c"))).rejects.toMatchObject({
      code: "store-unavailable",
      message: expect.stringContaining("crosspoint store accept"),
    });
    expect(etcd.revision).toBe(revision);
  });

  test("is taken by an operator's word, by all nodes: revisions begin anew, and watches end", async () => {
    const { etcd, one, other } = await restored();
    const before = (await one.store.read()).revision;
    const watch = collect(one.store.watch(before, forever));
    const failed = expect(watch).rejects.toMatchObject({ code: "out-of-range" });
    const accepted = one.store.accept();
    await one.passing(() => one.store.condition.kind === "current", "it is taken");
    expect(await accepted).toBe(true);
    expect(one.log.messages()).toContain(
      "what etcd holds is taken as the new truth, as an operator said",
    );
    await failed;
    await other.passing(() => other.store.condition.kind === "current", "the other takes it too");
    for (const { store } of [one, other]) {
      const { revision, routes } = await store.read();
      expect(routes).toMatchObject([{ name: "a" }]);
      expect(revision).toBe(etcd.revision);
      expect(revision).toBeLessThan(before);
      expect(await store.accept()).toBe(false);
    }
    expect(await put(other.store, putRoute("c"))).toBe(etcd.revision);
  });

  test("is taken at a start that was told to, for all nodes", async () => {
    const etcd = new FakeEtcd();
    const directory = temporaryDirectory();
    const first = await opened(etcd, directory);
    const other = await opened(etcd, temporaryDirectory());
    await Promise.all([first.store.read(), other.store.read()]);
    await put(first.store, putRoute("a"), putRoute("b"));
    await first.store.close();
    etcd.wipe();
    await other.passing(() => other.store.condition.kind === "held", "the other holds it");
    const started = await opened(etcd, directory, true);
    await started.passing(() => started.store.condition.kind === "current", "it is taken");
    expect((await started.store.read()).routes).toEqual([]);
    await other.passing(() => other.store.condition.kind === "current", "the other takes it too");
    expect((await other.store.read()).routes).toEqual([]);
    await put(started.store, putRoute("c"));
  });
});

test("the copy of one prefix survives a start with another one", async () => {
  const etcd = new FakeEtcd();
  const directory = temporaryDirectory();
  const right = await opened(etcd, directory);
  await put(right.store, putRoute("a"));
  await right.store.close();
  const mistyped = await opened(etcd, directory, false, "/y");
  expect((await mistyped.store.read()).routes).toEqual([]);
  await mistyped.store.close();
  etcd.faults.down = unreachable();
  const again = await opened(etcd, directory);
  const stale = (): boolean => "stale" in again.store.condition && again.store.condition.stale;
  await again.passing(stale, "it begins from its copy");
  expect(await again.store.read()).toMatchObject({ routes: [{ name: "a" }] });
});
