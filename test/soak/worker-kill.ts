// Worker threads that die under load: node test/soak/worker-kill.ts [kills=200] [--io NAME]
//
// A node with two workers in one process (kill-node.ts), backends and clients in another (kill-load.ts). Fresh
// connections, HTTP requests and lines through a TCP route, come at a steady pace; kept ones ask again and again. A
// worker is killed, in turn by an exception, by termination wherever it is, and by termination while it lets everybody
// wait; its slot is awaited; then the other one is killed. Every fresh connection must get its answer, however late up
// to 30 s, unless the dead worker had it already.
//
// Which is that? Neither a client nor the kernel's queue can tell a connection that broke in the dead worker's hands
// from one that was lost before. The workers' counters can: `connectionsAccepted` and `connectionsOpen` lie in shared
// memory and outlive the worker. After each kill the clients fall silent, and then
// 1. nobody was refused, answered wrongly or kept waiting: that counts against us, whoever had the connection;
// 2. what clients connected equals what workers accepted, or the difference was lost in a queue, and counts against us.
//    A thread that is *terminated* may be so between accept(2) and its counter: one connection for each termination
//    may be missing, if it was cut, and is told as `uncounted`. An exception comes between events, and allows for none;
// 3. what was cut does not exceed what the dead worker had open, as it left it, and that one.
// A kept connection is opened while no other one comes, so the counter that moves tells whose it is: those of the
// living worker must live, those of the dead one must not linger.
//
// At the end, with all clients gone: no session, and no more descriptors and mappings of rings than at first.
//
// Killed again and again, a slot is restarted after pauses that double up to 2 s (restart-pace.ts): new connections
// wait in the kernel's queue meanwhile. Ends with one line of figures, and with status 1 when a promise was broken.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import {
  type Accepted,
  Asked,
  type Backends,
  type Death,
  deaths,
  type FreshFigures,
  type KeptFigures,
  type Killed,
  type LoadQuestion,
  type NodePlaces,
  type NodeQuestion,
} from "../support/kill-world.ts";
import { percentile, percentilesText } from "../support/percentiles.ts";
import { Client, routeFields } from "../support/rpc-node.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const freshPerSecond = 200;
const keptConnections = 12;
/** A dead worker's connection that its client still holds by then lingers, in ms. */
const lingerMsMax = 2_000;
/** Until idle connections to backends are closed, 4 s, and all is told, in ms. */
const settledMsMax = 20_000;
const restMs = 250;
const openSessions = ["connections_open", "upstream_connections_open"].map(
  (name) => `crosspoint_${name}`,
);

export interface WorkerKillFigures {
  readonly io: string;
  readonly kills: number;
  readonly fresh: FreshFigures;
  /** Fresh and kept connections that the kernel completed. */
  readonly connected: number;
  /** Sessions that workers began, dead ones included. */
  readonly accepted: number;
  /** Of the difference: what terminated workers may have had without having counted it. */
  readonly uncounted: number;
  readonly keptCut: number;
  readonly keptAnswers: number;
  /** From the order to die until the slot served again. */
  readonly replacedMs: readonly number[];
  /** Of that, the pause that the node had imposed. */
  readonly pausedMs: readonly number[];
  readonly broken: readonly string[];
  /** At first, and at the end. */
  readonly descriptors: readonly [number, number];
  readonly mappings: readonly [number, number];
  /** That the main thread closed for dead workers. */
  readonly descriptorsLeft: number;
  /** At the end, to clients and to backends. */
  readonly sessions: number;
}

/** @param io As --io; undefined: what the node chooses. */
export async function runWorkerKill(
  kills: number,
  { seed, io }: { readonly seed: number; readonly io?: string | undefined },
): Promise<WorkerKillFigures> {
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-worker-kill-"));
  const load = new Asked<LoadQuestion>("kill-load.ts");
  const node = new Asked<NodeQuestion>("kill-node.ts", [
    directory,
    ...(io === undefined ? [] : [`io=${io}`]),
  ]);
  try {
    const places = await node.ask<NodePlaces>({ kind: "places" });
    const tcpPort = await addRoutes(places.rpc, await load.ask<Backends>({ kind: "backends" }));
    await load.ask({ kind: "node", httpPort: places.httpPort, tcpPort });
    const run = new Kills(node, load, places, new SeededRandom(seed));
    await run.warmUp();
    for (let n = 0; n < kills; n++) await run.kill(n % 2, deaths[n % deaths.length] ?? "crash");
    return await run.figures();
  } finally {
    await load.end();
    await node.end();
    rmSync(directory, { recursive: true, force: true });
  }
}

class Kills {
  readonly #node: Asked<NodeQuestion>;
  readonly #load: Asked<LoadQuestion>;
  readonly #places: NodePlaces;
  readonly #random: SeededRandom;
  /** Slot of every kept connection. */
  readonly #slots = new Map<number, number>();
  readonly #killed: Killed[] = [];
  readonly #broken: string[] = [];
  readonly #kept = { opened: 0, cut: 0, answers: 0 };
  #freshCut = 0;
  #uncounted = 0;
  #descriptorsAtFirst = 0;
  #mappingsAtFirst = 0;

  constructor(
    node: Asked<NodeQuestion>,
    load: Asked<LoadQuestion>,
    places: NodePlaces,
    random: SeededRandom,
  ) {
    this.#node = node;
    this.#load = load;
    this.#places = places;
    this.#random = random;
  }

  /** What is opened once and for all is open then. */
  async warmUp(): Promise<void> {
    await this.#load.ask({ kind: "flow", perSecond: freshPerSecond });
    await sleep(500);
    await this.#load.ask({ kind: "quiet" });
    [, this.#descriptorsAtFirst] = await this.#untilSettled(Number.POSITIVE_INFINITY);
    this.#mappingsAtFirst = this.#mappings();
  }

  async kill(slot: number, death: Death): Promise<void> {
    while (this.#slots.size < keptConnections) await this.#openKept();
    await this.#load.ask({ kind: "flow", perSecond: freshPerSecond });
    await sleep(20 + this.#random.next() * 80);
    const killed = await this.#node.ask<Killed>({ kind: "kill", slot, death });
    this.#killed.push(killed);
    await this.#load.ask({ kind: "quiet" });
    await this.#compare(slot, death, killed.held);
  }

  /** While nobody else connects: the worker whose counter moves has it. */
  async #openKept(): Promise<void> {
    const before = await this.#accepted();
    const id = ++this.#kept.opened;
    await this.#load.ask({ kind: "open", id, protocol: id % 2 === 0 ? "http" : "tcp" });
    const after = await this.#accepted();
    const moved = [0, 1].filter((slot) => after.bySlot[slot] !== before.bySlot[slot]);
    const [slot] = moved;
    if (moved.length !== 1 || slot === undefined)
      throw new Error(`kept connection ${id} was accepted by ${moved.length} workers`);
    this.#slots.set(id, slot);
  }

  /** Only what the dead worker held is cut, and all of it. */
  async #compare(slot: number, death: Death, held: number): Promise<void> {
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
    const fresh = await this.#load.ask<FreshFigures>({ kind: "fresh" });
    const cutNow = fresh.cut - this.#freshCut;
    this.#freshCut = fresh.cut;
    const { all } = await this.#accepted();
    const missing = fresh.connected + this.#kept.opened - all - this.#uncounted;
    const isBetween = missing === 1 && death !== "crash" && cutNow > 0;
    if (isBetween) this.#uncounted++;
    if (cutNow + ended.length > held + (isBetween ? 1 : 0))
      this.#broken.push(`${death}: ${cutNow} + ${ended.length} were cut, ${held} were held`);
  }

  async #endedOf(slot: number): Promise<readonly KeptFigures[]> {
    const ended: KeptFigures[] = [];
    const own = [...this.#slots.values()].filter((owner) => owner === slot).length;
    const endMs = performance.now() + lingerMsMax;
    while (ended.length < own && performance.now() < endMs) {
      const kept = await this.#load.ask<readonly KeptFigures[]>({ kind: "kept" });
      ended.push(...kept.filter((one) => one.ended !== undefined));
    }
    return ended;
  }

  #accepted(): Promise<Accepted> {
    return this.#node.ask<Accepted>({ kind: "accepted" });
  }

  #descriptors(): number {
    return readdirSync(`/proc/${this.#node.pid}/fd`).length;
  }

  /** Memory that rings have mapped, libuv's included. */
  #mappings(): number {
    const maps = readFileSync(`/proc/${this.#node.pid}/maps`, "utf8").split("\n");
    return maps.filter((line) => line.includes("[io_uring]")).length;
  }

  async #metrics(): Promise<ReadonlyMap<string, number>> {
    const answer = await fetch(this.#places.metrics, { headers: { connection: "close" } });
    const lines = (await answer.text()).split("\n").filter((line) => /^[a-z]/.test(line));
    return new Map(lines.map((line) => [line.split(" ")[0] ?? "", Number(line.split(" ")[1])]));
  }

  /** Until no session and no more descriptors are left, or for as long as that may take; answers how many there are. */
  async #untilSettled(descriptorsMax: number): Promise<[sessions: number, descriptors: number]> {
    const endMs = performance.now() + settledMsMax;
    for (;;) {
      // The connection that asked for the metrics is closed by then.
      await sleep(restMs);
      const descriptors = this.#descriptors();
      const metrics = await this.#metrics();
      const sessions = openSessions.reduce((sum, name) => sum + (metrics.get(name) ?? 1), 0);
      const isSettled = sessions === 0 && descriptors <= descriptorsMax;
      if (isSettled || performance.now() > endMs) return [sessions, descriptors];
    }
  }

  async figures(): Promise<WorkerKillFigures> {
    const kept = await this.#load.ask<readonly KeptFigures[]>({ kind: "kept" });
    await this.#load.ask({ kind: "close" });
    const [sessions, descriptors] = await this.#untilSettled(this.#descriptorsAtFirst);
    const fresh = await this.#load.ask<FreshFigures>({ kind: "fresh" });
    const metrics = await this.#metrics();
    return {
      io: this.#places.io,
      kills: this.#killed.length,
      fresh,
      connected: fresh.connected + this.#kept.opened,
      accepted: (await this.#accepted()).all,
      uncounted: this.#uncounted,
      keptCut: this.#kept.cut,
      keptAnswers: kept.reduce((sum, { answers }) => sum + answers, this.#kept.answers),
      replacedMs: this.#killed.map(({ ms }) => ms),
      pausedMs: this.#killed.map(({ pausedMs }) => pausedMs),
      broken: this.#broken,
      descriptors: [this.#descriptorsAtFirst, descriptors],
      mappings: [this.#mappingsAtFirst, this.#mappings()],
      descriptorsLeft: metrics.get("crosspoint_worker_descriptors_left_total") ?? Number.NaN,
      sessions,
    };
  }
}

/** Answers with the port of the TCP route. */
async function addRoutes(rpc: string, { http, tcp }: Backends): Promise<number> {
  const client = new Client(rpc);
  await client.call("registerBackend", { backend: { service: "web", address: http } });
  await client.call("registerBackend", { backend: { service: "lines", address: tcp } });
  await client.call("addRoute", { route: routeFields("kill.example.com", "web") });
  const { route } = await client.call("addRoute", { route: routeFields(0, "lines") });
  client.close();
  const match = route?.match;
  if (match?.$case !== "tcp") throw new Error("the TCP route has no port");
  return match.value.port;
}

/** Every promise that the figures break; empty when all were kept. */
export function workerKillFailures(figures: WorkerKillFigures): string[] {
  const { fresh, connected, accepted, uncounted, replacedMs, kills, sessions } = figures;
  const failures = [...figures.broken, ...fresh.failures];
  if (connected - uncounted !== accepted)
    failures.push(`clients connected ${connected} times, workers accepted ${accepted}`);
  if (sessions !== 0) failures.push(`${sessions} sessions are left`);
  for (const what of ["descriptors", "mappings"] as const) {
    const [first, last] = figures[what];
    if (last > first) failures.push(`${first} ${what} became ${last}`);
  }
  if (fresh.answered === 0 || replacedMs.length !== kills) failures.push("nothing was shown");
  return failures;
}

if (import.meta.main) {
  const options = { io: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const figures = await runWorkerKill(Number(positionals[0] ?? "200"), { seed, io: values.io });
  const failures = workerKillFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line);
  const { fresh, connected, accepted, uncounted, replacedMs, pausedMs } = figures;
  const startedMs = replacedMs.map((ms, n) => ms - (pausedMs[n] ?? 0));
  console.log(
    `worker-kill: io=${figures.io}, ${figures.kills} kills; of ${fresh.opened} new connections ${fresh.failures.length} failed and ` +
      `${connected - accepted - uncounted} were lost before a worker accepted them, ${fresh.cut} were cut in the dead worker's hands, ${uncounted} of them uncounted ` +
      `(${percentilesText(fresh.ms)}, slowest ${percentile(fresh.ms, 1).toFixed(0)}); ${figures.keptCut} kept connections cut, ` +
      `${figures.broken.length} not as promised (${figures.keptAnswers} answers); ${figures.descriptors.join(" descriptors, then ")}, ${figures.mappings.join(" mappings, then ")}, ` +
      `${figures.descriptorsLeft} closed for the dead, ${figures.sessions} sessions left; replaced after ${percentilesText(replacedMs)}, ` +
      `without the imposed pause ${percentilesText(startedMs)} (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
