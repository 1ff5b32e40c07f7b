// Goal: a node that drains serves whoever waits in its workers' accept queues, hundreds of them, though the kernel
// would reset them with the socket.
// Method: a node in a process of its own whose workers are made to look at nothing; clients connect, the kernel says
// yes, the node is told to drain, and only then do the workers look.

import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { freshEcho, freshGet, type Outcome } from "../support/fresh-connection.ts";
import { type Accepted, Asked, type NodePlaces, type NodeQuestion } from "../support/kill-world.ts";
import { startHttpBackend, startTcpBackend } from "../support/named-backend.ts";
import { Client, routeFields } from "../support/rpc-node.ts";

const stallMs = 2_500;
const httpClients = 300;
const tcpClients = 100;
const withinMs = 15_000;

test.for(["auto", "net"])(
  "nobody who waits in a queue is lost when the node drains, --io %s, with tcp_migrate_req 0",
  { timeout: 60_000 },
  async (io) => {
    // With 1 the kernel saves them, and nothing is shown of us: sysctl -w net.ipv4.tcp_migrate_req=0
    expect(readFileSync("/proc/sys/net/ipv4/tcp_migrate_req", "utf8").trim()).toBe("0");
    await using world = await start(io);
    const { node, httpPort, tcpPort } = world;
    const before = await node.ask<Accepted>({ kind: "accepted" });
    await node.ask({ kind: "stall", ms: stallMs });
    let connected = 0;
    const all = Promise.withResolvers<void>();
    const onConnect = (): void => {
      if (++connected === httpClients + tcpClients) all.resolve();
    };
    const options = { withinMs, onConnect };
    const waiting: Promise<Outcome>[] = [
      ...Array.from({ length: httpClients }, () => freshGet(httpPort, "web.test", options)),
      ...Array.from({ length: tcpClients }, (_, n) => freshEcho(tcpPort, `token${n}`, options)),
    ];
    await all.promise;
    const after = await node.ask<Accepted>({ kind: "accepted" });
    // Some may have come before the workers had heard that they stall.
    expect(after.all - before.all).toBeLessThan((httpClients + tcpClients) / 4);
    const drained = node.ask<number>({ kind: "drain", ms: 10_000 });
    const outcomes = await Promise.all(waiting);
    const lost = outcomes.filter(
      (outcome) => outcome.kind !== "answered" || outcome.status !== 200,
    );
    expect(lost).toEqual([]);
    expect(await drained).toBe(0);
  },
);

async function start(io: string) {
  const backends = [await startHttpBackend("web"), await startTcpBackend("lines")];
  const node = new Asked<NodeQuestion>("kill-node.ts", [tmpdir(), `io=${io}`]);
  const { rpc, httpPort } = await node.ask<NodePlaces>({ kind: "places" });
  const client = new Client(rpc);
  for (const { name, address } of backends)
    await client.call("registerBackend", { backend: { service: name, address } });
  await client.call("addRoute", { route: routeFields("web.test", "web") });
  const { route } = await client.call("addRoute", { route: routeFields(0, "lines") });
  client.close();
  const tcpPort = route?.match?.$case === "tcp" ? route.match.value.port : 0;
  return {
    node,
    httpPort,
    tcpPort,
    async [Symbol.asyncDispose]() {
      await node.end();
      for (const backend of backends) await backend.close();
    },
  };
}
