// Goal: what a backend does not read of an upload is in the kernel to a small part, and none means none.
// Method: one worker on real sockets, a backend that reads nothing; the kernel is asked what it has.

import { expect, onTestFinished, test } from "vitest";
import { unlimited } from "../../src/limits.ts";
import type { WorkerLimits } from "../../src/worker/make-context.ts";
import { OneWorker } from "../support/one-worker.ts";
import { Peer, RawBackend } from "../support/peer.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";
import { until } from "../support/until.ts";

const uploadBytes = 32 * 1024 * 1024;

/** Bytes that the kernel has when the worker can send no more of an upload. */
async function keptBytes(limits: Partial<WorkerLimits>): Promise<number> {
  const backend = await RawBackend.start(async (peer) => void peer.socket.pause());
  const worker = await OneWorker.start({
    routes: [routeOf("all", "*")],
    backends: [backendOf("web", backend.address)],
    limits,
  });
  const client = await Peer.connect(worker.httpPort);
  onTestFinished(async () => {
    client.socket.destroy();
    await worker.close();
    await backend.close();
  });
  client.send(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${uploadBytes}\r\n\r\n`);
  client.send("x".repeat(uploadBytes));
  const stream = (): OneWorker["dialled"][number] | undefined => worker.dialled[0];
  await until(() => (stream()?.queuedBytes ?? 0) > 0, "the worker has to wait");
  const { unacknowledgedBytes, queuedBytes } = stream()!;
  return unacknowledgedBytes - queuedBytes;
}

test("a backend that reads nothing leaves little in the kernel", async () => {
  expect(await keptBytes({})).toBeLessThan(256 * 1024);
});

test("without a limit it leaves what the kernel takes", async () => {
  expect(await keptBytes({ unsentBytesMax: unlimited })).toBeGreaterThan(512 * 1024);
});
