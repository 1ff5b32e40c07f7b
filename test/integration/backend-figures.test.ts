// Goal: what a node tells of its backends is what happened: with checks, over both workers, on the API and on /metrics; and the TCP
// settings of a service hold from the API to the connection.
// Method: a whole node of two workers, real sockets.

import { expect, test } from "vitest";
import { Health } from "../../src/gen/crosspoint/v1/router.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { answering, okAnswer, Peer, RawBackend, refusedAddress } from "../support/peer.ts";
import { httpMatch, startWholeNode, tcpMatch } from "../support/whole-node.ts";

test("backends: health with its reason, what was measured, series of the service", async () => {
  const backend = await RawBackend.start(answering(() => okAnswer("fine")));
  const gone = await refusedAddress();
  const node = await startWholeNode({ metricsServices: [parseServiceName("web")] });
  await node.client.call("putService", {
    service: {
      name: "web",
      healthCheck: {
        probe: { $case: "tcp", value: {} },
        interval: { seconds: 0n, nanos: 100_000_000 },
        unhealthyThreshold: 2,
      },
    },
  });
  await node.lead(httpMatch("a.test"), backend.address, "web");
  await node.client.call("registerBackend", { backend: { service: "web", address: gone } });
  for (let i = 0; i < 30; i++) expect((await node.get("a.test")).status).toBe(200);
  const listed = async () => {
    const { backends } = await node.client.call("listBackends", { service: "web" });
    const of = (address: string) => backends.find((one) => one.backend?.address === address)!;
    return { good: of(backend.address), bad: of(gone) };
  };
  let now = await listed();
  while (now.good.health !== Health.HEALTHY || now.bad.health !== Health.UNHEALTHY) {
    now = await listed();
  }
  const { good, bad } = now;
  expect(good.requestsTotal).toBe(30n);
  expect(good.latencyP50Ms).toBeGreaterThan(0);
  expect(good.latencyP99Ms).toBeGreaterThanOrEqual(good.latencyP50Ms);
  expect(good.connectionsOpen).toBeGreaterThan(0);
  expect(bad.healthReason).toMatch(/refused/);
  const { statuses } = await node.client.call("listServices", { withStatus: true });
  expect(statuses).toMatchObject([{ service: "web", backends: 2, backendsUsable: 1 }]);
  const { body } = await node.admin("/metrics");
  const series = (rest: string): number =>
    Number(new RegExp(`^crosspoint_service_${rest} (.*)$`, "m").exec(body)?.[1]);
  expect(series('backends{service="web",state="usable"}')).toBe(1);
  expect(series('backends{service="web",state="unhealthy"}')).toBe(1);
  expect(series('requests_total{service="web"}')).toBeGreaterThanOrEqual(30);
  expect(series('latency_seconds{service="web",quantile="0.99"}')).toBeGreaterThan(0);
  await backend.close();
});

test("a backend that fails: left out, until when, why, how often", async () => {
  const good = await RawBackend.start(answering(() => okAnswer("fine")));
  const failing = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
  const bad = await RawBackend.start(answering(() => failing));
  const node = await startWholeNode({ workers: 1 });
  await node.lead(httpMatch("a.test"), good.address, "web");
  await node.client.call("registerBackend", { backend: { service: "web", address: bad.address } });
  const statusOf = async () => {
    const { backends } = await node.client.call("listBackends", { service: "web" });
    return backends.find(({ backend }) => backend?.address === bad.address)!;
  };
  while ((await statusOf()).ejectedUntil === undefined) await node.get("a.test");
  const status = await statusOf();
  expect(status.ejectedUntil?.getTime()).toBeGreaterThan(Date.now());
  expect(status).toMatchObject({ health: Health.UNSPECIFIED, ejectionsTotal: 1 });
  expect(status.healthReason).toMatch(/^ejected: .*500/);
  expect(status.lastFailure).toMatch(/500/);
  const { statuses } = await node.client.call("listServices", { withStatus: true });
  expect(statuses).toMatchObject([{ backends: 2, backendsUsable: 1 }]);
  expect((await node.admin("/metrics")).body).toMatch(/^crosspoint_ejections_total 1$/m);
  await good.close();
  await bad.close();
});

test("a service that is paused: who waits is told until it is resumed", async () => {
  const backend = await RawBackend.start(answering(() => okAnswer("fine")));
  const node = await startWholeNode({ metricsServices: [parseServiceName("web")] });
  await node.lead(httpMatch("a.test"), backend.address, "web");
  await node.client.call("pauseService", { service: "web" });
  const waiting = [node.get("a.test"), node.get("a.test")];
  const list = () => node.client.call("listServices", { withStatus: true });
  while ((await list()).statuses[0]?.waiting !== 2);
  expect((await list()).services[0]?.pause?.since).toBeInstanceOf(Date);
  const { body } = await node.admin("/metrics");
  expect(body).toMatch(/^crosspoint_service_waiting\{service="web"\} 2$/m);
  expect(body).toMatch(/^crosspoint_service_paused\{service="web"\} 1$/m);
  await node.client.call("resumeService", { service: "web" });
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200]);
  const { services, statuses } = await list();
  expect([services[0]?.pause, statuses[0]?.waiting]).toEqual([undefined, 0]);
  await backend.close();
});

test("a TCP route's idle time is its service's", async () => {
  const backend = await RawBackend.start();
  const node = await startWholeNode();
  await node.client.call("putService", {
    service: { name: "db", tcp: { idleTime: { seconds: 0n, nanos: 200_000_000 } } },
  });
  await node.client.call("registerBackend", {
    backend: { service: "db", address: backend.address },
  });
  const { route } = await node.client.call("addRoute", {
    route: { match: tcpMatch(), service: "db" },
  });
  const port = route?.match?.$case === "tcp" ? route.match.value.port : 0;
  const client = await Peer.connect(port);
  const upstream = await backend.accept();
  client.send("hello");
  expect(await upstream.takeBytes(5)).toBe("hello");
  await client.untilClosed();
  expect(client.error).toBe("ECONNRESET");
  await backend.close();
});
