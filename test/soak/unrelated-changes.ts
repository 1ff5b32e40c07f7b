// A change touches only what it names: node test/soak/unrelated-changes.ts [writes=10000]
//
// 50 upgraded connections (half WebSocket, half plain) and 50 TCP connections keep echoing, each message checked,
// and some keep-alive clients keep asking, while that many writes change other routes, services, backends and TCP
// ports. Afterwards every connection must still echo on the same socket, no request may have failed, the node must
// say that no change closed a connection, and its memory must be flat. Four times as many writes go before: until the
// store's history for watchers is full (10,000 revisions) and V8 has grown its heaps to the size that it likes,
// memory grows whatever we do. Ends with one line of figures, and with status 1 when a promise was broken.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ChildNode } from "../support/child-node.ts";
import { EchoingConnection, KeepAliveAsker } from "../support/lasting-connections.ts";
import { type NamedBackend, startHttpBackend, startTcpBackend } from "../support/named-backend.ts";
import { percentilesText } from "../support/percentiles.ts";
import { Client, routeFields } from "../support/rpc-node.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { UnrelatedChanges } from "../support/unrelated-changes.ts";

const tcpRoutes = 5;
const mebibyte = 1024 * 1024;
/**
 * Growth of the node's resident memory from the first counted write to the last, beyond which it is not flat: a
 * store that forgot nothing would take more, and the heaps of three threads breathe by some.
 */
const growthBytesMax = 48 * mebibyte;

export interface UnrelatedChangesFigures {
  /** Each a revision. */
  readonly writes: number;
  /** An ApplyChanges holds several. */
  readonly changes: number;
  readonly upgraded: number;
  readonly tcp: number;
  /** Echoed connections that ended, or whose echo was something else. */
  readonly cut: readonly string[];
  readonly echoes: number;
  readonly requests: number;
  /** Requests that got no 200 from the right backend, and keep-alive connections that were closed. */
  readonly failedRequests: readonly string[];
  readonly requestMs: readonly number[];
  /** The node's own word. */
  readonly workersSeen: number;
  /** Before the first counted write, then after each quarter of them. */
  readonly residentBytes: readonly number[];
}

export interface UnrelatedChangesOptions {
  /** Before those that count; nothing may be cut by them either. */
  readonly warmUpWrites: number;
  readonly writes: number;
  /** Upgraded connections, and as many TCP ones. */
  readonly connections: number;
  readonly seed: number;
}

export async function runUnrelatedChanges(
  options: UnrelatedChangesOptions,
): Promise<UnrelatedChangesFigures> {
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-unrelated-"));
  const backends: NamedBackend[] = [];
  const lasting: (EchoingConnection | KeepAliveAsker)[] = [];
  const node = new ChildNode({ directory, store: "memory:" });
  try {
    backends.push(await startHttpBackend("lasting-http"), await startTcpBackend("lasting-tcp"));
    const { rpc, httpPort } = await node.ready;
    const client = new Client(rpc);
    for (const { name, address } of backends) {
      await client.call("registerBackend", { backend: { service: name, address } });
    }
    const ports = await addLastingRoutes(client);
    const echoing = await openEchoing(options.connections, httpPort, ports);
    const askers = Array.from(
      { length: 10 },
      () => new KeepAliveAsker(httpPort, host, backends[0]?.name ?? ""),
    );
    lasting.push(...echoing, ...askers);
    const metricsBefore = await node.metrics();

    const changes = new UnrelatedChanges(client, new SeededRandom(options.seed), host);
    const residentBytes: number[] = [];
    for (const quarter of [0, 1, 2, 3, 4]) {
      await changes.applyUntil(options.warmUpWrites + (options.writes * quarter) / 4);
      residentBytes.push(node.residentBytes());
    }

    for (const connection of lasting) await connection.finish();
    client.close();
    return {
      writes: changes.writes,
      changes: changes.changes,
      upgraded: options.connections,
      tcp: options.connections,
      cut: echoing.flatMap(({ trouble }) => trouble ?? []),
      echoes: echoing.reduce((sum, { echoes }) => sum + echoes, 0),
      requests: askers.reduce((sum, { latenciesMs }) => sum + latenciesMs.length, 0),
      failedRequests: askers.flatMap(({ failures }) => failures),
      requestMs: askers.flatMap(({ latenciesMs }) => latenciesMs),
      workersSeen: [...metricsBefore].filter(
        ([name, value]) => name.startsWith("crosspoint_worker_connections_open{") && value > 0,
      ).length,
      residentBytes,
    };
  } finally {
    for (const connection of lasting) connection.close();
    await node.stop();
    for (const backend of backends) await backend.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

const host = "lasting.example.com";

/** The ports of the TCP routes. */
async function addLastingRoutes(client: Client): Promise<readonly number[]> {
  await client.call("addRoute", { route: routeFields(host, "lasting-http") });
  const ports: number[] = [];
  for (let i = 0; i < tcpRoutes; i++) {
    const route = routeFields(0, "lasting-tcp", { name: `lasting-tcp-${i}` });
    const match = (await client.call("addRoute", { route })).route?.match;
    ports.push(match?.$case === "tcp" ? match.value.port : 0);
  }
  return ports;
}

async function openEchoing(
  count: number,
  httpPort: number,
  tcpPorts: readonly number[],
): Promise<EchoingConnection[]> {
  const echoing: EchoingConnection[] = [];
  for (let i = 0; i < count; i++) {
    const upgraded =
      i % 2 === 0
        ? EchoingConnection.webSocket(httpPort, host)
        : EchoingConnection.upgraded(httpPort, host);
    echoing.push(await upgraded);
    const port = tcpPorts[i % tcpPorts.length] ?? 0;
    echoing.push(await EchoingConnection.tcp(port, "lasting-tcp"));
  }
  return echoing;
}

/** Every promise that the figures break; empty when all were kept. */
export function unrelatedChangesFailures(figures: UnrelatedChangesFigures): string[] {
  const { cut, failedRequests, residentBytes, echoes, requests } = figures;
  const failures = [...cut, ...failedRequests];
  if (figures.workersSeen < 2) failures.push("only one worker had connections");
  if (echoes < figures.upgraded + figures.tcp || requests === 0) failures.push("nothing flowed");
  const growth = (residentBytes.at(-1) ?? 0) - (residentBytes[0] ?? 0);
  if (growth > growthBytesMax) failures.push(`memory grew by ${Math.round(growth / mebibyte)} MiB`);
  return failures;
}

if (import.meta.main) {
  const writes = Number(process.argv[2] ?? "10000");
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const warmUpWrites = 4 * writes;
  const figures = await runUnrelatedChanges({ warmUpWrites, writes, connections: 50, seed });
  const failures = unrelatedChangesFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line);
  const memory = figures.residentBytes.map((bytes) => Math.round(bytes / mebibyte)).join(", ");
  console.log(
    `unrelated-changes: ${figures.writes} writes (${warmUpWrites} of them to warm up) with ${figures.changes} changes; of ${figures.upgraded} upgraded and ${figures.tcp} TCP ` +
      `connections ${figures.cut.length} cut (${figures.echoes} echoes checked); of ${figures.requests} requests ${figures.failedRequests.length} failed ` +
      `(${percentilesText(figures.requestMs)}); ` +
      `RSS when warm and after each quarter ${memory} MiB (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
