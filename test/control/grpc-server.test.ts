// Goal: the door opens, says how it is, and closes in order.
// Method: real servers and clients; health through its own protocol; shutdown with open streams.

import { linkSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { type GrpcAddress, GrpcServer } from "../../src/control/grpc-server.ts";
import type { RouterCalls } from "../../src/control/router-service.ts";
import {
  ServerReflectionClient,
  type ServerReflectionResponse,
} from "../../src/gen/grpc/reflection/v1/reflection.ts";
import {
  HealthClient,
  HealthCheckResponse_ServingStatus as Serving,
} from "../../src/gen/health/v1/health.ts";
import { realSystem, type System } from "../../src/system.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import {
  Client,
  failureOf,
  image,
  RpcError,
  routeFields,
  startRpcNode,
  type WatchReader,
} from "../support/rpc-node.ts";

const credentials = grpc.credentials.createInsecure();

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "crosspoint-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

function healthOf(address: string): HealthClient {
  const client = new HealthClient(address, credentials);
  onTestFinished(() => client.close());
  return client;
}

function check(client: HealthClient, service: string): Promise<number | string> {
  return new Promise((resolve) => {
    client.check({ service }, (error, value) =>
      resolve(error === null ? value.status : (grpc.status[error.code] ?? "")),
    );
  });
}

/** A server over `calls`; what is not given must not be called. */
async function listen(
  address: GrpcAddress,
  calls: Partial<RouterCalls> = {},
  system: System = realSystem,
): Promise<{ readonly server: GrpcServer; readonly log: ReturnType<typeof recordingLog> }> {
  const log = recordingLog();
  const service = calls as RouterCalls;
  const server = await GrpcServer.listen({ address, service, image, system, log });
  onTestFinished(async () => {
    const closed = server.close(0);
    if (system instanceof FakeSystem) system.advance(0);
    await closed;
  });
  return { server, log };
}

const pass = (value: Buffer): Buffer => value;

const anyPort: GrpcAddress = { kind: "tcp", address: "127.0.0.1", port: 0 };

function endOf(stream: NodeJS.EventEmitter): Promise<string> {
  return new Promise((resolve) => {
    stream.on("error", (error: grpc.ServiceError) =>
      resolve(`${grpc.status[error.code]}: ${error.details}`),
    );
    stream.on("end", () => resolve("end"));
    stream.on("data", () => undefined);
  });
}

describe("listening", () => {
  test("says the real port; IPv6 in brackets", async () => {
    expect((await listen(anyPort)).server.address).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
    const v6 = await listen({ kind: "tcp", address: "::1", port: 0 });
    expect(v6.server.address).toMatch(/^\[::1\]:[1-9]\d*$/);
  });

  test("a port in use is refused by name, and told once: grpc-js says nothing beside it", async () => {
    const { server } = await listen(anyPort);
    const port = Number(server.address.split(":")[1]);
    const log = recordingLog();
    const second = GrpcServer.listen({
      address: { kind: "tcp", address: "127.0.0.1", port },
      service: {} as RouterCalls,
      image,
      system: realSystem,
      log,
    });
    await expect(second).rejects.toMatchObject({
      code: "failed-precondition",
      message: `cannot listen on 127.0.0.1:${port}: another process listens there; stop it or choose another --rpc`,
    });
    expect(log.messages()).toEqual([]);
  });

  test("an address of another machine is refused by name", async () => {
    const elsewhere = listen({ kind: "tcp", address: "192.0.2.1", port: 0 });
    await expect(elsewhere).rejects.toThrow("192.0.2.1:0: this machine has no such address");
  });

  test("serves on a unix socket, also where a killed process left its file", async () => {
    const path = join(folder(), "rpc.sock");
    const left = await leftSocket(path);
    const { server } = await startRpcNode({ address: { kind: "unix", path } });
    expect(server.address).toBe(`unix:${path}`);
    const client = new Client(server.address);
    expect((await client.call("listRoutes", {})).routes).toEqual([]);
    client.close();
    left.close();
  });

  test("leaves a socket that answers, and a file that is none", async () => {
    const path = join(folder(), "rpc.sock");
    await listen({ kind: "unix", path });
    await expect(listen({ kind: "unix", path })).rejects.toThrow("another process listens there");
    const file = join(folder(), "notes.txt");
    writeFileSync(file, "precious");
    await expect(listen({ kind: "unix", path: file })).rejects.toThrow("is no socket");
  });
});

/** A listening socket whose file stays behind: closing another name of it does not unlink this one. */
async function leftSocket(path: string): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.first`, resolve));
  linkSync(`${path}.first`, path);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return server;
}

describe("health", () => {
  test("NOT_SERVING until the node serves; Check, Watch and List agree", async () => {
    const { server } = await listen(anyPort);
    const client = healthOf(server.address);
    for (const service of ["", "crosspoint.v1.RouterService"]) {
      expect(await check(client, service)).toBe(Serving.NOT_SERVING);
    }
    expect(await check(client, "nobody")).toBe("NOT_FOUND");
    const watch = client.watch({ service: "" });
    const seen: number[] = [];
    watch.on("data", ({ status }: { status: number }) => seen.push(status));
    watch.on("error", () => undefined);
    await expect.poll(() => seen).toEqual([Serving.NOT_SERVING]);
    server.setServing(true);
    await expect.poll(() => seen).toEqual([Serving.NOT_SERVING, Serving.SERVING]);
    expect(await check(client, "")).toBe(Serving.SERVING);
    const list = await new Promise((resolve) => {
      client.list({}, (_error, value) => resolve(value));
    });
    expect(list).toEqual({
      statuses: {
        "": { status: Serving.SERVING },
        "crosspoint.v1.RouterService": { status: Serving.SERVING },
      },
    });
    watch.cancel();
  });
});

describe("closing", () => {
  test("ends watches, health and reflection streams with UNAVAILABLE, and is quick about it", async () => {
    const { server, client } = await startRpcNode();
    const watch = client.watch(0n);
    expect(await watch.next()).toBe("bookmark@0");
    const health = healthOf(server.address).watch({ service: "" });
    const statuses: number[] = [];
    health.on("data", ({ status }: { status: number }) => statuses.push(status));
    const healthEnd = endOf(health);
    const reflection = new ServerReflectionClient(server.address, credentials);
    onTestFinished(() => reflection.close());
    const stream = reflection.serverReflectionInfo();
    const reflectionEnd = endOf(stream);
    stream.write({ host: "", messageRequest: { $case: "listServices", value: "" } });
    await new Promise((resolve) => stream.once("data", resolve));
    await expect.poll(() => statuses).toEqual([Serving.SERVING]);

    await server.close(10_000);
    const failure = await failureOf(watch.next());
    expect([failure.code, failure.info?.reason]).toEqual(["UNAVAILABLE", "NODE_LEAVING"]);
    expect(failure.retry?.retryDelay?.seconds).toBe(1n);
    expect(await healthEnd).toMatch(/^UNAVAILABLE: this node is leaving/);
    expect(await reflectionEnd).toMatch(/^UNAVAILABLE: this node is leaving/);
    expect(statuses).toEqual([Serving.SERVING, Serving.NOT_SERVING]);
  });

  test("lets a call finish, and takes no new one", async () => {
    const { server, client, serving } = await startRpcNode();
    serving.serve(0);
    const waiting = client.call("addRoute", { route: routeFields("a.example.com") });
    await expect.poll(() => serving.waitedFor).toEqual([1]);
    const closed = server.close(10_000);
    const other = new Client(server.address);
    expect((await failureOf(other.call("listRoutes", {}))).code).toBe("UNAVAILABLE");
    other.close();
    serving.serve(1);
    expect((await waiting).revision).toBe(1n);
    await closed;
  });

  test("cuts what is still open at the deadline", async () => {
    const { server } = await listen(anyPort, { getRoute: () => new Promise(() => undefined) });
    const client = new Client(server.address);
    onTestFinished(() => client.close());
    const hanging = failureOf(client.call("getRoute", { name: "a" }));
    await check(healthOf(server.address), "");
    await server.close(50);
    expect(["CANCELLED", "UNAVAILABLE"]).toContain((await hanging).code);
  });
});

async function readAll(watch: WatchReader): Promise<void> {
  while ((await watch.next()) !== undefined);
}

describe("calls", () => {
  test("hear of the caller's deadline and of its leaving", async () => {
    const heard: { remainingMs: number | undefined; signal: AbortSignal }[] = [];
    const { server } = await listen(anyPort, {
      getRoute: (_request, context) => {
        heard.push(context);
        return new Promise(() => undefined);
      },
    });
    const client = new Client(server.address);
    onTestFinished(() => client.close());
    const timed = client.call("getRoute", { name: "a" }, { deadline: Date.now() + 300 });
    expect((await failureOf(timed)).code).toBe("DEADLINE_EXCEEDED");
    expect(heard[0]?.remainingMs).toBeGreaterThan(0);
    expect(heard[0]?.remainingMs).toBeLessThanOrEqual(300);
    await expect.poll(() => heard[0]?.signal.aborted).toBe(true);

    const { call, answer } = client.start("getRoute", { name: "a" });
    await expect.poll(() => heard.length).toBe(2);
    expect(heard[1]?.remainingMs).toBeUndefined();
    expect(heard[1]?.signal.aborted).toBe(false);
    call.cancel();
    expect((await failureOf(answer)).code).toBe("CANCELLED");
    await expect.poll(() => heard[1]?.signal.aborted).toBe(true);
  });

  test.for([
    [
      "throws at once",
      () => {
        throw new Error("/etc/secret: permission denied");
      },
    ],
    ["rejects with nonsense", () => Promise.reject(undefined)],
  ] as const)(
    "a handler that %s is INTERNAL, logged, and reveals nothing",
    async ([, getRoute]) => {
      const { server, log } = await listen(anyPort, { getRoute });
      const client = new Client(server.address);
      onTestFinished(() => client.close());
      const failure = await failureOf(client.call("getRoute", { name: "a" }));
      expect(failure.code).toBe("INTERNAL");
      expect(failure.message).toBe("internal error; the node's log has the details");
      expect(failure.info).toEqual({ reason: "INTERNAL", domain: "crosspoint", metadata: {} });
      expect(log.entries[0]).toMatchObject({
        level: "error",
        message: "a call failed",
        fields: { path: "/crosspoint.v1.RouterService/GetRoute" },
      });
    },
  );

  test("a watch that breaks is INTERNAL, and the node lives on", async () => {
    const { server, log } = await listen(anyPort, {
      async *watch() {
        yield { revision: 1n, event: { $case: "bookmark", value: {} } };
        throw new TypeError("a bug");
      },
    });
    const client = new Client(server.address);
    onTestFinished(() => client.close());
    const watch = client.watch(0n);
    expect(await watch.next()).toBe("bookmark@1");
    expect((await failureOf(watch.next())).code).toBe("INTERNAL");
    expect(log.messages()).toEqual(["a call failed"]);
    expect(await check(healthOf(server.address), "")).toBe(Serving.NOT_SERVING);
  });

  test("a watch that breaks off because its client left is no failure", async () => {
    const { server, log } = await listen(anyPort, {
      async *watch(_request, signal) {
        yield { revision: 1n, event: { $case: "bookmark", value: {} } };
        await new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(new Error("aborted")));
        });
      },
    });
    const client = new Client(server.address);
    onTestFinished(() => client.close());
    const watch = client.watch(0n);
    expect(await watch.next()).toBe("bookmark@1");
    watch.call.cancel();
    expect((await failureOf(watch.next())).code).toBe("CANCELLED");
    await check(healthOf(server.address), "");
    expect(log.messages()).toEqual([]);
  });

  test("a watcher that stops reading costs little memory, and is let go after 30 s", async () => {
    const system = new FakeSystem({ wallMs: Date.now() });
    let pulled = 0;
    const endless: RouterCalls["watch"] = async function* () {
      for (;;) {
        pulled++;
        yield { revision: 1n, event: { $case: "routeRemoved", value: "x".repeat(8_000) } };
      }
    };
    const { server } = await listen(anyPort, { watch: endless }, system);
    const client = new Client(server.address);
    onTestFinished(() => client.close());
    const watch = client.watch(0n);
    await watch.next();
    let before = 0;
    await expect
      .poll(() => {
        const still = pulled === before;
        before = pulled;
        return still;
      })
      .toBe(true);
    expect(pulled).toBeLessThan(500);
    system.advance(29_999);
    expect(system.timerCount).toBe(1);
    system.advance(1);
    const failure = await failureOf(readAll(watch));
    expect(failure.code).toBe("RESOURCE_EXHAUSTED");
    expect(failure.info?.reason).toBe("WATCH_STALLED");
  });

  test("an unknown method is UNIMPLEMENTED", async () => {
    const { client } = await startRpcNode();
    const path = "/crosspoint.v1.RouterService/MakeTea";
    const failure = await failureOf(
      new Promise((resolve, reject) => {
        client.raw.makeUnaryRequest(path, pass, pass, Buffer.alloc(0), (error, value) =>
          error === null ? resolve(value) : reject(new RpcError(error)),
        );
      }),
    );
    expect(failure.code).toBe("UNIMPLEMENTED");
  });
});

describe("reflection", () => {
  test("answers v1 with NOT_FOUND for what it does not know", async () => {
    const { server } = await listen(anyPort);
    const client = new ServerReflectionClient(server.address, credentials);
    onTestFinished(() => client.close());
    const stream = client.serverReflectionInfo();
    const value = "nobody.Knows";
    stream.write({ host: "h", messageRequest: { $case: "fileContainingSymbol", value } });
    const answer = await new Promise<ServerReflectionResponse>((resolve) =>
      stream.once("data", resolve),
    );
    expect(answer.originalRequest?.host).toBe("h");
    expect(answer.messageResponse).toEqual({
      $case: "errorResponse",
      value: { errorCode: 5, errorMessage: "not found" },
    });
    stream.end();
    expect(await endOf(stream)).toBe("end");
  });
});
