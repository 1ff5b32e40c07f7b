// What connections that wait cost a worker: node test/soak/waiting-memory.ts [idle=2000] [stalled=200]
//
// Heap and external memory of the worker's thread after forced collections, before and with the connections: idle ones
// after one request each, clients that do not read an endless answer, and uploads that no backend reads. What the
// kernel holds for them is not counted. Ends with one line of figures, and with status 1 when a bound was broken.

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { OneWorker } from "../support/one-worker.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";
import { until } from "../support/until.ts";
import type { OpenMessage, Waiting } from "../support/waiting-peers.ts";

/** What a connection may cost, in bytes. */
export const waitingBytesMax: Readonly<Record<Waiting, number>> = {
  idle: 4 * 1024,
  reader: 96 * 1024,
  uploader: 96 * 1024,
};
/** The memory stands still when it was the same for so many looks, to within so many bytes. */
const stillLooks = 3;
const stillBytes = 64 * 1024;
const looksMax = 20;
/** Until the buffers of the kernel are full: several MiB per connection, in ms. */
const stallMsMax = 60_000;
/** Connections before those that count. */
const firstCount = 10;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** The most bytes of this thread that something needs, until they stand still or were looked at often: the kernel takes a little now and then. */
async function heldBytes(): Promise<number> {
  const seen: number[] = [];
  for (let look = 0; look < looksMax; look++) {
    await sleep(50);
    collect();
    const { heapUsed, external } = process.memoryUsage();
    seen.push(heapUsed + external);
    const last = seen.slice(-stillLooks);
    if (last.length === stillLooks && Math.max(...last) - Math.min(...last) < stillBytes) break;
  }
  return Math.max(...seen.slice(-stillLooks));
}

/** Connections whose bytes nobody takes. */
function countStalled({ accepted, dialled }: OneWorker): number {
  return [...accepted, ...dialled].filter(({ queuedBytes }) => queuedBytes > 0).length;
}

/** Bytes of one connection more, in a worker that had some before. */
export async function waitingBytes(waiting: Waiting, count: number): Promise<number> {
  const worker = await OneWorker.start({});
  const url = new URL("../support/waiting-peers.ts", import.meta.url);
  const peers = new Worker(url, { workerData: { httpPort: worker.httpPort } });
  try {
    const [addresses] = (await once(peers, "message")) as [{ answering: string; unread: string }];
    await worker.replace({
      routes: [routeOf("waiting", "waiting.test", "w"), routeOf("unread", "unread.test", "u")],
      backends: [backendOf("w", addresses.answering), backendOf("u", addresses.unread)],
    });
    const open = async (message: OpenMessage): Promise<number> => {
      peers.postMessage(message);
      await once(peers, "message");
      const wanted = waiting === "idle" ? 0 : worker.accepted.length;
      await until(() => countStalled(worker) >= wanted, "all connections to stall", stallMsMax);
      return await heldBytes();
    };
    // What is made once for all is made.
    const before = await open({ waiting, count: firstCount });
    const after = await open({ waiting, count });
    if (worker.counter("connectionsOpen") !== firstCount + count) {
      throw new Error("connections were lost");
    }
    return (after - before) / count;
  } finally {
    await peers.terminate();
    await worker.close();
  }
}

if (import.meta.main) {
  const idle = Number(process.argv[2] ?? "2000");
  const stalled = Number(process.argv[3] ?? "200");
  const figures = {
    idle: await waitingBytes("idle", idle),
    reader: await waitingBytes("reader", stalled),
    uploader: await waitingBytes("uploader", stalled),
  };
  const bytes = (waiting: Waiting): string =>
    `${Math.round(figures[waiting])} of ${waitingBytesMax[waiting]} bytes`;
  console.log(
    `waiting-memory: each of ${idle} idle connections ${bytes("idle")}; of ${stalled} readers that do not read ` +
      `${bytes("reader")}; of ${stalled} uploads that are not read ${bytes("uploader")}`,
  );
  const wrong = (["idle", "reader", "uploader"] as const).filter(
    (waiting) => !(figures[waiting] > 0 && figures[waiting] <= waitingBytesMax[waiting]),
  );
  process.exitCode = wrong.length === 0 ? 0 : 1;
}
