// A thread that watches a descriptor by a ring of its own, says so, and then waits for good.

import { parentPort, workerData } from "node:worker_threads";
import { type DescriptorMemory, HeldDescriptors } from "../../src/channel/descriptors.ts";
import { openUringDriver } from "../../src/io/uring/uring-driver.ts";

const { fd, held } = workerData as { readonly fd: number; readonly held: DescriptorMemory };
const driver = openUringDriver({ ledger: new HeldDescriptors(held) });
driver.watch(fd, 1, 1);
driver.wait(0);
parentPort?.postMessage("watches");
// Until it is terminated.
setInterval(() => driver.wait(0), 10);
