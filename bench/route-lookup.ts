// What does finding the route of a request cost, and what does a route weigh, with 1 route and with a million? No
// sockets: tables as a worker has them, each in a process of its own, asked in turns.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type Effort, shown } from "./support/effort.ts";
import type { AskLookups, LookupTime, TableCost } from "./support/lookup-process.ts";
import { machineName } from "./support/machine.ts";
import { type Draw, draws, type Shape, shapes } from "./support/many-routes.ts";
import type { Question } from "./support/question.ts";
import { type Figures, medianFigures, type ResultRow } from "./support/results.ts";

const sizes = [1, 1_000, 100_000, 1_000_000];
const quickSizes = [1, 1_000];
/** What the others are compared with. */
const sizeCompared = 1_000;
/** With fewer routes, what the code itself needs would count as theirs. */
const weighedRoutesMin = 100_000;

const method =
  "Host and path are bytes of a request, the answer is its route; choosing a backend is not part of it. Same host: one host over " +
  "and over, as on a keep-alive connection. Zipf: of hosts drawn with s = 1. Random: each lookup another host of all. ns: the fastest " +
  "tenth of blocks of 4,096 lookups, tables of all sizes in turns; × as a multiple of the same with 1,000 routes. Bytes: heap and " +
  "array buffers after a collection. Installing: from the bytes of a snapshot, while another table of the same size serves. 1,000 " +
  "services, except where each route has its own; each has one backend.";

export const routeLookup: Question = {
  name: "route-lookup",
  run: async (effort) => {
    const rows: ResultRow[] = [];
    for (const shape of Object.keys(shapes) as Shape[]) rows.push(...(await rowsOf(shape, effort)));
    return {
      name: "route-lookup",
      question: "What does finding a route cost when there are many, and what does a route weigh?",
      method,
      machine: machineName(),
      versions: { Node: process.versions.node },
      date: new Date().toISOString().slice(0, 10),
      quick: effort.quick,
      rows,
      skipped: [],
    };
  },
};

interface Measured {
  readonly size: number;
  readonly child: ChildProcess;
  readonly cost: TableCost;
  readonly rounds: Figures[];
}

async function rowsOf(shape: Shape, effort: Effort): Promise<ResultRow[]> {
  const tables: Measured[] = [];
  try {
    for (const size of effort.quick ? quickSizes : sizes) tables.push(await started(shape, size));
    // The first time warms the code up.
    for (const table of tables) await timesOf(table.child, effort.quick ? 5 : 40);
    for (let round = 0; round < effort.rounds; round++) {
      for (const table of tables)
        table.rounds.push(await timesOf(table.child, effort.quick ? 5 : 40));
    }
  } finally {
    for (const { child } of tables) child.kill();
  }
  const compared = medianFigures(tables.find(({ size }) => size === sizeCompared)?.rounds ?? []);
  return tables.map(({ size, cost, rounds }) => {
    const times = medianFigures(rounds);
    const figures = {
      ...times,
      ...ratiosOf(times, compared),
      ...(size < weighedRoutesMin ? {} : figuresOf(cost)),
    };
    const name = `${size.toLocaleString("en-US")}, ${shapes[shape]}`;
    console.log(`  ${name}: ${shown(figures)}`);
    return { name, figures, rounds };
  });
}

async function started(shape: Shape, size: number): Promise<Measured> {
  const file = join(import.meta.dirname, "support/lookup-process.ts");
  const child = fork(file, [shape, String(size)], {
    execArgv: ["--expose-gc", "--max-old-space-size=4096"],
  });
  const cost = await answerOf<TableCost>(child);
  return { size, child, cost, rounds: [] };
}

async function timesOf(child: ChildProcess, blocks: number): Promise<Figures> {
  const figures: Record<string, number> = {};
  for (const draw of Object.keys(draws) as Draw[]) {
    child.send({ draw, blocks } satisfies AskLookups);
    const { ns } = await answerOf<LookupTime>(child);
    const sorted = ns.toSorted((a, b) => a - b);
    figures[`${draws[draw]} ns`] = sorted[Math.floor(sorted.length / 10)] ?? Number.NaN;
  }
  return figures;
}

async function answerOf<T>(child: ChildProcess): Promise<T> {
  const ended = new AbortController();
  const onExit = (): void => ended.abort(new Error("the process with the table ended"));
  child.once("exit", onExit);
  try {
    const [answer] = (await once(child, "message", { signal: ended.signal })) as [T];
    return answer;
  } finally {
    child.off("exit", onExit);
  }
}

function ratiosOf(times: Figures, compared: Figures): Figures {
  return Object.fromEntries(
    Object.entries(times).map(([name, ns]) => [
      `× ${name.replace(/ ns$/, "")}`,
      ns / (compared[name] ?? Number.NaN),
    ]),
  );
}

function figuresOf({
  bytesPerRoute,
  bytesPerService,
  installMs,
  longestTurnMs,
}: TableCost): Figures {
  return {
    "bytes per route": bytesPerRoute,
    "per service with a backend": bytesPerService,
    "installing ms": installMs,
    "longest turn ms": longestTurnMs,
  };
}
