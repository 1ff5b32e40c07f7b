// Worker threads that crash under load: node test/soak/worker-crash.ts [crashes=200]
//
// A node with two workers in this process; the clients in another (crash-load.ts). Fresh connections come at a
// steady pace, kept connections ask again and again; a worker is crashed, its slot awaited, the other one is
// crashed. Every fresh connection must get its 200, however late up to 5 s, unless the dead worker had it already.
//
// Which is that? A client cannot tell a connection that was reset in the dead worker's hands from one that was lost
// in the queue. The workers' counters can: `connectionsAccepted` lies in shared memory and survives a crash, so
// 1. what clients connected must equal what workers accepted, all crashes together: a difference was lost in a queue
//    or between the queue and a session, and is a failed new connection;
// 2. what was cut by a crash must not exceed `connectionsOpen` of the dead worker, as it left it.
// A kept connection is opened while no other one comes, so the counter that moves tells whose it is: those of the
// living worker must live, those of the dead one must not linger.
//
// Crashed again and again, a slot is restarted after pauses that double up to 2 s (restart-pace.ts): new connections
// wait in the kernel's queue meanwhile. Ends with one line of figures, and with status 1 when a promise was broken.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseConfig } from "../../src/config.ts";
import { type RunningNode, startNode } from "../../src/main.ts";
import { realSystem } from "../../src/system.ts";
import { Counter } from "../../src/telemetry/counters.ts";
import { tcpPortsOfThisProcess } from "../support/child-node.ts";
import { CrashWorld, type FreshFigures, type KeptFigures } from "../support/crash-world.ts";
import { percentile, percentilesText } from "../support/percentiles.ts";
import { type RecordingLog, recordingLog } from "../support/recording-log.ts";
import { Client, routeFields } from "../support/rpc-node.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const freshPerSecond = 200;
const keptConnections = 12;
/** A slot that does not serve again by then never will, in ms. */
const replacedMsMax = 20_000;
/** A dead worker's connection that its client still holds by then lingers, in ms. */
const lingerMsMax = 2_000;

export interface WorkerCrashFigures {
  readonly crashes: number;
  readonly fresh: FreshFigures;
  /** Fresh and kept connections that the kernel completed. */
  readonly connected: number;
  /** Sessions that workers began, dead ones included. */
  readonly accepted: number;
  readonly keptCut: number;
  readonly keptAnswers: number;
  /** From the order to crash until the slot served again. */
  readonly replacedMs: readonly number[];
  /** Of that, the pause that the node had imposed. */
  readonly pausedMs: readonly number[];
  readonly broken: readonly string[];
}

export async function runWorkerCrash(crashes: number, seed: number): Promise<WorkerCrashFigures> {
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-worker-crash-"));
  const log = recordingLog();
  const world = new CrashWorld();
  let node: RunningNode | undefined;
  try {
    node = await startNode({
      config: configIn(directory),
      log,
      system: realSystem,
      faultHooks: true,
    });
    await addRoute(node, await world.ask<string>({ kind: "backend" }));
    await world.ask({ kind: "node", port: Number(node.http[0]?.replace(/^.*:/, "")) });
    const run = new Crashes(node, world, log, new SeededRandom(seed));
    for (let n = 0; n < crashes; n++) await run.crash(n % 2);
    return await run.figures(crashes);
  } finally {
    await world.end();
    await node?.stop(0);
    rmSync(directory, { recursive: true, force: true });
  }
}

class Crashes {
  readonly #node: RunningNode;
  readonly #world: CrashWorld;
  readonly #log: RecordingLog;
  readonly #random: SeededRandom;
  /** Slot of every kept connection. */
  readonly #slots = new Map<number, number>();
  readonly #replacedMs: number[] = [];
  readonly #broken: string[] = [];
  readonly #kept = { opened: 0, cut: 0, answers: 0 };
  #freshCut = 0;

  constructor(node: RunningNode, world: CrashWorld, log: RecordingLog, random: SeededRandom) {
    this.#node = node;
    this.#world = world;
    this.#log = log;
    this.#random = random;
  }

  async crash(slot: number): Promise<void> {
    while (this.#slots.size < keptConnections) await this.#openKept();
    await this.#world.ask({ kind: "flow", perSecond: freshPerSecond });
    await sleep(20 + this.#random.next() * 80);
    const dying = this.#counters(slot);
    const startMs = performance.now();
    this.#node.fleet.crashWorker(slot);
    await this.#untilReplaced(slot);
    this.#replacedMs.push(performance.now() - startMs);
    await this.#world.ask({ kind: "quiet" });
    await this.#compare(slot, dying[Counter.connectionsOpen] ?? 0);
  }

  /** While nobody else connects: the worker whose counter moves has it. */
  async #openKept(): Promise<void> {
    const before = [0, 1].map((slot) => this.#accepted(slot));
    const id = ++this.#kept.opened;
    await this.#world.ask({ kind: "open", id });
    const moved = [0, 1].filter((slot) => this.#accepted(slot) > (before[slot] ?? 0));
    const [slot] = moved;
    if (moved.length !== 1 || slot === undefined)
      throw new Error(`kept connection ${id} was accepted by ${moved.length} workers`);
    this.#slots.set(id, slot);
  }

  /** Only what the dead worker held is cut, and all of it. */
  async #compare(slot: number, held: number): Promise<void> {
    const ended = await this.#endedOf(slot);
    for (const { id, ended: reason, answers } of ended) {
      if (this.#slots.get(id) !== slot)
        this.#broken.push(`a connection of the living worker ended: ${reason}`);
      this.#slots.delete(id);
      this.#kept.answers += answers;
    }
    this.#kept.cut += ended.length;
    const lingering = [...this.#slots.values()].filter((owner) => owner === slot).length;
    if (lingering > 0) this.#broken.push(`${lingering} connections of a dead worker linger`);
    const { cut } = await this.#world.ask<FreshFigures>({ kind: "fresh" });
    const cutNow = cut - this.#freshCut;
    this.#freshCut = cut;
    if (cutNow + ended.length > held)
      this.#broken.push(`${cutNow} + ${ended.length} were cut, the dead worker held ${held}`);
  }

  async #endedOf(slot: number): Promise<readonly KeptFigures[]> {
    const ended: KeptFigures[] = [];
    const own = [...this.#slots.values()].filter((owner) => owner === slot).length;
    const endMs = performance.now() + lingerMsMax;
    while (ended.length < own && performance.now() < endMs) {
      const kept = await this.#world.ask<readonly KeptFigures[]>({ kind: "kept" });
      ended.push(...kept.filter((one) => one.ended !== undefined));
    }
    return ended;
  }

  async #untilReplaced(slot: number): Promise<void> {
    const before = this.#node.fleet.status()[slot]?.workerId;
    const endMs = performance.now() + replacedMsMax;
    while (performance.now() < endMs) {
      const status = this.#node.fleet.status()[slot];
      if (status?.state === "serving" && status.workerId !== before) return;
      await sleep(1);
    }
    throw new Error(`slot ${slot} was not replaced: ${JSON.stringify(this.#log.entries.at(-1))}`);
  }

  #counters(slot: number): Float64Array {
    const live = this.#node.fleet.counters().live.find((worker) => worker.slot === slot);
    if (live === undefined) throw new Error(`no worker in slot ${slot}`);
    return live.counters;
  }

  #accepted(slot: number): number {
    return this.#counters(slot)[Counter.connectionsAccepted] ?? 0;
  }

  async figures(crashes: number): Promise<WorkerCrashFigures> {
    const fresh = await this.#world.ask<FreshFigures>({ kind: "fresh" });
    const kept = await this.#world.ask<readonly KeptFigures[]>({ kind: "kept" });
    const { retired, live } = this.#node.fleet.counters();
    const counters = [retired, ...live.map((worker) => worker.counters)];
    const pausedMs = this.#log.entries.flatMap(({ message, fields }) =>
      message === "a worker ended and is replaced" ? [Number(fields["afterMs"])] : [],
    );
    return {
      crashes,
      fresh,
      connected: fresh.connected + this.#kept.opened,
      accepted: counters.reduce((sum, one) => sum + (one[Counter.connectionsAccepted] ?? 0), 0),
      keptCut: this.#kept.cut,
      keptAnswers: kept.reduce((sum, { answers }) => sum + answers, this.#kept.answers),
      replacedMs: this.#replacedMs,
      pausedMs,
      broken: this.#broken,
    };
  }
}

function configIn(directory: string): ReturnType<typeof parseConfig> {
  const { first, last } = tcpPortsOfThisProcess();
  const addresses = { http: ["127.0.0.1:0"], rpc: "127.0.0.1:0", admin: "127.0.0.1:0" };
  const options = { store: "memory:", state: directory, workers: "2", ...addresses };
  return parseConfig(
    { ...options, "tcp-address": ["127.0.0.1"], "tcp-ports": `${first}-${last}` },
    {},
  );
}

async function addRoute(node: RunningNode, address: string): Promise<void> {
  const client = new Client(node.rpc);
  await client.call("registerBackend", { backend: { service: "crash", address } });
  await client.call("addRoute", { route: routeFields("crash.example.com", "crash") });
  client.close();
}

/** Every promise that the figures break; empty when all were kept. */
export function workerCrashFailures(figures: WorkerCrashFigures): string[] {
  const { fresh, connected, accepted, replacedMs, crashes } = figures;
  const failures = [...figures.broken, ...fresh.failures];
  if (connected !== accepted)
    failures.push(`clients connected ${connected} times, workers accepted ${accepted}`);
  if (fresh.answered === 0 || replacedMs.length !== crashes) failures.push("nothing was shown");
  return failures;
}

if (import.meta.main) {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const figures = await runWorkerCrash(Number(process.argv[2] ?? "200"), seed);
  const failures = workerCrashFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line);
  const { fresh, connected, accepted, replacedMs, pausedMs } = figures;
  const startedMs = replacedMs.map((ms, n) => ms - (pausedMs[n] ?? 0));
  console.log(
    `worker-crash: ${figures.crashes} crashes; of ${fresh.opened} new connections ${fresh.failures.length} failed and ` +
      `${connected - accepted} were lost before a worker accepted them, ${fresh.cut} were cut in the dead worker's hands ` +
      `(${percentilesText(fresh.ms)}, slowest ${percentile(fresh.ms, 1).toFixed(0)}); ${figures.keptCut} kept connections cut, ` +
      `${figures.broken.length} not as promised (${figures.keptAnswers} answers); replaced after ${percentilesText(replacedMs)}, ` +
      `without the imposed pause ${percentilesText(startedMs)} (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
