// Goal: close leaves nothing behind that keeps a process alive, and nothing is said on standard error.
// Method: a process of its own that closes its client and then has nothing to do.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { freePorts, startEtcd } from "../support/etcd-server.ts";

/** What the child says, and how long it lives after it said it. */
async function runChild(endpoint: string, moment: "idle" | "calling") {
  const file = join(import.meta.dirname, "client-child.ts");
  const child = spawn(process.execPath, [file, endpoint, moment], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let said = "";
  child.stderr.on("data", (data: Buffer) => (said += data.toString()));
  const exit = once(child, "exit");
  await once(child.stdout, "data");
  const closedMs = performance.now();
  const [status] = (await exit) as [number | null];
  return { status, said, lingeredMs: performance.now() - closedMs };
}

test("after use: connection, lease, watch", async () => {
  const server = await startEtcd();
  onTestFinished(() => server.stop());
  const { status, said, lingeredMs } = await runChild(server.endpoint, "idle");
  expect([status, said]).toEqual([0, ""]);
  expect(lingeredMs).toBeLessThan(1_500);
});

test("in the middle of calls to a port that nobody has", async () => {
  const [port] = await freePorts(1);
  const { status, said, lingeredMs } = await runChild(`http://127.0.0.1:${port}`, "calling");
  expect([status, said]).toEqual([0, ""]);
  expect(lingeredMs).toBeLessThan(1_500);
});

test("in the middle of calls to a program that never answers", async () => {
  const server = createServer(() => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { status, said, lingeredMs } = await runChild(`http://127.0.0.1:${port}`, "calling");
  expect([status, said]).toEqual([0, ""]);
  expect(lingeredMs).toBeLessThan(1_500);
});
