// What does a keep-alive connection cost that waits? Memory of the proxy's process per 10,000 of them.
//
// What the kernel holds for a connection is the same for everybody, and in nobody's resident memory.

import { waitingBytes } from "../test/soak/waiting-memory.ts";
import { type Effort, shown } from "./support/effort.ts";
import { versionsOf, withLineUp } from "./support/line-up.ts";
import { descriptorsMax, machineName } from "./support/machine.ts";
import { Program } from "./support/program.ts";
import type { ContenderName } from "./support/proxies.ts";
import { hostOf, type RunningProxy } from "./support/proxy.ts";
import type { Question } from "./support/question.ts";
import { type Figures, medianFigures, type Result, type ResultRow } from "./support/results.ts";

const routes = 1000;
const fullCount = 10_000;
const quickCount = 1_000;
/** Opened and closed before, so that what is made once for all is made. */
const firstCount = 200;
/** Of descriptors: what proxies and clients open beside. */
const reserve = 500;
/** Both ends of each are in one process, which must open no more. */
const inProcessCount = 5_000;
const contenders = ["haproxy", "nginx", "crosspoint", "crosspoint-net"] as const;

export const idleConnections: Question = {
  name: "idle-connections",
  run: async (effort) => {
    const count = Math.min(effort.quick ? quickCount : fullCount, descriptorsMax() - reserve);
    const rounds = new Map<string, Figures[]>();
    let last: Pick<Result, "versions" | "skipped"> = { versions: {}, skipped: [] };
    for (let round = 0; round < effort.rounds; round++) {
      last = await oneRound(count, effort, rounds);
    }
    return {
      name: "idle-connections",
      question: "What does a keep-alive connection cost that waits?",
      method: `${count.toLocaleString("en-US")} connections that each made one request; growth of the process's resident memory after ${firstCount} others came and went. Crosspoint's holds what V8 has not collected; "heap and external" is what its worker needs, as test/worker/waiting-memory.test.ts measures it. Medians of ${effort.rounds} rounds, each on proxies that were just started.`,
      machine: machineName(),
      ...last,
      date: new Date().toISOString().slice(0, 10),
      quick: effort.quick,
      rows: [
        ...[...rounds].map(
          ([name, all]): ResultRow => ({ name, figures: medianFigures(all), rounds: all }),
        ),
        await userMemoryRow(effort),
      ],
    };
  },
};

async function oneRound(
  count: number,
  { proxies: only }: Effort,
  rounds: Map<string, Figures[]>,
): Promise<Pick<Result, "versions" | "skipped">> {
  const names: readonly ContenderName[] = contenders;
  const lineUp = { mode: "http", routes, connections: count, workers: 1 } as const;
  return await withLineUp(
    { ...lineUp, contenders: names, proxies: only },
    async ({ proxies, loadCore, skipped }) => {
      for (const proxy of proxies) {
        const bytes = await growthBytes(proxy, count, loadCore);
        const figures = figuresOf(bytes);
        console.log(`  ${proxy.name}: ${shown(figures)}`);
        const all = rounds.get(proxy.name) ?? [];
        rounds.set(proxy.name, [...all, figures]);
      }
      return { versions: versionsOf(proxies), skipped };
    },
  );
}

function figuresOf(bytesPerConnection: number): Figures {
  return {
    "MB per 10,000": (bytesPerConnection * 10_000) / 1e6,
    "bytes per connection": bytesPerConnection,
  };
}

/** Bytes of resident memory that each of `count` waiting connections costs. */
async function growthBytes(
  { port, program }: RunningProxy,
  count: number,
  core: number | undefined,
): Promise<number> {
  await whileWaiting({ port, count: firstCount, core }, () => undefined);
  const before = program.residentBytes();
  let after = Number.NaN;
  await whileWaiting({ port, count, core }, () => (after = program.residentBytes()));
  return (after - before) / count;
}

async function whileWaiting(
  options: { readonly port: number; readonly count: number; readonly core: number | undefined },
  look: () => void,
): Promise<void> {
  const { port, count: connections, core } = options;
  const wanted = { port, host: hostOf(routes / 2), connections };
  const clients = Program.start({
    command: process.execPath,
    args: [`${import.meta.dirname}/support/idle-clients.ts`, JSON.stringify(wanted)],
    core,
    readsOutput: true,
  });
  try {
    await clients.waitForLine(/^waiting \d+$/m, 60_000);
    look();
  } finally {
    await clients.stop();
  }
}

async function userMemoryRow(effort: Effort): Promise<ResultRow> {
  const count = Math.min(
    effort.quick ? quickCount : inProcessCount,
    Math.floor((descriptorsMax() - reserve) / 3),
  );
  const figures = figuresOf(await waitingBytes("idle", count));
  const name = "Crosspoint, heap and external";
  console.log(`  ${name}: ${shown(figures)}`);
  return { name, figures, rounds: [figures] };
}
