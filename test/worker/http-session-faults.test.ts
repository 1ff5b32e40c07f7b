// Goal: what breaks between us and a backend, or between us and a client, is answered as it must be:
// repeated only where nothing can happen twice (more in delivery.test.ts), never made to look complete, and nothing is left open.
// Method: real sockets; the faults' numbers are those of the project's list of faults.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { answering, blackHole, okAnswer, type Peer, refusedAddress } from "../support/peer.ts";
import { type Served, serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { backendOf, removeRoute } from "../support/table-fixtures.ts";
import { turns } from "../support/until.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody";

/** A client that has sent `request`, and the backend's end of it. */
async function asked(served: Served, request: string): Promise<{ client: Peer; upstream: Peer }> {
  const client = await served.client();
  client.send(request);
  const upstream = await served.backend.accept();
  await upstream.takeRequest();
  return { client, upstream };
}

describe("a client", () => {
  test("L4-01: that half-closes after its request gets its answer, then the end", async () => {
    const served = await serve();
    const { client, upstream } = await asked(served, get);
    client.end();
    await turns(5);
    upstream.send(okAnswer("answer"));
    expect((await client.takeAnswer()).body).toBe("answer");
    await client.untilEnded();
    await served.worker.reaches("connectionsOpen", 0);
  });

  test("L4-01: that half-closes after several gets all its answers", async () => {
    const { client } = await serve({ scripts: [answering(() => okAnswer("answer"))] });
    const peer = await client();
    peer.send(get.repeat(3)).end();
    for (let i = 0; i < 3; i++) expect((await peer.takeAnswer()).body).toBe("answer");
    await peer.untilEnded();
  });

  test("L4-04: that resets in an upload: the backend's request never completes, all is freed", async () => {
    const served = await serve();
    const client = await served.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    const upstream = await served.backend.accept();
    await upstream.take("abc\r\n");
    client.reset();
    await upstream.untilEnded();
    expect(upstream.text).toBe("");
    await served.worker.reaches("upstreamOpen", 0);
    expect(served.worker.counter("requestsInFlight")).toBe(0);
    expect(served.worker.counter("clientAborts")).toBe(1);
  });

  test("that leaves before its answer cancels the backend's request (TestHTTPCloseNotify)", async () => {
    const served = await serve();
    const { client, upstream } = await asked(served, get);
    client.reset();
    await upstream.untilEnded();
    await served.worker.reaches("upstreamOpen", 0);
    expect((await served.worker.measures())[0]?.inFlight).toBe(0);
  });

  test("that leaves while its backend is dialled leaves nothing behind", async () => {
    const served = await serve({ scripts: [], addresses: [await blackHole()] });
    const client = await served.client();
    client.send(get);
    await served.worker.reaches("upstreamOpen", 1);
    client.reset();
    await served.worker.reaches("connectionsOpen", 0);
    expect(served.worker.open()).toEqual({});
  });

  test("L4-24: that is gone while it was queued: no backend sees its request", async () => {
    const { backend, worker } = await serve();
    const gone = new Int32Array(new SharedArrayBuffer(4));
    const clients = new Worker(leavingClients, {
      eval: true,
      workerData: { gone, port: worker.httpPort, count: 5, request: get },
    });
    const ended = once(clients, "exit");
    // This thread, and the worker in it, stands still until they have come, asked and left.
    expect(Atomics.wait(gone, 0, 0, 10_000)).toBe("ok");
    await ended;
    await turns(20);
    expect(backend.peers.length).toBe(0);
    expect(worker.counter("requestsTotal")).toBe(0);
    expect(worker.open()).toEqual({});
  });
});

/** Clients in a thread of their own: each connects, asks and resets; then `gone` says so. */
const leavingClients = `
  const { connect } = require("node:net");
  const { workerData } = require("node:worker_threads");
  const { gone, port, count, request } = workerData;
  let left = count;
  for (let i = 0; i < count; i++) {
    const socket = connect({ port, host: "127.0.0.1" }, () =>
      socket.write(request, () => setImmediate(() => socket.resetAndDestroy())),
    );
    socket.on("error", () => {});
    socket.on("close", () => {
      if (--left > 0) return;
      Atomics.store(gone, 0, 1);
      Atomics.notify(gone, 0);
    });
  }
`;

describe("a backend", () => {
  test("L4-02: that half-closes behind its answer: the answer arrives, the connection is not used again", async () => {
    const { backend, client } = await serve({
      scripts: [
        async (peer) => {
          await peer.takeRequest();
          peer.send(okAnswer("answer")).end();
        },
      ],
    });
    const peer = await client();
    for (let i = 0; i < 3; i++) {
      peer.send(get);
      expect((await peer.takeAnswer()).body).toBe("answer");
    }
    expect(backend.peers.length).toBe(3);
  });

  test.for([
    ["with a length", "Content-Length: 100\r\n\r\nabc"],
    ["in chunks", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"],
    ["until the end", "\r\nabc"],
  ])("L4-03: that resets in a body %s: the client sees that it is cut", async ([, rest]) => {
    const served = await serve({ settings: { accessLog: true } });
    const { client, upstream } = await asked(served, get);
    upstream.send(`HTTP/1.1 200 OK\r\n${rest}`);
    await client.take("abc");
    upstream.reset();
    await client.untilEnded();
    expect(client.text).not.toContain("0\r\n\r\n");
    expect(served.worker.counter("upstreamIdle")).toBe(0);
    expect(await served.worker.line(1)).toMatchObject({ status: 200, reason: "backend-closed" });
  });

  test("L4-03: that resets in a body which only the end delimits: HTTP/1.0 sees a reset", async () => {
    const served = await serve();
    const { client, upstream } = await asked(served, "GET / HTTP/1.0\r\n\r\n");
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    await client.take("abc");
    upstream.reset();
    await client.untilClosed();
    expect(client.error).toBe("ECONNRESET");
    // At once, and not after a time for lingering.
    expect(served.worker.open()).toEqual({});
  });

  test("L4-05: that accepts and hangs: 504, POST not repeated, others unaffected", async () => {
    const limits = { responseHeadMsMax: 400, timerTickMs: 10 };
    const { backends, client, worker } = await serve({
      scripts: [undefined, answering(() => okAnswer("fine"))],
      limits,
    });
    const hanging = await client();
    for (;;) {
      hanging.send(post);
      await turns(10);
      if (hanging.text === "") break;
      await hanging.takeAnswer();
    }
    const other = await client();
    for (let i = 0; i < 5; i++) {
      other.send(get);
      await turns(10);
      if (other.text === "") break;
      expect(statusOf(await other.takeAnswer())).toBe(200);
    }
    expect(statusOf(await hanging.takeAnswer())).toBe(504);
    const seen = backends[0]!.peers.filter(({ text }) => text.startsWith("POST"));
    expect(seen.length).toBe(1);
    expect(worker.counter("upstreamTimeouts")).toBeGreaterThan(0);
  });

  test("L4-06: that answers no SYN: another one inside the time for dialling", async () => {
    const { client, worker } = await serve({
      scripts: [answering(() => okAnswer("fine"))],
      addresses: [await blackHole()],
      limits: { connectMsMax: 60 },
      settings: { accessLog: true },
    });
    for (let i = 0; i < 8; i++) {
      const peer = await client();
      peer.send(i % 2 === 0 ? get : post);
      expect((await peer.takeAnswer()).body).toBe("fine");
    }
    const tries = worker.lines.map((line) => line["tries"]);
    expect(Math.max(...tries.map(Number))).toBeLessThanOrEqual(2);
    expect(worker.counter("upstreamOpen")).toBeLessThanOrEqual(8);
    expect(worker.limited("connect-time")).toBe(worker.counter("upstreamConnectFailures"));
  });

  test("L4-07: that refuses: no client notices while one backend lives", async () => {
    const { client, worker } = await serve({
      scripts: [answering(() => okAnswer("fine"))],
      addresses: [await refusedAddress(), await refusedAddress(), await refusedAddress()],
    });
    const peer = await client();
    for (let i = 0; i < 40; i++) {
      peer.send(i % 2 === 0 ? get : post);
      expect((await peer.takeAnswer()).body).toBe("fine");
    }
    expect(worker.counter("upstreamConnectFailures")).toBeGreaterThan(0);
  });

  test("at most four are tried", async () => {
    const addresses = [];
    for (let i = 0; i < 6; i++) addresses.push(await refusedAddress());
    const { client, worker } = await serve({
      scripts: [],
      addresses: [...new Set(addresses)],
      settings: { accessLog: true },
    });
    const peer = await client();
    peer.send(get);
    expect(statusOf(await peer.takeAnswer())).toBe(503);
    expect(await worker.line(1)).toMatchObject({ tries: 4 });
    expect(worker.counter("upstreamTries")).toBe(4);
  });

  test("that accepts and breaks off a POST is asked once, and nobody else is (TestErrorAfterConnOnlyHitsOneBackend)", async () => {
    let hits = 0;
    const breakOff = async (peer: Peer): Promise<void> => {
      await peer.takeRequest();
      hits++;
      peer.socket.destroy();
    };
    const { client } = await serve({ scripts: [breakOff, breakOff, breakOff] });
    const peer = await client();
    peer.send(post);
    expect(statusOf(await peer.takeAnswer())).toBe(502);
    expect(hits).toBe(1);
  });

  test("L4-15: every backend resets: no storm of repetitions", async () => {
    let attempts = 0;
    const reset = async (peer: Peer): Promise<void> => {
      await peer.takeRequest();
      attempts++;
      peer.reset();
    };
    const { client } = await serve({ scripts: [reset, reset, reset] });
    const peer = await client();
    for (let i = 0; i < 50; i++) {
      peer.send(get);
      expect(statusOf(await peer.takeAnswer())).toBe(502);
    }
    expect(attempts).toBeLessThanOrEqual(60);
  });
});

describe("a change", () => {
  test("that removes the route and the backend of a running request lets it finish", async () => {
    const served = await serve();
    const { client, upstream } = await asked(served, get);
    await served.worker.change(removeRoute("all"), {
      kind: "backend-removed",
      ...backendOf("web", served.backend.address),
    });
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    await client.take("hello");
    upstream.send("world");
    expect(await client.takeBytes(5)).toBe("world");
    // The backend is nobody's any more: its connection is not kept.
    await upstream.untilEnded();
    client.send(get);
    expect(statusOf(await client.takeAnswer())).toBe(404);
  });

  test("that removes a backend closes its idle connections", async () => {
    const served = await serve();
    const { client, upstream } = await asked(served, get);
    upstream.send(okAnswer("ok"));
    await client.takeAnswer();
    expect(served.worker.counter("upstreamIdle")).toBe(1);
    await served.worker.change({
      kind: "backend-removed",
      ...backendOf("web", served.backend.address),
    });
    await upstream.untilEnded();
    expect(served.worker.counter("upstreamIdle")).toBe(0);
    client.send(get);
    const answer = await client.takeAnswer();
    expect(statusOf(answer)).toBe(503);
    expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["no-backend"]);
  });

  test("that removes everything while a POST waits for its dial: the next backend is nobody", async () => {
    const address = await blackHole();
    const served = await serve({
      scripts: [],
      addresses: [address],
      limits: { connectMsMax: 50 },
    });
    const client = await served.client();
    client.send(post);
    await served.worker.reaches("upstreamOpen", 1);
    await served.worker.change(removeRoute("all"), {
      kind: "backend-removed",
      ...backendOf("web", address),
    });
    expect(statusOf(await client.takeAnswer())).toBe(503);
    await served.worker.reaches("upstreamOpen", 0);
  });

  test("idle connections to a backend are closed after their time", async () => {
    const served = await serve({ limits: { upstreamIdleMsMax: 30 } });
    const { client, upstream } = await asked(served, get);
    upstream.send(okAnswer("ok"));
    await client.takeAnswer();
    await upstream.untilEnded();
    await served.worker.reaches("upstreamOpen", 0);
  });
});
