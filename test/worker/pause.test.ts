// Goal: while a service is paused new requests and connections wait, and no request fails when its only backend is
// another process afterwards. Method: real sockets; the pause comes as a change of the table, as it does in a node.

import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import type { Pause, ServiceLimits } from "../../src/model/service-options.ts";
import { get, nextRequest, waiting, withOptions } from "../support/limited-service.ts";
import { okAnswer, type Peer } from "../support/peer.ts";
import { type Served, serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";
import { turns, until } from "../support/until.ts";

const put = (pause?: Partial<Pause>, limits?: ServiceLimits): Change => ({
  kind: "service-put",
  service: withOptions({
    ...(pause !== undefined && { pause: { queue: 1_000, queueMs: 30_000, sinceMs: 1, ...pause } }),
    ...(limits !== undefined && { limits }),
  }),
});

/** Its backend is a process that can be ended and started anew; its connections break then. */
class Restarting {
  port = 0;
  served = 0;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();

  async start(): Promise<void> {
    const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      request.resume().on("end", () => {
        this.served++;
        response.end(request.method);
      });
    });
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#server = server;
    await new Promise<void>((listening) => server.listen(this.port, "127.0.0.1", listening));
    this.port = (server.address() as AddressInfo).port;
  }

  async end(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

describe("a paused service", () => {
  test("holds new requests, finishes those in flight, and lets all go in order", async () => {
    const served = await serve({ settings: { accessLog: true } });
    const first = await served.client();
    first.send(get("first"));
    const { peer } = await nextRequest(served);
    await served.worker.change(put({}));
    const clients: Peer[] = [];
    for (let id = 0; id < 5; id++) {
      const client = await served.client();
      clients.push(client);
      client.send(get(id));
      await waiting(served, id + 1);
    }
    peer.send(okAnswer("first"));
    expect((await first.takeAnswer()).body).toBe("first");
    await turns(5);
    expect(served.backend.peers.length).toBe(1);
    await served.worker.change(put(undefined, { requests: 1, queue: 5 }));
    for (const [id, client] of clients.entries()) {
      const { peer: at, path } = await nextRequest(served);
      expect(path).toBe(`/${id}`);
      // What was connected before the pause has ended is not used again.
      expect(at).not.toBe(peer);
      at.send(okAnswer(String(id)));
      expect((await client.takeAnswer()).body).toBe(String(id));
    }
  });

  test("gives up its idle connections at once: a backend that waits for their end can end", async () => {
    const served = await serve();
    const client = await served.client();
    client.send(get(1));
    const { peer } = await nextRequest(served);
    peer.send(okAnswer("1"));
    await client.takeAnswer();
    await served.worker.change(put({}));
    expect(served.worker.counter("upstreamOpen")).toBe(0);
    await peer.untilEnded();
  });

  test("refuses who comes when its line is full, and who has waited too long", async () => {
    const served = await serve({ settings: { accessLog: true } });
    await served.worker.change(put({ queue: 1, queueMs: 200 }));
    const [first, second] = [await served.client(), await served.client()];
    first.send(get(1));
    await waiting(served, 1);
    second.send(get(2));
    const full = await second.takeAnswer();
    expect([statusOf(full), valuesOf(full, "x-crosspoint-reason")]).toEqual([503, ["paused-full"]]);
    const late = await first.takeAnswer();
    expect(valuesOf(late, "x-crosspoint-reason")).toEqual(["paused-too-long"]);
    expect(valuesOf(late, "retry-after")).toEqual(["1"]);
    expect([served.worker.counter("pausedFull"), served.worker.counter("pausedTooLong")]).toEqual([
      1, 1,
    ]);
  });

  test("holds TCP connections", async () => {
    const served = await serve({ settings: { accessLog: true } });
    await served.worker.change(put({}));
    const client = await served.tcpClient();
    client.send("hello");
    await waiting(served, 1);
    expect(served.backend.peers.length).toBe(0);
    await served.worker.change(put());
    const upstream = await served.backend.accept();
    expect(await upstream.take("hello")).toBe("hello");
  });

  test("holds what was sent and broke: it goes first, on a new connection", async () => {
    const served = await serve({ settings: { accessLog: true } });
    const [sent, came] = [await served.client(), await served.client()];
    sent.send(get("sent"));
    const { peer } = await nextRequest(served);
    await served.worker.change(put({}));
    came.send(get("came"));
    await waiting(served, 1);
    peer.reset();
    await waiting(served, 2);
    await served.worker.change(put(undefined, { requests: 1, queue: 5 }));
    for (const [id, client] of [
      ["sent", sent],
      ["came", came],
    ] as const) {
      const { peer: at, path } = await nextRequest(served);
      expect(path).toBe(`/${id}`);
      at.send(okAnswer(id));
      expect((await client.takeAnswer()).body).toBe(id);
    }
  });

  test("holds a request whose dial is refused meanwhile", async () => {
    const backend = new Restarting();
    await backend.start();
    const served = await serve({ scripts: [], addresses: [`127.0.0.1:${backend.port}`] });
    onTestFinished(() => backend.end());
    const client = await served.client();
    client.send(get(1));
    await client.takeAnswer();
    await backend.end();
    await served.worker.change(put({}));
    client.send(`POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab`);
    await waiting(served, 1);
    await backend.start();
    await served.worker.change(put());
    expect((await client.takeAnswer()).body).toBe("POST");
  });

  test("keeps who waits when the whole table is replaced, and when the pause ends by that", async () => {
    const served = await serve();
    await served.worker.change(put({}));
    const client = await served.client();
    client.send(get(1));
    await waiting(served, 1);
    const { routes, services, backends } = tableOf(served);
    const paused = services({ pause: { queue: 9, queueMs: 9_000, sinceMs: 1 } });
    await served.worker.replace({ routes, backends, services: paused });
    await turns(5);
    expect(served.worker.counter("waiting")).toBe(1);
    await served.worker.replace({ routes, backends, services: [] });
    (await nextRequest(served)).peer.send(okAnswer("1"));
    expect((await client.takeAnswer()).body).toBe("1");
  });
});

test("ten restarts of the only backend under load: nothing fails", {
  timeout: 90_000,
}, async () => {
  const backend = new Restarting();
  await backend.start();
  const served = await serve({ scripts: [], addresses: [`127.0.0.1:${backend.port}`] });
  onTestFinished(() => backend.end());
  const failed: string[] = [];
  let answers = 0;
  const ended = new AbortController();
  const load = async (index: number): Promise<void> => {
    const client = await served.client();
    for (let i = 0; !ended.signal.aborted; i++) {
      const method = (i + index) % 2 === 0 ? "GET" : "POST";
      const body = method === "GET" ? "" : "body";
      client.send(
        `${method} /${i} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      const answer = await client.takeAnswer();
      if (statusOf(answer) !== 200) failed.push(`${method} ${answer.startLine} ${answer.body}`);
      answers++;
    }
  };
  const loads = Array.from({ length: 12 }, (_, index) => load(index));
  for (let round = 0; round < 10; round++) {
    const before = answers;
    await until(() => answers > before + 40, "answers");
    await served.worker.change(put({}));
    // All clients have a request that waits: nothing is in flight any more.
    await waiting(served, loads.length);
    await backend.end();
    await turns(3);
    await backend.start();
    await served.worker.change(put());
  }
  ended.abort();
  await Promise.all(loads);
  expect(failed).toEqual([]);
  expect(served.worker.counter("waitedTotal")).toBeGreaterThanOrEqual(120);
  expect(served.worker.counter("upstreamRetries")).toBe(0);
});

function tableOf(served: Served) {
  const { backend, worker } = served;
  return {
    routes: [routeOf("all", "*"), routeOf("relay", worker.tcpPort)],
    backends: [backendOf("web", backend.address)],
    services: (options: Parameters<typeof withOptions>[0]) => [withOptions(options)],
  };
}
