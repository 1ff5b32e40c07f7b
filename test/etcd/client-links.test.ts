// Goal: a link to etcd may break in any way: a call ends in time, a write happens at most once, and the next call
// finds etcd again. Method: one etcd behind a relay that cuts, swallows and holds back.

import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { EtcdClient } from "../../src/etcd/client.ts";
import { realSystem } from "../../src/system.ts";
import { failureOf, openClient, put, settingOf, WatchRecord } from "../support/etcd-client.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { until } from "../support/until.ts";

let server: EtcdServer;
/** Straight to etcd: what really happened. */
let direct: EtcdClient;
let proxy: FaultProxy;
let etcd: EtcdClient;
let count = 0;
let key: string;

beforeAll(async () => {
  server = await startEtcd();
  direct = await EtcdClient.open(settingOf(server.endpoint), realSystem);
  return async () => {
    await direct.close();
    await server.stop();
  };
});
beforeEach(async () => {
  proxy = await startFaultProxy({ port: server.port });
  onTestFinished(() => proxy.close());
  etcd = await openClient(proxy.endpoint);
  count += 1;
  key = `/links/${count}`;
});

/** How often `key` was written: 0, 1, or "several". */
async function writesOf(name: string): Promise<number | "several"> {
  const [kv] = (await direct.range({ key: name })).kvs;
  if (kv === undefined) return 0;
  return kv.createRevision === kv.modRevision ? 1 : "several";
}

/** Until a call passes; each that does not must fail as away. */
async function untilItAnswers(client: EtcdClient): Promise<void> {
  for (const end = performance.now() + 5_000; ; ) {
    const error: unknown = await client.range({ key }).catch((reason: unknown) => reason);
    if (!(error instanceof Error)) return;
    expect(error).toMatchObject({ details: { reason: "ETCD_UNREACHABLE" } });
    if (performance.now() > end) throw error;
  }
}

test("half-open: a silent watch ends within 16 s; a call ends by its deadline, and the next has a new link", async () => {
  const silent = await openClient(proxy.endpoint);
  const watch = new WatchRecord(silent, { key, startRevision: 1 });
  const other = await startFaultProxy({ port: server.port });
  onTestFinished(() => other.close());
  const calling = await openClient(other.endpoint);
  await calling.status();
  await until(() => watch.isCreated, "the watch");
  const startedMs = performance.now();
  proxy.deafen();
  other.deafen();

  const error = await failureOf(put(calling, key, "swallowed"));
  expect(error.details.reason).toBe("ETCD_TIMEOUT");
  expect(error.details.metadata?.["applied"]).toBeUndefined();
  expect(performance.now() - startedMs).toBeLessThan(6_000);
  const againMs = performance.now();
  await put(calling, key, "heard");
  expect(performance.now() - againMs).toBeLessThan(1_000);
  expect(await writesOf(key)).toBe(1);

  await until(() => watch.cause !== undefined, "the end of the watch", 17_000);
  expect(watch.cause?.details.reason).toBe("ETCD_UNREACHABLE");
  expect(performance.now() - startedMs).toBeLessThan(16_000);
});

test("an answer that is lost leaves the outcome open, nothing is sent again, and a watch ends that is never created", async () => {
  const watching = await openClient(proxy.endpoint);
  await Promise.all([etcd.status(), watching.status()]);
  proxy.dropAnswers();
  const watch = new WatchRecord(watching, { key, startRevision: 1 });
  const error = await failureOf(put(etcd, key, "v"));
  await until(() => watch.cause !== undefined, "the end of the watch", 2_000);
  expect(watch.cause?.details.reason).toBe("ETCD_TIMEOUT");
  expect([error.code, error.details.reason]).toEqual(["store-unavailable", "ETCD_TIMEOUT"]);
  expect(error.details.metadata?.["applied"]).toBeUndefined();
  await proxy.heal();
  await put(etcd, `${key}/next`, "v");
  expect(await writesOf(key)).toBe(1);
});

test("a link that is cut ends its calls and watches at once, and the next call has a new one", async () => {
  const watch = new WatchRecord(etcd, { key, startRevision: 1 });
  await until(() => watch.isCreated, "the watch");
  proxy.stall("down");
  const lost = failureOf(put(etcd, key, "v"));
  await until(() => proxy.open > 0, "the link");
  while ((await writesOf(key)) === 0);
  proxy.cut();
  await proxy.heal();
  const error = await lost;
  expect(error.details.reason).toBe("ETCD_UNREACHABLE");
  expect(error.details.metadata?.["applied"]).toBeUndefined();
  await until(() => watch.cause !== undefined, "the end of the watch");
  expect(watch.cause?.details.reason).toBe("ETCD_UNREACHABLE");
  await untilItAnswers(etcd);
  expect(await writesOf(key)).toBe(1);
});

describe("cut after any number of bytes", () => {
  test.for(["up", "down"] as const)(
    "%s, a write happens at most once and is never reported wrongly, also with another endpoint at hand",
    async (direction) => {
      const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
      const random = new SeededRandom(seed);
      for (let round = 0; round < 40; round++) {
        const name = `${key}/${round}`;
        const where = `SEED=${seed} round ${round}`;
        // A new client begins with the relay; behind both endpoints is the same etcd.
        const client = await openClient([proxy.endpoint, server.endpoint]);
        proxy.cutAfter(random.below(900), direction);
        const answer = await put(client, name, "v".repeat(200)).then(
          (written) => written.header.revision,
          (error: unknown) => error,
        );
        await proxy.heal();
        await client.close();
        const writes = await writesOf(name);
        expect(writes, where).not.toBe("several");
        if (typeof answer === "number") expect(writes, where).toBe(1);
        else if (JSON.stringify(answer).includes('"applied":"no"')) expect(writes, where).toBe(0);
        else expect(answer, where).toMatchObject({ details: { reason: "ETCD_UNREACHABLE" } });
      }
    },
  );
});

test("split at any byte, calls and a watch carry 1 MiB both ways", async () => {
  proxy.split(5, 4_000);
  const value = "x".repeat(1_000_000);
  const { header } = await put(etcd, key, value);
  const watch = new WatchRecord(etcd, { key, startRevision: header.revision });
  await until(() => watch.events.length === 1, "the event");
  expect((await etcd.range({ key })).kvs[0]?.bytes).toBe(value.length);
});

test("an etcd that is refused for a while is found again within a second", async () => {
  await etcd.status();
  proxy.refuse();
  proxy.cut();
  const error = await failureOf(untilRefused());
  expect(error.message).toContain("ECONNREFUSED");
  expect(error.details.metadata?.["applied"]).toBe("no");
  await proxy.heal();
  const startedMs = performance.now();
  await untilItAnswers(etcd);
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

/** Calls until the refusal is what it fails with: the first may still meet the cut. */
async function untilRefused(): Promise<void> {
  for (;;) {
    const error: unknown = await etcd.range({ key }).catch((reason: unknown) => reason);
    if (error instanceof Error && error.message.includes("ECONNREFUSED")) throw error;
  }
}

test("an etcd that stands still for a moment is waited for", async () => {
  await etcd.status();
  server.freeze();
  const written = put(etcd, key, "v");
  const startedMs = performance.now();
  await until(() => performance.now() - startedMs > 300, "a moment");
  server.thaw();
  expect((await written).succeeded).toBe(true);
});

test("a client that is closed ends the calls that wait for an answer, at once", async () => {
  await etcd.status();
  proxy.stall("down");
  const calls = [failureOf(etcd.range({ key })), failureOf(put(etcd, key, "v"))];
  while ((await writesOf(key)) === 0);
  const startedMs = performance.now();
  await etcd.close();
  for (const error of await Promise.all(calls)) expect(error.code).toBe("cancelled");
  expect(performance.now() - startedMs).toBeLessThan(500);
});

test("an etcd that is killed and restarted is found again by the same client, behind one connection", async () => {
  await put(etcd, key, "before");
  for (let round = 0; round < 3; round++) {
    await server.restart();
    await untilItAnswers(etcd);
  }
  expect((await etcd.range({ key })).kvs[0]?.text).toBe("before");
  // KV, Lease, Maintenance and watches share it.
  await etcd.grantLease(5);
  await etcd.status();
  expect(proxy.open).toBe(1);
});
