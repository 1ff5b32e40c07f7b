// Goal: a node starts with all that it can have and waits for nothing that it can do without; discovered
// backends serve beside the store's and never instead of them.
// Method: a store and discoveries under the test's hand, a clock that moves only when told to.

import { describe, expect, test } from "vitest";
import { RouterError } from "../../src/model/errors.ts";
import { FakeDiscovery } from "../support/fake-discovery.ts";
import { backends, begin, follow, lost } from "../support/followed-table.ts";
import { ScriptedStore } from "../support/scripted-store.ts";
import { backendOf, changeSetOf, putRoute } from "../support/table-fixtures.ts";
import { turns, until } from "../support/until.ts";

describe("the start", () => {
  test("cannot get over a store that is not away but wrong", async () => {
    const store = new ScriptedStore();
    store.readFailure = new RouterError("failed-precondition", "a newer schema");
    await expect(follow(store)).rejects.toThrow("a newer schema");
    expect(store.watches).toEqual([]);
  });

  test("waits for a store that is away, ever more slowly, and says why once for each cause", async () => {
    const { store, system, log, starting } = begin();
    store.readFailure = lost();
    store.holds(3, putRoute("web", "a.test"));
    const source = starting();
    for (const ms of [100, 200, 400, 800, 1600]) {
      await turns();
      if (ms === 400) store.readFailure = new RouterError("store-unavailable", "wrong password");
      system.advance(ms);
    }
    await turns();
    expect(store.reads).toBe(6);
    expect(log.entries.map(({ message, fields }) => [message, fields["cause"]])).toEqual([
      ["the store cannot be read; the node starts once it can", "connection lost"],
      ["the store cannot be read; the node starts once it can", "wrong password"],
    ]);
    store.readFailure = undefined;
    system.advance(5_000);
    const { table } = await source;
    expect([table.revision, table.routeCount]).toEqual([3, 1]);
  });

  test("can be given up while the store is away", async () => {
    const stop = new AbortController();
    const { store, system, starting } = begin({ signal: stop.signal });
    store.readFailure = lost();
    const source = starting();
    await turns();
    stop.abort();
    await expect(source).rejects.toMatchObject({
      code: "cancelled",
      message: "the start was given up while scripted: could not be read: connection lost",
    });
    expect(system.timerCount).toBe(0);
  });

  test("waits for the first set of every discovery", async () => {
    const [first, second] = [new FakeDiscovery("one:"), new FakeDiscovery("two:")];
    const { starting } = begin({ discoveries: [first, second] });
    let begun = false;
    const source = starting().then((it) => ((begun = true), it));
    first.find("web 10.0.0.1:80");
    await turns();
    expect(begun).toBe(false);
    second.find("web 10.0.0.2:80");
    expect(backends(await source)).toEqual(["web 10.0.0.1:80", "web 10.0.0.2:80"]);
  });

  test("does not wait longer than 2 s for a discovery, and takes what it finds later", async () => {
    const discovery = new FakeDiscovery();
    const { system, starting } = begin({ discoveries: [discovery] });
    const source = starting();
    await turns();
    system.advance(2_000);
    expect(backends(await source)).toEqual([]);
    discovery.find("web 10.0.0.1:80");
    expect(backends(await source)).toEqual(["web 10.0.0.1:80"]);
  });
});

describe("what discovery finds", () => {
  test("changes the table at the revision that it has; what flaps does so 20 times a second", async () => {
    const discovery = new FakeDiscovery();
    discovery.find();
    const { store, system, source, published, at } = await follow(new ScriptedStore(), [discovery]);
    store.tell(changeSetOf(4, putRoute("web", "a.test")));
    await at(4);
    system.advance(1_000);
    for (let i = 0; i < 100; i++) {
      discovery.find(...(i % 2 === 0 ? ["web 10.0.0.1:80"] : []), `web 10.0.0.2:80 ${i + 1}`);
      // The first at once.
      if (i === 0) expect(backends(source)).toEqual(["web 10.0.0.1:80", "web 10.0.0.2:80"]);
      system.advance(10);
    }
    system.advance(50);
    expect(published.length - 1).toBeLessThanOrEqual(21);
    expect(published.length - 1).toBeGreaterThanOrEqual(19);
    expect(published.every(({ revision }) => revision === 4)).toBe(true);
    expect([...source.table.backends()].map(({ weight }) => weight)).toEqual([100]);
    expect([source.changeSetsTotal, source.discoveredCount(0)]).toEqual([1, 1]);
  });

  test("is no part of what the store holds: a new reading of it takes nothing away", async () => {
    const discovery = new FakeDiscovery("etcd:");
    discovery.find("web 10.0.0.1:80", "web 10.0.0.2:80");
    const store = new ScriptedStore();
    const own = { kind: "backend-put", backend: backendOf("web", "10.0.0.1:80", 7) } as const;
    store.holds(1, own);
    const { system, source, published, at } = await follow(store, [discovery]);
    expect(source.stored.snapshot()).toEqual(store.table.snapshot());
    expect(source.stored.sourceOf(own.backend)).toBeUndefined();
    expect(source.stored.sourceOf(backendOf("web", "10.0.0.2:80"))).toBe("etcd:/10.0.0.2:80");
    store.holds(2, {
      kind: "backend-removed",
      service: own.backend.service,
      address: own.backend.address,
    });
    store.tell(lost());
    await until(() => source.failure !== undefined, "the trouble");
    system.advance(100);
    await at(2);
    // The discovered one takes its place.
    expect(published).toEqual([
      changeSetOf(2, { kind: "backend-put", backend: backendOf("web", "10.0.0.1:80") }),
    ]);
    expect(source.stored.snapshot()).toEqual(store.table.snapshot());
  });

  test("is not listened to by a source that was stopped", async () => {
    const discovery = new FakeDiscovery();
    discovery.find();
    const { system, source } = await follow(new ScriptedStore(), [discovery]);
    await source.stop();
    expect([discovery.listenerCount, system.timerCount]).toEqual([0, 0]);
  });
});
