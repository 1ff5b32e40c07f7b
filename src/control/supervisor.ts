// Keeps one incarnation of a worker alive in every slot.
//
// Knows: when an incarnation has ended or must be ended, and when its replacement starts.
// Does not know: piscina (the fleet hands in `run`), what is published, who waits for it.
//
// A worker id names one incarnation. A slot, 0 to N-1, outlives it.

import { MessageChannel } from "node:worker_threads";
import { clearColumn } from "../channel/connection-counts.ts";
import { clearInFlight } from "../channel/in-flight.ts";
import type { RefusedListener, TableVersion, WorkerStart } from "../channel/messages.ts";
import * as limits from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { positionZero } from "../model/position.ts";
import { revisionZero } from "../model/revision.ts";
import { sleep } from "../system.ts";
import {
  addRetired,
  Counter,
  countersByteLength,
  countersIn,
  zeroCounters,
} from "../telemetry/counters.ts";
import { LogPages, logPagesByteLength } from "../telemetry/log-pages.ts";
import { Heartbeat } from "./heartbeat.ts";
import { RestartPace } from "./restart-pace.ts";
import type { SupervisorOptions } from "./supervisor-options.ts";
import { WorkerLink } from "./worker-link.ts";
import type { FleetCounters, WorkerStatus } from "./worker-status.ts";

interface Slot {
  readonly index: number;
  readonly pace: RestartPace;
  incarnation: Incarnation | undefined;
  status: Omit<WorkerStatus, "slot">;
}

interface Incarnation {
  readonly slot: Slot;
  readonly link: WorkerLink;
  readonly counters: Float64Array;
  readonly heartbeat: Heartbeat;
  readonly thread: AbortController;
  readonly startedMs: number;
  ready: boolean;
  /** When its first table served; undefined: not yet. */
  servedMs: number | undefined;
  /** Why we ended it, when it was us. */
  reason: string | undefined;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #slots: readonly Slot[];
  /** What ended workers had counted. */
  readonly #retired = zeroCounters();
  #lastWorkerId = 0;
  #stopWatching: () => void = () => {};
  readonly #stopping = new AbortController();
  #startup: PromiseWithResolvers<void> | undefined;
  #cut = 0;
  /** Incarnations that have not ended, and the promise of their ends. */
  readonly #running = new Map<Incarnation, Promise<void>>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const sinceMs = options.system.wallMs();
    const { workerRestartMsMin: firstMs, workerRestartMsMax: lastMs, workerSettledMs } = limits;
    this.#slots = Array.from({ length: options.slots }, (_, index) => ({
      index,
      pace: new RestartPace({ firstMs, lastMs, settledMs: workerSettledMs }),
      incarnation: undefined,
      status: {
        workerId: 0,
        state: "starting",
        servedRevision: revisionZero,
        servedPosition: positionZero,
        lastNack: undefined,
        refusedListeners: [],
        restarts: 0,
        sinceMs,
        lastFailure: "",
      },
    }));
  }

  /** Resolves once every worker serves. Rejects with the first failure; then call `drain(0)` to clean up. */
  start(): Promise<void> {
    this.#startup = Promise.withResolvers();
    this.#stopWatching = this.#options.system.every(limits.heartbeatEveryMs, () => this.#look());
    for (const slot of this.#slots) this.#launch(slot);
    return this.#startup.promise;
  }

  /** The live incarnations that serve. */
  serving(): WorkerLink[] {
    return this.#slots.flatMap(({ incarnation }) =>
      incarnation?.servedMs !== undefined && incarnation.link.alive ? [incarnation.link] : [],
    );
  }

  linkOf(slot: number): WorkerLink | undefined {
    return this.#slots[slot]?.incarnation?.link;
  }

  /** See #end; nothing happens while no worker has the slot. */
  endWorker(slot: number, reason: string): void {
    const { incarnation } = this.#slots[slot] ?? {};
    if (incarnation !== undefined) this.#end(incarnation, reason);
  }

  /** The counters of every live worker, and what ended workers had counted: the sum never goes down. */
  counters(): FleetCounters {
    const live = this.#slots.flatMap(({ index, incarnation }) =>
      incarnation === undefined ? [] : [{ slot: index, counters: incarnation.counters }],
    );
    return { retired: this.#retired, live };
  }

  status(): WorkerStatus[] {
    return this.#slots.map(({ index, status }) => ({ slot: index, ...status }));
  }

  /** A thread died outside any task: whoever has not come up by now never will. */
  poolFailed(error: Error): void {
    this.#options.log.error("a worker thread failed", { error });
    for (const { incarnation } of this.#slots) {
      // Its task waits for a thread that does not come: nothing is terminated.
      if (incarnation?.ready === false) this.#terminate(incarnation, error.message);
    }
  }

  /** Lets every worker finish its open work; ends what is not done at the deadline. Answers how many connections were cut. */
  async drain(deadlineMs: number): Promise<number> {
    this.#stopping.abort();
    for (const { link } of this.#running.keys()) link.post({ kind: "drain", deadlineMs });
    const late = new AbortController();
    const ends = Promise.all(this.#running.values()).then(() => late.abort());
    await Promise.race([
      ends,
      sleep(this.#options.system, deadlineMs + limits.workerExitMsMax, late.signal),
    ]);
    for (const incarnation of this.#running.keys()) {
      this.#end(incarnation, "it had not drained at the deadline");
    }
    await ends;
    this.#stopWatching();
    // Whoever waited to be replaced waits no more.
    for (const slot of this.#slots) {
      if (slot.status.state === "restarting") this.#setState(slot, { state: "drained" });
    }
    return this.#cut;
  }

  #launch(slot: Slot): void {
    const { settings, connections, rates, inFlight, descriptors, system, run } = this.#options;
    const workerId = ++this.#lastWorkerId;
    const { port1, port2 } = new MessageChannel();
    const memory = new SharedArrayBuffer(countersByteLength);
    const logMemory = settings.accessLog ? new SharedArrayBuffer(logPagesByteLength) : undefined;
    const thread = new AbortController();
    const startedMs = system.monotonicMs();
    const incarnation: Incarnation = {
      slot,
      link: new WorkerLink({
        workerId,
        slot: slot.index,
        port: port1,
        logPages: logMemory === undefined ? undefined : new LogPages(logMemory),
        events: this.#eventsOf(() => incarnation),
      }),
      counters: countersIn(memory),
      heartbeat: new Heartbeat({ periodMs: limits.heartbeatEveryMs, nowMs: startedMs }),
      thread,
      startedMs,
      ready: false,
      servedMs: undefined,
      reason: undefined,
    };
    slot.incarnation = incarnation;
    this.#setState(slot, {
      workerId,
      state: "starting",
      servedRevision: revisionZero,
      servedPosition: positionZero,
    });
    const start: WorkerStart = {
      workerId,
      slot: slot.index,
      control: port2,
      counters: memory,
      connections,
      rates,
      inFlight,
      descriptors: descriptors.memoryOf(slot.index),
      logMemory,
      settings,
    };
    this.#running.set(incarnation, this.#follow(incarnation, run(start, port2, thread.signal)));
  }

  #eventsOf(incarnation: () => Incarnation): ConstructorParameters<typeof WorkerLink>[0]["events"] {
    const { events } = this.#options;
    return {
      ready: () => {
        const { link, reason, thread } = incarnation();
        incarnation().ready = true;
        if (reason !== undefined) thread.abort();
        else events.ready(link);
      },
      acked: (served, refused) => this.#acked(incarnation(), served, refused),
      nacked: ({ position, revision }, reason) => {
        const { slot, link } = incarnation();
        slot.status = { ...slot.status, lastNack: { position, revision, reason } };
        if (incarnation().servedMs === undefined)
          this.#failStart(slot, `it refused its first table: ${reason}`);
        events.nacked(link, { position, revision }, reason);
      },
      log: (lines, release) => events.log(lines, release),
      trouble: (reason) => events.trouble(incarnation().link, reason),
      ejected: (ejections) => events.ejected(incarnation().link, ejections),
      drained: (cut) => void (this.#cut += cut),
    };
  }

  #acked(
    incarnation: Incarnation,
    served: TableVersion,
    refusedListeners: readonly RefusedListener[],
  ): void {
    const { slot, link } = incarnation;
    slot.status = {
      ...slot.status,
      servedRevision: served.revision,
      servedPosition: served.position,
      refusedListeners,
    };
    if (incarnation.servedMs === undefined) {
      incarnation.servedMs = this.#options.system.monotonicMs();
      this.#setState(slot, { state: "serving" });
      if (this.#slots.every(({ status }) => status.state === "serving")) {
        this.#startup?.resolve();
        this.#startup = undefined;
      }
    }
    this.#options.events.acked(link, served, refusedListeners);
  }

  /** Waits for the incarnation's end, whatever ends it, and has it replaced. */
  async #follow(incarnation: Incarnation, task: Promise<unknown>): Promise<void> {
    const { slot, link } = incarnation;
    let failure: string | undefined;
    try {
      await task;
      // A task that ends by itself leaves its thread behind, with whatever still runs in it.
      if (!this.#stopping.signal.aborted) {
        failure = "its task ended without being told to";
        this.#options.endIdleThread();
      }
    } catch (error) {
      failure = incarnation.reason ?? RouterError.from(error).message;
    }
    link.end(failure ?? "it has drained");
    this.#options.events.ended(link);
    await this.#untilGone(link);
    addRetired(this.#retired, incarnation.counters);
    clearColumn(this.#options.connections, slot.index);
    clearInFlight(this.#options.inFlight, slot.index);
    slot.incarnation = undefined;
    this.#running.delete(incarnation);
    this.#options.events.gone(slot.index);
    if (failure === undefined || this.#stopping.signal.aborted) {
      return this.#setState(slot, {
        state: "drained",
        lastFailure: failure ?? slot.status.lastFailure,
      });
    }
    this.#setState(slot, { state: "restarting", lastFailure: failure });
    if (this.#startup !== undefined) return this.#failStart(slot, failure);
    this.#replace(incarnation, failure);
  }

  /** Until the thread is gone, and what it left open as well; or until it has had long enough. */
  async #untilGone(link: WorkerLink): Promise<void> {
    const { descriptors, system } = this.#options;
    const count = (left: number): void => void (this.#retired[Counter.descriptorsLeft]! += left);
    const late = new AbortController();
    const gone = link.gone.then(() => true);
    const deadline = sleep(system, limits.workerExitMsMax, late.signal).then(() => false);
    if (await Promise.race([gone, deadline])) {
      late.abort();
      link.close();
      // A worker that has drained leaves its thread to the pool; Fleet.drain closes when that is gone.
      if (!this.#stopping.signal.aborted) count(await descriptors.close(link.slot));
    } else {
      void descriptors.closeLater(link).then((left) => (count(left), link.close()));
    }
  }

  #replace({ slot, link, servedMs, startedMs }: Incarnation, failure: string): void {
    const { system, log } = this.#options;
    const nowMs = system.monotonicMs();
    const afterMs = slot.pace.next(servedMs === undefined ? 0 : nowMs - servedMs);
    log.error("a worker ended and is replaced", {
      slot: slot.index,
      worker: link.workerId,
      cause: failure,
      livedMs: Math.round(nowMs - startedMs),
      afterMs,
    });
    void sleep(system, afterMs, this.#stopping.signal).then(() => {
      if (this.#stopping.signal.aborted) return;
      slot.status = { ...slot.status, restarts: slot.status.restarts + 1 };
      this.#launch(slot);
    });
  }

  /** Only while the fleet starts: a worker that cannot start the first time is told to the operator, not tried again. */
  #failStart(slot: Slot, cause: string): void {
    this.#startup?.reject(
      new RouterError("internal", `worker ${slot.index} cannot start: ${cause}`),
    );
    this.#startup = undefined;
  }

  /** Ends workers that have been silent or have not come up in time. */
  #look(): void {
    const nowMs = this.#options.system.monotonicMs();
    for (const { incarnation } of this.#slots) {
      if (incarnation === undefined) continue;
      const { heartbeat, counters, startedMs } = incarnation;
      const silentMs = heartbeat.observe(counters[Counter.heartbeatMs]!, nowMs);
      if (incarnation.servedMs === undefined) {
        const { workerStartMsMax } = limits;
        if (nowMs - startedMs > workerStartMsMax) {
          this.#terminate(
            incarnation,
            `it did not serve within ${workerStartMsMax} ms of its start`,
          );
        }
      } else if (silentMs > limits.workerSilentMsMax) {
        this.#end(incarnation, `it has been silent for ${Math.round(silentMs)} ms`);
      }
    }
  }

  /** As soon as the thread may be terminated: while it loads that could abort the process (io/sockets.ts). */
  #end(incarnation: Incarnation, reason: string): void {
    incarnation.reason ??= reason;
    if (incarnation.ready) incarnation.thread.abort();
  }

  /** At once; its connections are cut. */
  #terminate(incarnation: Incarnation, reason: string): void {
    incarnation.reason ??= reason;
    incarnation.thread.abort();
  }

  #setState(slot: Slot, changed: Partial<WorkerStatus>): void {
    slot.status = { ...slot.status, ...changed, sinceMs: this.#options.system.wallMs() };
  }
}
