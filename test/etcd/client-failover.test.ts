// Goal: a client of three members goes on while a majority lives, whichever is killed, and says so when none leads.
// Method: a real cluster whose members are killed and restarted under one client.

import { beforeAll, expect, test } from "vitest";
import type { EtcdClient } from "../../src/etcd/client.ts";
import { RouterError } from "../../src/model/errors.ts";
import { failureOf, openClient, put, WatchRecord } from "../support/etcd-client.ts";
import { type EtcdCluster, startEtcdCluster } from "../support/etcd-cluster.ts";
import { startEtcd } from "../support/etcd-server.ts";
import { until } from "../support/until.ts";

let cluster: EtcdCluster;
beforeAll(async () => {
  cluster = await startEtcdCluster();
  return () => cluster.stop();
});

/** Writes until one passes; each that does not must fail as away, and in time. */
async function write(etcd: EtcdClient, key: string): Promise<number> {
  for (const end = performance.now() + 12_000; ; ) {
    const startedMs = performance.now();
    try {
      return (await put(etcd, key, "v")).header.revision;
    } catch (error) {
      expect(["ETCD_UNREACHABLE", "ETCD_TIMEOUT"]).toContain(
        error instanceof RouterError ? error.details.reason : error,
      );
      expect(performance.now() - startedMs).toBeLessThan(5_500);
      if (performance.now() > end) throw error;
    }
  }
}

test("the leader is killed: calls and a new watch go to another member, and back when that one is killed", async () => {
  const leader = await cluster.leader();
  const others = await cluster.others();
  // The leader first: it is what the client begins with.
  const etcd = await openClient([leader, ...others].map((member) => member.endpoint));
  const before = await write(etcd, "k");
  const watch = new WatchRecord(etcd, { key: "k", startRevision: before + 1 });
  await until(() => watch.isCreated, "the watch");

  await leader.kill();
  await until(() => watch.cause !== undefined, "the end of the watch");
  expect(watch.cause?.details.reason).toBe("ETCD_UNREACHABLE");
  // Without a call in between: the end of a watch moves the client on.
  let again = new WatchRecord(etcd, { key: "k", startRevision: before + 1 });
  await until(() => {
    if (again.cause?.details.reason === "ETCD_UNREACHABLE") {
      again = new WatchRecord(etcd, { key: "k", startRevision: before + 1 });
    }
    return again.isCreated;
  }, "a watch on another member");
  const after = await write(etcd, "k");
  const next = new WatchRecord(etcd, { key: "k", startRevision: after });
  await until(() => next.events.length === 1, "the event from another member");
  expect((await etcd.range({ key: "k" })).header.revision).toBeGreaterThanOrEqual(after);

  await leader.restart();
  await others[0]?.kill();
  const last = await write(etcd, "k");
  expect(last).toBeGreaterThan(after);
  await others[0]?.restart();
  // Whoever was current, it answers.
  expect((await etcd.range({ key: "k" })).kvs[0]?.modRevision).toBe(last);
});

test("without a majority calls and watches end, naming that there is no leader", async () => {
  const [survivor, ...gone] = cluster.members;
  const etcd = await openClient(survivor?.endpoint ?? "");
  const revision = await write(etcd, "k");
  const watch = new WatchRecord(etcd, { key: "k", startRevision: revision + 1 });
  await until(() => watch.isCreated, "the watch");
  await Promise.all(gone.map((member) => member.kill()));

  await until(() => watch.cause !== undefined, "the end of the watch");
  expect(watch.cause?.details.reason).toBe("ETCD_UNREACHABLE");
  expect(watch.cause?.message).toMatch(/has no leader .*most members of its cluster must run/);
  // At once, not by the deadline.
  const startedMs = performance.now();
  const errors = [await failureOf(etcd.range({ key: "k" })), await failureOf(put(etcd, "k", "v"))];
  for (const error of errors) expect(error.message).toMatch(/has no leader/);
  expect(performance.now() - startedMs).toBeLessThan(1_000);
  // This member can still say who it is.
  expect((await etcd.status()).version).toMatch(/^3\./);

  gone.forEach((member) => member.launch());
  await write(etcd, "k");
});

test("a member that is refused costs a read nothing but the try, and is left for good while another works", async () => {
  const server = await startEtcd();
  const dead = server.endpoint;
  await server.stop();
  const member = await cluster.leader();
  const etcd = await openClient([dead, member.endpoint]);
  const { header } = await put(etcd, "k", "v");
  expect((await etcd.range({ key: "k" })).kvs[0]?.modRevision).toBe(header.revision);
});
