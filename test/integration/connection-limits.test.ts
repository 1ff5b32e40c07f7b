// Goal: limits of connections hold over all workers of a node, and floods of idle, slow and deaf clients leave
// good ones served.
// Method: real sockets, a whole node of two workers.

import { connect as connectSocket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { LimitSettings } from "../../src/config-limits.ts";
import { answering, okAnswer, Peer, RawBackend } from "../support/peer.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { until } from "../support/until.ts";
import { httpMatch, startWholeNode, type WholeNode } from "../support/whole-node.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const upgrade = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
const longAnswer = `HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n${"x".repeat(20_000_000)}`;

interface Limited extends WholeNode {
  readonly backend: RawBackend;
}

/** A node that leads a.test to a backend that answers by `script`, or not at all. */
async function limited(
  limits: LimitSettings,
  script?: (peer: Peer) => Promise<void>,
  proxyProtocol: readonly string[] = [],
): Promise<Limited> {
  const backend = await RawBackend.start(script);
  onTestFinished(() => backend.close());
  const node = await startWholeNode({ limits, proxyProtocol });
  await node.lead(httpMatch("a.test"), backend.address);
  return { ...node, backend };
}

const answers = answering(() => okAnswer("fine"));

async function come(port: number, localAddress = "127.0.0.1"): Promise<Peer> {
  const socket = connectSocket({ port, host: "127.0.0.1", localAddress, allowHalfOpen: true });
  const peer = new Peer(socket);
  onTestFinished(() => void socket.destroy());
  await until(() => !socket.connecting || peer.closed, "a connection");
  return peer;
}

async function metric(node: WholeNode, name: string): Promise<number> {
  const { body } = await node.admin("/metrics");
  const found = body.split("\n").find((line) => line.startsWith(`crosspoint_${name} `));
  return Number(found?.split(" ").at(-1));
}

const limitedBy = (node: WholeNode, limit: string): Promise<number> =>
  metric(node, `limited_total{limit="${limit}"}`);

async function untilMetric(node: WholeNode, name: string, is: (value: number) => boolean) {
  const deadline = performance.now() + 8_000;
  for (;;) {
    const value = await metric(node, name);
    if (is(value)) return value;
    if (performance.now() > deadline) throw new Error(`${name} is ${value}`);
  }
}

/** Connections whose requests the backend does not answer: `count` of them, on both workers. */
async function occupy(node: Limited, count: number): Promise<Peer[]> {
  const before = node.backend.peers.length;
  const peers: Peer[] = [];
  for (let i = 0; i < count; i++) peers.push((await come(node.httpPort)).send(get));
  await until(
    () => node.backend.peers.length >= before + count || peers.some((peer) => peer.over),
    "every request to reach the backend",
  );
  expect(peers.map((peer) => peer.error)).toEqual(peers.map(() => ""));
  return peers;
}

describe("a full listener", () => {
  test("turns new connections away while all are busy, whichever worker they come to", async () => {
    const node = await limited({ connectionsPerListenerMax: 8 });
    const busy = await occupy(node, 8);
    expect(await metric(node, 'worker_connections_open{worker="0"}')).toBeLessThanOrEqual(8);
    for (let i = 0; i < 10; i++) {
      const late = await come(node.httpPort);
      await late.send(get).untilClosed();
      expect(late.text).toBe("");
    }
    expect(await limitedBy(node, "connections-per-listener")).toBe(10);
    expect(await metric(node, "connections_open")).toBe(8);
    for (const peer of busy) expect(peer.over).toBe(false);
    busy[0]!.reset();
    await untilMetric(node, "connections_open", (open) => open === 7);
    const next = await come(node.httpPort);
    next.send(get);
    await until(() => node.backend.peers.length === 9, "the next one to be let in");
  });

  test("has room again when a worker died with its connections", async () => {
    const node = await limited({ connectionsPerListenerMax: 8 });
    await occupy(node, 8);
    for (const slot of [0, 1]) {
      node.node.fleet.crashWorker(slot);
      await untilMetric(node, `worker_restarts_total{worker="${slot}"}`, (count) => count === 1);
    }
    await until(
      () => node.node.fleet.status().every(({ state }) => state === "serving"),
      "both to serve again",
    );
    await occupy(node, 8);
    expect(await limitedBy(node, "connections-per-listener")).toBe(0);
  });

  test("an idle flood of ten times what fits displaces itself; a good client is answered every time", async () => {
    // Which worker has how many of them is a random walk: one that has next to none has only its good clients to displace.
    const node = await limited({ connectionsPerListenerMax: 80 }, answers);
    const good = await come(node.httpPort);
    const flood: Peer[] = [];
    let answered = 0;
    for (let i = 0; i < 800; i++) {
      flood.push(await come(node.httpPort));
      if (i % 4 !== 0) continue;
      // One that keeps its connection, and one that comes anew each time.
      const fresh = await come(node.httpPort);
      for (const peer of [good, fresh]) {
        if (statusOf(await peer.send(get).takeAnswer()) === 200) answered++;
      }
      fresh.socket.destroy();
    }
    expect(answered).toBe(400);
    expect(good.over).toBe(false);
    await untilMetric(node, "connections_open", (open) => open <= 80);
    expect(await metric(node, "room_made_total")).toBeGreaterThanOrEqual(600);
    // In order, not by a reset: whoever is idle may come again.
    await until(() => flood[0]!.ended, "the first of the flood to be closed");
    expect(flood[0]!.error).toBe("");
  });

  test("slow heads make room as well", async () => {
    const node = await limited({ connectionsPerListenerMax: 20 }, answers);
    for (let i = 0; i < 100; i++) (await come(node.httpPort)).send("GET / HTTP/1.1\r\nHost: a");
    for (let i = 0; i < 20; i++) {
      const good = await come(node.httpPort);
      expect(statusOf(await good.send(get).takeAnswer())).toBe(200);
    }
  });
});

describe("connections from one address", () => {
  test("are counted over all workers; what comes on top is reset, others are not concerned", async () => {
    const node = await limited({ connectionsPerAddressMax: 5 }, answers);
    const five: Peer[] = [];
    for (let i = 0; i < 5; i++) five.push(await come(node.httpPort));
    for (const peer of five) expect(statusOf(await peer.send(get).takeAnswer())).toBe(200);
    for (let i = 0; i < 6; i++) {
      const sixth = await come(node.httpPort);
      await sixth.send(get).untilClosed();
      expect([sixth.text, sixth.error]).toEqual(["", "ECONNRESET"]);
    }
    expect(await limitedBy(node, "connections-per-address")).toBe(6);
    const other = await come(node.httpPort, "127.0.0.2");
    expect(statusOf(await other.send(get).takeAnswer())).toBe(200);
    five[0]!.socket.destroy();
    await untilMetric(node, "connections_open", (open) => open === 5);
    const next = await come(node.httpPort);
    expect(statusOf(await next.send(get).takeAnswer())).toBe(200);
  });

  test("are those of the clients that a balancer names, not the balancer's own", async () => {
    const node = await limited({ connectionsPerAddressMax: 2 }, answers, ["127.0.0.0/8"]);
    const from = async (client: string): Promise<Peer> => {
      const peer = await come(node.httpPort);
      return peer.send(`PROXY TCP4 ${client} 198.51.100.1 50000 80\r\n${get}`);
    };
    for (let i = 1; i <= 4; i++) {
      for (let n = 0; n < 2; n++) {
        expect(statusOf(await (await from(`192.0.2.${i}`)).takeAnswer())).toBe(200);
      }
    }
    const third = await from("192.0.2.1");
    await third.untilClosed();
    expect(third.text).toBe("");
    expect(await limitedBy(node, "connections-per-address")).toBe(1);
    expect(await metric(node, "connections_open")).toBe(8);
  });
});

test("upgraded connections are counted over all workers: the next is 503, and says why", async () => {
  const switches = answering(
    () => "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
  );
  const node = await limited({ upgradedConnectionsMax: 4 }, switches);
  const open: Peer[] = [];
  for (let i = 0; i < 4; i++) {
    const peer = await come(node.httpPort);
    expect(await peer.send(upgrade).takeHead()).toMatch(/^HTTP\/1.1 101 /);
    open.push(peer);
  }
  for (let i = 0; i < 6; i++) {
    const answer = await (await come(node.httpPort)).send(upgrade).takeAnswer();
    expect(statusOf(answer)).toBe(503);
    expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["upgraded-limit"]);
  }
  expect(await limitedBy(node, "upgraded-connections")).toBe(6);
  open[0]!.socket.destroy();
  await untilMetric(node, "upgraded_connections_open", (count) => count === 3);
  const next = await come(node.httpPort);
  expect(await next.send(upgrade).takeHead()).toMatch(/^HTTP\/1.1 101 /);
});

describe("slow clients", () => {
  const quick = {
    requestHeadMsMax: 500,
    bodyIdleMsMax: 1_000,
    bodyRateGraceMs: 500,
    bodyRateLookMs: 100,
  };
  const slow = [
    { name: "heads", limits: ["head-time"], first: "GET / HTTP/1.1\r\nHost: a", more: "a" },
    {
      name: "bodies",
      limits: ["body-rate"],
      first: "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n",
      more: "x",
    },
    {
      name: "readers",
      limits: ["body-rate", "body-idle-time"],
      first: get.replace("/", "/long"),
      more: "",
    },
  ] as const;

  test.for(slow)(
    "with slow $name are cut, and a good one beside them is served on",
    async (one) => {
      const script = answering((request) =>
        request.startLine.includes("/long") ? longAnswer : okAnswer("fine"),
      );
      const node = await limited(quick, script);
      const crowd: Peer[] = [];
      for (let i = 0; i < 40; i++) {
        const peer = await come(node.httpPort);
        if (one.name === "readers") peer.socket.pause();
        crowd.push(peer.send(one.first));
      }
      const cut = async (): Promise<number> => {
        let sum = 0;
        for (const limit of one.limits) sum += await limitedBy(node, limit);
        return sum;
      };
      let asked = 0;
      const trickle = setInterval(() => {
        for (const { socket } of crowd)
          if (socket.writable && one.more !== "") socket.write(one.more);
      }, 100);
      const deadline = performance.now() + 8_000;
      try {
        while ((await cut()) < 40) {
          const good = await come(node.httpPort);
          expect(statusOf(await good.send(get).takeAnswer())).toBe(200);
          good.socket.destroy();
          asked++;
          if (performance.now() > deadline) throw new Error(`only ${await cut()}`);
        }
      } finally {
        clearInterval(trickle);
      }
      expect(asked).toBeGreaterThan(3);
      await untilMetric(node, "requests_in_flight", (count) => count === 0);
    },
  );

  test("that read slowly, but at the pace, get all of their answer", async () => {
    const node = await limited(
      { ...quick, bodyRateMin: 10_000 },
      answering(() => longAnswer),
    );
    const reader = await come(node.httpPort);
    reader.socket.pause();
    reader.send(get);
    // A sip in a while: the kernel asks for more in steps of 64 to 128 KiB, 16 sips, which must take less than
    // the idle time.
    let sips = 0;
    const sip = setInterval(() => {
      sips++;
      reader.socket.read(8 * 1024);
    }, 20);
    await until(() => sips === 150 || reader.over, "150 sips");
    clearInterval(sip);
    expect(reader.over).toBe(false);
    reader.socket.resume();
    await until(() => reader.bytesReceived >= 20_000_000, "all of it");
    expect(await limitedBy(node, "body-rate")).toBe(0);
  });
});
