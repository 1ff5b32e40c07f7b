// Goal: nothing malformed gets in, and the answer names the field by its proto path.
// Method: one wrong field per case, sent over the wire by a real client, and the bytes that a typed
// client cannot send by hand.

import * as grpc from "@grpc/grpc-js";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import {
  failureOf,
  RpcError,
  type RpcNode,
  routeFields,
  startRpcNode,
} from "../support/rpc-node.ts";

const good = "app.example.com";
const domain254 = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(62)}`;

const routeCases: readonly (readonly [string, object | undefined, string])[] = [
  ["no route", undefined, "route"],
  ["no match", { service: "web" }, "route.match"],
  ["no domain", routeFields(""), "route.http.domain"],
  ["an empty label", routeFields("a..example.com"), "route.http.domain"],
  ["254 characters", routeFields(domain254), "route.http.domain"],
  ["a label of 64 characters", routeFields(`${"a".repeat(64)}.com`), "route.http.domain"],
  ["a space", routeFields("a b.example.com"), "route.http.domain"],
  ["raw Unicode", routeFields("bücher.example.com"), "route.http.domain"],
  ["a port in the domain", routeFields("example.com:80"), "route.http.domain"],
  ["a wildcard inside", routeFields("a.*.example.com"), "route.http.domain"],
  ["a NUL", routeFields("a\0.example.com"), "route.http.domain"],
  ["a query in the path", routeFields(`${good}/a?b`), "route.http.path_prefix"],
  ["a space in the path", routeFields(`${good}/a b`), "route.http.path_prefix"],
  ["port 70000", routeFields(70_000), "route.tcp.port"],
  ["port 2^32 - 1", routeFields(2 ** 32 - 1), "route.tcp.port"],
  ["sticky on TCP", routeFields(5432, "web", { sticky: true }), "route.sticky"],
  ["no service", routeFields(good, ""), "route.service"],
  ["a service with a slash", routeFields(good, "a/b"), "route.service"],
  ["a name in upper case", routeFields(good, "web", { name: "Web" }), "route.name"],
  ["a name of 64 characters", routeFields(good, "web", { name: "a".repeat(64) }), "route.name"],
  ["a label key with a space", routeFields(good, "web", { labels: { "a b": "" } }), "route.labels"],
  ["a long label", routeFields(good, "web", { labels: { a: "x".repeat(257) } }), "route.labels"],
  ["33 labels", routeFields(good, "web", { labels: manyLabels(33) }), "route.labels"],
];

const otherCases = [
  ["addRoute", { route: routeFields(good), wait: 4 }, "wait"],
  ["addRoute", { route: routeFields(good), wait: -1 }, "wait"],
  ["addRoute", { route: routeFields(good), ifRevision: -1n }, "if_revision"],
  ["addRoute", { route: routeFields(good), ifRevision: 2n ** 63n - 1n }, "if_revision"],
  ["addRoute", { route: routeFields(good), requestId: "x".repeat(129) }, "request_id"],
  ["addRoute", { route: routeFields(good), requestId: "ü" }, "request_id"],
  ["removeRoute", { name: "" }, "name"],
  ["removeRoute", { name: "a", wait: 9 }, "wait"],
  ["getRoute", { name: "../etc" }, "name"],
  ["listServices", { pageSize: -1 }, "page_size"],
  ["listServices", { pageToken: "garbage" }, "page_token"],
  ["listBackends", { service: "no service" }, "service"],
  ["listBackends", { pageSize: -(2 ** 31) }, "page_size"],
  ["putService", {}, "service"],
  ["putService", { service: { name: "" } }, "service.name"],
  ["putService", { service: { name: "web", policy: 7 } }, "service.policy"],
  ["putService", { service: { name: "web", proxyProtocol: 3 } }, "service.proxy_protocol"],
  ["removeService", { name: "" }, "name"],
  ["registerBackend", {}, "backend"],
  ["registerBackend", { backend: { service: "web" } }, "backend.address"],
  ["registerBackend", { backend: { service: "web", address: "10.0.0.7" } }, "backend.address"],
  ["registerBackend", { backend: { service: "web", address: "10.0.0.7:0" } }, "backend.address"],
  ["registerBackend", { backend: { service: "web", address: "::1:80" } }, "backend.address"],
  ["registerBackend", { backend: { ...backend(), weight: 1_001 } }, "backend.weight"],
  ["registerBackend", { backend: { ...backend(), labels: { "": "x" } } }, "backend.labels"],
  ["registerBackend", { backend: backend(), ttl: {} }, "ttl"],
  ["registerBackend", { backend: backend(), ttl: { nanos: 999_000_000 } }, "ttl"],
  ["registerBackend", { backend: backend(), ttl: { seconds: -5n } }, "ttl"],
  ["registerBackend", { backend: backend(), ttl: { seconds: 5n, nanos: -1 } }, "ttl"],
  ["registerBackend", { backend: backend(), ttl: { seconds: 86_401n } }, "ttl"],
  ["registerBackend", { backend: backend(), ttl: { seconds: 2n ** 62n } }, "ttl"],
  ["registerBackend", { backend: backend(), ttl: { seconds: 1n, nanos: 2 ** 31 - 1 } }, "ttl"],
  ["registerBackend", { backend: backend(), wait: 77 }, "wait"],
  ["deregisterBackend", { service: "web", address: "x" }, "address"],
  ["deregisterBackend", { service: "", address: "10.0.0.7:80" }, "service"],
] as const;

function backend(): object {
  return { service: "web", address: "10.0.0.7:80" };
}

function manyLabels(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, ""]));
}

/** Sends bytes as they are. */
function sendRaw(node: RpcNode, method: string, bytes: Uint8Array): Promise<unknown> {
  return new Promise((resolve, reject) => {
    node.client.raw.makeUnaryRequest(
      `/crosspoint.v1.RouterService/${method}`,
      (value: Uint8Array) => Buffer.from(value),
      (value: Buffer) => value,
      bytes,
      new grpc.Metadata(),
      (error, value) => (error === null ? resolve(value) : reject(new RpcError(error))),
    );
  });
}

describe("a wrong field is INVALID_ARGUMENT, by name", () => {
  test.for(routeCases)("AddRoute: %s", async ([, route, field]) => {
    const { client, store } = await startRpcNode();
    const failure = await failureOf(client.call("addRoute", { route }));
    expect([failure.code, ...failure.fields]).toEqual(["INVALID_ARGUMENT", field]);
    expect(failure.message).toContain(field);
    expect(failure.info).toEqual({
      reason: "INVALID_ARGUMENT",
      domain: "crosspoint",
      metadata: {},
    });
    expect(failure.status?.code).toBe(3);
    expect((await store.read()).revision).toBe(0);
  });

  test("the other calls", async () => {
    const { client, store } = await startRpcNode();
    for (const [method, fields, field] of otherCases) {
      const failure = await failureOf(client.call(method, fields));
      expect([method, failure.code, ...failure.fields]).toEqual([
        method,
        "INVALID_ARGUMENT",
        field,
      ]);
    }
    expect((await store.read()).revision).toBe(0);
  });

  test("all wrong fields in one answer, at most 10", async () => {
    const { client } = await startRpcNode();
    const route = routeFields("a b", "c d", { name: "E", labels: { " ": "" } });
    const failure = await failureOf(client.call("addRoute", { route }));
    expect(failure.fields).toEqual([
      "route.name",
      "route.http.domain",
      "route.service",
      "route.labels",
    ]);
    const changes = Array.from({ length: 100 }, () => ({}));
    expect((await failureOf(client.call("applyChanges", { changes }))).fields).toHaveLength(10);
  });
});

describe("bytes that a typed client cannot send", () => {
  test("a label __proto__ is refused, not lost", async () => {
    const node = await startRpcNode();
    const entry = { ...routeFields(good), labels: { xxproto__: "1" } };
    const request = proto.AddRouteRequest.fromPartial({ route: entry });
    const bytes = Buffer.from(proto.AddRouteRequest.encode(request).finish());
    bytes.write("__proto__", bytes.indexOf("xxproto__"), "latin1");
    const failure = await failureOf(sendRaw(node, "AddRoute", bytes));
    expect([failure.code, ...failure.fields]).toEqual(["INVALID_ARGUMENT", "labels"]);
    expect((await node.store.read()).revision).toBe(0);
  });

  test("a label may hold the word as its value", async () => {
    const { client } = await startRpcNode();
    const route = routeFields(good, "web", { labels: { constructor: "__proto__" } });
    const { route: stored } = await client.call("addRoute", { route });
    expect(stored?.labels).toEqual({ constructor: "__proto__" });
  });

  test("whatever the bytes, the answer is a code of ours and the node lives on", async () => {
    const node = await startRpcNode();
    const allowed = ["INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "FAILED_PRECONDITION"];
    const method = fc.constantFrom("AddRoute", "ApplyChanges", "RegisterBackend", "ListRoutes");
    await fc.assert(
      fc.asyncProperty(method, fc.uint8Array({ maxLength: 200 }), async (name, bytes) => {
        const outcome = await sendRaw(node, name, bytes).catch((error: unknown) => error);
        if (outcome instanceof RpcError) expect(allowed).toContain(outcome.code);
      }),
      { numRuns: 300 },
    );
    expect(node.log.messages()).toEqual([]);
  });

  test("bytes that end too early are the caller's fault", async () => {
    const node = await startRpcNode();
    const failure = await failureOf(sendRaw(node, "AddRoute", Uint8Array.of(10, 200)));
    expect(failure.code).toBe("INVALID_ARGUMENT");
  });

  test("more than 4 MiB is refused", async () => {
    const { client } = await startRpcNode();
    const route = routeFields(good, "x".repeat(4 * 1024 * 1024));
    expect((await failureOf(client.call("addRoute", { route }))).code).toBe("RESOURCE_EXHAUSTED");
  });
});
