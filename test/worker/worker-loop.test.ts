// Goal: a worker serves exactly the table it has acknowledged, refuses what does not fit and keeps the
// old one, answers what it is asked, and drains without losing a request.
// Method: a worker in this thread, told what the main thread would tell it.

import { describe, expect, test } from "vitest";
import { OneWorker } from "../support/one-worker.ts";
import { answering, okAnswer, Peer, RawBackend } from "../support/peer.ts";
import { serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { backendOf, putRoute, removeRoute, routeOf } from "../support/table-fixtures.ts";
import { turns } from "../support/until.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

describe("a table", () => {
  test("serves as soon as it is acknowledged; a removed route not a moment longer", async () => {
    const { client, worker } = await serve({ scripts: [answering(() => okAnswer("ok"))] });
    for (let i = 0; i < 50; i++) {
      const host = `h${i}.test`;
      const request = `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
      await worker.change(removeRoute("all"), putRoute(`r${i}`, host));
      expect(statusOf(await (await client()).send(request).takeAnswer())).toBe(200);
      await worker.change(removeRoute(`r${i}`));
      expect(statusOf(await (await client()).send(request).takeAnswer())).toBe(404);
    }
    expect(worker.counter("servedRevision")).toBe(101);
  });

  test("replaced whole keeps connections, idle ones too, and what was measured", async () => {
    const served = await serve({ scripts: [answering(() => okAnswer("ok"))] });
    const { worker, backend } = served;
    const client = await served.client();
    client.send(get);
    await client.takeAnswer();
    await worker.replace({
      routes: [routeOf("all", "*")],
      backends: [backendOf("web", backend.address)],
    });
    client.send(get);
    expect(statusOf(await client.takeAnswer())).toBe(200);
    expect(backend.peers.length).toBe(1);
    expect((await worker.measures())[0]).toMatchObject({ total: 2, inFlight: 0 });
  });

  test("replaced by one without the backend closes what was idle there", async () => {
    const { client, worker, backend } = await serve({
      scripts: [answering(() => okAnswer("ok"))],
    });
    const peer = await client();
    peer.send(get);
    await peer.takeAnswer();
    expect(worker.counter("upstreamIdle")).toBe(1);
    await worker.replace({ routes: [routeOf("all", "*")], backends: [] });
    expect(worker.counter("upstreamIdle")).toBe(0);
    await backend.peers[0]!.untilEnded();
  });

  test("that follows on another than the one it has is refused, and the old one serves on", async () => {
    const { client, worker } = await serve({ scripts: [answering(() => okAnswer("ok"))] });
    const reason = await worker.refuses({ base: 41, revision: 42 }, removeRoute("all"));
    expect(reason).toContain("41");
    expect(worker.counter("changesNacked")).toBe(1);
    expect(worker.counter("servedRevision")).toBe(1);
    const peer = await client();
    peer.send(get);
    expect(statusOf(await peer.takeAnswer())).toBe(200);
  });

  test("may change without a revision: its place among the tables decides what fits", async () => {
    const { client, worker } = await serve({ scripts: [answering(() => okAnswer("ok"))] });
    const found = [removeRoute("all"), putRoute("other", "other.test")];
    await worker.changeAt(1, ...found);
    const peer = await client();
    expect(statusOf(await peer.send(get).takeAnswer())).toBe(404);
    expect(worker.counter("servedRevision")).toBe(1);
    const explained = await worker.explain({
      kind: "http",
      method: "GET",
      host: "other.test",
      path: "/",
      headers: {},
      clientAddress: "",
    });
    expect(explained).toMatchObject({ revision: 1, route: "other" });
    // The same revision at a place that it does not follow on.
    expect(await worker.refuses({ base: 1, revision: 3 }, ...found)).toContain("position 1");
    await worker.change(putRoute("all", "*"));
    expect(statusOf(await (await client()).send(get).takeAnswer())).toBe(200);
  });

  test("a port that is given back is not accepted from any more; open connections carry on", async () => {
    const served = await serve();
    const client = await served.client();
    client.send(get);
    const upstream = await served.backend.accept();
    await upstream.takeRequest();
    await served.worker.closePort("http");
    const late = await served.client();
    late.send(get);
    upstream.send(okAnswer("carried on"));
    expect((await client.takeAnswer()).body).toBe("carried on");
    await turns(10);
    expect(served.worker.counter("connectionsAccepted")).toBe(1);
  });
});

describe("a question", () => {
  test("explain answers as the table would route", async () => {
    const { worker, backend } = await serve();
    const explanation = await worker.explain({
      kind: "http",
      method: "GET",
      host: "a.test",
      path: "/x",
      headers: {},
      clientAddress: "",
    });
    expect(explanation).toMatchObject({
      revision: 1,
      route: "all",
      service: "web",
      backend: backend.address,
    });
  });

  test("the heartbeat moves", async () => {
    const { worker } = await serve();
    expect(worker.counter("heartbeatMs")).toBeGreaterThan(0);
  });
});

describe("drain", () => {
  test("with nothing open ends at once", async () => {
    const { worker } = await serve();
    expect(await worker.drain(60_000)).toEqual({ cut: 0 });
  });

  test("closes idle connections and finishes running requests with Connection: close", async () => {
    const { backend, client, worker } = await serve();
    const idle = await client();
    idle.send(get);
    const first = await backend.accept();
    await first.takeRequest();
    first.send(okAnswer("idle now"));
    await idle.takeAnswer();
    const running = await client();
    running.send(get);
    await first.takeRequest();
    const drained = worker.drain(60_000);
    await idle.untilEnded();
    idle.end();
    first.send(okAnswer("finished"));
    const answer = await running.takeAnswer();
    expect(answer.body).toBe("finished");
    expect(valuesOf(answer, "connection")).toEqual(["close"]);
    await running.untilEnded();
    running.end();
    expect(await drained).toEqual({ cut: 0 });
    await first.untilEnded();
    expect(worker.open()).toEqual({});
  });

  test("finishes a body that had begun", async () => {
    const { backend, client, worker } = await serve();
    const peer = await client();
    peer.send(get);
    const upstream = await backend.accept();
    await upstream.takeRequest();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    await peer.take("hello");
    const drained = worker.drain(60_000);
    await turns(10);
    upstream.send("world");
    expect(await peer.takeBytes(5)).toBe("world");
    await peer.untilEnded();
    peer.end();
    expect(await drained).toEqual({ cut: 0 });
  });

  test("answers a request that was on its way", async () => {
    const { client, worker } = await serve({ scripts: [answering(() => okAnswer("in time"))] });
    const peers: Peer[] = [];
    for (let i = 0; i < 5; i++) peers.push(await client());
    // In the same turn: the bytes are in the kernel when the worker hears of the drain.
    for (const peer of peers) peer.send(get);
    const drained = worker.drain(60_000);
    for (const peer of peers) {
      expect((await peer.takeAnswer()).body).toBe("in time");
      peer.end();
    }
    expect(await drained).toEqual({ cut: 0 });
  });

  test("takes what still waits in the accept queue, and its request", async () => {
    const { worker, client } = await serve({ scripts: [answering(() => okAnswer("in time"))] });
    const waiting = Array.from({ length: 10 }, () => client());
    const drained = worker.drain(60_000);
    for (const peer of await Promise.all(waiting)) {
      peer.send(get);
      expect((await peer.takeAnswer()).body).toBe("in time");
      peer.end();
    }
    expect(await drained).toEqual({ cut: 0 });
  });

  test("cuts at the deadline what does not end, and says how much that was", async () => {
    const { backend, client, tcpClient, worker } = await serve();
    const hanging = await client();
    hanging.send(get);
    await (await backend.accept()).takeRequest();
    const piped = await tcpClient();
    await backend.accept();
    const upgraded = await client();
    upgraded.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: any\r\n\r\n");
    const third = await backend.accept();
    await third.takeRequest();
    third.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: any\r\n\r\n");
    await upgraded.takeHead();
    expect(await worker.drain(30)).toEqual({ cut: 3 });
    for (const peer of [hanging, piped, upgraded]) await peer.untilClosed();
    for (const peer of backend.peers) await peer.untilEnded();
    expect(worker.open()).toEqual({});
  });

  test("an upgraded connection that ends by itself is waited for", async () => {
    const { backend, client, worker } = await serve();
    const peer = await client();
    peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: any\r\n\r\n");
    const upstream = await backend.accept();
    await upstream.takeRequest();
    upstream.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: any\r\n\r\n",
    );
    await peer.takeHead();
    const drained = worker.drain(60_000);
    await turns(10);
    peer.send("bye").end();
    await upstream.take("bye");
    upstream.end();
    expect(await drained).toEqual({ cut: 0 });
  });

  test("hands its last access-log lines over", async () => {
    const { client, worker } = await serve({
      scripts: [answering(() => okAnswer("ok"))],
      settings: { accessLog: true },
      limits: { accessLogFlushMs: 60_000 },
    });
    const peer = await client();
    peer.send(get);
    await peer.takeAnswer();
    peer.end();
    expect(worker.lines.length).toBe(0);
    await worker.drain(60_000);
    expect(worker.lines.length).toBe(1);
  });
});

test("an IPv6 listener knows its clients by their IPv6 address", async () => {
  const backend = await RawBackend.start(
    answering((request) => okAnswer(valuesOf(request, "x-forwarded-for").join())),
  );
  const worker = await OneWorker.start({
    address: "::1",
    routes: [routeOf("all", "*")],
    backends: [backendOf("web", backend.address)],
  });
  const peer = await Peer.connect(worker.httpPort, "::1");
  peer.send(get);
  expect((await peer.takeAnswer()).body).toBe("::1");
  peer.socket.destroy();
  await worker.close();
  await backend.close();
});
