// Goal: what src/store/store.ts promises, for every implementation alike; the numbers are the promises there.
// Method: each test opens its own store under a clock that it moves itself.

import { describe, expect, onTestFinished, test } from "vitest";
import { backendKeyOf } from "../../src/model/backend.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision, type Revision, revisionZero } from "../../src/model/revision.ts";
import { Policy } from "../../src/model/service.ts";
import type { HistoryBounds } from "../../src/store/change-log.ts";
import type { Store } from "../../src/store/store.ts";
import type { System } from "../../src/system.ts";
import { FakeSystem } from "../support/fake-system.ts";
import {
  backendAt,
  collect,
  put,
  putBackend,
  putRoute,
  removeRoute,
  routeNamed,
  sorted,
  take,
} from "./samples.ts";
import { describeEntries } from "./store-entries.contract.ts";
import { describeWatch } from "./store-watch.contract.ts";

export interface OpenOptions {
  readonly system: System;
  readonly history?: HistoryBounds;
  readonly requestsMax?: number;
}

export type Open = (options: OpenOptions) => Promise<Store>;

/** What is not the same for every implementation. */
export interface Traits {
  /**
   * The store forgets by a clock and counts of its own, which `OpenOptions` set. One whose server does so has its
   * own tests of promises 4 and 5.
   */
  readonly keepsTime: boolean;
  /** The history tells what was asked for; one that tells what happened passes over removals of nothing. */
  readonly tellsVoidRemovals: boolean;
}

const embedded: Traits = { keepsTime: true, tellsVoidRemovals: true };

const forever = new AbortController().signal;
const web = parseServiceName("web");

export function describeStore(name: string, open: Open, traits: Traits = embedded): void {
  async function opened(options: Omit<OpenOptions, "system"> = {}) {
    const system = new FakeSystem();
    const store = await open({ system, ...options });
    onTestFinished(() => store.close());
    return { store, system };
  }

  describe(`${name}: commit and read`, () => {
    test("a new store is empty, at revision 0, and has nothing set aside", async () => {
      const { store } = await opened();
      expect(await store.read()).toEqual({ revision: 0, routes: [], services: [], backends: [] });
      expect(store.rejected).toEqual([]);
    });

    test("1: what is committed is read, and every put route carries the write's revision", async () => {
      const { store } = await opened();
      const labels = { owner: 'Zoë "Z" O\u0000Hara', "a/b.c": "" };
      const service = { name: web, policy: Policy.RoundRobin };
      const revision = await put(
        store,
        putRoute("shop", { labels, sticky: true }),
        { kind: "route-put", route: routeNamed("mail", { match: { kind: "tcp", port: 5432 } }) },
        { kind: "service-put", service },
        putBackend("10.0.0.7:8080", { weight: 7, labels }),
        putBackend("[2001:db8::7]:8080", { ttlMs: 5000 }),
      );
      expect(sorted(await store.read())).toEqual({
        revision,
        routes: [
          routeNamed("mail", { match: { kind: "tcp", port: 5432 }, revision }),
          routeNamed("shop", { labels, sticky: true, revision }),
        ],
        services: [service],
        backends: [
          backendAt("10.0.0.7:8080", { weight: 7, labels, joined: revision }),
          backendAt("[2001:db8::7]:8080", { ttlMs: 5000, joined: revision }),
        ],
      });
    });

    test("1: all changes of a write have one revision, and revisions only grow", async () => {
      const { store } = await opened();
      const revisions = [
        await put(store, putRoute("a"), putRoute("b"), putRoute("c")),
        await put(store, removeRoute("b")),
        await put(store, putRoute("a", { sticky: true })),
      ];
      expect(revisions).toEqual([...new Set(revisions)].toSorted((a, b) => a - b));
      const { routes } = sorted(await store.read());
      expect(routes.map((route) => [route.name, route.revision])).toEqual([
        ["a", revisions[2]],
        ["c", revisions[0]],
      ]);
    });

    test("1: the changes of a write are done in their order", async () => {
      const { store } = await opened();
      await put(
        store,
        putRoute("a"),
        removeRoute("a"),
        putRoute("b"),
        putRoute("b", { sticky: true }),
      );
      const { routes } = await store.read();
      expect(routes.map((route) => [route.name, route.sticky])).toEqual([["b", true]]);
    });

    test("removing what is not there is a write like any other", async () => {
      const { store } = await opened();
      const revision = await put(store, removeRoute("nobody"));
      expect((await store.read()).revision).toBe(revision);
      const changes = traits.tellsVoidRemovals ? [removeRoute("nobody")] : [];
      expect(await take(store, revisionZero, 1)).toEqual([{ revision, changes }]);
    });

    test("a service and a backend can be removed again", async () => {
      const { store } = await opened();
      await put(
        store,
        { kind: "service-put", service: { name: web, policy: undefined } },
        putBackend("10.0.0.1:1"),
      );
      const { service, address } = backendAt("10.0.0.1:1");
      await put(
        store,
        { kind: "service-removed", name: web },
        { kind: "backend-removed", service, address },
      );
      expect(await store.read()).toMatchObject({ routes: [], services: [], backends: [] });
    });

    test.for([-1, 1])(
      "2: a write based on another revision (%i) is refused and changes nothing",
      async (off) => {
        const { store } = await opened();
        await put(store, putRoute("a"));
        const revision = await put(store, putRoute("b"));
        const expected = parseRevision(revision + off);
        const request = { id: "r", fingerprint: "f", answer: new Uint8Array() };
        await expect(
          store.commit({ expected, changes: [putRoute("c")], request }),
        ).rejects.toMatchObject({
          code: "revision-conflict",
          details: { metadata: { current: String(revision) } },
        });
        const { routes } = sorted(await store.read());
        expect(routes.map((route) => route.name)).toEqual(["a", "b"]);
        expect(await store.findRequest("r")).toBeUndefined();
      },
    );

    test("2: of 64 writers at one revision exactly one wins", async () => {
      const { store } = await opened();
      const writes = Array.from({ length: 64 }, (_, i) =>
        store.commit({ expected: revisionZero, changes: [putRoute(`r${i}`)] }),
      );
      const results = await Promise.allSettled(writes);
      expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
      expect((await store.read()).routes).toHaveLength(1);
    });

    test("a write without changes is refused", async () => {
      const { store } = await opened();
      await expect(store.commit({ expected: revisionZero, changes: [] })).rejects.toMatchObject({
        code: "invalid-argument",
      });
    });
  });

  describeEntries(name, open);
  describeWatch(name, open);

  if (traits.keepsTime) describeTime(name, open);

  describe(`${name}: request ids`, () => {
    test("5: a used id is found with its answer and revision, another is not", async () => {
      const { store } = await opened();
      const request = { id: "ID \u0000 é", fingerprint: "sha:1", answer };
      const revision = await store.commit({
        expected: revisionZero,
        changes: [putRoute("a")],
        request,
      });
      expect(await store.findRequest(request.id)).toEqual({ ...request, revision });
      expect(await store.findRequest("other")).toBeUndefined();
    });
  });

  describe(`${name}: close`, () => {
    test("6: a closed store is unavailable, and closing it again is harmless", async () => {
      const { store } = await opened();
      await store.close();
      await store.close();
      const closed = { code: "store-unavailable", message: expect.stringContaining(store.name) };
      await expect(store.read()).rejects.toMatchObject(closed);
      await expect(
        store.commit({ expected: revisionZero, changes: [putRoute("a")] }),
      ).rejects.toMatchObject(closed);
      await expect(store.findRequest("r")).rejects.toMatchObject(closed);
      await expect(store.keepAlive(backendKeyOf(backendAt("10.0.0.1:1")))).rejects.toMatchObject(
        closed,
      );
      expect(await collect(store.watch(revisionZero, forever))).toEqual([]);
    });
  });
}

const answer = Uint8Array.from([0, 1, 255]);

/** Promises 4 and 5 of a store that keeps the time and counts itself. */
function describeTime(name: string, open: Open): void {
  async function opened(options: Omit<OpenOptions, "system"> = {}) {
    const system = new FakeSystem();
    const store = await open({ system, ...options });
    onTestFinished(() => store.close());
    return { store, system };
  }

  describe(`${name}: TTL`, () => {
    const mortal = putBackend("10.0.0.7:8080", { ttlMs: 1000 });
    const key = backendKeyOf(backendAt("10.0.0.7:8080"));

    test("4: a backend whose TTL is over is removed, in a revision of its own", async () => {
      const { store, system } = await opened();
      const revision = await put(store, mortal, putBackend("10.0.0.8:8080"), putRoute("a"));
      system.advance(999);
      expect((await store.read()).backends).toHaveLength(2);
      system.advance(1);
      expect((await store.read()).backends).toMatchObject([backendAt("10.0.0.8:8080")]);
      const { service, address } = backendAt("10.0.0.7:8080");
      const [removal] = await take(store, revision, 1);
      expect(removal?.changes).toEqual([{ kind: "backend-removed", service, address }]);
    });

    test("4: every backend whose TTL ends at one moment has a revision of its own", async () => {
      const { store, system } = await opened();
      const ports = [1, 2, 3, 4, 5];
      const revision = await put(
        store,
        ...ports.map((port) => putBackend(`10.0.0.7:${port}`, { ttlMs: 1000 })),
      );
      system.advance(1000);
      const removals = await take(store, revision, 5);
      expect(removals.map((removal) => removal.changes.length)).toEqual([1, 1, 1, 1, 1]);
      expect((await store.read()).backends).toEqual([]);
    });

    test("4: keepAlive gives the whole TTL again", async () => {
      const { store, system } = await opened();
      await put(store, mortal);
      for (let i = 0; i < 5; i++) {
        system.advance(900);
        expect(await store.keepAlive(key)).toBe(true);
      }
      system.advance(999);
      expect((await store.read()).backends).toHaveLength(1);
      system.advance(1);
      expect((await store.read()).backends).toEqual([]);
      expect(await store.keepAlive(key)).toBe(false);
    });

    test("4: a new put gives the new TTL, or none", async () => {
      const { store, system } = await opened();
      await put(store, mortal);
      system.advance(900);
      await put(store, putBackend("10.0.0.7:8080", { ttlMs: 3000 }));
      system.advance(2999);
      expect((await store.read()).backends).toHaveLength(1);
      await put(store, putBackend("10.0.0.7:8080"));
      system.advance(1_000_000);
      expect((await store.read()).backends).toHaveLength(1);
    });

    test("4: keepAlive is false for a backend without a TTL and for none at all", async () => {
      const { store } = await opened();
      expect(await store.keepAlive(key)).toBe(false);
      await put(store, putBackend("10.0.0.7:8080"));
      expect(await store.keepAlive(key)).toBe(false);
    });

    test("4: a backend that was removed does not expire", async () => {
      const { store, system } = await opened();
      await put(store, mortal);
      const { service, address } = backendAt("10.0.0.7:8080");
      const revision = await put(store, { kind: "backend-removed", service, address });
      expect(await store.keepAlive(key)).toBe(false);
      system.advance(10_000);
      expect((await store.read()).revision).toBe(revision);
    });

    test("4: nor does it take its successor along", async () => {
      const { store, system } = await opened();
      await put(store, mortal);
      const { service, address } = backendAt("10.0.0.7:8080");
      await put(store, { kind: "backend-removed", service, address });
      const revision = await put(store, putBackend("10.0.0.7:8080"));
      system.advance(10_000);
      expect((await store.read()).revision).toBe(revision);
    });

    test.for([-10 * 365 * 86_400_000, 10 * 365 * 86_400_000])(
      "4: a jump of the clock (%i ms) expires nothing",
      async (jumpMs) => {
        const { store, system } = await opened();
        await put(store, mortal);
        system.jumpWall(jumpMs);
        system.advance(999);
        expect((await store.read()).backends).toHaveLength(1);
        system.advance(1);
        expect((await store.read()).backends).toHaveLength(0);
      },
    );

    test("4: nor does a process that stood still and could hear no renewal", async () => {
      const { store, system } = await opened();
      await put(store, mortal);
      system.stall(60_000);
      system.advance(0);
      system.advance(999);
      expect((await store.read()).backends).toHaveLength(1);
      system.advance(1);
      expect((await store.read()).backends).toHaveLength(0);
    });

    test("4: a TTL longer than a timer can wait (2^31 ms) is kept", async () => {
      const { store, system } = await opened();
      await put(store, putBackend("10.0.0.7:8080", { ttlMs: 2 ** 32 }));
      system.advance(2 ** 32 - 1);
      expect((await store.read()).backends).toHaveLength(1);
      system.advance(1);
      expect((await store.read()).backends).toHaveLength(0);
    });

    test("a closed store leaves no timer behind", async () => {
      const { store, system } = await opened();
      await put(store, mortal);
      await store.close();
      expect(system.timerCount).toBe(0);
    });
  });

  describe(`${name}: number of request ids`, () => {
    test("5: the ids of the last writes that had one are known, older ones are not", async () => {
      const { store } = await opened({ requestsMax: 3 });
      let expected: Revision = revisionZero;
      for (let i = 0; i < 10; i++) {
        const request = { id: `r${i}`, fingerprint: "f", answer };
        expected = await store.commit({ expected, changes: [putRoute("a")], request });
        expected = await store.commit({ expected, changes: [putRoute("b")] });
      }
      const known = await Promise.all([5, 6, 7, 8, 9].map((i) => store.findRequest(`r${i}`)));
      expect(known.map((record) => record?.id)).toEqual([undefined, undefined, "r7", "r8", "r9"]);
    });

    test("5: an id that is used again stands for its last use", async () => {
      const { store } = await opened({ requestsMax: 2 });
      let expected: Revision = revisionZero;
      for (const [id, fingerprint] of [
        ["r", "one"],
        ["x", "f"],
        ["r", "two"],
        ["y", "f"],
      ] as const) {
        const request = { id, fingerprint, answer };
        expected = await store.commit({ expected, changes: [putRoute("a")], request });
      }
      const revision = parseRevision(expected - 1);
      expect(await store.findRequest("r")).toEqual({
        id: "r",
        fingerprint: "two",
        answer,
        revision,
      });
      expect(await store.findRequest("x")).toBeUndefined();
    });
  });
}
