// Goal: what checks find is what traffic does: an unhealthy backend gets none, all unhealthy ones do, and whatever
// happens to the thread that probes, requests are served.
// Method: whole nodes with real threads; backends that count their probes; checks of some 100 ms.

import { describe, expect, test } from "vitest";
import { Health } from "../../src/gen/crosspoint/v1/router.ts";
import {
  type CheckedBackend,
  checkedBackend,
  durationOf,
  healthOf,
  httpCheck,
  untilHealth,
} from "../support/checked-service.ts";
import { grpcBackend, serving } from "../support/probed-backend.ts";
import { freePort } from "../support/stub-fleet.ts";
import { until } from "../support/until.ts";
import { httpMatch, startWholeNode, type WholeNode } from "../support/whole-node.ts";

const isHealthy = ({ health }: { readonly health: number }): boolean => health === Health.HEALTHY;
const isUnhealthy = ({ health }: { readonly health: number }): boolean =>
  health === Health.UNHEALTHY;

async function lead(
  node: WholeNode,
  service: string,
  backends: readonly { readonly address: string }[],
  healthCheck: object | undefined = httpCheck(),
): Promise<void> {
  // What fails requests is not to be left out by them: these tests are about probes.
  await node.client.call("putService", {
    service: { name: service, healthCheck, ejection: { off: true } },
  });
  for (const { address } of backends) {
    await node.client.call("registerBackend", { backend: { service, address } });
  }
  await node.client.call("addRoute", { route: { match: httpMatch(`${service}.test`), service } });
}

/** Who answered so many requests, each on a connection of its own: over all workers. */
async function answeredBy(node: WholeNode, service: string, count = 40): Promise<Set<string>> {
  const answers = await Promise.all(
    Array.from({ length: count }, () => node.get(`${service}.test`)),
  );
  return new Set(answers.map(({ status, body }) => (status === 200 ? body : String(status))));
}

const addressesOf = (backends: readonly CheckedBackend[]): Set<string> =>
  new Set(backends.map(({ address }) => address));

describe("a service with a check", { timeout: 60_000 }, () => {
  test("sends nothing to an unhealthy backend, in every worker, and uses it again when it is back", async () => {
    const node = await startWholeNode({ workers: 4 });
    const backends = [await checkedBackend(), await checkedBackend(), await checkedBackend()];
    await lead(node, "web", backends);
    const [sick, ...others] = backends as [CheckedBackend, ...CheckedBackend[]];
    await untilHealth(node, ["web", sick.address], isHealthy);
    expect(await answeredBy(node, "web")).toEqual(addressesOf(backends));

    sick.health = 500;
    const beginMs = performance.now();
    await untilHealth(node, ["web", sick.address], isUnhealthy);
    // Interval (with jitter) times threshold, and a moment on a busy machine.
    expect(performance.now() - beginMs).toBeLessThan(2 * 525 + 2_000);
    expect((await healthOf(node, "web")).get(sick.address)?.reason).toMatch(/^HTTP 500 \(/);
    expect(await answeredBy(node, "web", 80)).toEqual(addressesOf(others));
    const metrics = await node.admin("/metrics");
    expect(metrics.body).toContain("\ncrosspoint_backends_unhealthy 1\n");
    expect(metrics.body).toMatch(/\ncrosspoint_probes_total\{result="failure"\} [1-9]/);

    sick.health = 204;
    await untilHealth(node, ["web", sick.address], isHealthy);
    expect((await healthOf(node, "web")).get(sick.address)?.reason).toBe("HTTP 204");
    expect(await answeredBy(node, "web", 80)).toEqual(addressesOf(backends));
  });

  test("names a backend that accepts and never answers", async () => {
    const node = await startWholeNode({ workers: 1 });
    const backends = [await checkedBackend(), await checkedBackend()];
    await lead(node, "web", backends);
    const [stuck, other] = backends as [CheckedBackend, CheckedBackend];
    stuck.health = 0;
    await untilHealth(node, ["web", stuck.address], isUnhealthy);
    const known = await healthOf(node, "web");
    expect(known.get(stuck.address)?.reason).toMatch(/^no answer within 500 ms/);
    expect(await answeredBy(node, "web")).toEqual(addressesOf([other]));
  });

  test("uses all backends when all are unhealthy and alive", async () => {
    const node = await startWholeNode();
    const backends = [await checkedBackend(), await checkedBackend()];
    for (const backend of backends) backend.health = 503;
    await lead(node, "web", backends);
    for (const { address } of backends) await untilHealth(node, ["web", address], isUnhealthy);
    expect(await answeredBy(node, "web")).toEqual(addressesOf(backends));
  });

  test("answers 503 at once while all backends refuse, and the first that is back serves within an interval", async () => {
    const node = await startWholeNode({ workers: 1 });
    const ports = [await freePort(), await freePort(), await freePort()];
    const addresses = ports.map((port) => ({ address: `127.0.0.1:${port}` }));
    await lead(node, "web", addresses);
    for (const { address } of addresses) await untilHealth(node, ["web", address], isUnhealthy);
    expect((await healthOf(node, "web")).get(addresses[0]!.address)?.reason).toMatch(
      /^connect refused \(\d+ times\)$/,
    );
    const durations: number[] = [];
    for (let n = 0; n < 50; n++) {
      const beginMs = performance.now();
      expect((await node.get("web.test")).status).toBe(503);
      durations.push(performance.now() - beginMs);
    }
    // The median: what the router waits for, all would; single ones may wait for a processor.
    expect(durations.toSorted((a, b) => a - b)[25]).toBeLessThan(10);

    const back = await checkedBackend(ports[1]);
    const backMs = performance.now();
    await untilHealth(node, ["web", back.address], isHealthy);
    expect(performance.now() - backMs).toBeLessThan(525 + 2_000);
    expect(await answeredBy(node, "web")).toEqual(addressesOf([back]));
  });

  test("tells a worker that takes the place of another what is known", async () => {
    const node = await startWholeNode({ workers: 1 });
    const backends = [await checkedBackend(), await checkedBackend()];
    // Only once in a minute: what the new worker knows it was told.
    await lead(node, "web", backends, httpCheck({ intervalMs: 60_000, unhealthyThreshold: 1 }));
    const [sick, other] = backends as [CheckedBackend, CheckedBackend];
    await untilHealth(node, ["web", sick.address], isHealthy);
    sick.health = 500;
    await node.client.call("putService", {
      service: {
        name: "web",
        healthCheck: httpCheck({ intervalMs: 59_000, unhealthyThreshold: 1 }),
      },
    });
    await untilHealth(node, ["web", sick.address], isUnhealthy);
    node.node.fleet.crashWorker(0);
    await until(() => node.node.fleet.status()[0]?.restarts === 1, "its end", 30_000);
    await until(() => node.node.fleet.status()[0]?.state === "serving", "its replacement", 30_000);
    expect(await answeredBy(node, "web")).toEqual(addressesOf([other]));
  });

  test("goes over gRPC and TCP as well", async () => {
    const node = await startWholeNode({ workers: 1 });
    let status = 1;
    const grpc = await grpcBackend((stream) => serving(status)(stream));
    const times = { interval: durationOf(400), timeout: durationOf(400), unhealthyThreshold: 1 };
    await lead(node, "grpc", [grpc], {
      probe: { $case: "grpc", value: { service: "shop" } },
      ...times,
    });
    await untilHealth(node, ["grpc", grpc.address], ({ reason }) => reason === "SERVING");
    status = 2;
    await untilHealth(node, ["grpc", grpc.address], ({ reason }) => reason === "NOT_SERVING");
    const tcp = await checkedBackend();
    await lead(node, "tcp", [tcp], { probe: { $case: "tcp", value: {} }, ...times });
    await untilHealth(node, ["tcp", tcp.address], ({ reason }) => reason === "connects");
    await tcp.close();
    await untilHealth(node, ["tcp", tcp.address], ({ reason }) => reason === "connect refused");
  });
});

describe("the prober of a node", { timeout: 60_000 }, () => {
  test("probes an address once for all services, routes and workers that want to know", async () => {
    const node = await startWholeNode({ workers: 4 });
    const backend = await checkedBackend();
    await lead(node, "one", [backend], httpCheck({ intervalMs: 400 }));
    await lead(node, "two", [backend], httpCheck({ intervalMs: 400 }));
    const { client } = node;
    await client.call("addRoute", { route: { match: httpMatch("more.test"), service: "two" } });
    await until(() => backend.probes.length >= 7, "seven probes");
    const gaps = backend.probes.slice(1).map((ms, at) => ms - backend.probes[at]!);
    // Two probers would halve it.
    expect(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length).toBeGreaterThan(350);
    for (const service of ["one", "two"]) {
      expect(isHealthy((await healthOf(node, service)).get(backend.address)!)).toBe(true);
    }
  });

  test.for([
    ["its check is taken away", (node: WholeNode) => putPlain(node)],
    ["its backend is removed", (node: WholeNode, address: string) => deregister(node, address)],
  ] as const)("probes a service no more once %s", async ([, change]) => {
    const node = await startWholeNode({ workers: 1 });
    const [backend, clock] = [await checkedBackend(), await checkedBackend()];
    await lead(node, "web", [backend], httpCheck({ intervalMs: 100 }));
    await until(() => backend.probes.length >= 2, "probes");
    await change(node, backend.address);
    const { length } = backend.probes;
    await lead(node, "other", [clock], httpCheck({ intervalMs: 100 }));
    await until(() => clock.probes.length >= 5, "time to pass");
    // One may have been under way.
    expect(backend.probes.length).toBeLessThanOrEqual(length + 1);
    const known = (await healthOf(node, "web")).get(backend.address);
    if (known !== undefined) expect(known.health).toBe(Health.UNSPECIFIED);
  });

  test("dies, and traffic goes on with what was known; the next one probes", async () => {
    const node = await startWholeNode();
    const backends = [await checkedBackend(), await checkedBackend()];
    await lead(node, "web", backends);
    const [sick, other] = backends as [CheckedBackend, CheckedBackend];
    sick.health = 500;
    await untilHealth(node, ["web", sick.address], isUnhealthy);
    for (let death = 1; death <= 3; death++) {
      const { length } = other.probes;
      node.node.health.killProber();
      expect(await answeredBy(node, "web")).toEqual(addressesOf([other]));
      expect(isUnhealthy((await healthOf(node, "web")).get(sick.address)!)).toBe(true);
      await until(() => other.probes.length >= length + 2, "the next prober");
    }
    expect((await node.admin("/metrics")).body).toContain("\ncrosspoint_prober_restarts_total 3\n");
    // It goes on from what was known: one success is enough, and nothing else has changed.
    sick.health = 200;
    await untilHealth(node, ["web", sick.address], isHealthy);
    expect(await answeredBy(node, "web")).toEqual(addressesOf(backends));
  });
});

async function putPlain({ client }: WholeNode): Promise<void> {
  await client.call("putService", { service: { name: "web" } });
}

async function deregister({ client }: WholeNode, address: string): Promise<void> {
  await client.call("deregisterBackend", { service: "web", address });
}
