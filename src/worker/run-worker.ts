// Runs one worker in the thread that calls it, from its first message until it has drained.

import { threadId } from "node:worker_threads";
import type { WorkerStart } from "../channel/messages.ts";
import type { Io } from "../io/io.ts";
import { realSystem } from "../system.ts";
import { makeContext, type WorkerLimits } from "./make-context.ts";
import { WorkerLoop } from "./worker-loop.ts";

/** @param ioOf Tests look at the streams through it. */
export async function runWorker(
  start: WorkerStart,
  limits: WorkerLimits,
  ioOf?: (io: Io) => Io,
): Promise<void> {
  const context = makeContext(start, limits, realSystem, ioOf);
  const { wheel, accessLog } = context;
  const ends = [
    realSystem.every(limits.timerTickMs, () => wheel.advance(realSystem.monotonicMs())),
  ];
  if (accessLog !== undefined) {
    ends.push(realSystem.every(limits.accessLogFlushMs, () => accessLog.flush()));
  }
  const loop = new WorkerLoop(context, start, {
    heartbeatMs: () => realSystem.heartbeatMs(),
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
      const until = realSystem.monotonicMs() + ms;
      while (realSystem.monotonicMs() < until);
    },
  });
  await loop.run();
  for (const end of ends) end();
  start.control.close();
}
