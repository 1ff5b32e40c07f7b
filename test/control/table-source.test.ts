// Goal: a node's table follows its store through everything a store does, and says so when it cannot.
// Method: a store under the test's hand, a clock that moves only when told to; once the real MemoryStore.

import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseRevision, revisionZero } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { follow, lost, names } from "../support/followed-table.ts";
import { ScriptedStore } from "../support/scripted-store.ts";
import { backendOf, changeSetOf, putRoute, removeRoute } from "../support/table-fixtures.ts";
import { turns, until } from "../support/until.ts";

describe("a table that follows its store", () => {
  test("is read once, then patched by each change, ours and others' alike", async () => {
    const store = new ScriptedStore();
    store.holds(4, putRoute("web", "a.test"));
    const { source, published, at, log } = await follow(store);
    expect([source.table.revision, names(source)]).toEqual([4, ["web"]]);
    const change = changeSetOf(5, putRoute("api", "b.test"));
    store.tell(change);
    await at(5);
    expect(published).toEqual([change]);
    expect([store.reads, store.watches, source.changeSetsTotal]).toEqual([1, [4], 2]);
    expect(log.entries).toEqual([]);
  });

  test("follows a real store", async () => {
    const system = new FakeSystem();
    const store = new MemoryStore({ system });
    const { source, at } = await follow(store);
    await store.commit({ expected: revisionZero, changes: [putRoute("web", "a.test")] });
    await at(1);
    expect(source.table.snapshot()).toEqual(await store.read());
  });

  test("ignores what is repeated", async () => {
    const { store, source, published, at } = await follow();
    const first = changeSetOf(1, putRoute("web", "a.test"));
    store.tell(first, first, changeSetOf(2, removeRoute("web")), first);
    await at(2);
    await turns();
    expect(published.map(({ revision }) => revision)).toEqual([1, 2]);
    expect(names(source)).toEqual([]);
  });

  test("tells nobody who has left", async () => {
    const { store, source, at } = await follow();
    const heard: number[] = [];
    const leave = source.subscribe(({ revision }) => heard.push(revision));
    store.tell(changeSetOf(1));
    await at(1);
    leave();
    store.tell(changeSetOf(2));
    await at(2);
    expect(heard).toEqual([1]);
  });
});

describe("who waits for a revision", () => {
  test("is told when it is there, at once when it was, and when it leaves", async () => {
    const { store, source, at } = await follow();
    const never = new AbortController();
    const settled: string[] = [];
    const wait = (revision: number, name: string, signal = never.signal): Promise<void> =>
      source.reached(parseRevision(revision), signal).then(() => void settled.push(name));
    void wait(2, "two");
    void wait(1, "one");
    const leaving = new AbortController();
    void wait(9, "left", leaving.signal);
    await wait(0, "zero");
    await wait(9, "gone before", AbortSignal.abort());
    store.tell(changeSetOf(1));
    await at(1);
    await turns();
    expect(settled).toEqual(["zero", "gone before", "one"]);
    leaving.abort();
    store.tell(changeSetOf(2));
    await at(2);
    await turns();
    expect(settled.slice(3)).toEqual(["left", "two"]);
    const last = wait(9, "nine");
    await source.stop();
    await last;
    expect(settled.at(-1)).toBe("nine");
  });
});

describe("a store that goes away", () => {
  test("is told once, and the table stays as it was", async () => {
    const { store, system, source, log } = await follow();
    store.tell(changeSetOf(1, putRoute("web", "a.test")), lost());
    store.readFailure = new RouterError("store-unavailable", "connection refused");
    await until(() => source.trouble === "connection lost", "the trouble");
    for (let i = 0; i < 20; i++) {
      system.advance(5_000);
      await turns();
    }
    expect(source.trouble).toBe("connection refused");
    expect(names(source)).toEqual(["web"]);
    expect(log.entries).toEqual([
      {
        level: "warn",
        message: "the store cannot be followed; traffic goes on with the last table",
        fields: { store: "scripted:", revision: 1, cause: "connection lost" },
      },
    ]);
  });

  test("is read again ever more slowly, up to 5 s", async () => {
    const { store, system, source } = await follow();
    store.readFailure = lost();
    store.tell(lost());
    await until(() => source.trouble !== undefined, "the trouble");
    const pauses: number[] = [];
    for (let reads = store.reads, waited = 0; pauses.length < 9; ) {
      await turns();
      if (store.reads > reads) {
        pauses.push(waited);
        reads = store.reads;
        waited = 0;
      }
      system.advance(100);
      waited += 100;
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
  });

  test("comes back: what happened meanwhile is one change, and nothing else is touched", async () => {
    const { store, system, source, published, log, at } = await follow();
    const before = [
      putRoute("kept", "a.test"),
      putRoute("changed", "b.test"),
      putRoute("gone", "c.test"),
      { kind: "backend-put", backend: backendOf("web", "10.0.0.1:80") },
      { kind: "backend-put", backend: backendOf("web", "10.0.0.2:80") },
      { kind: "backend-put", backend: backendOf("web", "10.0.0.3:80") },
    ] as const satisfies readonly Change[];
    store.holds(1, ...before);
    store.tell(changeSetOf(1, ...before));
    await at(1);
    store.holds(2, putRoute("changed", "b.test", "api"), removeRoute("gone"));
    store.holds(7, putRoute("new", "d.test"), {
      kind: "backend-put",
      backend: backendOf("web", "10.0.0.2:80", 7),
    });
    const { service, address } = backendOf("web", "10.0.0.3:80");
    store.holds(8, { kind: "backend-removed", service, address });
    store.tell(lost());
    await until(() => source.trouble !== undefined, "the trouble");
    system.advance(100);
    await at(8);
    expect(published).toHaveLength(2);
    const named = published[1]?.changes.map((change) => JSON.stringify(change)).join("\n");
    expect(published[1]?.changes).toHaveLength(5);
    expect(named).not.toContain("kept");
    expect(named).not.toContain("10.0.0.1");
    expect(source.table.snapshot()).toEqual(store.table.snapshot());
    // It is believed to be back when its watch has lasted.
    expect(source.trouble).toBe("connection lost");
    system.advance(1_000);
    expect(source.trouble).toBeUndefined();
    expect(log.messages()).toEqual([
      "the store cannot be followed; traffic goes on with the last table",
      "the store is followed again",
    ]);
    expect(store.watches).toEqual([0, 8]);
  });

  test("is back as soon as its watch brings something; the next failure pauses shortly again", async () => {
    const { store, system, source, at } = await follow();
    store.readFailure = lost();
    store.tell(lost());
    await until(() => source.trouble !== undefined, "the trouble");
    for (const ms of [100, 200, 400]) {
      await turns();
      system.advance(ms);
    }
    await turns();
    store.readFailure = undefined;
    system.advance(800);
    await turns();
    store.tell(changeSetOf(1));
    await at(1);
    expect(source.trouble).toBeUndefined();
    const { reads } = store;
    store.tell(lost());
    await until(() => source.trouble !== undefined, "the second trouble");
    await turns();
    system.advance(100);
    await turns();
    expect(store.reads).toBe(reads + 1);
  });

  test("whose watch keeps failing while it can be read is told once, not in a loop", async () => {
    const { store, system, source, log } = await follow();
    for (let i = 0; i < 30; i++) store.tell(i % 2 === 0 ? "end" : lost());
    for (let i = 0; i < 400; i++) {
      await turns();
      system.advance(500);
    }
    await until(() => source.trouble === undefined, "the end of the trouble");
    expect(log.messages()).toHaveLength(2);
  });

  test("a watch that ends by itself counts as a failure", async () => {
    const { store, source } = await follow();
    store.tell("end");
    await until(() => source.trouble === "the watch ended by itself", "the trouble");
  });

  test("an older copy put in its place is not believed, and said so", async () => {
    const { store, system, source, at } = await follow();
    store.holds(5, putRoute("web", "a.test"));
    store.tell(changeSetOf(5, putRoute("web", "a.test")));
    await at(5);
    store.table = new Table();
    store.tell(new RouterError("out-of-range", "revision 5 is in the future"));
    await until(() => source.trouble !== undefined, "the trouble");
    system.advance(100);
    await until(() => source.trouble?.includes("behind") === true, "the reason");
    expect(source.trouble).toMatch(
      /^the store is at revision 0, behind the 5 .* restart the node$/,
    );
    expect(names(source)).toEqual(["web"]);
  });
});

test("a source that is stopped waits for nothing: not for a pause, not for a watch", async () => {
  const { store, system, source } = await follow();
  store.tell(lost());
  await until(() => source.trouble !== undefined, "the trouble");
  await source.stop();
  expect(system.timerCount).toBe(0);
  const quiet = await follow();
  await turns();
  await quiet.source.stop();
  expect(quiet.system.timerCount).toBe(0);
});
