// The thread of hot-path.test.ts: warms the loop up until its code is compiled, then says what the next requests allocate.

import { parentPort, workerData } from "node:worker_threads";
import { allocated } from "../../bench/support/allocated.ts";
import { HotLoop, type RequestKind } from "../../bench/support/hot-loop.ts";

const warmUpRequests = 300_000;

const { kind, requests } = workerData as { kind: RequestKind; requests: number };
const loop = new HotLoop({ kind, accessLog: false });
const warm = loop.run(warmUpRequests);
let made = 0;
const { bytes } = allocated(() => {
  made = loop.run(requests);
});
loop.check(warm + made);
parentPort?.postMessage({ bytes, made });
