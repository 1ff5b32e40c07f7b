// One comparison: the same load on every proxy in turn, round after round, the median of the rounds.
//
// The proxy is alone on its core. Its cost is its CPU time (all threads, the kernel's work for it
// included) divided by the requests of the run; that is what a machine is paid for, and it does not
// depend on how fast the load generator is.

import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningBackend, startBackend } from "./backend.ts";
import { applyLoad, type LoadOptions, loadName } from "./load.ts";
import { hasTwoCores, machineName } from "./machine.ts";
import type { CpuTime, Program } from "./program.ts";
import { contenders, hostOf, type RunningProxy } from "./proxies.ts";
import { type Figures, medianFigures, type Result, type ResultRow } from "./results.ts";

/** How long and how often; `--quick` shortens. */
export interface Effort {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly quick: boolean;
  /** Only these of `contenders`; empty: all. */
  readonly proxies: readonly string[];
}

export interface Variant {
  /** Stands after the proxy's name: "16 connections"; "" when there is one variant. */
  readonly name: string;
  readonly path: string;
  readonly connections: number;
  readonly closes: boolean;
}

export interface Comparison {
  readonly name: string;
  readonly question: string;
  readonly method: string;
  readonly mode: "http" | "tcp";
  readonly routes: number;
  readonly variants: readonly Variant[];
}

export async function compare(comparison: Comparison, effort: Effort): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "crosspoint-bench-"));
  // Started by root, nginx reads as nobody.
  chmodSync(folder, 0o755);
  const started: (RunningProxy | RunningBackend)[] = [];
  const skipped = hasTwoCores() ? [] : ["no taskset or only one core: proxy and load share cores"];
  try {
    const backend = await startBackend(folder);
    started.push(backend);
    const proxies: RunningProxy[] = [];
    for (const [name, contender] of Object.entries(contenders)) {
      if (effort.proxies.length > 0 && !effort.proxies.includes(name)) continue;
      const own = join(folder, name);
      mkdirSync(own);
      const { mode, routes } = comparison;
      const proxy = await contender({ mode, routes, backendPort: backend.port, folder: own });
      if (typeof proxy === "string") {
        console.log(`  skipped: ${proxy}`);
        skipped.push(proxy);
        continue;
      }
      proxies.push(proxy);
      started.push(proxy);
    }
    const rows: ResultRow[] = [];
    for (const variant of comparison.variants) {
      rows.push(...(await variantRows(comparison, variant, proxies, effort)));
    }
    return {
      name: comparison.name,
      question: comparison.question,
      method: `${comparison.method} Medians of ${effort.rounds} interleaved rounds of ${effort.seconds} s; load by ${loadName}, backend ${backend.name}.`,
      machine: machineName(),
      versions: Object.fromEntries([
        ...proxies.map(({ name, version }) => [name.replace(/,.*$/, ""), version]),
        ["Node", process.versions.node],
      ]),
      date: new Date().toISOString().slice(0, 10),
      quick: effort.quick,
      rows,
      skipped,
    };
  } finally {
    for (const { program } of started.toReversed()) await program.stop();
    rmSync(folder, { recursive: true });
  }
}

async function variantRows(
  comparison: Comparison,
  variant: Variant,
  proxies: readonly RunningProxy[],
  effort: Effort,
): Promise<ResultRow[]> {
  const rounds = new Map<RunningProxy, Figures[]>(proxies.map((proxy) => [proxy, []]));
  const load = (proxy: RunningProxy, seconds: number): LoadOptions => ({
    port: proxy.port,
    host: hostOf(Math.floor(comparison.routes / 2)),
    path: variant.path,
    connections: variant.connections,
    closes: variant.closes,
    seconds,
  });
  for (const proxy of proxies) await applyLoad(load(proxy, effort.warmUpSeconds));
  for (let round = 0; round < effort.rounds; round++) {
    for (const proxy of proxies) {
      const figures = await measured(proxy.program, load(proxy, effort.seconds));
      rounds.get(proxy)?.push(figures);
      console.log(
        `  ${rowName(proxy, variant)} round ${round + 1}: ${JSON.stringify(rounded(figures))}`,
      );
    }
  }
  const rows = proxies.map((proxy) => {
    const all = rounds.get(proxy) ?? [];
    return { name: rowName(proxy, variant), figures: medianFigures(all), rounds: all };
  });
  return withRatios(rows, proxies);
}

const costColumn = "CPU µs per request";

async function measured(program: Program, load: LoadOptions): Promise<Figures> {
  const before = program.cpuTime();
  const report = await applyLoad(load);
  const after = program.cpuTime();
  if (program.hasEnded) throw new Error("the proxy ended during the run");
  // An error is cheap to serve: figures with many of them compare nothing.
  if (!(report.errors <= report.requests / 1000)) {
    throw new Error(`${report.errors} errors in ${report.requests} requests`);
  }
  const perRequest = (ms: number): number => (ms * 1000) / report.requests;
  return {
    [costColumn]: perRequest(after.totalMs - before.totalMs),
    "of it in the busiest thread": perRequest(busiestThreadMs(before, after)),
    "requests/s": report.requestsPerSecond,
    "p50 ms": report.p50Ms,
    "p99 ms": report.p99Ms,
    errors: report.errors,
  };
}

/** Crosspoint's worker, or the one thread of the others. */
function busiestThreadMs(before: CpuTime, after: CpuTime): number {
  const spent = [...after.threads].map(([thread, ms]) => ms - (before.threads.get(thread) ?? 0));
  return Math.max(0, ...spent);
}

/** Requests per CPU-second as a multiple of each rival's: above 1 is cheaper than the rival. */
function withRatios(rows: readonly ResultRow[], proxies: readonly RunningProxy[]): ResultRow[] {
  return rows.map((row) => {
    const ratios = proxies.flatMap((rival, index) => {
      if (rival.name.startsWith("Crosspoint")) return [];
      const theirs = rows[index]?.figures[costColumn] ?? Number.NaN;
      return [[`× ${rival.name}`, theirs / (row.figures[costColumn] ?? Number.NaN)] as const];
    });
    return { ...row, figures: { ...row.figures, ...Object.fromEntries(ratios) } };
  });
}

function rowName(proxy: RunningProxy, variant: Variant): string {
  return variant.name === "" ? proxy.name : `${proxy.name}, ${variant.name}`;
}

function rounded(figures: Figures): Figures {
  return Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [name, Number(value.toPrecision(4))]),
  );
}
