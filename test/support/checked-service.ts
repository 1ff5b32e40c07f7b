// A service with a health check on a whole node, and backends that are as well as they are told to be.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import type { WholeNode } from "./whole-node.ts";

export interface CheckedBackend {
  readonly address: string;
  /** What it answers probes with; 0: nothing, ever. */
  health: number;
  /** What it answers requests with. */
  status: number;
  /** When each probe came, in ms, monotonic. */
  readonly probes: number[];
  readonly requests: number;
  close(): Promise<void>;
}

/** Answers every request with its port. Ends with the test. */
export async function checkedBackend(port = 0): Promise<CheckedBackend> {
  const probes: number[] = [];
  let requests = 0;
  const server = createServer((request, response) => {
    if (request.url === "/healthz") {
      probes.push(performance.now());
      if (backend.health === 0) return;
      response.statusCode = backend.health;
      response.end("health");
      return;
    }
    requests++;
    response.statusCode = backend.status;
    response.end(backend.address);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  let closed: Promise<unknown> | undefined;
  const backend = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    health: 200,
    status: 200,
    probes,
    get requests() {
      return requests;
    },
    async close() {
      if (closed === undefined) {
        closed = once(server, "close");
        server.close();
        server.closeAllConnections();
      }
      await closed;
    },
  };
  onTestFinished(() => backend.close());
  return backend;
}

export interface CheckSettings {
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  readonly unhealthyThreshold?: number;
  readonly healthyThreshold?: number;
}

/** GET /healthz, by default every 500 ms, with as much time: a busy machine must not fail a probe. */
export function httpCheck(settings: CheckSettings = {}): object {
  const { intervalMs = 500, unhealthyThreshold = 2, healthyThreshold = 1 } = settings;
  const { timeoutMs = intervalMs } = settings;
  return {
    probe: { $case: "http", value: { path: "/healthz" } },
    interval: durationOf(intervalMs),
    timeout: durationOf(timeoutMs),
    unhealthyThreshold,
    healthyThreshold,
  };
}

export function durationOf(ms: number): { readonly seconds: bigint; readonly nanos: number } {
  return { seconds: BigInt(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1_000_000 };
}

/** Health and its reason, as ListBackends has them, by address. */
export async function healthOf(
  { client }: WholeNode,
  service: string,
): Promise<Map<string, { readonly health: number; readonly reason: string }>> {
  const { backends } = await client.call("listBackends", { service });
  return new Map(
    backends.map(({ backend, health, healthReason: reason }) => [
      backend?.address ?? "",
      { health, reason },
    ]),
  );
}

/** Asks again and again until it is so. */
export async function untilHealth(
  node: WholeNode,
  [service, address]: readonly [string, string],
  holds: (known: { readonly health: number; readonly reason: string }) => boolean,
): Promise<void> {
  const end = performance.now() + 15_000;
  for (;;) {
    const known = (await healthOf(node, service)).get(address);
    if (known !== undefined && holds(known)) return;
    if (performance.now() > end) {
      throw new Error(`${address} of ${service} is ${JSON.stringify(known)} after 15 s`);
    }
  }
}
