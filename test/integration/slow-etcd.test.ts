// Goal: a node that starts while its etcd is there and slow serves, from its first answer on, what was confirmed as served
// everywhere before; one whose etcd hangs serves its copy all the same.
// Method: two real processes; the second one's etcd is behind a relay that delays, or swallows, everything.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { startEtcd } from "../support/etcd-server.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { freshGet } from "../support/fresh-connection.ts";
import { Launched } from "../support/launched.ts";
import { Client, routeFields } from "../support/rpc-node.ts";

test("what was confirmed while a node was down is served from its first answer on, however slow etcd is", async () => {
  const etcd = await startEtcd();
  const relay = await startFaultProxy({ port: etcd.port });
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-slow-etcd-"));
  onTestFinished(async () => {
    await relay.close();
    await etcd.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  const start = (name: string, endpoint: string): Launched =>
    new Launched([
      `--store=etcd:${endpoint}`,
      `--state=${join(directory, name)}`,
      `--node-name=${name}`,
      "--http=127.0.0.1:0",
      "--rpc=127.0.0.1:0",
      "--admin=127.0.0.1:0",
      "--workers=1",
    ]);
  const first = start("a", etcd.endpoint);
  const client = new Client((await first.ready()).rpc);
  onTestFinished(() => client.close());
  const add = async (host: string): Promise<void> => {
    const { lagging } = await client.call("addRoute", { route: routeFields(host), wait: Wait.ALL });
    expect(lagging).toEqual([]);
  };
  await add("one.io");
  const before = start("b", relay.endpoint);
  await before.ready();
  expect(await before.stop()).toBe(0);

  await add("two.io");
  relay.delay(200);
  const slow = start("b", relay.endpoint);
  const { httpPort } = await slow.ready();
  const answer = await freshGet(httpPort, "two.io");
  expect(slow.log.some(({ message }) => message.startsWith("etcd cannot be followed"))).toBe(true);
  expect(answer).toMatchObject({ status: 503 }); // a route, without a backend
  relay.delay(0);
  expect(await slow.stop()).toBe(0);

  relay.blackhole();
  const alone = start("b", relay.endpoint);
  expect(await freshGet((await alone.ready()).httpPort, "two.io")).toMatchObject({ status: 503 });
}, 30_000);
