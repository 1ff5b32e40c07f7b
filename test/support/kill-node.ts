// A node whose workers can be killed, in a process of its own: kill-node.ts DIRECTORY [NAME=VALUE…], settings as
// `serve` has them. Started by Asked, with the orders of kill-world.ts; says in its counters what became of connections.

import { setTimeout as sleep } from "node:timers/promises";
import { parseConfig } from "../../src/config.ts";
import { type RunningNode, startNode } from "../../src/main.ts";
import { realSystem } from "../../src/system.ts";
import { Counter } from "../../src/telemetry/counters.ts";
import { tcpPortsOfThisProcess } from "./child-node.ts";
import {
  type Accepted,
  answerAll,
  type Killed,
  type NodePlaces,
  type NodeQuestion,
} from "./kill-world.ts";
import { recordingLog } from "./recording-log.ts";

/** A slot that does not serve again by then never will, in ms. */
const replacedMsMax = 30_000;
/** How long a worker lets everybody wait that is then ended in the middle of it, in ms. */
const busyMs = 2_000;
const busyBeforeMs = 50;

const log = recordingLog();

function config(directory: string, settings: readonly string[]): ReturnType<typeof parseConfig> {
  const { first, last } = tcpPortsOfThisProcess();
  const loopback = { http: ["127.0.0.1:0"], rpc: "127.0.0.1:0", admin: "127.0.0.1:0" };
  const tcp = { "tcp-address": ["127.0.0.1"], "tcp-ports": `${first}-${last}` };
  const own = Object.fromEntries(settings.map((setting) => setting.split("=", 2)));
  const fixed = { store: "memory:", state: directory, workers: "2" };
  return parseConfig({ ...fixed, ...loopback, ...tcp, ...own }, {});
}

function places(node: RunningNode): NodePlaces {
  return {
    rpc: node.rpc,
    httpPort: Number(node.http[0]?.replace(/^.*:/, "")),
    metrics: `http://${node.admin}/metrics`,
    io: / io=(\S+)/.exec(node.readyLine)?.[1] ?? "",
  };
}

function countersOf(node: RunningNode, slot: number): Float64Array {
  const live = node.fleet.counters().live.find((worker) => worker.slot === slot);
  if (live === undefined) throw new Error(`no worker in slot ${slot}`);
  return live.counters;
}

function accepted(node: RunningNode): Accepted {
  const of = (counters: Float64Array): number => counters[Counter.connectionsAccepted] ?? 0;
  const bySlot = [0, 1].map((slot) => of(countersOf(node, slot)));
  return { bySlot, all: bySlot.reduce((sum, one) => sum + one, of(node.fleet.counters().retired)) };
}

async function kill(node: RunningNode, question: NodeQuestion & { kind: "kill" }): Promise<Killed> {
  const { slot, death } = question;
  const { fleet } = node;
  const counters = countersOf(node, slot);
  const before = fleet.status()[slot]?.workerId;
  if (death === "end while busy") {
    fleet.stallWorker(slot, busyMs);
    await sleep(busyBeforeMs);
  }
  const startMs = performance.now();
  if (death === "crash") fleet.crashWorker(slot);
  else fleet.endWorker(slot);
  for (;;) {
    const status = fleet.status()[slot];
    if (status?.state === "serving" && status.workerId !== before) break;
    if (performance.now() - startMs > replacedMsMax)
      throw new Error(`slot ${slot} was not replaced: ${JSON.stringify(log.entries.at(-1))}`);
    await sleep(1);
  }
  const told = log.entries.findLast(
    ({ message }) => message === "a worker ended and is replaced",
  )?.fields;
  const ms = performance.now() - startMs;
  return { held: counters[Counter.connectionsOpen] ?? 0, ms, pausedMs: Number(told?.["afterMs"]) };
}

const [directory = "", ...settings] = process.argv.slice(2);
const node = await startNode({
  config: config(directory, settings),
  log,
  system: realSystem,
  faultHooks: true,
});
let stopped = false;
answerAll(
  (question: NodeQuestion) => {
    switch (question.kind) {
      case "places":
        return places(node);
      case "accepted":
        return accepted(node);
      case "kill":
        return kill(node, question);
      case "stall":
        for (const slot of [0, 1]) node.fleet.stallWorker(slot, question.ms);
        return undefined;
      case "drain":
        stopped = true;
        return node.stop(question.ms);
      default:
        return question satisfies never;
    }
  },
  async () => {
    if (!stopped) await node.stop(0);
  },
);
