// Goal: what the routers before this one promised by their tests holds for a whole node: TCP, API, system.
// Method: as acceptance.test.ts, which has the HTTP cases.

import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { backends, portOf, relays, swap } from "../support/acceptance.ts";
import { freshEcho, freshGet } from "../support/fresh-connection.ts";
import { failureOf } from "../support/rpc-node.ts";
import { httpMatch, startWholeNode, tcpMatch } from "../support/whole-node.ts";

describe("TCP", () => {
  test("TestAddTCPRoute: echoes through its port, a swap is followed, refused after removal", async () => {
    const node = await startWholeNode();
    const [one, two] = await relays("one", "two");
    await node.lead(tcpMatch(), one!.address, "relay");
    const [route] = (await node.client.call("listRoutes")).routes;
    const port = await portOf(node, route!.name);
    expect(await freshEcho(port, "hello")).toMatchObject({ body: "one" });
    // A connection that is there stays where it is.
    const old = connect(port, "127.0.0.1");
    onTestFinished(() => void old.destroy());
    old.write("a\n");
    expect(String((await once(old, "data"))[0])).toBe("one:a\n");
    await swap(node, "relay", one!, two!);
    expect(await freshEcho(port, "hello")).toMatchObject({ body: "two" });
    await node.client.call("removeRoute", { name: route!.name });
    expect(await freshEcho(port, "hello")).toMatchObject({ kind: "refused" });
    old.write("b\n");
    expect(String((await once(old, "data"))[0])).toBe("one:b\n");
  });

  test("a changed service takes the port over at once: never two listeners, never the old service", async () => {
    const node = await startWholeNode();
    const [one, two] = await relays("one", "two");
    await node.lead(tcpMatch(), one!.address, "one");
    const [route] = (await node.client.call("listRoutes")).routes;
    const port = await portOf(node, route!.name);
    await node.client.call("registerBackend", {
      backend: { service: "two", address: two!.address },
    });
    const change = { $case: "putRoute", value: { match: tcpMatch(port), service: "two" } };
    await node.client.call("applyChanges", { changes: [{ change }] });
    for (let i = 0; i < 8; i++) expect(await freshEcho(port, "x")).toMatchObject({ body: "two" });
  });

  test("TestTCPPortAllocation: ten ports, the eleventh fails, all released, allocated again and served", async () => {
    const { config } = await startWholeNode();
    const { first } = config.tcpPorts;
    const node = await startWholeNode({ tcpPorts: { first: first + 20, last: first + 29 } });
    const [relay] = await relays("relay");
    await node.client.call("registerBackend", {
      backend: { service: "web", address: relay!.address },
    });
    const allocate = () =>
      node.client.call("addRoute", { route: { match: tcpMatch(), service: "web" } });
    for (let round = 0; round < 2; round++) {
      const names = [];
      for (let i = 0; i < 10; i++) names.push((await allocate()).route?.name ?? "");
      expect((await failureOf(allocate())).code).toBe("RESOURCE_EXHAUSTED");
      for (const name of names)
        expect(await freshEcho(await portOf(node, name), "x")).toMatchObject({ body: "relay" });
      for (const name of names) await node.client.call("removeRoute", { name });
    }
    for (let port = first + 20; port <= first + 29; port++)
      expect(await freshEcho(port, "x")).toMatchObject({ kind: "refused" });
  });
});

describe("API", () => {
  test("TestUpdateRoute, TestSetRoutes: update, add and remove in one request serve at once", async () => {
    const node = await startWholeNode();
    const [one, two] = await backends("one", "two");
    await node.lead(httpMatch("a.com"), one!.address, "one");
    await node.lead(httpMatch("b.com"), two!.address, "two");
    const put = (name: string, domain: string, service: string): object => ({
      change: { $case: "putRoute", value: { name, match: httpMatch(domain), service } },
    });
    const changes = [
      put("a-com", "moved.com", "one"),
      put("c", "c.com", "two"),
      { change: { $case: "removeRoute", value: "b-com" } },
    ];
    const dry = await node.client.call("applyChanges", { changes, validateOnly: true });
    expect(dry.results.map(({ action }) => action)).toEqual([3, 2, 4]);
    expect((await node.get("a.com")).body).toBe("one");
    await node.client.call("applyChanges", { changes, ifRevision: dry.revision });
    const bodies: (string | number)[] = [];
    for (const host of ["moved.com", "c.com"]) bodies.push((await node.get(host)).body);
    // The old entry does not stay.
    for (const host of ["a.com", "b.com"]) bodies.push((await node.get(host)).status);
    expect(bodies).toEqual(["one", "two", 404, 404]);
    const stale = await failureOf(
      node.client.call("applyChanges", { changes, ifRevision: dry.revision }),
    );
    expect(stale.code).toBe("ABORTED");
  });

  test("TestStreamEvents: a watch over a whole node sees what others do, and resumes", async () => {
    const node = await startWholeNode();
    const watch = node.client.watch(0n);
    onTestFinished(() => watch.call.cancel());
    expect(await watch.next()).toBe("bookmark@0");
    await node.client.call("addRoute", { route: { match: httpMatch("a.com"), service: "web" } });
    await node.client.call("registerBackend", {
      backend: { service: "web", address: "10.0.0.1:80" },
    });
    await node.client.call("removeRoute", { name: "a-com" });
    expect(await watch.take(6)).toEqual([
      "routePut a-com@1",
      "bookmark@1",
      "backendPut web 10.0.0.1:80@2",
      "bookmark@2",
      "routeRemoved a-com@3",
      "bookmark@3",
    ]);
    const resumed = node.client.watch(2n);
    onTestFinished(() => resumed.call.cancel());
    expect(await resumed.take(2)).toEqual(["routeRemoved a-com@3", "bookmark@3"]);
  });

  test("read-your-own-writes: a route is served by every worker when the call returns, and gone when it is removed", async () => {
    const node = await startWholeNode();
    const [web] = await backends("web");
    await node.lead(httpMatch("seed.com"), web!.address, "web");
    for (let i = 0; i < 50; i++) {
      const host = `h${i}.com`;
      const { route } = await node.client.call("addRoute", {
        route: { match: httpMatch(host), service: "web" },
      });
      const added = await Promise.all([
        freshGet(node.httpPort, host),
        freshGet(node.httpPort, host),
      ]);
      expect(added).toMatchObject([{ status: 200 }, { status: 200 }]);
      await node.client.call("removeRoute", { name: route?.name });
      const removed = await Promise.all([
        freshGet(node.httpPort, host),
        freshGet(node.httpPort, host),
      ]);
      expect(removed).toMatchObject([{ status: 404 }, { status: 404 }]);
    }
  });
});

describe("the whole system", () => {
  test("TestAdditionalHttpPorts: every --http serves the same table", async () => {
    const listen = { address: "127.0.0.1", port: 0 };
    const node = await startWholeNode({ http: [listen, listen, { address: "::1", port: 0 }] });
    const [web] = await backends("web");
    await node.lead(httpMatch("*"), web!.address);
    expect(node.node.http).toHaveLength(3);
    expect(new Set(node.node.http).size).toBe(3);
    for (const address of node.node.http)
      expect(await (await fetch(`http://${address}/`)).text()).toBe("web");
  });

  test("TestGracefulShutdown: the backend goes, new requests are 503, the blocked one finishes", async () => {
    const node = await startWholeNode();
    let finish = (): void => {};
    const blocking = createServer((_request, response) => (finish = () => response.end("whole")));
    blocking.listen(0, "127.0.0.1");
    await once(blocking, "listening");
    onTestFinished(() => void blocking.close());
    const address = `127.0.0.1:${(blocking.address() as AddressInfo).port}`;
    await node.lead(httpMatch("foo.com"), address, "web");
    const asked = once(blocking, "request");
    const answer = node.get("foo.com");
    await asked;
    await node.client.call("deregisterBackend", { service: "web", address });
    expect((await node.get("foo.com")).status).toBe(503);
    finish();
    expect(await answer).toMatchObject({ status: 200, body: "whole" });
  });
});
