// Goal: a drain and a pause that one node is asked for hold on every node that shares the store.
// Method: two nodes in processes of their own on a real etcd; requests that are open on the other one.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { BackendDrain_State as State, Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { type ClusterNode, ClusterWorld } from "../support/cluster-world.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { PatientBackend } from "../support/patient-backend.ts";
import { routeFields } from "../support/rpc-node.ts";
import { type Answer, answerOf } from "../support/whole-node.ts";

const timeout = 90_000;
let etcd: EtcdServer;
let world: ClusterWorld;

beforeAll(async () => {
  etcd = await startEtcd();
  world = await ClusterWorld.start(`etcd:http://127.0.0.1:${etcd.port}/drain`, 2);
}, timeout);
afterAll(async () => {
  await world?.end();
  await etcd?.stop();
});

let services = 0;

interface Bench {
  readonly a: ClusterNode;
  readonly b: ClusterNode;
  readonly service: string;
  readonly backend: PatientBackend;
  readonly get: (node: ClusterNode) => Promise<Answer>;
}

/** A service of its own, with one patient backend, that both nodes serve. */
async function bench(): Promise<Bench> {
  const service = `patient-${++services}`;
  const host = `${service}.example.com`;
  const backend = await PatientBackend.http();
  const [a, b] = world.nodes as [ClusterNode, ClusterNode];
  const { address } = backend;
  await a.client.call("registerBackend", { backend: { service, address }, wait: Wait.ALL });
  await a.client.call("addRoute", { route: routeFields(host, service), wait: Wait.ALL });
  const get = (node: ClusterNode): Promise<Answer> => {
    const answer = answerOf(node.httpPort, "/", { Host: host });
    answer.catch(() => undefined);
    return answer;
  };
  return { a, b, service, backend, get };
}

async function upgraded(node: ClusterNode, service: string): Promise<Socket> {
  const socket = connect({ port: node.httpPort, host: "127.0.0.1" });
  socket.on("error", () => {});
  onTestFinished(() => void socket.destroy());
  socket.write(
    `GET / HTTP/1.1\r\nHost: ${service}.example.com\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`,
  );
  await once(socket, "data");
  return socket;
}

/** Resolves once every node gives the service's backends nothing new. */
async function drainingEverywhere(nodes: readonly ClusterNode[], service: string): Promise<void> {
  for (const { client } of nodes) {
    for (;;) {
      const { backends } = await client.call("listBackends", { service });
      if (backends[0]?.backend?.drain?.state === State.DRAINING) break;
    }
  }
}

describe("two nodes on one etcd", () => {
  test("what is open on one holds the answer of the other", { timeout }, async () => {
    const { a, b, service, backend, get } = await bench();
    const asked = get(b);
    await backend.asked();
    let isOver = false;
    const drain = { seconds: 30n, nanos: 0 };
    const drained = a.client
      .call("deregisterBackend", { service, address: backend.address, drain })
      .finally(() => (isOver = true));
    await drainingEverywhere([a, b], service);
    await expect.poll(async () => (await get(b)).status).toBe(503);
    expect((await get(a)).status).toBe(503);
    expect(isOver).toBe(false);
    backend.answer();
    expect(await asked).toMatchObject({ status: 200, body: "late but whole" });
    expect((await drained).cut).toBe(0);
    for (const { client } of [a, b]) {
      expect((await client.call("listBackends", { service })).backends).toEqual([]);
    }
  });

  test("the end of its time cuts what is open on both, and counts both", { timeout }, async () => {
    const { a, b, service, backend, get } = await bench();
    const [one, other] = [get(a), get(b)];
    const tunnel = await upgraded(b, service);
    await backend.asked(2);
    const drain = { seconds: 2n, nanos: 0 };
    const drained = a.client.call("deregisterBackend", {
      service,
      address: backend.address,
      drain,
    });
    const cut = { status: 504, headers: { "x-crosspoint-reason": "backend-drained" } };
    expect([await one, await other]).toMatchObject([cut, cut]);
    // It is reset, so `once` would reject.
    if (!tunnel.destroyed) await new Promise((resolve) => tunnel.once("close", resolve));
    expect((await drained).cut).toBe(3);
  });

  test("a pause waits for what is in flight on the other node", { timeout }, async () => {
    const { a, b, service, backend, get } = await bench();
    const asked = get(b);
    await backend.asked();
    const soon = { deadline: Date.now() + 3_000 };
    const left = await a.client.call("pauseService", { service }, soon);
    expect([left.inFlight, left.lagging]).toEqual([1, []]);
    const paused = a.client.call("pauseService", { service });
    backend.answer();
    expect((await paused).inFlight).toBe(0);
    expect(await asked).toMatchObject({ status: 200 });
    // Other bounds: every node tells once more that nothing is open.
    const bounds = { deadline: Date.now() + 5_000 };
    const wider = await a.client.call("pauseService", { service, queue: 7 }, bounds);
    expect([wider.inFlight, wider.lagging]).toEqual([0, []]);
    await b.client.call("resumeService", { service, wait: Wait.ALL });
    const again = get(a);
    await backend.asked();
    backend.answer("again");
    expect((await again).body).toBe("again");
    const { services: all } = await a.client.call("listServices");
    expect(all.find(({ name }) => name === service)?.pause).toBeUndefined();
  });

  test("a drain outlives the node that was asked", { timeout }, async () => {
    const { a, b, service, backend, get } = await bench();
    const asked = get(b);
    await backend.asked();
    const drain = { seconds: 60n, nanos: 0 };
    const call = a.client.call("deregisterBackend", { service, address: backend.address, drain });
    call.catch(() => undefined);
    await drainingEverywhere([a, b], service);
    await a.child.kill();
    backend.answer();
    expect((await asked).status).toBe(200);
    // Its lease is over after 10 s; then the other one waits 5 to 10 s more.
    await expect
      .poll(async () => (await b.client.call("listBackends", { service })).backends.length, {
        timeout: 60_000,
      })
      .toBe(0);
  });
});
