// The etcd of the tests does what tests rely on: same data after a kill, none after a wipe, the past after a restore.

import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startEtcdCluster } from "./etcd-cluster.ts";
import { startEtcd } from "./etcd-server.ts";

test("an etcd keeps its data over a kill, forgets it by a wipe, and takes back a snapshot", async () => {
  const etcd = await startEtcd();
  onTestFinished(() => etcd.stop());
  const value = async (): Promise<string> =>
    (await etcd.ctl("get", "k", "--print-value-only")).trim();
  await etcd.ctl("put", "k", "old");
  const file = join(etcd.dataDir, "..", "saved.db");
  await etcd.ctl("snapshot", "save", file);
  await etcd.ctl("put", "k", "new");

  await etcd.restart();
  expect(await value()).toBe("new");

  await etcd.kill();
  await etcd.wipe();
  await etcd.restart();
  expect(await value()).toBe("");

  await etcd.kill();
  await etcd.restore(file);
  await etcd.restart();
  expect(await value()).toBe("old");
});

test("a cluster elects another leader when the first is killed, and takes it back", async () => {
  const cluster = await startEtcdCluster();
  onTestFinished(() => cluster.stop());
  const first = await cluster.leader();
  await first.kill();
  const second = await cluster.leader();
  expect(second).not.toBe(first);
  await second.ctl("put", "k", "v");
  await first.restart();
  expect(await first.ctl("get", "k", "--print-value-only")).toBe("v\n");
});
