// Goal: what the routers before this one promised by their tests holds for a whole node.
// Method: their cases by their names, against a real node over RPC and sockets; where ours differs on
// purpose, the test says so. Cases with a name in test/control or test/worker are not repeated here.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { backends, portOf, relays, swap } from "../support/acceptance.ts";
import { freshEcho } from "../support/fresh-connection.ts";
import { httpMatch, startWholeNode, tcpMatch, type WholeNode } from "../support/whole-node.ts";

describe("HTTP", () => {
  test("TestAddHTTPRoute: served, a backend swap is followed, unknown hosts are 404, and after removal 404", async () => {
    const node = await startWholeNode();
    const [one, two] = await backends("one", "two");
    await node.lead(httpMatch("example.com"), one!.address, "web");
    expect(await node.get("example.com")).toMatchObject({ status: 200, body: "one" });
    await swap(node, "web", one!, two!);
    for (let i = 0; i < 4; i++) expect((await node.get("example.com")).body).toBe("two");
    const unknown = await node.get("foo.com");
    expect([unknown.status, unknown.headers["x-crosspoint-reason"]]).toEqual([404, "no-route"]);
    await node.client.call("removeRoute", { name: "example-com" });
    expect((await node.get("example.com")).status).toBe(404);
  });

  test("TestWildcardRouting: exact beats the longest wildcard beats the shorter; never the apex (on purpose)", async () => {
    const node = await startWholeNode();
    const [exact, long, short] = await backends("exact", "long", "short");
    await node.lead(httpMatch("*.foo.com"), short!.address);
    await node.lead(httpMatch("*.dev.foo.com"), long!.address);
    await node.lead(httpMatch("abc.dev.foo.com"), exact!.address);
    const asked = [
      "abc.dev.foo.com",
      "x.dev.foo.com",
      "a.b.dev.foo.com",
      "x.foo.com",
      "dev.foo.com",
    ];
    const bodies = [];
    for (const host of asked) bodies.push((await node.get(host)).body);
    expect(bodies).toEqual(["exact", "long", "long", "short", "short"]);
    expect((await node.get("foo.com")).status).toBe(404);
  });

  test("TestWildcardCatchAllRouting: `*` is last", async () => {
    const node = await startWholeNode();
    const [all, some] = await backends("all", "some");
    await node.lead(httpMatch("*"), all!.address);
    await node.lead(httpMatch("*.foo.com"), some!.address);
    expect((await node.get("x.foo.com")).body).toBe("some");
    for (const host of ["foo.com", "bar.org", "127.0.0.1"])
      expect((await node.get(host)).body).toBe("all");
  });

  test("TestPathRouting: a prefix matches with and without the slash, the root gets the rest, the path stays", async () => {
    const node = await startWholeNode();
    const [root, two, three] = await backends("root", "two", "three");
    // On purpose: a path needs no route for "/", and may come before it.
    await node.lead(httpMatch("foo.com", "/2/"), two!.address);
    expect((await node.get("foo.com", "/")).status).toBe(404);
    await node.lead(httpMatch("foo.com", "/3"), three!.address);
    await node.lead(httpMatch("foo.com"), root!.address);
    const asked = ["/", "/2", "/2/", "/2/x", "/3", "/3/", "/3?q", "/23", "/x/2", "/2x"];
    const bodies: string[] = [];
    for (const path of asked) bodies.push((await node.get("foo.com", path)).body);
    expect(bodies).toEqual([
      "root",
      "two",
      "two",
      "two",
      "three",
      "three",
      "three",
      "root",
      "root",
      "root",
    ]);
    await node.client.call("removeRoute", { name: await nameOf(node, "/") });
    expect((await node.get("foo.com", "/2")).body).toBe("two");
    expect((await node.get("foo.com", "/")).status).toBe(404);
  });

  test("TestCaseInsensitiveDomain, TestHostPortStripping: and a trailing dot", async () => {
    const node = await startWholeNode();
    const [web] = await backends("web");
    await node.lead(httpMatch("Foo.Example.COM"), web!.address);
    for (const host of [
      "foo.example.com",
      "FOO.exAMPLE.com",
      "foo.example.com:80",
      "Foo.example.com.:1",
    ])
      expect([host, (await node.get(host)).body]).toEqual([host, "web"]);
    // Removal knows no case either: never again a route that stays for ever.
    await node.client.call("removeRoute", { name: "foo-example-com" });
    expect((await node.get("FOO.example.com")).status).toBe(404);
  });

  test("TestRequestQueryParams: arrive as they were sent", async () => {
    const node = await startWholeNode();
    const seen = createServer((request, response) => response.end(request.url));
    seen.listen(0, "127.0.0.1");
    await once(seen, "listening");
    onTestFinished(() => void seen.close());
    await node.lead(httpMatch("foo.com"), `127.0.0.1:${(seen.address() as AddressInfo).port}`);
    for (const url of ["/test?a=b&a=%20c;d", "/?", "/?x=http://y/z?q#no".replace("#no", "")])
      expect((await node.get("foo.com", url)).body).toBe(url);
  });

  test("TestNoBackends: 503, text, when to try again; for an upgrade too", async () => {
    const node = await startWholeNode();
    await node.client.call("addRoute", { route: { match: httpMatch("foo.com"), service: "web" } });
    const upgrade = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    for (const headers of [{}, upgrade]) {
      const answer = await node.get("foo.com", "/", headers);
      expect(answer).toMatchObject({
        status: 503,
        headers: { "retry-after": "1", "content-type": expect.stringContaining("text/plain") },
      });
      expect(answer.body).not.toBe("");
    }
  });

  test("TestHTTPLoadBalance: ten blocked requests on one backend; the next ten avoid it", async () => {
    const node = await startWholeNode({ workers: 1 });
    const blocking = createServer(() => undefined);
    blocking.listen(0, "127.0.0.1");
    await once(blocking, "listening");
    onTestFinished(() => {
      blocking.close();
      blocking.closeAllConnections();
    });
    await node.lead(
      httpMatch("foo.com"),
      `127.0.0.1:${(blocking.address() as AddressInfo).port}`,
      "web",
    );
    let blocked = 0;
    const allBlocked = new Promise<void>((resolve) => {
      blocking.on("request", () => void (++blocked === 10 && resolve()));
    });
    const waiting = Array.from({ length: 10 }, () => node.get("foo.com").catch(() => undefined));
    await allBlocked;
    const [free] = await backends("free");
    await node.client.call("registerBackend", {
      backend: { service: "web", address: free!.address },
    });
    for (let i = 0; i < 10; i++) expect((await node.get("foo.com")).body).toBe("free");
    const { backends: measured } = await node.client.call("listBackends", { service: "web" });
    const inFlight = Object.fromEntries(
      measured.map((it) => [
        it.backend?.address === free!.address ? "free" : "blocking",
        it.requestsInFlight,
      ]),
    );
    expect(inFlight).toEqual({ free: 0, blocking: 10 });
    blocking.closeAllConnections();
    await Promise.all(waiting);
  });

  test("TestStickyHTTPRouteWebsocket: ten upgrades stick to one backend; when it leaves, to another", async () => {
    const node = await startWholeNode();
    const both = await backends("one", "two");
    for (const { address } of both)
      await node.client.call("registerBackend", { backend: { service: "web", address } });
    await node.client.call("addRoute", {
      route: { match: httpMatch("foo.com"), service: "web", sticky: true },
    });
    const first = await node.get("foo.com");
    const cookie = String(first.headers["set-cookie"]).split(";")[0]!;
    for (let i = 0; i < 10; i++) {
      const socket = new WebSocket(`ws://127.0.0.1:${node.httpPort}/ws`, {
        headers: { Host: "foo.com", Cookie: cookie },
      });
      const [response] = await once(socket, "upgrade");
      expect(response.headers["set-cookie"]).toBeUndefined();
      socket.terminate();
    }
    const total = async (): Promise<Record<string, bigint>> => {
      const { backends: listed } = await node.client.call("listBackends", { service: "web" });
      return Object.fromEntries(listed.map((it) => [it.backend?.address ?? "", it.requestsTotal]));
    };
    const stuck = both.find(({ name }) => name === first.body)!;
    const other = both.find((it) => it !== stuck)!;
    expect(await total()).toEqual({ [stuck.address]: 11n, [other.address]: 0n });
    await node.client.call("deregisterBackend", { service: "web", address: stuck.address });
    const next = await node.get("foo.com", "/", { Cookie: cookie });
    expect(next.body).toBe(other.name);
    expect(next.headers["set-cookie"]).toHaveLength(1);
  });
});

async function nameOf({ client }: WholeNode, pathPrefix: string): Promise<string> {
  const { routes } = await client.call("listRoutes");
  const found = routes.find(
    ({ match }) => match?.$case === "http" && match.value.pathPrefix === pathPrefix,
  );
  return found?.name ?? "";
}

describe("what is stored", () => {
  test("TestHTTPInitialSync, TestInitialTCPSync, TestHTTPInitialSyncOrder: routes survive a restart, in any order", async () => {
    const directory = temporaryDirectory();
    const stored = {
      store: { kind: "sqlite", path: `${directory}/r.db` },
      stateDir: directory,
    } as const;
    const [root, sub] = await backends("root", "sub");
    const [relay] = await relays("relay");
    const before = await startWholeNode(stored);
    await before.lead(httpMatch("foo.com", "/sub"), sub!.address);
    await before.lead(httpMatch("foo.com"), root!.address);
    await before.lead(tcpMatch(), relay!.address);
    const { routes } = await before.client.call("listRoutes");
    const tcp = routes.find(({ match }) => match?.$case === "tcp")?.name ?? "";
    const port = await portOf(before, tcp);
    await before.node.stop(0);
    const after = await startWholeNode(stored);
    expect((await after.get("foo.com", "/sub")).body).toBe("sub");
    expect((await after.get("foo.com", "/")).body).toBe("root");
    expect(await freshEcho(port, "hi")).toMatchObject({ body: "relay" });
    expect((await after.client.call("listRoutes")).routes).toEqual(routes);
  });
});
