// The worker thread's entry, and its composition root: the data path of one thread, put together.

import { threadId } from "node:worker_threads";
import type { WorkerStart } from "../channel/messages.ts";
import * as limits from "../limits.ts";
import { realSystem } from "../system.ts";
import { makeContext } from "./make-context.ts";
import { WorkerLoop } from "./worker-loop.ts";

// The one default export: piscina runs what the file exports by default.
export default async function work(start: WorkerStart): Promise<void> {
  const context = makeContext(start);
  const { wheel, accessLog } = context;
  const ends = [realSystem.every(limits.timerTickMs, () => wheel.advance(context.nowMs()))];
  if (accessLog !== undefined) {
    ends.push(realSystem.every(limits.accessLogFlushMs, () => accessLog.flush()));
  }
  const loop = new WorkerLoop(context, start, {
    heartbeatMs: () => Number(process.hrtime.bigint() / 1_000_000n),
    every: (periodMs, action) => {
      const end = realSystem.every(periodMs, action);
      ends.push(end);
      return end;
    },
    after: (delayMs, action) => realSystem.after(delayMs, action),
    crash: () => {
      throw new Error(`worker ${start.workerId} (thread ${threadId}) was told to crash`);
    },
    stall: (ms) => {
      const until = performance.now() + ms;
      while (performance.now() < until);
    },
  });
  await loop.run();
  for (const end of ends) end();
  start.control.close();
}
