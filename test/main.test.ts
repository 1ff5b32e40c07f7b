// Goal: the parts of a node are put together so that a change goes through all of them, a failing part
// leaves nothing open, and what a node tells of itself stays true when a worker dies.
// Method: whole nodes in this process; each test looks from where an operator looks.

import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { startNode } from "../src/main.ts";
import { parseRevision } from "../src/model/revision.ts";
import { SqliteStore } from "../src/store/sqlite-store.ts";
import { realSystem } from "../src/system.ts";
import { temporaryDirectory } from "./store/temporary-directory.ts";
import { startHttpBackend } from "./support/named-backend.ts";
import { recordingLog } from "./support/recording-log.ts";
import { Client, failureOf } from "./support/rpc-node.ts";
import { root } from "./support/source-tree.ts";
import { putRoute } from "./support/table-fixtures.ts";
import { until } from "./support/until.ts";
import { httpMatch, loopbackConfig, startWholeNode, tcpMatch } from "./support/whole-node.ts";

async function namedBackend(name: string): Promise<string> {
  const backend = await startHttpBackend(name);
  onTestFinished(() => backend.close());
  return backend.address;
}

describe("a change", () => {
  test("goes from RPC to every worker, and every view of the node shows it", async () => {
    const { client, lead, get, admin, node } = await startWholeNode();
    const address = await namedBackend("web");
    await lead(httpMatch("a.test"), address, "web");
    expect((await get("a.test")).body).toBe("web");

    const explained = await client.call("explain", {
      request: { $case: "http", value: { host: "A.test:80", path: "/x" } },
    });
    expect(explained).toMatchObject({
      revision: 2n,
      route: "a-test",
      service: "web",
      backend: address,
    });
    expect(explained.steps.length).toBeGreaterThan(0);
    const nothing = await client.call("explain", { request: { $case: "tcpPort", value: 1 } });
    expect(nothing).toMatchObject({ route: "", service: "", backend: "" });

    const { backends } = await client.call("listBackends", { service: "web" });
    expect(backends).toMatchObject([
      {
        backend: { address },
        source: "api",
        requestsTotal: 1n,
        failuresTotal: 0n,
        routes: ["a-test"],
      },
    ]);
    const snapshot = JSON.parse((await admin("/snapshot")).body);
    expect(snapshot).toMatchObject({
      node: "node-1",
      revision: 2,
      workers: [
        { slot: 0, state: "serving", servedRevision: 2 },
        { slot: 1, state: "serving", servedRevision: 2 },
      ],
      routes: [{ name: "a-test" }],
      backends: [{ address }],
    });
    expect((await admin("/metrics")).body).toMatch(/^crosspoint_\w*routes\S* 1$/m);
    expect(node.readyLine).toContain("revision=0");
  });

  test("by reflection alone: buf curl lists the methods and calls one", async () => {
    const { node, get } = await startWholeNode();
    const buf = (...words: string[]) =>
      promisify(execFile)(join(root, "node_modules/.bin/buf"), [
        "curl",
        "--protocol",
        "grpc",
        ...words,
      ]);
    const url = `http://${node.rpc}`;
    expect((await buf(url, "--list-methods")).stdout).toContain(
      "crosspoint.v1.RouterService/AddRoute\n",
    );
    const route = { http: { domain: "a.test" }, service: "web" };
    const { stdout } = await buf(
      "-d",
      JSON.stringify({ route }),
      `${url}/crosspoint.v1.RouterService/AddRoute`,
    );
    expect(JSON.parse(stdout)).toMatchObject({ revision: "1", route: { name: "a-test" } });
    expect((await get("a.test")).status).toBe(503);
  });
});

describe("a worker that dies", () => {
  test("takes no number with it: counters never go down, and the node says who was replaced", async () => {
    const { node, get, lead, admin, log } = await startWholeNode();
    await lead(httpMatch("a.test"), await namedBackend("web"));
    for (let i = 0; i < 20; i++) await get("a.test");
    const before = sumsOf((await admin("/metrics")).body);
    node.fleet.crashWorker(0);
    await until(() => node.fleet.status()[0]?.restarts === 1, "the crash");
    let last = before;
    const check = async (): Promise<void> => {
      const now = sumsOf((await admin("/metrics")).body);
      for (const [name, value] of last)
        expect([name, (now.get(name) ?? 0) >= value]).toEqual([name, true]);
      last = now;
    };
    for (let i = 0; i < 20; i++) {
      await check();
      expect((await get("a.test")).body).toBe("web");
    }
    await until(() => node.fleet.status()[0]?.state === "serving", "the replacement");
    await check();
    const requests = [...last].find(([name]) => name.includes("requests_total"));
    expect(requests?.[1]).toBe(40);
    expect(log.entries.some(({ level }) => level !== "info")).toBe(true);
    expect((await admin("/healthz")).status).toBe(200);
  });
});

/** Counters (not gauges), summed over their labels. */
function sumsOf(text: string): Map<string, number> {
  const counters = new Set(
    [...text.matchAll(/^# TYPE (\S+) counter$/gm)].map(([, name = ""]) => name),
  );
  const sums = new Map<string, number>();
  for (const [, name = "", value] of text.matchAll(/^([a-z_]+)(?:\{.*\})? (\S+)$/gm)) {
    if (counters.has(name)) sums.set(name, (sums.get(name) ?? 0) + Number(value));
  }
  return sums;
}

describe("a store that somebody wrote into by hand", () => {
  test("serves what can be served, tells what cannot, and takes it up when there is room", async () => {
    const directory = temporaryDirectory();
    const path = join(directory, "r.db");
    const store = await SqliteStore.open({ path, system: realSystem });
    await store.commit({
      expected: parseRevision(0),
      changes: [
        putRoute("one", "a.test"),
        putRoute("two", "a.test", "api"),
        putRoute("b", "b.test"),
      ],
    });
    await store.close();
    const { client, admin, get, log } = await startWholeNode({
      store: { kind: "sqlite", path },
      stateDir: directory,
    });
    const web = await namedBackend("web");
    const api = await namedBackend("api");
    await client.call("registerBackend", { backend: { service: "web", address: web } });
    await client.call("registerBackend", { backend: { service: "api", address: api } });
    expect((await get("a.test")).body).toBe("web");
    expect((await get("b.test")).body).toBe("web");
    expect((await admin("/healthz")).body).toContain(
      "[-] entries: routes/two: a.test belongs to route one",
    );
    expect((await admin("/readyz")).status).toBe(200);
    expect(log.messages()).toEqual(["an entry of the store is set aside"]);
    await client.call("removeRoute", { name: "one" });
    expect((await get("a.test")).body).toBe("api");
    expect((await admin("/healthz")).status).toBe(200);
  });
});

describe("a node that cannot start", () => {
  test("closes what it had opened and says why, once", async () => {
    const blocker = createServer();
    blocker.listen(0, "127.0.0.1");
    await once(blocker, "listening");
    onTestFinished(() => void blocker.close());
    const { port } = blocker.address() as AddressInfo;
    const directory = temporaryDirectory();
    const store = { kind: "sqlite", path: join(directory, "r.db") } as const;
    const warm = await startNode({
      config: loopbackConfig({ store, stateDir: directory }),
      log: recordingLog(),
      system: realSystem,
    });
    await warm.stop(0);
    const open = (): number => readdirSync("/proc/self/fd").length;
    const before = open();
    for (const changes of [
      { rpc: { kind: "tcp", address: "127.0.0.1", port } },
      { admin: { address: "127.0.0.1", port } },
      {
        http: [
          { address: "127.0.0.1", port: 0 },
          { address: "127.0.0.1", port },
        ],
      },
      { accessLog: { kind: "file", path: join(directory, "none/access.log") } },
      { stateDir: "/proc" },
    ] as const) {
      const log = recordingLog();
      const config = loopbackConfig({ store, stateDir: directory, ...changes });
      await expect(startNode({ config, log, system: realSystem })).rejects.toThrow();
      expect(log.entries.filter(({ level }) => level === "error")).toMatchObject([
        { message: "the node cannot start", fields: { error: expect.any(String) } },
      ]);
      await until(() => open() <= before, `descriptors of ${JSON.stringify(changes)} are closed`);
    }
    // The store's lock is free as well.
    const again = await startNode({
      config: loopbackConfig({ store, stateDir: directory }),
      log: recordingLog(),
      system: realSystem,
    });
    await again.stop(0);
  });
});

describe("a node that stops", () => {
  test("closes everything, also when asked twice, and refuses calls as UNAVAILABLE", async () => {
    const before = readdirSync("/proc/self/fd").length;
    const node = await startNode({
      config: loopbackConfig(),
      log: recordingLog(),
      system: realSystem,
    });
    const client = new Client(node.rpc);
    await client.call("addRoute", { route: { match: tcpMatch(), service: "web" } });
    expect(await Promise.all([node.stop(0), node.stop(0)])).toEqual([0, 0]);
    const failure = await failureOf(
      client.call("listRoutes", {}, { deadline: Date.now() + 2_000 }),
    );
    expect(failure.code).toBe("UNAVAILABLE");
    client.close();
    await until(() => readdirSync("/proc/self/fd").length <= before, "every descriptor is closed");
  });
});
