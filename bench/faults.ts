// What happens to requests while one of three backends is bad? For every way of being bad and every proxy with every way of
// choosing: the share of the requests that were hurt, and how long the others took.
//
// The load does not wait for answers (support/open-loop.ts). The backend gets bad under load and stays so to the end; proxies
// check backends each second, so that a run must be longer than that takes.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { RunningNode } from "./support/crosspoint.ts";
import { type Effort, shown } from "./support/effort.ts";
import { type FaultMode, faultModes, hurtMs, modePath } from "./support/fault-modes.ts";
import { oursOn, startOurs } from "./support/fault-ours.ts";
import { type FaultyContender, rivals } from "./support/fault-rivals.ts";
import {
  haproxyVersion,
  hasTwoCores,
  loadCore,
  machineName,
  nginxVersion,
  proxyCore,
} from "./support/machine.ts";
import type { OpenLoopOptions, OpenLoopReport } from "./support/open-loop.ts";
import { freePort, Program } from "./support/program.ts";
import type { Question } from "./support/question.ts";
import { type Figures, figureText, medianFigures, type Result } from "./support/results.ts";
import { withTemporaryFolder } from "./support/temporary-folder.ts";

const requestsPerSecond = 1_000;
const connections = 32;
const warmUpSeconds = 1;
/** A run in full: checks need three seconds and more to find anything. */
const secondsMin = 10;
const quickSecondsMin = 2;
/** What is left of a load after its time, and then it is ended. */
const endWithinMs = 20_000;
const hurtColumn = "% hurt";
const lateColumn = "p99 ms";

export const faults: Question = {
  name: "faults",
  run: (effort) => withTemporaryFolder((folder) => run(effort, folder)),
};

interface Bench {
  readonly folder: string;
  readonly seconds: number;
  readonly backends: readonly FaultyBackend[];
  readonly contenders: readonly FaultyContender[];
}

interface FaultyBackend {
  readonly port: number;
  readonly controlPort: number;
  readonly program: Program;
}

async function run(effort: Effort, folder: string): Promise<Result> {
  const started: Program[] = [];
  try {
    const backends: FaultyBackend[] = [];
    for (let i = 0; i < 3; i++) {
      const backend = await startBackend();
      started.push(backend.program);
      backends.push(backend);
    }
    const { node, contenders, skipped } = await contendersOf(effort, folder, started);
    const seconds = Math.max(effort.seconds, effort.quick ? quickSecondsMin : secondsMin);
    const rounds = await allRounds(effort, { folder, seconds, backends, contenders });
    const rows = [...rounds].map(([name, all]) => ({
      name,
      figures: medianFigures(all),
      rounds: all,
    }));
    console.log(`\n${verdicts(rows, contenders)}`);
    return {
      name: "faults",
      question: "What happens to requests while one of three backends is bad?",
      method: `${requestsPerSecond} requests/s, sent whatever becomes of them, on ${connections} keep-alive connections (more while all are busy), for ${seconds} s after one of three backends became bad. Hurt: another status than 200, no whole answer, or later than ${hurtMs} ms. p99 of whole and right answers, from when each was due. Checks each second, three failures are down; 1 s to connect, 2 s to answer, for all. Medians of ${effort.rounds} interleaved rounds.`,
      machine: machineName(),
      versions: versionsOf(node),
      date: new Date().toISOString().slice(0, 10),
      quick: effort.quick,
      columns: [hurtColumn, "p50 ms", lateColumn, "hurt until ms"],
      rows,
      skipped,
    };
  } finally {
    for (const program of started.toReversed()) await program.stop();
  }
}

async function startBackend(): Promise<FaultyBackend> {
  const port = await freePort();
  const controlPort = await freePort();
  const file = join(import.meta.dirname, "support/fault-backend.ts");
  const program = Program.start({
    command: process.execPath,
    args: [file, String(port), String(controlPort)],
    core: hasTwoCores() ? loadCore : undefined,
  });
  await program.waitForPort(controlPort);
  return { port, controlPort, program };
}

async function contendersOf(
  { proxies }: Effort,
  folder: string,
  started: Program[],
): Promise<{ node?: RunningNode; contenders: FaultyContender[]; skipped: string[] }> {
  const isWanted = (side: string): boolean =>
    proxies.length === 0 || proxies.includes(side.toLowerCase());
  const { found, skipped } = rivals();
  const others = found.filter(({ side }) => isWanted(side));
  if (!isWanted("Crosspoint")) return { contenders: others, skipped };
  const own = join(folder, "crosspoint");
  mkdirSync(own);
  const node = await startOurs(own, hasTwoCores() ? proxyCore : undefined);
  started.push(node.program);
  return { node, contenders: [...others, ...oursOn(node)], skipped };
}

/** By "contender, fault". */
async function allRounds(effort: Effort, bench: Bench): Promise<Map<string, Figures[]>> {
  const { contenders } = bench;
  const rounds = new Map<string, Figures[]>();
  if (!effort.quick) for (const one of contenders) await cell(bench, one, undefined);
  for (let round = 0; round < effort.rounds; round++) {
    for (const mode of modes) {
      // Each comes after each: nobody always inherits what the same one left.
      for (let turn = 0; turn < contenders.length; turn++) {
        const contender = contenders[(turn + round) % contenders.length];
        if (contender === undefined) continue;
        const name = `${contender.name}, ${mode}`;
        const figures = await cell(bench, contender, mode);
        rounds.set(name, [...(rounds.get(name) ?? []), figures]);
        console.log(`  ${name} round ${round + 1}: ${shown(figures)}`);
      }
    }
  }
  return new Map(
    modes.flatMap((mode) =>
      contenders.map(({ name }): [string, Figures[]] => {
        const key = `${name}, ${mode}`;
        return [key, rounds.get(key) ?? []];
      }),
    ),
  );
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys are their names
const modes = Object.keys(faultModes) as FaultMode[];

/** @param mode Absent: nothing gets bad. */
async function cell(
  { folder, seconds, backends }: Bench,
  contender: FaultyContender,
  mode: FaultMode | undefined,
): Promise<Figures> {
  // The first one that is registered: the one that a leader would be.
  const bad = backends[0]!;
  const own = join(folder, "cell");
  mkdirSync(own, { recursive: true });
  const proxy = await contender.begin({
    backendPorts: backends.map(({ port }) => port),
    folder: own,
    core: hasTwoCores() ? proxyCore : undefined,
  });
  try {
    const { port, host } = proxy;
    const load = { port, host, requestsPerSecond, connections, warmUpSeconds, seconds };
    const { controlPort } = bad;
    return figuresOf(
      await loaded({ ...load, controlPort, ...(mode === undefined ? {} : { mode }) }),
    );
  } finally {
    await fetch(`http://127.0.0.1:${bad.controlPort}${modePath}good`);
    await proxy.end();
  }
}

async function loaded(options: OpenLoopOptions): Promise<OpenLoopReport> {
  const load = Program.start({
    command: process.execPath,
    args: [join(import.meta.dirname, "support/open-loop.ts"), JSON.stringify(options)],
    core: hasTwoCores() ? loadCore : undefined,
    readsOutput: true,
  });
  const withinMs = (options.warmUpSeconds + options.seconds) * 1000 + endWithinMs;
  return JSON.parse(await load.waitForEnd(withinMs)) as OpenLoopReport;
}

function figuresOf(report: OpenLoopReport): Figures {
  const { requests, errors, broken, late } = report;
  const percent = (count: number): number => (100 * count) / requests;
  return {
    [hurtColumn]: percent(errors + broken + late),
    "% errors": percent(errors),
    "% broken": percent(broken),
    "% late": percent(late),
    "p50 ms": report.p50Ms ?? Number.POSITIVE_INFINITY,
    [lateColumn]: report.p99Ms ?? Number.POSITIVE_INFINITY,
    "hurt until ms": report.hurtUntilMs,
    requests,
  };
}

/** The worst of ours, as delivered, against the better of the two others: by share of hurt requests, and by p99. */
function verdicts(
  rows: readonly { readonly name: string; readonly figures: Figures }[],
  contenders: readonly FaultyContender[],
): string {
  const lines = [
    "| | worst of ours | | the better of the two | |",
    "|---|---|---:|---|---:|",
    ...modes.flatMap((mode) =>
      [hurtColumn, lateColumn].map((column) => {
        const of = (wanted: (contender: FaultyContender) => boolean) =>
          contenders.filter(wanted).map(({ name }) => ({
            name,
            value:
              rows.find((row) => row.name === `${name}, ${mode}`)?.figures[column] ?? Number.NaN,
          }));
        const own = of(({ side, isBare }) => side === "Crosspoint" && isBare !== true);
        const worst = own.toSorted((a, b) => b.value - a.value)[0];
        const theirs = of(({ side }) => side !== "Crosspoint");
        const best = theirs.toSorted((a, b) => a.value - b.value)[0];
        const text = (one: typeof worst): string =>
          one === undefined ? "– | –" : `${one.name} | ${figureText(one.value)}`;
        return `| ${mode}, ${column} | ${text(worst)} | ${text(best)} |`;
      }),
    ),
  ];
  return lines.join("\n");
}

function versionsOf(node: RunningNode | undefined): Readonly<Record<string, string>> {
  const ours = node === undefined ? undefined : `${node.version} (io=${node.io})`;
  const all = { HAProxy: haproxyVersion(), nginx: nginxVersion(), Crosspoint: ours };
  const known = Object.entries(all).flatMap(([name, version]) =>
    version === undefined ? [] : [[name, version] as const],
  );
  return { ...Object.fromEntries(known), Node: process.versions.node };
}
