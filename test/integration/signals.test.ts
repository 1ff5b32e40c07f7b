// Goal: a node starts, says so, and ends as an operator, npm and a service manager expect.
// Method: the program as a child process; requests that are under way when the signal comes.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, renameSync, statSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { HealthClient } from "../../src/gen/health/v1/health.ts";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { anywhere, Launched, mainFile, type Ready } from "../support/launched.ts";
import { Client } from "../support/rpc-node.ts";
import { type Answer, answerOf, httpMatch } from "../support/whole-node.ts";

/** A backend that answers when it is told to. */
class PatientBackend {
  readonly server: Server = createServer((_request, response) => {
    this.waiting.push(response);
    this.server.emit("waiting");
  });
  readonly waiting: ServerResponse[] = [];

  static async start(): Promise<PatientBackend> {
    const backend = new PatientBackend();
    backend.server.listen(0, "127.0.0.1");
    await once(backend.server, "listening");
    onTestFinished(() => {
      backend.server.close();
      backend.server.closeAllConnections();
    });
    return backend;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async asked(): Promise<void> {
    if (this.waiting.length === 0) await once(this.server, "waiting");
  }
}

interface Underway {
  readonly node: Launched;
  readonly ready: Ready;
  readonly backend: PatientBackend;
  readonly answer: Promise<Answer>;
}

/** A node with one request under way. */
async function requestUnderway(...flags: string[]): Promise<Underway> {
  const backend = await PatientBackend.start();
  const node = new Launched([...anywhere, ...flags]);
  const ready = await node.ready();
  const client = new Client(ready.rpc);
  await client.call("registerBackend", { backend: { service: "web", address: backend.address } });
  await client.call("addRoute", { route: { match: httpMatch("a.test"), service: "web" } });
  client.close();
  const answer = answerOf(ready.httpPort, "/", { Host: "a.test" });
  answer.catch(() => undefined);
  await backend.asked();
  return { node, ready, backend, answer };
}

const halfASecond = (): Promise<void> => new Promise((passed) => setTimeout(passed, 520));

describe("draining", () => {
  test.for(["SIGTERM", "SIGINT"] as const)(
    "%s, sent twice at once: the running request ends, nobody new gets in, exit 0",
    async (signal) => {
      const { node, ready, backend, answer } = await requestUnderway();
      expect((await answerOf(ready.adminPort, "/readyz", {})).status).toBe(200);
      node.kill(signal);
      node.kill(signal);
      await node.untilLogged("draining");
      const readiness = await answerOf(ready.adminPort, "/readyz?verbose", {});
      expect(readiness).toMatchObject({
        status: 503,
        body: expect.stringContaining("[-] accepting: draining"),
      });
      await untilRefused(ready.httpPort);
      expect((await answerOf(ready.adminPort, "/livez", {})).status).toBe(200);
      backend.waiting[0]?.end("late but whole");
      expect(await answer).toMatchObject({ status: 200, body: "late but whole" });
      expect(await node.end()).toBe(0);
      expect(node.log.map(({ message }) => message)).toEqual(["draining", "stopped"]);
      expect(node.log[0]).toMatchObject({ signal, drainMs: 30_000 });
    },
  );

  test("what is not done by --drain is cut, counted, and the exit is 0 all the same", async () => {
    const { node, answer } = await requestUnderway("--drain=200ms");
    node.kill("SIGTERM");
    await expect(answer).rejects.toThrow();
    expect(await node.end()).toBe(0);
    expect(await node.untilLogged("stopped")).toMatchObject({ cut: 1 });
  });

  test.for([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("a second %s, half a second later, ends at once: %i", async ([signal, status]) => {
    const { node, answer } = await requestUnderway();
    node.kill("SIGTERM");
    await node.untilLogged("draining");
    await halfASecond();
    const before = performance.now();
    node.kill(signal);
    expect(await node.end()).toBe(status);
    expect(performance.now() - before).toBeLessThan(2_000);
    await expect(answer).rejects.toThrow();
  });

  test("health checks hear NOT_SERVING before calls are refused", async () => {
    const { node, ready, backend } = await requestUnderway();
    const health = new HealthClient(ready.rpc, grpc.credentials.createInsecure());
    onTestFinished(() => health.close());
    const heard: string[] = [];
    const ended = new Promise<void>((resolve) => {
      const watch = health.watch({ service: "crosspoint.v1.RouterService" });
      watch.on("data", ({ status }) => {
        heard.push(status === 1 ? "SERVING" : "NOT_SERVING");
        if (heard.length === 1) node.kill("SIGTERM");
      });
      watch.on("error", (error) => {
        heard.push(grpc.status[(error as grpc.ServiceError).code] ?? "");
        resolve();
      });
    });
    await ended;
    expect(heard).toEqual(["SERVING", "NOT_SERVING", "UNAVAILABLE"]);
    backend.waiting[0]?.end();
    expect(await node.end()).toBe(0);
  });

  test("signals count from the first moment, also while the start hangs", async () => {
    // Nobody reads this FIFO, so the start waits for it.
    const directory = temporaryDirectory();
    const fifo = join(directory, "access.log");
    execFileSync("mkfifo", [fifo]);
    const store = join(directory, "r.db");
    const start = async (): Promise<Launched> => {
      const node = new Launched([
        ...anywhere,
        `--store=sqlite:${store}`,
        `--state=${directory}`,
        `--access-log=${fifo}`,
      ]);
      await untilSo(() => statSync(store, { throwIfNoEntry: false }) !== undefined);
      return node;
    };
    const goesOn = await start();
    goesOn.kill("SIGHUP");
    goesOn.kill("SIGTERM");
    const reader = spawn("cat", [fifo], { stdio: "ignore" });
    onTestFinished(() => void reader.kill());
    expect(await goesOn.end()).toBe(0);
    expect(goesOn.out).toMatch(/^ready /);
  });
});

/** Until the kernel refuses new connections to a port. */
async function untilRefused(port: number): Promise<void> {
  for (;;) {
    try {
      const refused = new AbortController();
      const timeout = setTimeout(() => refused.abort(), 1_000);
      await fetch(`http://127.0.0.1:${port}/`, {
        signal: refused.signal,
        headers: { connection: "close" },
      });
      clearTimeout(timeout);
    } catch {
      return;
    }
  }
}

describe("starting", () => {
  test("says one line, with every port that was given for 0", async () => {
    const directory = temporaryDirectory();
    const node = new Launched([
      "--store=memory:",
      "--http=127.0.0.1:0",
      "--http=[::1]:0",
      "--rpc=127.0.0.1:0",
      "--admin=127.0.0.1:0",
      "--workers=1",
      `--state=${directory}`,
    ]);
    const { line, http, rpc, admin } = await node.ready();
    expect(line).toMatch(
      /^ready rpc=127\.0\.0\.1:\d+ admin=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+,\[::1\]:\d+ workers=1 io=(?:uring|epoll|net) revision=0$/,
    );
    expect(`${rpc} ${admin} ${http.join(" ")}`).not.toMatch(/:0\b/);
    for (const address of http) {
      expect((await fetch(`http://${address}/`)).status).toBe(404);
    }
    expect(await node.stop()).toBe(0);
    expect(node.out).toBe(`${line}\n`);
  });

  test("over a socket file, which is gone afterwards", async () => {
    const path = join(temporaryDirectory(), "rpc.sock");
    const node = new Launched([...anywhere, `--rpc=unix:${path}`]);
    const { rpc } = await node.ready();
    expect(rpc).toBe(`unix:${path}`);
    const client = new Client(rpc);
    expect((await client.call("listRoutes")).routes).toEqual([]);
    client.close();
    expect(await node.stop()).toBe(0);
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  });

  test("the revision of a stored table is in the line, and a route serves before it", async () => {
    const directory = temporaryDirectory();
    const flags = [...anywhere, `--store=sqlite:${directory}/r.db`, `--state=${directory}`];
    const first = new Launched(flags);
    const client = new Client((await first.ready()).rpc);
    await client.call("addRoute", { route: { match: httpMatch("a.test"), service: "web" } });
    client.close();
    await first.stop();
    const { line, httpPort } = await new Launched(flags).ready();
    expect(line).toContain(" revision=1");
    expect((await answerOf(httpPort, "/", { Host: "a.test" })).status).toBe(503);
  });

  test("as npm starts it: a shell that becomes the node", async () => {
    const words = ["-c", `exec "$0" "$@"`, process.execPath, mainFile, ...anywhere];
    const shell = spawn("sh", words, { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void shell.kill("SIGKILL"));
    await once(shell.stdout, "data");
    shell.kill("SIGINT");
    shell.kill("SIGINT");
    expect(await once(shell, "exit")).toEqual([0, null]);
  });
});

describe("without a reader of standard output", () => {
  test("a node whose ready line cannot be written serves all the same, and says so", async () => {
    const node = new Launched([...anywhere, "--access-log=-"]);
    node.child.stdout?.destroy();
    const { error } = await node.untilLogged("standard output takes nothing; traffic goes on");
    expect(error).toContain("EPIPE");
    expect(await node.stop()).toBe(0);
  });

  test("a full disk under standard output and standard error ends no node", async () => {
    const socket = join(temporaryDirectory(), "rpc.sock");
    const node = new Launched([...anywhere, `--rpc=unix:${socket}`], {
      within: ["sh", "-c", `exec "$0" "$@" >/dev/full 2>/dev/full`],
    });
    await untilSo(() => statSync(socket, { throwIfNoEntry: false }) !== undefined);
    const client = new Client(`unix:${socket}`);
    onTestFinished(() => client.close());
    await client.call("listRoutes", {}, { deadline: Date.now() + 5_000 });
    node.kill("SIGTERM");
    expect(await node.end()).toBe(0);
  });
});

test("SIGHUP: after a rotation lines go to the new file, and none is lost", async () => {
  const file = join(temporaryDirectory(), "access.log");
  const node = new Launched([...anywhere, `--access-log=${file}`]);
  const { httpPort } = await node.ready();
  const ask = async (path: string): Promise<void> => {
    await answerOf(httpPort, path, { Host: "nobody.test" });
  };
  const linesOf = (path: string): number => readFileSync(path, "utf8").split("\n").length - 1;
  await ask("/before");
  await untilSo(() => linesOf(file) === 1);
  renameSync(file, `${file}.1`);
  node.kill("SIGHUP");
  await untilSo(() => statSync(file, { throwIfNoEntry: false }) !== undefined);
  for (let i = 0; i < 5; i++) await ask("/after");
  expect(await node.stop()).toBe(0);
  expect(readFileSync(`${file}.1`, "utf8")).toContain('"/before"');
  expect([linesOf(`${file}.1`), linesOf(file)]).toEqual([1, 5]);
});

async function untilSo(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    expect(tries).toBeLessThan(400);
    await new Promise((passed) => setTimeout(passed, 20));
  }
}
