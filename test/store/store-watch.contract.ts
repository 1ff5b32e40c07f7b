// Goal: promise 3 of src/store/store.ts, for every implementation alike; a part of store.contract.ts.

import { describe, expect, onTestFinished, test } from "vitest";
import type { Change, ChangeSet } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseRevision, type Revision, revisionZero } from "../../src/model/revision.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { collect, put, putRoute, removeRoute, take } from "./samples.ts";
import type { Open, OpenOptions } from "./store.contract.ts";

const forever = new AbortController().signal;

export function describeWatch(name: string, open: Open): void {
  async function opened(options: Omit<OpenOptions, "system"> = {}) {
    const system = new FakeSystem();
    const store = await open({ system, ...options });
    onTestFinished(() => store.close());
    return { store, system };
  }

  describe(`${name}: watch`, () => {
    test("3: it yields what was there before, then what comes, each once and in order", async () => {
      const { store } = await opened();
      const expected: ChangeSet[] = [];
      async function write(change: Change) {
        const revision = await put(store, change);
        const changes =
          change.kind === "route-put"
            ? [{ ...change, route: { ...change.route, revision } }]
            : [change];
        expected.push({ revision, changes });
      }
      for (let i = 0; i < 5; i++) await write(putRoute(`r${i}`));
      const watched = take(store, revisionZero, 10);
      for (let i = 0; i < 5; i++) await write(removeRoute(`r${i}`));
      expect(await watched).toEqual(expected);
      expect(await take(store, parseRevision(expected[3]?.revision ?? 0), 2)).toEqual(
        expected.slice(4, 6),
      );
    });

    test("3: what is written while a watcher is busy waits for it", async () => {
      const { store } = await opened();
      await put(store, putRoute("first"));
      const seen: number[] = [];
      for await (const { revision } of store.watch(revisionZero, forever)) {
        seen.push(revision);
        if (seen.length === 20) break;
        await put(store, putRoute("x"));
        await put(store, putRoute("y"));
      }
      const all = await take(store, revisionZero, 20);
      expect(seen).toEqual(all.map((changeSet) => changeSet.revision));
    });

    test("3: watchers do not take from each other", async () => {
      const { store } = await opened();
      const watches = [take(store, revisionZero, 3), take(store, revisionZero, 3)];
      for (const route of ["a", "b", "c"]) await put(store, putRoute(route));
      const [first, second] = await Promise.all(watches);
      expect(first).toHaveLength(3);
      expect(second).toEqual(first);
    });

    test("3: a watch ends without an error when its signal aborts", async () => {
      const { store } = await opened();
      await put(store, putRoute("a"));
      const stop = new AbortController();
      const watch = store.watch(revisionZero, stop.signal)[Symbol.asyncIterator]();
      const other = take(store, revisionZero, 2);
      expect((await watch.next()).done).toBe(false);
      const waiting = watch.next();
      stop.abort();
      expect((await waiting).done).toBe(true);
      await put(store, putRoute("b"));
      expect(await other).toHaveLength(2);
      expect(await collect(store.watch(revisionZero, stop.signal))).toEqual([]);
    });

    test("3: a watch that waits ends without an error when the store closes", async () => {
      const { store } = await opened();
      const revision = await put(store, putRoute("a"));
      const ended = collect(store.watch(revision, forever));
      await store.close();
      expect(await ended).toEqual([]);
    });

    test("3: a revision that is no longer kept is out of range and names the oldest that works", async () => {
      const { store } = await opened({ history: { revisionsMax: 4, changesMax: 100 } });
      const revisions: Revision[] = [];
      for (let i = 0; i < 10; i++) revisions.push(await put(store, putRoute(`r${i}`)));
      const error = await collect(store.watch(revisionZero, forever)).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({
        code: "out-of-range",
        message: expect.stringContaining("read"),
      });
      const oldest = oldestOf(error);
      const kept = await take(store, oldest, 4);
      expect(kept.map((changeSet) => changeSet.revision)).toEqual(revisions.slice(-4));
      const before = parseRevision(oldest - 1);
      await expect(collect(store.watch(before, forever))).rejects.toThrow("no longer kept");
    });

    test("3: many changes push old revisions out too, and the newest is kept whatever its size", async () => {
      const { store } = await opened({ history: { revisionsMax: 100, changesMax: 4 } });
      const first = await put(store, putRoute("a"), putRoute("b"));
      const second = await put(store, putRoute("c"), putRoute("d"));
      expect(await take(store, revisionZero, 2)).toHaveLength(2);
      const third = await put(store, putRoute("e"));
      await expect(take(store, revisionZero, 1)).rejects.toMatchObject({
        details: { metadata: { oldest: String(first) } },
      });
      expect((await take(store, first, 2)).map((set) => set.revision)).toEqual([second, third]);
      await put(store, ...["f", "g", "h", "i", "j"].map((route) => putRoute(route)));
      const [newest] = await take(store, third, 1);
      expect(newest?.changes).toHaveLength(5);
    });

    test("3: a watcher that falls behind the history is told, not starved", async () => {
      const { store } = await opened({ history: { revisionsMax: 4, changesMax: 100 } });
      await put(store, putRoute("a"));
      const watch = store.watch(revisionZero, forever)[Symbol.asyncIterator]();
      expect((await watch.next()).done).toBe(false);
      for (let i = 0; i < 10; i++) await put(store, putRoute(`r${i}`));
      await expect(watch.next()).rejects.toMatchObject({ code: "out-of-range" });
    });

    test("3: a revision in the future is out of range and names the current one", async () => {
      const { store } = await opened();
      const revision = await put(store, putRoute("a"));
      const future = store.watch(parseRevision(revision + 1), forever);
      await expect(collect(future)).rejects.toMatchObject({
        code: "out-of-range",
        details: { metadata: { current: String(revision) } },
      });
    });
  });
}

function oldestOf(error: unknown): Revision {
  if (!(error instanceof RouterError)) throw error;
  return parseRevision(Number(error.details.metadata?.["oldest"]));
}
