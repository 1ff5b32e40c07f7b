// Goal: a node that is told to leave by a call says so first, finishes what is open, answers, and ends with 0.
// Method: the program as a child process; requests that are under way when the call comes.

import * as grpc from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { HealthClient } from "../../src/gen/health/v1/health.ts";
import { anywhere, Launched, type Ready } from "../support/launched.ts";
import { PatientBackend } from "../support/patient-backend.ts";
import { Client, failureOf } from "../support/rpc-node.ts";
import { type Answer, answerOf, httpMatch } from "../support/whole-node.ts";

const millis = (count: number): object => ({
  seconds: BigInt(Math.floor(count / 1000)),
  nanos: (count % 1000) * 1_000_000,
});

interface Underway {
  readonly node: Launched;
  readonly ready: Ready;
  readonly client: Client;
  readonly backend: PatientBackend;
  readonly get: () => Promise<Answer>;
}

async function started(): Promise<Underway> {
  const backend = await PatientBackend.http();
  const node = new Launched([...anywhere, "--node-name=here"]);
  const ready = await node.ready();
  const client = new Client(ready.rpc);
  onTestFinished(() => client.close());
  await client.call("registerBackend", { backend: { service: "web", address: backend.address } });
  await client.call("addRoute", { route: { match: httpMatch("a.test"), service: "web" } });
  const get = (): Promise<Answer> => {
    const answer = answerOf(ready.httpPort, "/", { Host: "a.test", Connection: "keep-alive" });
    answer.catch(() => undefined);
    return answer;
  };
  return { node, ready, client, backend, get };
}

async function untilNotReady({ adminPort }: Ready): Promise<void> {
  while ((await answerOf(adminPort, "/readyz", {})).status === 200);
}

describe("DrainNode", () => {
  test("says that it is not ready and goes on, then finishes what is open, answers and ends", async () => {
    const { node, ready, client, backend, get } = await started();
    const before = get();
    await backend.asked();
    backend.answer("before");
    expect((await before).headers["connection"]).toBeUndefined();
    const left = client.call("drainNode", { notice: millis(1_500) });
    await untilNotReady(ready);
    const health = new HealthClient(ready.rpc, grpc.credentials.createInsecure());
    onTestFinished(() => health.close());
    const status = await new Promise((resolve) => {
      health.check({ service: "" }, (_error, answer) => resolve(answer?.status));
    });
    expect(status).toBe(2);
    // New connections are still accepted, and their answers say that they end.
    const during = get();
    await backend.asked();
    backend.answer("during");
    expect(await during).toMatchObject({ status: 200, headers: { connection: "close" } });
    const last = get();
    await backend.asked();
    await untilRefused(ready.httpPort);
    const refused = await failureOf(client.call("listRoutes"));
    expect([refused.code, refused.info?.reason]).toEqual(["UNAVAILABLE", "NODE_LEAVING"]);
    backend.answer("last");
    expect(await last).toMatchObject({ status: 200, body: "last" });
    expect(await left).toEqual({ cut: 0 });
    expect(await node.end()).toBe(0);
    expect(node.log.map(({ message }) => message)).toEqual(["leaving", "stopped"]);
  });

  test("cuts what is open when its time is over, and counts it; who asks twice hears the same", async () => {
    const { node, client, backend, get } = await started();
    const asked = get();
    await backend.asked();
    const [first, second] = [200, 60_000].map((ms) =>
      client.call("drainNode", { drain: millis(ms) }),
    );
    await expect(asked).rejects.toThrow();
    expect([await first, await second]).toEqual([{ cut: 1 }, { cut: 1 }]);
    expect(await node.end()).toBe(0);
    expect(await node.untilLogged("stopped")).toMatchObject({ cut: 1 });
  });

  test("goes on when its call ends, and SIGTERM ends the notice", async () => {
    const { node, ready, client } = await started();
    const call = client.start("drainNode", { notice: millis(60_000) });
    call.answer.catch(() => undefined);
    await untilNotReady(ready);
    call.call.cancel();
    node.kill("SIGTERM");
    expect(await node.end()).toBe(0);
  });

  test("of another node is refused, and nothing happens", async () => {
    const { client } = await started();
    const refused = await failureOf(client.call("drainNode", { node: "there" }));
    expect([refused.code, refused.message]).toEqual([
      "FAILED_PRECONDITION",
      'node: this node is "here", not "there": no live node that shares its store has that name (crosspoint node list)',
    ]);
    await client.call("listRoutes");
  });
});

async function untilRefused(port: number): Promise<void> {
  for (;;) {
    const answer = await answerOf(port, "/", { Host: "nowhere.test" }).catch(() => undefined);
    if (answer === undefined) return;
  }
}
