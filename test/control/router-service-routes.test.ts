// Goal: AddRoute, RemoveRoute, GetRoute and ListRoutes do what the contract says.
// Method: a real client over a real port, a MemoryStore, a fleet under the test's hand. The cases of the
// older routers' API tests have their names.

import { describe, expect, test } from "vitest";
import { ListRoutesResponse, Policy, Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { pageBytesMax } from "../../src/limits.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { failureOf, putRouteChange, routeFields, startRpcNode } from "../support/rpc-node.ts";

describe("AddRoute", () => {
  test("TestCreateHTTPRoute: needs a domain and a service; the rest has defaults", async () => {
    const { client, serving } = await startRpcNode();
    const { route, revision, lagging } = await client.call("addRoute", {
      route: routeFields("App.Example.com."),
    });
    expect(route).toMatchObject({
      name: "app-example-com",
      match: { $case: "http", value: { domain: "app.example.com", pathPrefix: "/" } },
      service: "web",
      sticky: false,
      labels: {},
      revision: 1n,
    });
    expect(Math.abs(Number(route?.createTime) - Date.now())).toBeLessThan(60_000);
    expect(route?.updateTime).toEqual(route?.createTime);
    expect(revision).toBe(1n);
    expect(lagging).toEqual([]);
    expect(serving.waitedFor).toEqual([1]);
    expect((await client.call("getRoute", { name: "app-example-com" })).route).toEqual(route);
  });

  test("TestCreateTCPRoute: port 0 allocates one of the range and names the route after it", async () => {
    const { client, serving } = await startRpcNode();
    serving.foreign.add(3000);
    const first = await client.call("addRoute", { route: routeFields(0, "postgres") });
    expect(first.route).toMatchObject({
      name: "tcp-3001",
      match: { $case: "tcp", value: { port: 3001 } },
    });
    const second = await client.call("addRoute", { route: routeFields(0, "postgres") });
    expect(second.route?.name).toBe("tcp-3002");
    expect([...serving.held]).toEqual([3001, 3002]);
  });

  test("an allocated port is not one whose name is taken", async () => {
    const { client } = await startRpcNode();
    await client.call("addRoute", { route: routeFields("a.io", "web", { name: "tcp-3000" }) });
    const { route } = await client.call("addRoute", { route: routeFields(0) });
    expect(route?.name).toBe("tcp-3001");
  });

  test("TestTCPPortAllocation: ten ports, the eleventh fails, a port of our own choice passes", async () => {
    const { client, serving } = await startRpcNode();
    const names: (string | undefined)[] = [];
    for (let i = 0; i < 10; i++) {
      names.push((await client.call("addRoute", { route: routeFields(0) })).route?.name);
    }
    expect(new Set(names).size).toBe(10);
    const failure = await failureOf(client.call("addRoute", { route: routeFields(0) }));
    expect(failure.code).toBe("RESOURCE_EXHAUSTED");
    expect(failure.quota?.violations).toHaveLength(1);
    expect(serving.held.size).toBe(10);
    await client.call("removeRoute", { name: names[4] });
    serving.held.delete(3004);
    const again = await client.call("addRoute", { route: routeFields(0) });
    expect(again.route?.name).toBe("tcp-3004");
  });

  test("TestCreateTCPRouteReservedPort: a privileged port and one of another program are refused", async () => {
    const { client, serving, store } = await startRpcNode();
    serving.foreign.add(5432);
    for (const port of [80, 443, 5432]) {
      const failure = await failureOf(client.call("addRoute", { route: routeFields(port) }));
      expect(failure.code).toBe("FAILED_PRECONDITION");
      expect(failure.message).toContain(String(port));
      expect(failure.precondition?.violations).toHaveLength(1);
    }
    expect(serving.held.size).toBe(0);
    expect((await store.read()).revision).toBe(0);
  });

  test("TestCreateHTTPRouteWithPath: a path route needs no route of its domain", async () => {
    const { client } = await startRpcNode();
    const { route } = await client.call("addRoute", { route: routeFields("app.example.com/api/") });
    expect(route?.match).toMatchObject({
      $case: "http",
      value: { domain: "app.example.com", pathPrefix: "/api" },
    });
  });

  test("TestCreateDuplicateRoute: the identical route is answered again and makes no revision", async () => {
    const { client, serving, store } = await startRpcNode();
    const route = routeFields("app.example.com", "web", { labels: { b: "2", a: "1" } });
    const first = await client.call("addRoute", { route });
    await client.call("addRoute", { route: routeFields("other.example.com") });
    const again = await client.call("addRoute", { route });
    expect(again).toEqual(first);
    expect(serving.waitedFor).toEqual([1, 2, 1]);
    expect((await store.read()).revision).toBe(2);
  });

  test("TestCreateDuplicateRoute: another route with the same match is named", async () => {
    const { client, store } = await startRpcNode();
    await client.call("addRoute", {
      route: routeFields("app.example.com", "web", { name: "shop" }),
    });
    for (const route of [
      routeFields("APP.example.com", "api"),
      routeFields("app.example.com", "web", { name: "other" }),
    ]) {
      const failure = await failureOf(client.call("addRoute", { route }));
      expect(failure.code).toBe("ALREADY_EXISTS");
      expect(failure.resource).toBe("route/shop");
      expect(failure.info).toMatchObject({
        reason: "MATCH_TAKEN",
        domain: "crosspoint",
        metadata: { route: "shop", match: "app.example.com" },
      });
    }
    expect((await store.read()).revision).toBe(1);
  });

  test("matches that differ in a condition live side by side; the same one is taken", async () => {
    const { client } = await startRpcNode();
    const on = (headers: readonly object[], service: string, name = "") => ({
      name,
      match: { $case: "http", value: { domain: "app.example.com", methods: ["GET"], headers } },
      service,
    });
    const canary = { name: "X-Canary", value: { $case: "exact", value: "1" } };
    await client.call("addRoute", { route: routeFields("app.example.com") });
    await client.call("addRoute", { route: on([], "web") });
    const { route } = await client.call("addRoute", { route: on([canary], "next", "canary") });
    const lower = { ...canary, name: "x-canary" };
    const again = await client.call("addRoute", { route: on([lower, canary], "next") });
    expect(again.route).toEqual(route);
    const failure = await failureOf(client.call("addRoute", { route: on([lower], "other") }));
    expect(failure.info).toMatchObject({
      reason: "MATCH_TAKEN",
      metadata: { route: "canary", match: "app.example.com [GET header x-canary=1]" },
    });
    const twice = [on([canary], "a", "a"), on([lower], "b", "b")].map((value) => ({
      change: { $case: "putRoute", value },
    }));
    const both = await failureOf(client.call("applyChanges", { changes: twice }));
    expect(both.message).toContain(
      "changes[0].put_route has the same match app.example.com [GET header x-canary=1]",
    );
  });

  test("without a name finds the identical route with all that it says", async () => {
    const { client, store } = await startRpcNode();
    const route = {
      match: { $case: "http", value: { domain: "app.example.com", path: "/exactly" } },
      split: [
        { service: "web", weight: 9 },
        { service: "next", weight: 1 },
      ],
      rateLimit: { requests: 5 },
      access: { deny: ["10.0.0.0/8"] },
    };
    const first = await client.call("addRoute", { route });
    expect(first.route).toMatchObject({ service: "", split: [{ service: "next" }, { weight: 9 }] });
    const turned = { ...route, split: route.split.toReversed() };
    expect((await client.call("addRoute", { route: turned })).route).toEqual(first.route);
    // What was answered says the same again.
    expect((await client.call("addRoute", { route: first.route })).route).toEqual(first.route);
    expect((await store.read()).revision).toBe(1);
    const other = { ...route, rateLimit: { requests: 6 } };
    expect((await failureOf(client.call("addRoute", { route: other }))).code).toBe(
      "ALREADY_EXISTS",
    );
    const { results } = await client.call("applyChanges", {
      changes: [{ change: { $case: "putRoute", value: other } }],
    });
    expect(results[0]?.after).toMatchObject({ rateLimit: { requests: 6, burst: 6 } });
    expect(results[0]?.before).toEqual(first.route);
  });

  test("a service is in use when a split or a mirror names it", async () => {
    const { client } = await startRpcNode();
    for (const name of ["next", "shadow"]) {
      await client.call("putService", { service: { name, policy: Policy.RANDOM } });
    }
    await client.call("addRoute", {
      route: {
        ...routeFields("app.example.com", ""),
        split: [{ service: "next", weight: 1 }],
        mirror: { service: "shadow" },
      },
    });
    for (const name of ["next", "shadow"]) {
      const failure = await failureOf(client.call("removeService", { name }));
      expect(failure.info?.reason).toBe("SERVICE_IN_USE");
      const { routes } = await client.call("listRoutes", { filter: { service: name } });
      expect(routes).toHaveLength(1);
    }
  });

  test("without a name finds the identical route whatever it is called", async () => {
    const { client } = await startRpcNode();
    const first = await client.call("addRoute", {
      route: routeFields("app.example.com", "web", { name: "shop" }),
    });
    const again = await client.call("addRoute", { route: routeFields("app.example.com") });
    expect(again).toEqual(first);
  });

  test("refuses a name that leads elsewhere, also one that was derived", async () => {
    const { client } = await startRpcNode();
    const taken = routeFields("other.example.com", "web", { name: "app-example-com" });
    await client.call("addRoute", { route: taken });
    for (const route of [
      routeFields("app.example.com"),
      routeFields("app.example.com", "web", { name: "app-example-com" }),
      routeFields("other.example.com", "api", { name: "app-example-com" }),
      routeFields("other.example.com", "web", { name: "app-example-com", sticky: true }),
    ]) {
      const failure = await failureOf(client.call("addRoute", { route }));
      expect(failure.code).toBe("ALREADY_EXISTS");
      expect(failure.info?.reason).toBe("NAME_TAKEN");
      expect(failure.resource).toBe("route/app-example-com");
    }
  });

  test("two uses of one TCP port are a conflict, and nothing is reserved for the second", async () => {
    const { client, serving } = await startRpcNode();
    await client.call("addRoute", { route: routeFields(5432, "postgres") });
    const failure = await failureOf(client.call("addRoute", { route: routeFields(5432, "mysql") }));
    expect(failure.code).toBe("ALREADY_EXISTS");
    expect(failure.resource).toBe("route/tcp-5432");
    expect([...serving.held]).toEqual([5432]);
  });

  test("port 0 of a TCP route that exists by name is the port it has", async () => {
    const { client } = await startRpcNode();
    const route = routeFields(0, "postgres", { name: "db" });
    const first = await client.call("addRoute", { route });
    expect(await client.call("addRoute", { route })).toEqual(first);
  });

  test("gives the port back when the store refuses", async () => {
    const store = new MemoryStore({ system: new FakeSystem() });
    const { client, serving } = await startRpcNode({ store });
    await store.close();
    const failure = await failureOf(client.call("addRoute", { route: routeFields(5432) }));
    expect(failure.code).toBe("UNAVAILABLE");
    expect(failure.retry?.retryDelay?.seconds).toBe(1n);
    expect(serving.held.size).toBe(0);
  });

  test("validate_only answers the route or the conflict, stores nothing and allocates nothing", async () => {
    const { client, serving, store } = await startRpcNode();
    const validate = (match: string | number, service?: string) =>
      client.call("addRoute", { route: routeFields(match, service), validateOnly: true });
    const dry = await validate("app.example.com");
    expect(dry).toMatchObject({ revision: 0n, route: { name: "app-example-com", revision: 0n } });
    expect(await validate(0)).toMatchObject({
      route: { name: "", match: { $case: "tcp", value: { port: 0 } } },
    });
    expect((await validate(5432)).route?.name).toBe("tcp-5432");
    expect(serving.held.size).toBe(0);
    expect(serving.waitedFor).toEqual([]);
    serving.foreign.add(5433);
    for (let port = 3000; port < 3010; port++) serving.foreign.add(port);
    expect((await failureOf(validate(0))).code).toBe("RESOURCE_EXHAUSTED");
    expect((await failureOf(validate(5433))).code).toBe("FAILED_PRECONDITION");
    await client.call("addRoute", { route: routeFields("app.example.com") });
    expect((await failureOf(validate("app.example.com", "api"))).code).toBe("ALREADY_EXISTS");
    expect((await store.read()).revision).toBe(1);
  });
});

describe("RemoveRoute and GetRoute", () => {
  test("TestDeleteRoute: removed, then not found", async () => {
    const { client, serving } = await startRpcNode();
    await client.call("addRoute", { route: routeFields("app.example.com") });
    const name = "app-example-com";
    const dry = await client.call("removeRoute", { name, validateOnly: true });
    expect(dry).toEqual({ revision: 1n, lagging: [] });
    expect(await client.call("removeRoute", { name })).toEqual({ revision: 2n, lagging: [] });
    expect(serving.waitedFor).toEqual([1, 2]);
    for (const method of ["removeRoute", "getRoute"] as const) {
      const failure = await failureOf(client.call(method, { name }));
      expect(failure.code).toBe("NOT_FOUND");
      expect(failure.resource).toBe("route/app-example-com");
      expect(failure.info?.reason).toBe("NOT_FOUND");
    }
  });

  test("a write that was answered is seen by the next read, however slow the watch is", async () => {
    const { client, view } = await startRpcNode();
    const gate = Promise.withResolvers<void>();
    view.gate = gate.promise;
    await client.call("addRoute", { route: routeFields("app.example.com"), wait: Wait.NONE });
    const reading = client.call("getRoute", { name: "app-example-com" });
    gate.resolve();
    expect((await reading).route?.revision).toBe(1n);
  });
});

const namesOf = (routes: readonly { readonly name: string }[]) => routes.map(({ name }) => name);

describe("ListRoutes", () => {
  test("TestListRoutes: by name, page by page, also while routes come and go", async () => {
    const { client } = await startRpcNode();
    const names = ["e", "b", "d", "a", "c"].map((letter) => `${letter}.example.com`);
    await client.call("applyChanges", { changes: names.map((name) => putRouteChange(name)) });
    const first = await client.call("listRoutes", { pageSize: 2 });
    expect(namesOf(first.routes)).toEqual(["a-example-com", "b-example-com"]);
    expect(first.revision).toBe(1n);
    await client.call("removeRoute", { name: "b-example-com" });
    const pageToken = first.nextPageToken;
    const second = await client.call("listRoutes", { pageSize: 2, pageToken });
    expect(namesOf(second.routes)).toEqual(["c-example-com", "d-example-com"]);
    const last = await client.call("listRoutes", {
      pageSize: 2,
      pageToken: second.nextPageToken,
    });
    expect(namesOf(last.routes)).toEqual(["e-example-com"]);
    expect(last.nextPageToken).toBe("");
  });

  test("a page of large routes has fewer of them, counted in bytes", async () => {
    const { client } = await startRpcNode();
    // Three bytes each, and one character.
    const body = "€".repeat(5_461);
    const pages = [400, 401, 402, 403].map((status) => ({ status, body }));
    for (const half of ["a", "b"]) {
      const changes = Array.from({ length: 40 }, (_, i) =>
        putRouteChange(`${half}${i}.example.com`, "web", {
          pages: pages.map((page) => ({ ...page, contentType: "" })),
        }),
      );
      await client.call("applyChanges", { changes });
    }
    let [count, pageToken] = [0, ""];
    do {
      const page = await client.call("listRoutes", { pageSize: 1_000, pageToken });
      const bytes = ListRoutesResponse.encode(page).finish().length;
      expect(bytes).toBeLessThan(pageBytesMax * 1.01);
      count += page.routes.length;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(count).toBe(80);
  });

  test("filters by service, domain, port and labels; all must hold", async () => {
    const { client } = await startRpcNode();
    await client.call("applyChanges", {
      changes: [
        putRouteChange("a.example.com", "web", { labels: { team: "x", tier: "1" } }),
        putRouteChange("a.example.com/api", "api", { labels: { team: "x" } }),
        putRouteChange("*.example.com", "web", { labels: { team: "y" } }),
        putRouteChange(5432, "postgres", { labels: { team: "y" } }),
      ],
    });
    const count = async (filter: Record<string, string>) =>
      (await client.call("listRoutes", { filter })).routes.length;
    expect(await count({})).toBe(4);
    expect(await count({ service: "web" })).toBe(2);
    expect(await count({ domain: "A.example.com" })).toBe(2);
    expect(await count({ domain: "*.example.com" })).toBe(1);
    expect(await count({ port: "5432" })).toBe(1);
    expect(await count({ port: "5433" })).toBe(0);
    expect(await count({ port: "5432", service: "web" })).toBe(0);
    expect(await count({ port: "5432", domain: "a.example.com" })).toBe(0);
    expect(await count({ team: "x" })).toBe(2);
    expect(await count({ team: "x", tier: "1", service: "web" })).toBe(1);
    expect(await count({ team: "z" })).toBe(0);
  });

  test("refuses filters, sizes and tokens that it cannot read", async () => {
    const { client } = await startRpcNode();
    await client.call("applyChanges", {
      changes: [putRouteChange("a.example.com"), putRouteChange("b.example.com")],
    });
    const { nextPageToken } = await client.call("listRoutes", { pageSize: 1 });
    expect(nextPageToken).not.toBe("");
    const foreign = Buffer.from(JSON.stringify(["x", 7])).toString("base64url");
    for (const [fields, path] of [
      [{ filter: { port: "http" } }, "filter"],
      [{ filter: { "no key": "x" } }, "filter"],
      [{ filter: { domain: "a b" } }, "filter"],
      [{ pageSize: -1 }, "page_size"],
      [{ pageToken: "?" }, "page_token"],
      [{ pageToken: foreign }, "page_token"],
      [{ pageToken: "x".repeat(100_000) }, "page_token"],
      [{ pageToken: nextPageToken, filter: { service: "web" } }, "page_token"],
    ] as const) {
      const failure = await failureOf(client.call("listRoutes", fields));
      expect([failure.code, ...failure.fields]).toEqual(["INVALID_ARGUMENT", path]);
    }
  });
});
