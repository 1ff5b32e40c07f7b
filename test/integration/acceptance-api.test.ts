// Goal: what the routers before this one promised of their APIs, their command and their table holds for a whole node.
// Method: as acceptance.test.ts, which has the HTTP cases, and acceptance-system.test.ts.

import { describe, expect, test } from "vitest";
import { crosspoint } from "../cli/program.ts";
import { backends, portOf, relays } from "../support/acceptance.ts";
import { freshEcho } from "../support/fresh-connection.ts";
import { failureOf } from "../support/rpc-node.ts";
import { httpMatch, startWholeNode, tcpMatch, type WholeNode } from "../support/whole-node.ts";

async function added({ client }: WholeNode, match: object, service: string): Promise<string> {
  const { route } = await client.call("addRoute", { route: { match, service } });
  return route?.name ?? "";
}

async function set({ client }: WholeNode, name: string, match: object, service: string) {
  const change = { $case: "putRoute", value: { name, match, service } };
  await client.call("applyChanges", { changes: [{ change }] });
}

async function namedNode(): Promise<WholeNode> {
  const node = await startWholeNode();
  const http = await backends("one", "two");
  const tcp = await relays("relay-one", "relay-two");
  for (const { name, address } of [...http, ...tcp])
    await node.client.call("registerBackend", { backend: { service: name, address } });
  return node;
}

describe("the API", () => {
  test("TestAPIAddHTTPRoute: it is answered with a name, stored, and served", async () => {
    const node = await namedNode();
    const name = await added(node, httpMatch("foo.com", "/bar"), "one");
    const { route } = await node.client.call("getRoute", { name });
    expect(route).toMatchObject({ service: "one", match: httpMatch("foo.com", "/bar") });
    expect((await node.get("foo.com", "/bar/baz")).body).toBe("one");
  });

  test("TestAPIAddTCPRoute: a port is allocated, and served", async () => {
    const node = await namedNode();
    const name = await added(node, tcpMatch(), "relay-one");
    const port = await portOf(node, name);
    expect(port).toBeGreaterThan(0);
    expect(await freshEcho(port, "hello")).toMatchObject({ body: "relay-one" });
  });

  test("TestAPIAddDuplicateRoute: the identical one is answered again, another one for the match is refused", async () => {
    const node = await namedNode();
    for (const match of [httpMatch("foo.com"), tcpMatch(node.config.tcpPorts.last)]) {
      const name = await added(node, match, "one");
      expect(await added(node, match, "one")).toBe(name);
      expect((await failureOf(added(node, match, "two"))).code).toBe("ALREADY_EXISTS");
    }
    expect((await node.get("foo.com")).body).toBe("one");
  });

  test("TestAPISetHTTPRoute: put where nothing was, put again, it serves what was put last", async () => {
    const node = await namedNode();
    for (const service of ["one", "two", "one"]) {
      await set(node, "foo", httpMatch("foo.com"), service);
      expect((await node.get("foo.com")).body).toBe(service);
    }
    expect((await node.client.call("listRoutes")).routes).toHaveLength(1);
  });

  test("TestAPISetTCPRoute: the same for a port", async () => {
    const node = await namedNode();
    const port = node.config.tcpPorts.last;
    for (const service of ["relay-one", "relay-two", "relay-one"]) {
      await set(node, "relay", tcpMatch(port), service);
      expect(await freshEcho(port, "hello")).toMatchObject({ body: service });
    }
    expect((await node.client.call("listRoutes")).routes).toHaveLength(1);
  });

  test("TestAPIListRoutes: all of them, and those of one service", async () => {
    const node = await namedNode();
    await added(node, httpMatch("a.com"), "one");
    await added(node, httpMatch("b.com"), "two");
    await added(node, tcpMatch(), "two");
    const list = async (filter: Readonly<Record<string, string>>): Promise<string[]> => {
      const { routes } = await node.client.call("listRoutes", { filter });
      return routes.map(({ service }) => service);
    };
    expect((await list({})).toSorted()).toEqual(["one", "two", "two"]);
    expect(await list({ service: "two" })).toEqual(["two", "two"]);
    expect(await list({ service: "three" })).toEqual([]);
  });
});

test("TestRoute: the command adds, lists, changes and removes, and every step serves", async () => {
  const node = await namedNode();
  const rpc = node.node.rpc;
  const run = async (...words: string[]): Promise<string> => {
    const { status, stdout, stderr } = await crosspoint(["route", ...words], { rpc });
    expect(status, stderr).toBe(0);
    return stdout;
  };
  await run("add", "foo.com", "one");
  expect((await node.get("foo.com")).body).toBe("one");
  await run("add", "foo.com/sub", "two", "--name", "sub");
  expect((await node.get("foo.com", "/sub")).body).toBe("two");
  expect(await run("list")).toMatch(/foo-com +foo\.com +one[^]*sub +foo\.com\/sub +two/);
  await run("remove", "foo-com");
  expect((await node.get("foo.com")).status).toBe(404);
  expect((await node.get("foo.com", "/sub")).body).toBe("two");
  await run("remove", "sub");
  expect((await node.get("foo.com", "/sub")).status).toBe(404);
  expect(await run("list")).not.toContain("foo.com");
});

test("TestTree, TestTreeSlice: the longest prefix serves; without it, the next longest", async () => {
  const node = await namedNode();
  const names: string[] = [];
  for (const [path, service] of [
    ["/", "one"],
    ["/a", "two"],
    ["/a/b", "one"],
    ["/a/b/c", "two"],
  ] as const)
    names.push(await added(node, httpMatch("foo.com", path), service));
  const served = async (path: string): Promise<string | number> => {
    const { status, body } = await node.get("foo.com", path);
    return status === 200 ? body : status;
  };
  const bodies: (string | number)[] = [await served("/a/b/c/d")];
  for (const name of names.toReversed()) {
    await node.client.call("removeRoute", { name });
    bodies.push(await served("/a/b/c/d"));
  }
  expect(bodies).toEqual(["two", "one", "two", "one", 404]);
});
