// Goal: a TCP route is a pipe: bytes, half-closes and resets go through both ways, a slow side slows
// the other, and without a backend the connection is closed.
// Method: real sockets; the backend's end of each connection is in the test's hand.

import { describe, expect, test } from "vitest";
import { sendQueueBytesHigh } from "../../src/limits.ts";
import { parseServiceName } from "../../src/model/names.ts";
import type { Share } from "../../src/model/route-options.ts";
import { Policy, type Service } from "../../src/model/service.ts";
import type { TcpSettings } from "../../src/model/service-options.ts";
import { blackHole, type Peer, RawBackend, refusedAddress } from "../support/peer.ts";
import { type Served, serve } from "../support/served.ts";
import { backendOf, putRoute, removeRoute, routeOf } from "../support/table-fixtures.ts";
import { keepAliveLeftMs } from "../support/tcp-timers.ts";
import { turns, until } from "../support/until.ts";

async function connected(served: Served): Promise<{ client: Peer; upstream: Peer }> {
  const client = await served.tcpClient();
  return { client, upstream: await served.backend.accept() };
}

const echo = (peer: Peer): Promise<void> => {
  peer.socket.pipe(peer.socket);
  return Promise.resolve();
};

describe("a TCP route", () => {
  test("carries bytes both ways, also when the backend speaks first (TestAddTCPRoute)", async () => {
    const served = await serve();
    const { client, upstream } = await connected(served);
    upstream.send("220 ready");
    expect(await client.takeBytes(9)).toBe("220 ready");
    client.send("HELO");
    expect(await upstream.takeBytes(4)).toBe("HELO");
    expect(served.worker.open()).toEqual({
      connectionsOpen: 1,
      tcpConnectionsOpen: 1,
      upstreamOpen: 1,
    });
    expect((await served.worker.measures())[0]).toMatchObject({ inFlight: 1, total: 1 });
  });

  test("L4-01, L4-02: a half-close goes through, and the other direction lives", async () => {
    for (const who of ["client", "backend"]) {
      const served = await serve();
      const { client, upstream } = await connected(served);
      const [first, second] = who === "client" ? [client, upstream] : [upstream, client];
      first.send("request").end();
      expect(await second.takeBytes(7)).toBe("request");
      await until(() => second.ended, "the half-close");
      await turns(5);
      second.send("answer").end();
      expect(await first.takeBytes(6)).toBe("answer");
      await served.worker.reaches("tcpConnectionsOpen", 0);
      expect(served.worker.open()).toEqual({});
      expect(first.error + second.error).toBe("");
    }
  });

  test("what a client sent, and its end, before the backend was connected is not lost", async () => {
    const served = await serve();
    const client = await served.tcpClient();
    client.send("all I have to say").end();
    const upstream = await served.backend.accept();
    expect(await upstream.takeBytes(17)).toBe("all I have to say");
    await upstream.untilEnded();
    upstream.send("heard").end();
    expect(await client.takeBytes(5)).toBe("heard");
  });

  test("a reset goes through either way", async () => {
    for (const who of ["client", "backend"]) {
      const served = await serve();
      const { client, upstream } = await connected(served);
      const [first, second] = who === "client" ? [client, upstream] : [upstream, client];
      first.send("x");
      await second.takeBytes(1);
      first.reset();
      await second.untilClosed();
      expect(second.error).toBe("ECONNRESET");
      expect(served.worker.open()).toEqual({});
      expect((await served.worker.measures())[0]?.inFlight).toBe(0);
    }
  });

  test("without a backend: closed", async () => {
    const { tcpClient, worker } = await serve({ scripts: [], settings: { accessLog: true } });
    const peer = await tcpClient();
    await peer.untilEnded();
    expect(peer.bytesReceived).toBe(0);
    expect(await worker.line(1)).toMatchObject({
      protocol: "tcp",
      route: "relay",
      reason: "no-backend",
      tries: 0,
    });
    expect(worker.counter("noBackend")).toBe(1);
    expect(worker.open()).toEqual({});
  });

  test("whose backends all refuse: closed", async () => {
    const { tcpClient, worker } = await serve({
      scripts: [],
      addresses: [await refusedAddress(), await refusedAddress()],
      settings: { accessLog: true },
    });
    await (await tcpClient()).untilEnded();
    expect(await worker.line(1)).toMatchObject({ reason: "no-backend-reachable", tries: 2 });
    expect(worker.open()).toEqual({});
  });

  test("L4-07: whose backend refuses: another one, and nobody notices", async () => {
    const { tcpClient } = await serve({
      scripts: [echo],
      addresses: [await refusedAddress(), await refusedAddress()],
    });
    for (let i = 0; i < 20; i++) {
      const peer = await tcpClient();
      peer.send("echo");
      expect(await peer.takeBytes(4)).toBe("echo");
      peer.end();
    }
  });

  test("that is removed: new connections are closed, open ones carry on", async () => {
    const served = await serve();
    const { client, upstream } = await connected(served);
    await served.worker.change(removeRoute("relay"));
    await (await served.tcpClient()).untilEnded();
    client.send("still here");
    expect(await upstream.takeBytes(10)).toBe("still here");
  });

  test("follows when its service changes", async () => {
    const served = await serve();
    const other = await RawBackend.start(echo);
    await served.worker.change(putRoute("relay", served.worker.tcpPort, "other"), {
      kind: "backend-put",
      backend: backendOf("other", other.address),
    });
    const client = await served.tcpClient();
    client.send("over there");
    expect(await client.takeBytes(10)).toBe("over there");
    expect(served.backend.peers.length).toBe(0);
    client.end();
    await served.worker.reaches("tcpConnectionsOpen", 0);
    await other.close();
  });

  test("with a split leads to each of its services", async () => {
    const served = await serve({ settings: { accessLog: true } });
    const canary = await RawBackend.start(echo);
    const share = (service: string): Share => ({ service: parseServiceName(service), weight: 1 });
    await served.worker.change(
      {
        kind: "route-put",
        route: {
          ...routeOf("relay", served.worker.tcpPort),
          service: undefined,
          options: { split: [share("canary"), share("web")] },
        },
      },
      { kind: "backend-put", backend: backendOf("canary", canary.address) },
    );
    for (let i = 0; i < 64; i++) (await served.tcpClient()).end();
    await until(() => canary.peers.length + served.backend.peers.length === 64, "all of them");
    expect(canary.peers.length).toBeGreaterThan(8);
    expect(served.backend.peers.length).toBeGreaterThan(8);
    for (const peer of served.backend.peers) peer.end();
    await served.worker.reaches("tcpConnectionsOpen", 0);
    await served.worker.line(64);
    expect(new Set(served.worker.lines.map(({ service }) => service))).toEqual(
      new Set(["canary", "web"]),
    );
    await canary.close();
  });

  test("is one line in the access log when it ends", async () => {
    const served = await serve({ settings: { accessLog: true } });
    const { client, upstream } = await connected(served);
    client.send("12345").end();
    await upstream.takeBytes(5);
    upstream.send("123").end();
    expect(await served.worker.line(1)).toMatchObject({
      protocol: "tcp",
      client: "127.0.0.1",
      route: "relay",
      service: "web",
      backend: served.backend.address,
      bytes_in: 5,
      bytes_out: 3,
      tries: 1,
      reason: "",
    });
  });

  test("a client that leaves while its backend is dialled leaves nothing behind", async () => {
    const { tcpClient, worker } = await serve({
      scripts: [],
      addresses: [await blackHole()],
      limits: { connectMsMax: 60 },
    });
    const peer = await tcpClient();
    await worker.reaches("upstreamOpen", 1);
    peer.reset();
    await worker.reaches("connectionsOpen", 0);
    await worker.reaches("upstreamOpen", 0);
  });

  test("a client that floods while its backend is dialled is not read", async () => {
    const { tcpClient, worker } = await serve({
      scripts: [],
      addresses: [await blackHole()],
      limits: { connectMsMax: 60_000 },
    });
    const peer = await tcpClient();
    await worker.reaches("upstreamOpen", 1);
    for (let i = 0; i < 50; i++) {
      peer.send(Buffer.alloc(1024 * 1024));
      await turns(1);
    }
    // The kernel's buffers are full, ours hold nothing.
    expect(peer.socket.writableLength).toBeGreaterThan(20 * 1024 * 1024);
    expect(worker.counter("bytesFromClients")).toBe(0);
  });
});

describe("settings of the service", () => {
  const service = (tcp: TcpSettings): Service => ({
    name: parseServiceName("web"),
    policy: Policy.RoundRobin,
    options: { tcp },
  });

  test("connect_tries: so many backends are tried, each another one", async () => {
    const addresses = [await refusedAddress(), await refusedAddress(), await refusedAddress()];
    const served = await serve({
      scripts: [],
      addresses,
      services: [service({ connectTries: 2 })],
      settings: { accessLog: true },
    });
    await (await served.tcpClient()).untilEnded();
    expect(await served.worker.line(1)).toMatchObject({ tries: 2 });
    expect(served.worker.dialled.length).toBe(2);
    expect(new Set(served.worker.dialled.map(({ remotePort }) => remotePort)).size).toBe(2);
  });

  test("connect_tries may be more than the node's", async () => {
    const addresses = await Promise.all([1, 2, 3].map(() => refusedAddress()));
    const served = await serve({
      scripts: [echo],
      addresses,
      services: [service({ connectTries: 4 })],
      limits: { connectTriesMax: 1 },
    });
    for (let i = 0; i < 4; i++) {
      const peer = await served.tcpClient();
      peer.send("echo");
      expect(await peer.takeBytes(4)).toBe("echo");
      peer.end();
    }
  });

  test("connect_timeout: who does not answer is left for another one", async () => {
    const served = await serve({
      scripts: [echo],
      addresses: [await blackHole()],
      services: [service({ connectMs: 60 })],
      limits: { connectMsMax: 60_000 },
    });
    for (let i = 0; i < 2; i++) {
      const peer = await served.tcpClient();
      peer.send("echo");
      expect(await peer.takeBytes(4)).toBe("echo");
      peer.end();
    }
    const [, web] = (await served.worker.measures()).map(({ lastFailure }) => lastFailure);
    expect(web).toBe("connect failed: no connection within 60 ms");
  });

  test("that change hold for new connections; open ones keep theirs", async () => {
    const served = await serve({ settings: { accessLog: true } });
    const { client, upstream } = await connected(served);
    await served.worker.change({ kind: "service-put", service: service({ idleMs: 60 }) });
    await connected(served);
    expect(await served.worker.line(1)).toMatchObject({ reason: "idle: idle_time of the service" });
    client.send("still here");
    expect(await upstream.takeBytes(10)).toBe("still here");
    expect(served.worker.lines.length).toBe(1);
  });

  test("keepalive: the kernel asks both sides", async () => {
    const served = await serve({ services: [service({ keepaliveMs: 90_000 })] });
    const { client, upstream } = await connected(served);
    upstream.send("220 ready");
    await client.takeBytes(9);
    client.send("EHLO");
    await upstream.takeBytes(4);
    for (const { socket } of [client, upstream]) {
      const leftMs = () => keepAliveLeftMs(socket.remotePort ?? 0, socket.localPort ?? 0);
      await until(() => (leftMs() ?? 0) > 0, "the keepalive timer");
      expect(leftMs()).toBeLessThanOrEqual(90_000);
    }
  });
});

/** One read on top of the mark; see receiveBytes. */
const queuedBytesMax = sendQueueBytesHigh + 64 * 1024;

describe("back-pressure", () => {
  test.for(["client", "backend"] as const)(
    "a %s that does not read stops the other side, and little is queued",
    async (who) => {
      const served = await serve();
      const { client, upstream } = await connected(served);
      const [reader, writer] = who === "client" ? [client, upstream] : [upstream, client];
      const stream = who === "client" ? served.worker.accepted[0]! : served.worker.dialled[0]!;
      reader.socket.pause();
      const piece = Buffer.alloc(256 * 1024, "p");
      let sent = 0;
      for (let idle = 0; idle < 50; idle++) {
        if (writer.socket.writableLength === 0) {
          writer.socket.write(piece);
          sent += piece.length;
          idle = 0;
        }
        await turns(1);
      }
      expect(stream.queuedBytes).toBeGreaterThan(0);
      expect(stream.queuedBytes).toBeLessThanOrEqual(queuedBytesMax);
      writer.end();
      reader.socket.resume();
      await until(() => reader.ended, "the rest");
      expect(reader.bytesReceived).toBe(sent);
    },
  );
});
