// Goal: ApplyChanges is all or nothing, and `if_revision` guards.
// Method: as router-service-routes.test.ts.

import { describe, expect, test } from "vitest";
import { ChangeResult_Action as Action, Policy } from "../../src/gen/crosspoint/v1/router.ts";
import {
  failureOf,
  putRouteChange,
  putServiceChange,
  removeRouteChange,
  removeServiceChange,
  routeFields,
  startRpcNode,
} from "../support/rpc-node.ts";

describe("if_revision", () => {
  test("guards: ABORTED names the table's revision, the right one passes", async () => {
    const { client } = await startRpcNode();
    await client.call("addRoute", { route: routeFields("a.example.com") });
    const failure = await failureOf(
      client.call("addRoute", { route: routeFields("b.example.com"), ifRevision: 7n }),
    );
    expect(failure.code).toBe("ABORTED");
    expect(failure.info).toMatchObject({
      reason: "REVISION_CONFLICT",
      metadata: { current: "1", expected: "7" },
    });
    const { revision } = await client.call("removeRoute", {
      name: "a-example-com",
      ifRevision: 1n,
    });
    expect(revision).toBe(2n);
  });

  test("of two writes that are based on one revision the second is refused", async () => {
    const { client } = await startRpcNode();
    await client.call("putService", { service: { name: "web" } });
    const calls = ["a", "b"].map((name) =>
      client.call("addRoute", { route: routeFields(`${name}.example.com`), ifRevision: 1n }),
    );
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });
});

describe("ApplyChanges", () => {
  test("TestSetRoutes: a dry run changes nothing, the change set has one revision, stale state is refused", async () => {
    const { client, store } = await startRpcNode();
    const changes = [putRouteChange("a.example.com"), putRouteChange("b.example.com")];
    const dry = await client.call("applyChanges", { changes, validateOnly: true });
    expect(dry.results.map(({ action }) => action)).toEqual([Action.CREATE, Action.CREATE]);
    expect((await store.read()).revision).toBe(0);

    const done = await client.call("applyChanges", { changes });
    expect(done.revision).toBe(1n);
    expect(done.results.map(({ after }) => after?.revision)).toEqual([1n, 1n]);

    const stale = await failureOf(
      client.call("applyChanges", { changes: [putRouteChange("c.example.com")], ifRevision: 99n }),
    );
    expect(stale.code).toBe("ABORTED");
  });

  test("TestSetRoutes: update, add, remove and none in one request, with before and after", async () => {
    const { client } = await startRpcNode();
    await client.call("applyChanges", {
      changes: ["a", "b", "c"].map((name) => putRouteChange(`${name}.example.com`)),
    });
    const { revision, results } = await client.call("applyChanges", {
      changes: [
        putRouteChange("a.example.com", "api"),
        removeRouteChange("b-example-com"),
        putRouteChange("c.example.com"),
        putRouteChange("d.example.com"),
        putServiceChange("web", Policy.ROUND_ROBIN),
      ],
    });
    expect(revision).toBe(2n);
    expect(
      results.map(({ action, before, after }) => [action, before?.service, after?.service]),
    ).toEqual([
      [Action.UPDATE, "web", "api"],
      [Action.DELETE, "web", undefined],
      [Action.NONE, "web", "web"],
      [Action.CREATE, undefined, "web"],
      [Action.CREATE, undefined, undefined],
    ]);
    expect(results.map(({ after }) => after?.revision)).toEqual([2n, undefined, 1n, 2n, undefined]);
    expect(results[0]?.after?.createTime).toEqual(results[0]?.before?.createTime);
  });

  test("TestUpdateRoute: a route may change its match, and two may swap theirs", async () => {
    const { client } = await startRpcNode();
    await client.call("applyChanges", {
      changes: [
        putRouteChange("a.example.com", "a", { name: "one" }),
        putRouteChange("b.example.com", "b", { name: "two" }),
        putRouteChange(5000, "c", { name: "three" }),
      ],
    });
    const { results } = await client.call("applyChanges", {
      changes: [
        putRouteChange("b.example.com", "a", { name: "one" }),
        putRouteChange(5000, "b", { name: "two" }),
        putRouteChange("a.example.com", "c", { name: "three" }),
      ],
    });
    expect(results.map(({ action }) => action)).toEqual([
      Action.UPDATE,
      Action.UPDATE,
      Action.UPDATE,
    ]);
    const { routes } = await client.call("listRoutes", {});
    expect(
      routes.map(({ name, match }) => [name, match?.$case === "http" ? match.value.domain : "tcp"]),
    ).toEqual([
      ["one", "b.example.com"],
      ["three", "a.example.com"],
      ["two", "tcp"],
    ]);
    expect((await client.call("listRoutes", { filter: { port: "5000" } })).routes[0]?.name).toBe(
      "two",
    );
  });

  test("all or nothing: one conflict and nothing is stored, no port is held", async () => {
    const { client, serving, store } = await startRpcNode();
    await client.call("addRoute", { route: routeFields("a.example.com", "web", { name: "shop" }) });
    serving.foreign.add(5433);
    for (const [last, code] of [
      [putRouteChange("a.example.com", "web", { name: "other" }), "ALREADY_EXISTS"],
      [removeRouteChange("nobody"), "NOT_FOUND"],
      [removeServiceChange("web"), "FAILED_PRECONDITION"],
      [putRouteChange(5433), "FAILED_PRECONDITION"],
      [putRouteChange("bad domain.example.com"), "INVALID_ARGUMENT"],
    ] as const) {
      const changes = [putRouteChange("b.example.com"), putRouteChange(5000), last];
      expect((await failureOf(client.call("applyChanges", { changes }))).code).toBe(code);
    }
    expect((await store.read()).revision).toBe(1);
    expect(serving.held.size).toBe(0);
  });

  test("duplicates in one request are refused by name, in a dry run too", async () => {
    const { client } = await startRpcNode();
    const twice = [
      putRouteChange("a.example.com", "web", { name: "one" }),
      putRouteChange("b.example.com", "web", { name: "two" }),
      removeRouteChange("three"),
      putRouteChange("c.example.com", "web", { name: "one" }),
    ];
    for (const validateOnly of [true, false]) {
      const failure = await failureOf(
        client.call("applyChanges", { changes: twice, validateOnly }),
      );
      expect(failure.code).toBe("INVALID_ARGUMENT");
      expect(failure.fields).toEqual(["changes[3].put_route.name"]);
    }
    for (const [changes, field] of [
      [
        [
          putRouteChange("a.example.com", "x", { name: "one" }),
          putRouteChange("A.example.com", "y", { name: "two" }),
        ],
        "changes[1].put_route.http",
      ],
      [
        [putRouteChange(5000, "x", { name: "one" }), putRouteChange(5000, "y", { name: "two" })],
        "changes[1].put_route.tcp",
      ],
      [[putServiceChange("web"), removeServiceChange("web")], "changes[1].remove_service"],
      [[removeRouteChange("x"), removeRouteChange("x")], "changes[1].remove_route"],
    ] as const) {
      expect((await failureOf(client.call("applyChanges", { changes }))).fields).toEqual([field]);
    }
  });

  test("a change set without a difference writes nothing", async () => {
    const { client, store } = await startRpcNode();
    const changes = [putRouteChange("a.example.com"), putServiceChange("web", Policy.RANDOM)];
    await client.call("applyChanges", { changes });
    const again = await client.call("applyChanges", { changes });
    expect(again.revision).toBe(1n);
    expect(again.results.map(({ action }) => action)).toEqual([Action.NONE, Action.NONE]);
    expect((await store.read()).revision).toBe(1);
  });

  test("put_route without a name changes the route that has the match", async () => {
    const { client } = await startRpcNode();
    await client.call("addRoute", { route: routeFields("a.example.com", "web", { name: "shop" }) });
    const { results } = await client.call("applyChanges", {
      changes: [putRouteChange("a.example.com", "api")],
    });
    expect(results[0]).toMatchObject({
      action: Action.UPDATE,
      after: { name: "shop", service: "api" },
    });
  });

  test("put_route whose derived name belongs to another match is refused", async () => {
    const { client } = await startRpcNode();
    const other = routeFields("b.example.com", "web", { name: "a-example-com" });
    await client.call("addRoute", { route: other });
    const failure = await failureOf(
      client.call("applyChanges", { changes: [putRouteChange("a.example.com")] }),
    );
    expect([failure.code, failure.info?.reason]).toEqual(["ALREADY_EXISTS", "NAME_TAKEN"]);
  });

  test("allocates several ports in one request, never one that the request names itself", async () => {
    const { client } = await startRpcNode();
    const { results } = await client.call("applyChanges", {
      changes: [
        putRouteChange(0, "a"),
        putRouteChange(3000, "b", { name: "fixed" }),
        putRouteChange(0, "c", { name: "named" }),
      ],
    });
    expect(
      results.map(({ after }) => [
        after?.name,
        after?.match?.$case === "tcp" && after.match.value.port,
      ]),
    ).toEqual([
      ["tcp-3001", 3001],
      ["fixed", 3000],
      ["named", 3002],
    ]);
  });

  test("a port that an existing route keeps is not free for another in the same request", async () => {
    const { client } = await startRpcNode();
    await client.call("addRoute", { route: routeFields(3000, "a", { name: "db" }) });
    const changes = [
      putRouteChange(0, "b", { name: "db" }),
      putRouteChange(3000, "c", { name: "other" }),
    ];
    const failure = await failureOf(client.call("applyChanges", { changes }));
    expect([failure.code, ...failure.fields]).toEqual([
      "INVALID_ARGUMENT",
      "changes[1].put_route.tcp",
    ]);
  });

  test("names every wrong field, and says how many changes are too many", async () => {
    const { client } = await startRpcNode();
    const wrong = await failureOf(
      client.call("applyChanges", {
        changes: [
          putRouteChange("a b", "no service"),
          {},
          { change: { $case: "removeRoute", value: "NO" } },
          putServiceChange("web", 99),
        ],
      }),
    );
    expect(wrong.fields).toEqual([
      "changes[0].put_route.http.domain",
      "changes[0].put_route.service",
      "changes[1]",
      "changes[2].remove_route",
      "changes[3].put_service.policy",
    ]);
    expect((await failureOf(client.call("applyChanges", {}))).fields).toEqual(["changes"]);
    const changes = Array.from({ length: 5_001 }, () => removeRouteChange("x"));
    const many = await failureOf(client.call("applyChanges", { changes }));
    expect(many.message).toContain("5001 entries; at most 5000");
  });
});
