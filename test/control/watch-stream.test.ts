// Goal: a watcher misses nothing and is told when it would.
// Method: a real client over a real port; for a reader that stops, the server's clock is the test's.

import { describe, expect, test } from "vitest";
import { createRouterService } from "../../src/control/router-service.ts";
import { PutServiceRequest, Wait, type WatchResponse } from "../../src/gen/crosspoint/v1/router.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { FakeServing } from "../support/fake-serving.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { FollowingView } from "../support/following-view.ts";
import {
  failureOf,
  putRouteChange,
  putServiceChange,
  removeRouteChange,
  removeServiceChange,
  routeFields,
  startRpcNode,
} from "../support/rpc-node.ts";

const backend = { service: "web", address: "10.0.0.7:80" };

describe("Watch", () => {
  test("TestStreamRouteEvents: the table first, then what happens, a bookmark after each revision", async () => {
    const { client } = await startRpcNode();
    await client.call("applyChanges", {
      changes: [putRouteChange("a.example.com"), putServiceChange("web")],
    });
    await client.call("registerBackend", { backend });
    const watch = client.watch(0n);
    expect(await watch.take(4)).toEqual([
      "servicePut web@2",
      "backendPut web 10.0.0.7:80@2",
      "routePut a-example-com@2",
      "bookmark@2",
    ]);
    await client.call("deregisterBackend", backend);
    await client.call("applyChanges", {
      changes: [removeServiceChange("web"), removeRouteChange("a-example-com")],
    });
    expect(await watch.take(5)).toEqual([
      "backendRemoved web 10.0.0.7:80@3",
      "bookmark@3",
      "serviceRemoved web@4",
      "routeRemoved a-example-com@4",
      "bookmark@4",
    ]);
  });

  test("of an empty table begins with a bookmark", async () => {
    const { client } = await startRpcNode();
    const watch = client.watch(0n);
    expect(await watch.next()).toBe("bookmark@0");
    await client.call("addRoute", { route: routeFields("a.example.com") });
    expect(await watch.take(2)).toEqual(["routePut a-example-com@1", "bookmark@1"]);
  });

  test("resumes from any revision that is kept", async () => {
    const { client } = await startRpcNode();
    for (const letter of ["a", "b", "c"]) {
      await client.call("addRoute", { route: routeFields(`${letter}.io`) });
    }
    expect(await client.watch(1n).take(4)).toEqual([
      "routePut b-io@2",
      "bookmark@2",
      "routePut c-io@3",
      "bookmark@3",
    ]);
  });

  test("OUT_OF_RANGE names the oldest revision that is kept; the future and nonsense are refused", async () => {
    const system = new FakeSystem();
    const history = { revisionsMax: 2, changesMax: 100 };
    const { client } = await startRpcNode({ store: new MemoryStore({ system, history }) });
    for (const letter of ["a", "b", "c", "d"]) {
      await client.call("addRoute", { route: routeFields(`${letter}.io`) });
    }
    const past = await failureOf(client.watch(1n).next());
    expect(past.code).toBe("OUT_OF_RANGE");
    expect(past.info?.metadata["oldest"]).toMatch(/^\d+$/);
    expect((await failureOf(client.watch(99n).next())).code).toBe("OUT_OF_RANGE");
    const negative = await failureOf(client.watch(-1n).next());
    expect([negative.code, ...negative.fields]).toEqual(["INVALID_ARGUMENT", "after_revision"]);
  });

  test("whoever hears of a change finds it by asking, however slow this node's table is", async () => {
    const { client, view } = await startRpcNode();
    const watch = client.watch(0n);
    expect(await watch.next()).toBe("bookmark@0");
    const gate = Promise.withResolvers<void>();
    view.gate = gate.promise;
    await client.call("putService", { service: { name: "web" }, wait: 1 });
    let heard = false;
    const event = watch.next().then((text) => {
      heard = true;
      return text;
    });
    await client.call("explain", { request: { $case: "tcpPort", value: 1 } });
    expect(heard).toBe(false);
    gate.resolve();
    expect(await event).toBe("servicePut web@1");
  });

  test("the table that a watch begins with holds what this node has answered", async () => {
    const system = new FakeSystem();
    const store = new MemoryStore({ system });
    const view = await FollowingView.of(store);
    const service = createRouterService({ store, view, system, serving: new FakeServing() });
    const gate = Promise.withResolvers<void>();
    view.gate = gate.promise;
    const calm = { signal: new AbortController().signal, remainingMs: undefined };
    const web = { name: "web" };
    await service.putService(
      PutServiceRequest.fromPartial({ service: web, wait: Wait.NONE }),
      calm,
    );
    const watch = service.watch({ afterRevision: 0n }, calm.signal)[Symbol.asyncIterator]();
    const first = watch.next();
    await new Promise(setImmediate);
    gate.resolve();
    expect((await first).value).toMatchObject({ revision: 1n, event: { $case: "servicePut" } });
  });

  test("a watcher that leaves stops the store's watch", async () => {
    const signals: AbortSignal[] = [];
    const store = new MemoryStore({ system: new FakeSystem() });
    const watchStore = store.watch.bind(store);
    const { client } = await startRpcNode({ store });
    store.watch = (after, signal) => {
      signals.push(signal);
      return watchStore(after, signal);
    };
    const watch = client.watch(0n);
    expect(await watch.next()).toBe("bookmark@0");
    await expect.poll(() => signals.length).toBe(1);
    watch.call.cancel();
    await expect.poll(() => signals[0]?.aborted).toBe(true);
    expect((await failureOf(watch.next())).code).toBe("CANCELLED");
  });

  test("more than 1000 watches are refused; one that ended makes room", async () => {
    const system = new FakeSystem();
    const store = new MemoryStore({ system });
    const view = await FollowingView.of(store);
    const parts = { store, view, system, serving: new FakeServing() };
    const service = createRouterService(parts);
    const open = (): AsyncIterator<WatchResponse> =>
      service.watch({ afterRevision: 0n }, new AbortController().signal)[Symbol.asyncIterator]();
    const watches = Array.from({ length: 1_000 }, open);
    for (const watch of watches) await watch.next();
    await expect(open().next()).rejects.toMatchObject({ code: "resource-exhausted" });
    await watches[0]?.return?.();
    expect((await open().next()).value?.event?.$case).toBe("bookmark");
  });
});
