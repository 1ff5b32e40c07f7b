// Runs the prober in the thread that calls it, until it is told to end.

import type { MessagePort } from "node:worker_threads";
import { HeldDescriptors } from "../channel/descriptors.ts";
import {
  type FromProber,
  ProbeCounter,
  type ProberStart,
  type ToProber,
} from "../channel/prober-messages.ts";
import {
  heartbeatEveryMs,
  pipesMax,
  receiveBytes,
  sendQueueBytesHigh,
  unlimited,
} from "../limits.ts";
import { realSystem } from "../system.ts";
import { openIo } from "../worker/open-io.ts";
import { Prober } from "./prober.ts";

export function runProber(start: ProberStart, port: MessagePort, ownsThread: boolean): void {
  const counters = new Float64Array(start.counters);
  const post = (message: FromProber): void => port.postMessage(message);
  const opened = openIo({
    // A ring is memory and mappings for what a thousand short connections do not need.
    name: start.io === "net" ? "net" : "epoll",
    system: realSystem,
    // What a probe sends is small: the kernel need not be told how much of it to hold.
    limits: { receiveBytes, sendQueueBytesHigh, unsentBytesMax: unlimited, pipesMax },
    ledger: new HeldDescriptors(start.descriptors),
    ownsThread,
    onAcceptTrouble: (reason) => post({ kind: "trouble", reason }),
  });
  const { system } = opened;
  const prober = new Prober({ ...start, io: opened.io, system, counters, tell: post });
  const beat = (): void => void (counters[ProbeCounter.heartbeatMs] = system.heartbeatMs());
  beat();
  const endBeat = system.every(heartbeatEveryMs, beat);
  port.on("message", (message: ToProber) => {
    if (message.kind === "targets") return prober.change(message);
    endBeat();
    prober.close();
    opened.close();
    port.close();
  });
}
