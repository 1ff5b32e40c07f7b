// Goal: services, backends and Explain do what the contract says.
// Method: as router-service-routes.test.ts.

import { describe, expect, test } from "vitest";
import {
  ChangeResult_Action as Action,
  Policy,
  ProxyProtocol,
} from "../../src/gen/crosspoint/v1/router.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { FakeSystem } from "../support/fake-system.ts";
import {
  failureOf,
  removeRouteChange,
  removeServiceChange,
  routeFields,
  startRpcNode,
} from "../support/rpc-node.ts";

describe("services", () => {
  test("are put, listed together with those that are only named, and removed", async () => {
    const { client } = await startRpcNode();
    const { service, revision } = await client.call("putService", {
      service: { name: "web", policy: Policy.ROUND_ROBIN },
    });
    expect([service, revision]).toEqual([
      { name: "web", policy: Policy.ROUND_ROBIN, healthCheck: undefined, proxyProtocol: 0 },
      1n,
    ]);
    const same = await client.call("putService", { service });
    expect(same.revision).toBe(1n);
    await client.call("addRoute", { route: routeFields("a.example.com", "api") });
    await client.call("registerBackend", { backend: { service: "db", address: "10.0.0.7:80" } });
    const first = await client.call("listServices", { pageSize: 2 });
    expect(first.services.map(({ name }) => name)).toEqual(["api", "db"]);
    const last = await client.call("listServices", { pageToken: first.nextPageToken });
    expect(last.services).toEqual([service]);
    expect((await client.call("removeService", { name: "web" })).revision).toBe(4n);
    const missing = await failureOf(client.call("removeService", { name: "web" }));
    expect([missing.code, missing.resource]).toEqual(["NOT_FOUND", "service/web"]);
  });

  test.for([ProxyProtocol.V1, ProxyProtocol.V2])("keep that PROXY %s is sent", async (version) => {
    const { client } = await startRpcNode();
    await client.call("putService", { service: { name: "web", proxyProtocol: version } });
    const { services } = await client.call("listServices", {});
    expect(services).toMatchObject([{ name: "web", proxyProtocol: version }]);
    const none = await client.call("putService", { service: { name: "web" } });
    expect([none.service?.proxyProtocol, none.revision]).toEqual([0, 2n]);
  });

  test("a service in use stays, and who uses it is named", async () => {
    const { client } = await startRpcNode();
    await client.call("putService", { service: { name: "web" } });
    await client.call("addRoute", { route: routeFields("a.example.com", "web") });
    await client.call("registerBackend", { backend: { service: "db", address: "10.0.0.7:80" } });
    for (const [name, user] of [
      ["web", "route/a-example-com"],
      ["db", "backend/10.0.0.7:80"],
    ]) {
      const failure = await failureOf(client.call("removeService", { name }));
      expect([failure.code, failure.resource]).toEqual(["FAILED_PRECONDITION", user]);
      expect(failure.precondition?.violations[0]?.type).toBe("SERVICE_IN_USE");
    }
    const { results } = await client.call("applyChanges", {
      changes: [removeServiceChange("web"), removeRouteChange("a-example-com")],
    });
    expect(results.map(({ action }) => action)).toEqual([Action.DELETE, Action.DELETE]);
  });
});

describe("backends", () => {
  const backend = { service: "web", address: "10.0.0.7:8080" };
  const notMeasured = {
    ejectionsTotal: 0,
    latencyP50Ms: 0,
    latencyP90Ms: 0,
    latencyP99Ms: 0,
    lastFailure: "",
    connectionsOpen: 0,
  };

  test("are registered with defaults, listed with what was measured, and deregistered", async () => {
    const { client, serving } = await startRpcNode();
    await client.call("registerBackend", { backend });
    await client.call("registerBackend", {
      backend: { service: "web", address: "[2001:DB8::7]:80", weight: 7, labels: { zone: "a" } },
    });
    await client.call("registerBackend", { backend: { service: "db", address: "10.0.0.9:1" } });
    await client.call("addRoute", { route: routeFields("a.example.com") });
    serving.measures = [
      { ...backend, inFlight: 2, total: 10, failures: 3, lastFailure: "connect refused" },
    ];
    const { backends, revision } = await client.call("listBackends", { service: "web" });
    expect(revision).toBe(4n);
    expect(backends).toEqual([
      {
        backend: { ...backend, weight: 100, labels: {} },
        health: 0,
        healthReason: "not checked",
        source: "api",
        requestsInFlight: 2,
        requestsTotal: 10n,
        failuresTotal: 3n,
        routes: ["a-example-com"],
        ...notMeasured,
        lastFailure: "connect refused",
      },
      {
        backend: { service: "web", address: "[2001:db8::7]:80", weight: 7, labels: { zone: "a" } },
        health: 0,
        healthReason: "not checked",
        source: "api",
        requestsInFlight: 0,
        requestsTotal: 0n,
        failuresTotal: 0n,
        routes: ["a-example-com"],
        ...notMeasured,
      },
    ]);
    const first = await client.call("listBackends", { pageSize: 1 });
    expect(first.backends[0]?.backend?.service).toBe("db");
    const rest = await client.call("listBackends", { pageToken: first.nextPageToken });
    expect(rest.backends).toHaveLength(2);
    expect(await client.call("deregisterBackend", backend)).toEqual({ revision: 5n, cut: 0 });
    const missing = await failureOf(client.call("deregisterBackend", backend));
    expect([missing.code, missing.resource]).toEqual(["NOT_FOUND", "backend/web 10.0.0.7:8080"]);
  });

  test("the identical registration renews the TTL and makes no revision; a changed one is stored", async () => {
    const system = new FakeSystem();
    const store = new MemoryStore({ system });
    const { client } = await startRpcNode({ store });
    const ttl = { seconds: 2n, nanos: 0 };
    expect((await client.call("registerBackend", { backend, ttl })).revision).toBe(1n);
    system.advance(1_500);
    expect((await client.call("registerBackend", { backend, ttl })).revision).toBe(1n);
    system.advance(1_500);
    expect((await store.read()).backends).toHaveLength(1);
    const heavier = { ...backend, weight: 200 };
    expect((await client.call("registerBackend", { backend: heavier, ttl })).revision).toBe(2n);
    system.advance(2_500);
    expect((await store.read()).backends).toHaveLength(0);
    const again = await client.call("registerBackend", { backend: heavier, ttl });
    expect(again.revision).toBe(4n);
  });

  test("a renewal that comes too late, before this node has heard of the end, registers anew", async () => {
    const system = new FakeSystem();
    const store = new MemoryStore({ system });
    const { client, view } = await startRpcNode({ store });
    const ttl = { seconds: 2n, nanos: 0 };
    await client.call("registerBackend", { backend, ttl });
    await client.call("listBackends", {});
    const gate = Promise.withResolvers<void>();
    view.gate = gate.promise;
    system.advance(2_500);
    const late = client.call("registerBackend", { backend, ttl });
    await client.call("getRoute", { name: "nobody" }).catch(() => undefined);
    gate.resolve();
    expect((await late).revision).toBe(3n);
    expect((await store.read()).backends).toHaveLength(1);
  });

  test("a failing measurement is an error, not a crash", async () => {
    const { client, serving, log } = await startRpcNode();
    serving.failure = new Error("secret detail");
    const failure = await failureOf(client.call("listBackends", {}));
    expect(failure.code).toBe("INTERNAL");
    expect(failure.message).not.toContain("secret");
    expect(JSON.stringify(failure.status)).not.toContain("secret");
    expect(log.messages()).toEqual(["a call failed"]);
  });

  test("a measurement that breaks off at the deadline is DEADLINE_EXCEEDED, not a bug", async () => {
    const { client, serving, log } = await startRpcNode();
    serving.measure = (_service, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(new Error("aborted")));
      });
    const deadline = Date.now() + 1_000;
    const failure = await failureOf(client.call("listBackends", {}, { deadline }));
    expect(failure.code).toBe("DEADLINE_EXCEEDED");
    expect(failure.message).toBe("the deadline came before the workers had answered");
    expect(log.messages()).toEqual([]);
  });

  test("deregistering that a worker has not confirmed in time says so; the removal stands", async () => {
    const { client, serving, store } = await startRpcNode();
    await client.call("registerBackend", { backend });
    serving.serve(1);
    const failure = await failureOf(
      client.call("deregisterBackend", backend, { deadline: Date.now() + 1_000 }),
    );
    expect(failure.code).toBe("DEADLINE_EXCEEDED");
    expect(failure.message).toContain("worker 2 has not acknowledged revision 2");
    expect((await store.read()).backends).toHaveLength(0);
  });
});

describe("Explain", () => {
  test("asks a worker, with defaults for method and path", async () => {
    const { client, serving } = await startRpcNode();
    const answer = await client.call("explain", {
      request: { $case: "http", value: { host: "App.example.com:8080", headers: { a: "b" } } },
    });
    expect(answer).toEqual({ ...serving.explanation, revision: 7n });
    await client.call("explain", { request: { $case: "tcpPort", value: 5432 } });
    expect(serving.questions).toEqual([
      {
        kind: "http",
        method: "GET",
        host: "App.example.com:8080",
        path: "/",
        headers: { a: "b" },
        clientAddress: "",
      },
      { kind: "tcp", port: 5432 },
    ]);
  });

  test.for([
    ["nothing", {}, "request"],
    ["port 0", { request: { $case: "tcpPort", value: 0 } }, "tcp_port"],
    ["port 70000", { request: { $case: "tcpPort", value: 70_000 } }, "tcp_port"],
    ["no host", { request: { $case: "http", value: {} } }, "http.host"],
    [
      "a method with a space",
      { request: { $case: "http", value: { host: "a", method: "G T" } } },
      "http.method",
    ],
    [
      "a path without a slash",
      { request: { $case: "http", value: { host: "a", path: "x" } } },
      "http.path",
    ],
    [
      "a field with CR LF",
      { request: { $case: "http", value: { host: "a", headers: { x: "a\r\nb" } } } },
      "http.headers",
    ],
  ] as const)("refuses %s", async ([, fields, path]) => {
    const { client } = await startRpcNode();
    const failure = await failureOf(client.call("explain", fields));
    expect([failure.code, ...failure.fields]).toEqual(["INVALID_ARGUMENT", path]);
  });
});
