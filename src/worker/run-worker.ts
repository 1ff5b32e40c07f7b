// Runs one worker in the thread that calls it, from its first message until it has drained.

import { threadId } from "node:worker_threads";
import { HeldDescriptors } from "../channel/descriptors.ts";
import type { FromWorker, WorkerStart } from "../channel/messages.ts";
import type { Io } from "../io/io.ts";
import { realSystem } from "../system.ts";
import { makeContext, type WorkerLimits } from "./make-context.ts";
import { openIo } from "./open-io.ts";
import { WorkerLoop } from "./worker-loop.ts";

/** Accepting rests ten times a second while there are no descriptors: people hear of it so often. */
const troubleEveryMs = 10_000;

export interface RunOptions {
  /** Nothing else runs in this thread, and nobody else sets timers in it. */
  readonly ownsThread?: boolean;
  /** Tests look at the streams through it. */
  readonly ioOf?: (io: Io) => Io;
}

export async function runWorker(
  start: WorkerStart,
  limits: WorkerLimits,
  { ownsThread = false, ioOf = (io) => io }: RunOptions = {},
): Promise<void> {
  const { control } = start;
  let toldMs = Number.NEGATIVE_INFINITY;
  const opened = openIo({
    name: start.settings.io,
    system: realSystem,
    limits,
    ledger: new HeldDescriptors(start.descriptors),
    ownsThread,
    onAcceptTrouble: (reason) => {
      const nowMs = realSystem.monotonicMs();
      if (nowMs - toldMs < troubleEveryMs) return;
      toldMs = nowMs;
      control.postMessage({ kind: "trouble", reason } satisfies FromWorker);
    },
  });
  const { system } = opened;
  const context = makeContext(start, limits, system, ioOf(opened.io));
  const { wheel, accessLog } = context;
  const ends = [system.every(limits.timerTickMs, () => wheel.advance(system.monotonicMs()))];
  if (accessLog !== undefined) {
    ends.push(system.every(limits.accessLogFlushMs, () => accessLog.flush()));
  }
  const loop = new WorkerLoop(context, start, {
    heartbeatMs: () => system.heartbeatMs(),
    every: (periodMs, action) => {
      const end = system.every(periodMs, action);
      ends.push(end);
      return end;
    },
    after: (delayMs, action) => system.after(delayMs, action),
    nextTurn: () => opened.nextTurn(),
    crash: () => {
      throw new Error(`worker ${start.workerId} (thread ${threadId}) was told to crash`);
    },
    stall: (ms) => {
      const until = system.monotonicMs() + ms;
      while (system.monotonicMs() < until);
    },
  });
  const { trouble } = opened;
  if (trouble !== "")
    control.postMessage({ kind: "trouble", reason: trouble } satisfies FromWorker);
  await loop.run();
  for (const end of ends) end();
  opened.close();
  control.close();
}
