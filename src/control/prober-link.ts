// Keeps the prober's thread alive while there is something to probe.
//
// Knows: when the thread starts, dies and is replaced, and what it left open. Does not know what is probed, or what the results mean:
// a thread that replaces another gets all targets, with what was known of each.

import { Worker } from "node:worker_threads";
import type { IoName } from "../channel/messages.ts";
import {
  type FromProber,
  ProbeCounter,
  type ProberStart,
  type ProbeTarget,
  probeCountersByteLength,
  type TargetVerdict,
  type ToProber,
} from "../channel/prober-messages.ts";
import {
  heartbeatEveryMs,
  proberHeapMebibytesMax,
  proberRestartMsMax,
  proberRestartMsMin,
  probesDescriptorsShare,
  probesInFlightMax,
  probesInFlightMin,
  workerSilentMsMax,
  workerStartMsMax,
} from "../limits.ts";
import type { System } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import { descriptorsMax } from "./connection-budget.ts";
import { Heartbeat } from "./heartbeat.ts";
import { LeftDescriptors } from "./left-descriptors.ts";
import { RestartPace } from "./restart-pace.ts";

export interface ProberLinkOptions {
  /** The thread's entry. */
  readonly file: URL;
  readonly io: IoName;
  /** "crosspoint/0.1.0". */
  readonly userAgent: string;
  readonly system: System;
  readonly log: Log;
  /** All that is to be probed, for a thread that starts. */
  readonly targets: () => readonly ProbeTarget[];
  readonly onVerdicts: (verdicts: readonly TargetVerdict[]) => void;
}

/** The thread has probed for so long: the next death counts as the first. */
const settledMs = 60_000;
/** One that was told to end, and has not, is ended. */
const endMsMax = 1_000;

interface Running {
  readonly thread: Worker;
  readonly startedMs: number;
  readonly heartbeat: Heartbeat;
  readonly gone: Promise<void>;
}

export class ProberLink {
  /** Times that a thread which died was replaced. */
  restarts = 0;
  readonly #options: ProberLinkOptions;
  readonly #counters = new SharedArrayBuffer(probeCountersByteLength);
  readonly #figures = new Float64Array(this.#counters);
  readonly #descriptors: LeftDescriptors;
  readonly #pace = new RestartPace({
    firstMs: proberRestartMsMin,
    lastMs: proberRestartMsMax,
    settledMs,
  });
  #running: Running | undefined;
  #wanted = false;
  #cancelRestart: () => void = () => {};
  #endWatch: () => void = () => {};

  constructor(options: ProberLinkOptions) {
    const { system, log } = options;
    this.#options = options;
    this.#descriptors = new LeftDescriptors({ slots: 1, numbers: descriptorsMax(), system, log });
  }

  /** By `ProbeCounter`; those of threads that have died are in it. */
  get counters(): Float64Array {
    return this.#figures;
  }

  /** There are targets: starts the thread, or tells the one that runs of what is new. */
  change(added: readonly ProbeTarget[], removed: readonly number[]): void {
    if (!this.#wanted) {
      this.#wanted = true;
      this.#endWatch = this.#options.system.every(heartbeatEveryMs, () => this.#look());
      return this.#start();
    }
    // One that is yet to start gets all targets then.
    const message: ToProber = { kind: "targets", added, removed };
    this.#running?.thread.postMessage(message);
  }

  /** Nothing is to be probed any more: ends the thread. */
  async rest(): Promise<void> {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#endWatch();
    this.#cancelRestart();
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    const end: ToProber = { kind: "end" };
    running.thread.postMessage(end);
    const cancel = this.#options.system.after(endMsMax, () => void running.thread.terminate());
    await running.gone;
    cancel();
  }

  /** For fault tests: ends the thread in the middle of whatever it does. */
  kill(): void {
    void this.#running?.thread.terminate();
  }

  #start(): void {
    const { file, io, userAgent, system, log, targets, onVerdicts } = this.#options;
    const share = Math.floor(descriptorsMax() / probesDescriptorsShare);
    const start: ProberStart = {
      io,
      userAgent,
      inFlightMax: Math.min(probesInFlightMax, Math.max(probesInFlightMin, share)),
      counters: this.#counters,
      descriptors: this.#descriptors.memoryOf(0),
    };
    this.#figures[ProbeCounter.heartbeatMs] = 0;
    const thread = new Worker(file, {
      workerData: start,
      name: "prober",
      resourceLimits: { maxOldGenerationSizeMb: proberHeapMebibytesMax },
    });
    thread.unref();
    let cause = "it ended";
    thread.on("error", (error) => (cause = String(error)));
    thread.on("message", (message: FromProber) => {
      if (this.#running?.thread !== thread) return;
      if (message.kind === "verdicts") onVerdicts(message.verdicts);
      else log.warn("the prober does not probe as it should", { reason: message.reason });
    });
    const exited = new Promise<void>((resolve) => thread.on("exit", () => resolve()));
    const gone = exited.then(() => this.#ended(thread, cause));
    // The next one marks elsewhere: what this one leaves is closed by its own marks.
    void this.#descriptors.closeLater({ slot: 0, gone: exited });
    const startedMs = system.monotonicMs();
    const heartbeat = new Heartbeat({ periodMs: heartbeatEveryMs, nowMs: startedMs });
    this.#running = { thread, startedMs, heartbeat, gone };
    const first: ToProber = { kind: "targets", added: targets(), removed: [] };
    thread.postMessage(first);
  }

  /** What it had found stands until the next one has found something else. */
  #ended(thread: Worker, cause: string): void {
    const running = this.#running;
    if (running?.thread !== thread) return;
    this.#figures[ProbeCounter.inFlight] = 0;
    this.#running = undefined;
    const { system, log } = this.#options;
    const pauseMs = this.#pace.next(system.monotonicMs() - running.startedMs);
    this.restarts++;
    log.error("the prober has died; what it had found stands until the next one probes", {
      cause,
      pauseMs,
    });
    this.#cancelRestart = system.after(pauseMs, () => this.#start());
  }

  /** A thread that is stuck is ended, and replaced like any that died. */
  #look(): void {
    const running = this.#running;
    if (running === undefined) return;
    const { system, log } = this.#options;
    const beat = this.#figures[ProbeCounter.heartbeatMs] ?? 0;
    const silentMs = running.heartbeat.observe(beat, system.monotonicMs());
    if (silentMs < (beat === 0 ? workerStartMsMax : workerSilentMsMax)) return;
    log.error("the prober is silent and is ended", { silentMs });
    void running.thread.terminate();
  }
}
