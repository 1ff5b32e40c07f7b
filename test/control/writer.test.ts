// Goal: a write happens once, or not at all, and the answer says which; waiting never undoes it.
// Method: request ids, lost races, slow views and slow workers, against the service without a wire and,
// where the wire matters (deadlines, cancellation), over a real port.

import { describe, expect, test } from "vitest";
import { createRouterService, type RouterCalls } from "../../src/control/router-service.ts";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import { RouterError } from "../../src/model/errors.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import type { Store } from "../../src/store/store.ts";
import { FakeServing } from "../support/fake-serving.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { FollowingView } from "../support/following-view.ts";
import { failureOf, routeFields, startRpcNode } from "../support/rpc-node.ts";
import { putRoute } from "../support/table-fixtures.ts";

const { Wait } = proto;

interface Bench {
  readonly service: RouterCalls;
  readonly serving: FakeServing;
  readonly view: FollowingView;
  readonly system: FakeSystem;
}

async function benchOf(store: Store, system = new FakeSystem()): Promise<Bench> {
  const view = await FollowingView.of(store);
  const serving = new FakeServing();
  return { service: createRouterService({ store, view, serving, system }), serving, view, system };
}

const memory = (): MemoryStore => new MemoryStore({ system: new FakeSystem() });
const calm = { signal: new AbortController().signal, remainingMs: undefined };
const add = (match: string | number, more: object = {}): proto.AddRouteRequest =>
  proto.AddRouteRequest.fromPartial({ route: routeFields(match), ...more });

const labelled = (labels: Record<string, string>): proto.AddRouteRequest =>
  proto.AddRouteRequest.fromPartial({
    route: routeFields("a.example.com", "web", { labels }),
    requestId: "r-1",
  });

/** Runs `before` ahead of the first commits, as another node would. */
function intruded(store: MemoryStore, before: (commit: number) => Promise<void>): Store {
  let commits = 0;
  return new Proxy(store, {
    get(target, name) {
      if (name === "commit") {
        return async (write: Parameters<Store["commit"]>[0]) => {
          await before(++commits);
          return await target.commit(write);
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

async function codeOf(answer: Promise<unknown>): Promise<string> {
  const error: unknown = await answer.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof RouterError ? error.code : `no RouterError: ${String(error)}`;
}

describe("request_id", () => {
  test("the same call again has no second effect and the same answer, also in another process", async () => {
    const store = memory();
    const { service, serving } = await benchOf(store);
    const request = add(0, { requestId: "r-1" });
    const first = await service.addRoute(request, calm);
    expect(first.route?.name).toBe("tcp-3000");
    expect(await service.addRoute(request, calm)).toEqual(first);
    expect([...serving.held]).toEqual([3000]);
    const restarted = await benchOf(store);
    expect(await restarted.service.addRoute(request, calm)).toEqual(first);
    expect((await store.read()).revision).toBe(1);
  });

  test("two equal calls at once have one effect", async () => {
    const store = memory();
    const { service } = await benchOf(store);
    const request = add(0, { requestId: "r-1" });
    const [one, two] = await Promise.all([
      service.addRoute(request, calm),
      service.addRoute(request, calm),
    ]);
    expect(two).toEqual(one);
    expect((await store.read()).revision).toBe(1);
  });

  test("the answer is the first one even when the route is long gone, and labels may be reordered", async () => {
    const store = memory();
    const { service } = await benchOf(store);
    const first = await service.addRoute(labelled({ a: "1", b: "2" }), calm);
    const name = "a-example-com";
    await service.removeRoute(proto.RemoveRouteRequest.fromPartial({ name }), calm);
    expect(await service.addRoute(labelled({ b: "2", a: "1" }), calm)).toEqual(first);
    expect((await store.read()).routes).toEqual([]);
  });

  test("ApplyChanges answers before and after again", async () => {
    const store = memory();
    const { service } = await benchOf(store);
    await service.addRoute(add("a.example.com"), calm);
    const request = proto.ApplyChangesRequest.fromPartial({
      changes: [
        { change: { $case: "putRoute", value: routeFields("a.example.com", "api") } },
        { change: { $case: "putRoute", value: routeFields("b.example.com") } },
      ],
      requestId: "r-1",
    });
    const first = await service.applyChanges(request, calm);
    expect(first.results[0]?.before?.service).toBe("web");
    expect(await service.applyChanges(request, calm)).toEqual(first);
  });

  test("the same id for something else is refused, and what is no id too", async () => {
    const { service } = await benchOf(memory());
    await service.addRoute(add("a.example.com", { requestId: "r-1" }), calm);
    for (const requestId of ["r-1", "x".repeat(129), "a b", "é", "a\n"]) {
      expect(await codeOf(service.addRoute(add("b.example.com", { requestId }), calm))).toBe(
        "invalid-argument",
      );
    }
  });
});

describe("lost races", () => {
  test("a write that loses a race is decided anew on the new table", async () => {
    const inner = memory();
    const store = intruded(inner, async (commit) => {
      if (commit > 1) return;
      const { revision } = await inner.read();
      await inner.commit({ expected: revision, changes: [putRoute("x", "x.example.com")] });
    });
    const { service } = await benchOf(store);
    const { revision } = await service.addRoute(add("a.example.com"), calm);
    expect(revision).toBe(2n);
  });

  test("what became a conflict meanwhile is refused, and its port is given back", async () => {
    const inner = memory();
    const store = intruded(inner, async (commit) => {
      if (commit > 1) return;
      await inner.commit({
        expected: (await inner.read()).revision,
        changes: [putRoute("x", 5432, "other")],
      });
    });
    const { service, serving } = await benchOf(store);
    expect(await codeOf(service.addRoute(add(5432), calm))).toBe("already-exists");
    expect(serving.held.size).toBe(0);
  });

  test("100 writes at once have 100 revisions, one after the other", async () => {
    const store = memory();
    const { service } = await benchOf(store);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => service.addRoute(add(`a${i}.example.com`), calm)),
    );
    expect(answers.map(({ revision }) => Number(revision))).toEqual(
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
  });

  test("more than 4096 waiting writes are refused, not kept", async () => {
    const { service } = await benchOf(memory());
    const answers = await Promise.allSettled(
      Array.from({ length: 4_100 }, () => service.removeRoute({ ...removal }, calm)),
    );
    const codes = answers.map((one) => one.status === "rejected" && one.reason.code);
    expect(codes.filter((code) => code === "not-found")).toHaveLength(4_096);
    expect(codes.filter((code) => code === "resource-exhausted")).toHaveLength(4);
    expect(await codeOf(service.removeRoute(removal, calm))).toBe("not-found");
  });
});

const removal = proto.RemoveRouteRequest.fromPartial({ name: "nobody" });

describe("waiting", () => {
  test("WAIT_NODE and WAIT_ALL answer once it is served; WAIT_NONE at once", async () => {
    const { service, serving } = await benchOf(memory());
    serving.serve(0);
    await service.addRoute(add("a.example.com", { wait: Wait.NONE }), calm);
    expect(serving.waitedFor).toEqual([]);
    for (const [index, wait] of [Wait.UNSPECIFIED, Wait.NODE, Wait.ALL].entries()) {
      const revision = index + 2;
      let answered = false;
      const answer = service.addRoute(add(`b${index}.example.com`, { wait }), calm);
      void answer.then(() => (answered = true));
      await expect.poll(() => serving.waitedFor.at(-1)).toBe(revision);
      expect(answered).toBe(false);
      serving.serve(revision);
      expect((await answer).lagging).toEqual([]);
    }
  });

  test("without a deadline it waits 10 s, then says who lags; the write stands", async () => {
    const store = memory();
    const { service, serving, system } = await benchOf(store);
    serving.serve(0);
    const answer = service.addRoute(add("a.example.com"), calm);
    await expect.poll(() => serving.waitedFor).toEqual([1]);
    system.advance(9_999);
    expect(serving.waitedFor).toEqual([1]);
    system.advance(1);
    expect((await answer).lagging).toEqual([
      {
        node: "node-1",
        servedRevision: 0n,
        reason: "worker 2 has not acknowledged revision 1 (serves 0)",
      },
    ]);
    expect((await store.read()).routes).toHaveLength(1);
    expect(system.timerCount).toBe(0);
  });

  test.for([
    [1_000, 750],
    [100, 75],
    [60_000, 59_750],
  ] as const)(
    "a wait of %i ms ends after %i, so that the answer still arrives",
    async ([remainingMs, waitedMs]) => {
      const { service, serving, system } = await benchOf(memory());
      serving.serve(0);
      let answered = false;
      const answer = service.addRoute(add("a.example.com"), { ...calm, remainingMs });
      void answer.then(() => (answered = true));
      await expect.poll(() => serving.waitedFor).toEqual([1]);
      system.advance(waitedMs - 1);
      await new Promise(setImmediate);
      expect(answered).toBe(false);
      system.advance(1);
      expect((await answer).lagging).toHaveLength(1);
    },
  );

  test("a call that is answered leaves no timer behind", async () => {
    const { service, system } = await benchOf(memory());
    await service.addRoute(add("a.example.com"), calm);
    await codeOf(service.getRoute({ name: "nobody" }, calm));
    expect(system.timerCount).toBe(0);
  });

  test("a deadline in a thousand years is an hour", async () => {
    const { service, serving, system } = await benchOf(memory());
    serving.serve(0);
    const far = { ...calm, remainingMs: 3e13 };
    const answer = service.addRoute(add("a.example.com"), far);
    await expect.poll(() => serving.waitedFor).toEqual([1]);
    system.advance(3_600_000);
    expect((await answer).lagging).toHaveLength(1);
  });

  test("a fleet that fails while it is waited for does not undo the write", async () => {
    const { service, serving } = await benchOf(memory());
    serving.whenServed = () => Promise.reject(new RouterError("unavailable", "draining"));
    const { revision, lagging } = await service.addRoute(add("a.example.com"), calm);
    expect([revision, lagging[0]?.reason]).toEqual([1n, "draining"]);
  });

  test("over the wire: OK with who lags arrives before the client's deadline", async () => {
    const { client, serving, store } = await startRpcNode();
    serving.serve(0);
    const answer = await client.call(
      "addRoute",
      { route: routeFields("a.example.com") },
      { deadline: Date.now() + 1_000 },
    );
    expect(answer.revision).toBe(1n);
    expect(answer.lagging).toHaveLength(1);
    expect((await store.read()).routes).toHaveLength(1);
  });
});

describe("a call that ends before its commit has begun", () => {
  test("writes nothing when the caller cancels while it is queued", async () => {
    const gate = Promise.withResolvers<void>();
    const inner = memory();
    const store = intruded(inner, async (commit) => (commit === 1 ? gate.promise : undefined));
    const { client } = await startRpcNode({ store });
    const first = client.call("addRoute", { route: routeFields("a.example.com") });
    const second = client.start("addRoute", { route: routeFields("b.example.com") });
    const third = client.call("addRoute", { route: routeFields("c.example.com") });
    // An answered call shows that the server has seen everything before it on this connection.
    await client.call("explain", { request: { $case: "tcpPort", value: 1 } });
    second.call.cancel();
    expect((await failureOf(second.answer)).code).toBe("CANCELLED");
    await client.call("explain", { request: { $case: "tcpPort", value: 1 } });
    gate.resolve();
    expect((await first).revision).toBe(1n);
    expect((await third).revision).toBe(2n);
    const names = (await inner.read()).routes.map(({ name }) => name);
    expect(names).toEqual(["a-example-com", "c-example-com"]);
  });

  test("leaves the queue at its deadline, however long the store takes for the one before", async () => {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const store = intruded(memory(), () => {
      begun.resolve();
      return gate.promise;
    });
    const { service, system } = await benchOf(store);
    const stuck = service.addRoute(add("a.example.com"), calm);
    await begun.promise;
    const queued = codeOf(service.addRoute(add("b.example.com"), calm));
    system.advance(10_000);
    expect(await queued).toBe("deadline");
    gate.resolve();
    expect((await stuck).revision).toBe(1n);
    expect((await service.addRoute(add("c.example.com"), calm)).revision).toBe(2n);
  });

  test("during its commit, it is told at its deadline that nobody knows; a later write waits for the outcome", async () => {
    const inner = memory();
    const stuck = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const store = intruded(inner, async (commit) => {
      begun.resolve();
      if (commit === 1) await stuck.promise;
    });
    const { service, system } = await benchOf(store);
    const patient = { signal: calm.signal, remainingMs: 4_000 };
    const first = service.addRoute(add("a.example.com"), patient);
    const told = first.catch((error: unknown) => error);
    await begun.promise;
    const second = service.addRoute(add("b.example.com"), { ...patient, remainingMs: 9_000 });
    system.advance(3_999);
    expect(await told).toMatchObject({
      code: "store-unavailable",
      details: { reason: "WRITE_OUTCOME_UNKNOWN" },
    });
    expect((await inner.read()).revision).toBe(0);
    stuck.resolve();
    expect((await second).revision).toBe(2n);
    const { routes } = await inner.read();
    expect(routes.map(({ name }) => name).toSorted()).toEqual(["a-example-com", "b-example-com"]);
  });

  test("writes nothing when the deadline comes while the node is behind the store", async () => {
    const store = memory();
    const { service, view, system } = await benchOf(store);
    const gate = Promise.withResolvers<void>();
    view.gate = gate.promise;
    await service.addRoute(add("a.example.com", { wait: Wait.NONE }), calm);
    const late = codeOf(service.addRoute(add("b.example.com"), { ...calm, remainingMs: 1_000 }));
    const read = codeOf(
      service.getRoute({ name: "a-example-com" }, { ...calm, remainingMs: 1_000 }),
    );
    await Promise.resolve();
    system.advance(1_000);
    expect(await late).toBe("deadline");
    expect(await read).toBe("deadline");
    gate.resolve();
    expect((await service.getRoute({ name: "a-example-com" }, calm)).route?.revision).toBe(1n);
    expect((await store.read()).revision).toBe(1);
  });

  test.for([
    ["a deadline that is over", { ...calm, remainingMs: -5 }, "deadline"],
    [
      "a caller that has left",
      { signal: AbortSignal.abort(), remainingMs: undefined },
      "cancelled",
    ],
  ] as const)("refuses %s", async ([, context, code]) => {
    const store = memory();
    const { service, system } = await benchOf(store);
    const answer = codeOf(service.addRoute(add("a.example.com"), context));
    system.advance(0);
    expect(await answer).toBe(code);
    expect((await store.read()).revision).toBe(0);
  });
});
