// Goal: whatever is wrong, the error names the thing and what to do; what served before still serves, and
// nothing that was acknowledged is lost.
// Method: whole nodes, in this process where calls are wrong, as children where ports and
// users are. Files, settings and the machine are in wrong-files.test.ts.

import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { freshEcho } from "../support/fresh-connection.ts";
import { anywhere, Launched } from "../support/launched.ts";
import { startHttpBackend, startTcpBackend } from "../support/named-backend.ts";
import { Client, failureOf } from "../support/rpc-node.ts";
import {
  answerOf,
  httpMatch,
  startWholeNode,
  tcpMatch,
  type WholeNode,
} from "../support/whole-node.ts";

const isRoot = process.getuid?.() === 0;

/** Somebody else's listener on the loopback. */
async function stranger(
  port = 0,
): Promise<{ readonly port: number; readonly leave: () => Promise<void> }> {
  const server: Server = createServer((socket) => socket.destroy());
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const leave = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    await once(server, "close");
  };
  onTestFinished(leave);
  return { port: (server.address() as AddressInfo).port, leave };
}

/** A node that serves one HTTP and one TCP route; `intact` says that it still does, and holds nothing else. */
async function serving(): Promise<WholeNode & { intact: () => Promise<void>; tcpPort: number }> {
  const [http, tcp] = [await startHttpBackend("web"), await startTcpBackend("relay")];
  onTestFinished(async () => {
    await http.close();
    await tcp.close();
  });
  const whole = await startWholeNode();
  await whole.lead(httpMatch("a.test"), http.address);
  await whole.lead(tcpMatch(), tcp.address);
  const before = await whole.client.call("listRoutes");
  const match = before.routes.find(({ match: one }) => one?.$case === "tcp")?.match;
  const tcpPort = match?.$case === "tcp" ? match.value.port : 0;
  return {
    ...whole,
    tcpPort,
    intact: async () => {
      expect((await whole.get("a.test")).body).toBe("web");
      expect(await freshEcho(tcpPort, "hello")).toMatchObject({ kind: "answered", body: "relay" });
      expect(await whole.client.call("listRoutes")).toEqual(before);
      expect((await whole.admin("/healthz")).status).toBe(200);
    },
  };
}

describe("a call with a wrong field", () => {
  const route = (match: object, more: object = {}): object => ({
    route: { match, service: "web", ...more },
  });
  const label = "a".repeat(63);
  const tooLong = `${label}.${label}.${label}.${"a".repeat(62)}`;

  test("names it, changes nothing, and everything serves on", async () => {
    const { client, intact } = await serving();
    expect(tooLong).toHaveLength(254);
    const cases: readonly [Parameters<Client["call"]>[0], object, string, RegExp][] = [
      ["addRoute", route(httpMatch("")), "route.http.domain", /is required/],
      ["addRoute", route(httpMatch("a..test")), "route.http.domain", /a\.\.test/],
      ["addRoute", route(httpMatch(".a.test")), "route.http.domain", /\.a\.test/],
      ["addRoute", route(httpMatch(tooLong)), "route.http.domain", /253/],
      ["addRoute", route(httpMatch(`${"a".repeat(64)}.test`)), "route.http.domain", /63/],
      ["addRoute", route(httpMatch("a b.test")), "route.http.domain", /a b\.test/],
      ["addRoute", route(httpMatch("a.test\r\nX: y")), "route.http.domain", /a\.test/],
      ["addRoute", route(httpMatch("bücher.test")), "route.http.domain", /A-labels/],
      ["addRoute", route(httpMatch("a.*.test")), "route.http.domain", /a\.\*\.test/],
      ["addRoute", route(httpMatch("a.test:80")), "route.http.domain", /a\.test:80/],
      ["addRoute", route(httpMatch("b.test", "api")), "route.http.path_prefix", /api/],
      ["addRoute", route(httpMatch("b.test", "/a b")), "route.http.path_prefix", /a b/],
      ["addRoute", route(tcpMatch(65_536)), "route.tcp.port", /65536/],
      ["addRoute", route(tcpMatch(), { sticky: true }), "route.sticky", /cookies/],
      ["addRoute", route(httpMatch("b.test"), { name: "No_Label" }), "route.name", /No_Label/],
      ["addRoute", route(httpMatch("b.test"), { service: "" }), "route.service", /is required/],
      ["addRoute", { route: { service: "web" } }, "route.match", /./],
      ["addRoute", {}, "route", /./],
      ["removeRoute", { name: "" }, "name", /./],
      [
        "registerBackend",
        { backend: { service: "web", address: "nowhere" } },
        "backend.address",
        /HOST:PORT/,
      ],
      [
        "registerBackend",
        { backend: { service: "web", address: "1.2.3.4:0" } },
        "backend.address",
        /0/,
      ],
      [
        "registerBackend",
        { backend: { service: "web", address: "a.test:80", weight: 1001 } },
        "backend.weight",
        /1000/,
      ],
      ["explain", {}, "request", /./],
    ];
    for (const [method, fields, field, description] of cases) {
      const failure = await failureOf(client.call(method, fields));
      expect([JSON.stringify(fields), failure.code]).toEqual([
        JSON.stringify(fields),
        "INVALID_ARGUMENT",
      ]);
      expect([JSON.stringify(fields), ...failure.fields]).toEqual([JSON.stringify(fields), field]);
      expect(failure.message).toMatch(description);
    }
    await intact();
  });
});

describe("a port that somebody else has", () => {
  test("is refused at AddRoute, nothing is stored, and it can be had once it is free", async () => {
    const { client, intact } = await serving();
    const { port, leave } = await stranger();
    const request = { route: { match: tcpMatch(port), service: "web" } };
    const failure = await failureOf(client.call("addRoute", request));
    expect([failure.code, failure.resource, failure.info?.reason]).toEqual([
      "FAILED_PRECONDITION",
      `port/${port}`,
      "PORT_IN_USE",
    ]);
    expect(failure.message).toContain(`port ${port} on 127.0.0.1 is in use by another program`);
    await intact();
    await leave();
    expect((await client.call("addRoute", request)).lagging).toEqual([]);
  });

  test("and one that this node uses for itself is refused as well", async () => {
    const { client, intact, httpPort, node } = await serving();
    for (const [port, text] of [
      [httpPort, "this node's own HTTP listener"],
      [Number(/\d+$/.exec(node.rpc)?.[0]), "in use"],
      [Number(/\d+$/.exec(node.admin)?.[0]), "in use"],
    ] as const) {
      const failure = await failureOf(
        client.call("addRoute", { route: { match: tcpMatch(port), service: "web" } }),
      );
      expect([failure.code, failure.message]).toEqual([
        "FAILED_PRECONDITION",
        expect.stringContaining(text),
      ]);
    }
    await intact();
  });

  test("stops no node whose stored route wants it: told everywhere, served when it is free", async () => {
    const directory = temporaryDirectory();
    const backend = await startTcpBackend("relay");
    onTestFinished(() => backend.close());
    const flags = [...anywhere, `--store=sqlite:${directory}/r.db`, `--state=${directory}`];
    const first = new Launched(flags);
    const one = new Client((await first.ready()).rpc);
    const { port } = await stranger().then(async (it) => (await it.leave(), it));
    await one.call("registerBackend", { backend: { service: "web", address: backend.address } });
    await one.call("addRoute", { route: { match: tcpMatch(port), service: "web" } });
    const { route } = await one.call("addRoute", { route: { match: tcpMatch(), service: "web" } });
    one.close();
    expect(await first.stop()).toBe(0);

    const other = await stranger(port);
    const second = new Launched(flags);
    const { adminPort, line } = await second.ready();
    expect(line).toContain("revision=3");
    const free = route?.match?.$case === "tcp" ? route.match.value.port : 0;
    expect(await freshEcho(free, "x")).toMatchObject({ body: "relay" });
    const health = await answerOf(adminPort, "/healthz?verbose", {});
    expect(health.status).toBe(503);
    expect(health.body).toContain(`[-] ports: ${port}: port ${port} on 127.0.0.1 is in use`);
    expect((await answerOf(adminPort, "/readyz", {})).status).toBe(200);
    const { problems } = JSON.parse((await answerOf(adminPort, "/snapshot", {})).body);
    expect(problems).toEqual([{ port, reason: expect.stringContaining("in use") }]);

    await other.leave();
    await second.untilLogged("a TCP route's port is served again");
    expect(await freshEcho(port, "x")).toMatchObject({ body: "relay" });
    expect((await answerOf(adminPort, "/healthz", {})).status).toBe(200);
    const told = second.log.filter(({ level }) => level === "warn");
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ port, routes: [`tcp-${port}`] });
  });

  test.for([
    ["--http", "http"],
    ["--rpc", "rpc"],
    ["--admin", "admin"],
  ] as const)("%s: the node does not start; address and flag are named; exit 1", async ([flag]) => {
    const { port } = await stranger();
    const node = new Launched([
      ...anywhere.filter((one) => !one.startsWith(`${flag}=`)),
      `${flag}=127.0.0.1:${port}`,
    ]);
    expect(await node.end()).toBe(1);
    expect(node.out).toBe("");
    expect(node.log).toHaveLength(1);
    const { message, error } = node.log[0]!;
    expect(message).toBe("the node cannot start");
    expect(error).toContain("127.0.0.1");
    expect(error).toContain(String(port));
    expect(error).toContain(flag);
    expect(error).toMatch(/in use|listens there/);
  });
});

describe("a full range of ports", () => {
  test("is RESOURCE_EXHAUSTED by name; a port that is released makes room", async () => {
    const whole = await startWholeNode();
    const { first } = whole.config.tcpPorts;
    const narrow = await startWholeNode({ tcpPorts: { first: first + 50, last: first + 52 } });
    const add = () =>
      narrow.client.call("addRoute", { route: { match: tcpMatch(), service: "web" } });
    const names = [];
    for (let i = 0; i < 3; i++) names.push((await add()).route?.name ?? "");
    const failure = await failureOf(add());
    expect([failure.code, failure.info?.reason]).toEqual([
      "RESOURCE_EXHAUSTED",
      "PORT_RANGE_EXHAUSTED",
    ]);
    expect(failure.message).toContain(`${first + 50}-${first + 52}`);
    expect((await narrow.client.call("listRoutes")).routes).toHaveLength(3);
    await narrow.client.call("removeRoute", { name: names[1] });
    expect((await add()).route?.name).toBe(names[1]);
  });
});

describe("a port below 1024 without the right to it", () => {
  // Root without the capability is no better off than anybody; and anybody else lacks it anyway.
  const within = isRoot
    ? ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"]
    : [];

  test("an HTTP listener stops the start, with what to do; a route is refused, the node serves on", async () => {
    const port = 81;
    const flags = anywhere.filter((one) => !one.startsWith("--http="));
    const refused = new Launched([...flags, `--http=127.0.0.1:${port}`], { within });
    expect(await refused.end()).toBe(1);
    expect(refused.log[0]?.["error"]).toMatch(
      /--http: port 81 on 127\.0\.0\.1 needs a privilege .* from 1024 on, or grant CAP_NET_BIND_SERVICE/,
    );
    const node = new Launched(anywhere, { within });
    const { rpc, httpPort } = await node.ready();
    const client = new Client(rpc);
    onTestFinished(() => client.close());
    const failure = await failureOf(
      client.call("addRoute", { route: { match: tcpMatch(port), service: "web" } }),
    );
    expect([failure.code, failure.info?.reason]).toEqual([
      "FAILED_PRECONDITION",
      "PORT_PRIVILEGED",
    ]);
    expect((await client.call("listRoutes")).routes).toEqual([]);
    expect((await answerOf(httpPort, "/", { Host: "a.test" })).status).toBe(404);
  });
});
