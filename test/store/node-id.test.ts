// Goal: a node keeps its id for as long as it keeps its state directory, and a wrong file is named.

import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import { loadNodeId } from "../../src/store/node-id.ts";
import { FakeEtcd, unreachable } from "../support/fake-etcd.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

test("it is made once and kept, readable by its owner only", async () => {
  const directory = join(temporaryDirectory(), "state");
  const id = await loadNodeId(directory);
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(await loadNodeId(directory)).toBe(id);
  expect(statSync(join(directory, "node.id")).mode & 0o777).toBe(0o600);
  expect(await loadNodeId(join(directory, "other"))).not.toBe(id);
});

test("processes that start at once agree, and leave no drafts behind", async () => {
  const directory = temporaryDirectory();
  const ids = await Promise.all(Array.from({ length: 20 }, () => loadNodeId(directory)));
  expect(new Set(ids).size).toBe(1);
  expect(readdirSync(directory)).toEqual(["node.id"]);
});

test("an empty line behind it, as editors make, is no harm", async () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "node.id"), `${"ab".repeat(16)}\r\n\n`);
  expect(await loadNodeId(directory)).toBe("ab".repeat(16));
});

test.for([
  ["empty", ""],
  ["cut off", "ab".repeat(15)],
  ["something else", "hello\n"],
])("a file that is %s is named, and not replaced", async ([, text]) => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "node.id"), text ?? "");
  await expect(loadNodeId(directory)).rejects.toMatchObject({
    code: "failed-precondition",
    message: expect.stringContaining(`${join(directory, "node.id")} holds no node id`),
  });
});

test("a directory that cannot be used is named with what to look at", async () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, "node.id"));
  await expect(loadNodeId(directory)).rejects.toMatchObject({
    code: "failed-precondition",
    message: expect.stringMatching(/node\.id.*--state/),
  });
  const file = join(temporaryDirectory(), "file");
  writeFileSync(file, "");
  chmodSync(file, 0o600);
  await expect(loadNodeId(join(file, "below"))).rejects.toThrow(/--state/);
});

test("a store of many nodes is not opened without one, whether etcd is there or not", async () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "node.id"), "garbage");
  const etcd = new FakeEtcd();
  etcd.faults.down = unreachable();
  const opened = EtcdStore.open({
    etcd,
    prefix: "/x",
    nodeName: "n1",
    directory,
    system: new FakeSystem(),
    log: recordingLog(),
  });
  await expect(opened).rejects.toMatchObject({ code: "failed-precondition" });
});
