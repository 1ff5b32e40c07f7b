// One comparison: the same load on every proxy in turn, round after round, the median of the rounds.
//
// The proxy is alone on its core. Its cost is its CPU time (all threads, the kernel's work for it
// included) divided by the requests of the run; that is what a machine is paid for, and it does not
// depend on how fast the load generator is.

import type { RunningBackend } from "./backend.ts";
import { type Effort, shown } from "./effort.ts";
import { type LineUp, versionsOf, withLineUp } from "./line-up.ts";
import {
  httpLoad,
  httpLoadName,
  type LoadOptions,
  webSocketLoad,
  webSocketLoadName,
} from "./load.ts";
import { descriptorsMax, machineName } from "./machine.ts";
import type { CpuTime } from "./program.ts";
import type { ContenderName } from "./proxies.ts";
import { hostOf, type Job, type RunningProxy } from "./proxy.ts";
import { withRatios } from "./ratios.ts";
import { type Figures, medianFigures, type Result, type ResultRow } from "./results.ts";

export interface Variant {
  /** Stands after the proxy's name: "16 connections"; "" when there is one variant. */
  readonly name: string;
  readonly connections: number;
  /** Absent: "/". */
  readonly path?: string;
  /** A new connection for every request. */
  readonly closes?: boolean;
  /** Bytes of each request's body; absent: a GET. */
  readonly uploadBytes?: number;
  /** Requests that are sent at once; absent: one after another. */
  readonly pipelined?: number;
  /** Bytes of body that a request moves, in either direction: set where GB per CPU-second is the figure. */
  readonly bytes?: number;
}

export interface Comparison {
  readonly name: string;
  readonly question: string;
  readonly method: string;
  readonly mode: Job["mode"];
  readonly routes: number;
  readonly contenders: readonly ContenderName[];
  readonly variants: readonly Variant[];
  /** Threads or processes of each proxy; absent: one, alone on its core. */
  readonly workers?: number;
}

/** File descriptors of a proxy beside the two of each connection. */
const otherDescriptors = 200;

/** Somebody else's work on the machine may spoil one run; a proxy that fails does so each time. */
const attemptsMax = 3;

export async function compare(comparison: Comparison, effort: Effort): Promise<Result> {
  const { mode, routes, contenders, workers = 1 } = comparison;
  const room = Math.floor((descriptorsMax() - otherDescriptors) / 2);
  const variants = comparison.variants.filter(({ connections }) => connections <= room);
  const tooMany = comparison.variants
    .filter(({ connections }) => connections > room)
    .map(({ name }) => `${name}: more file descriptors than one process may have (ulimit -n)`);
  const connections = Math.max(...variants.map((variant) => variant.connections));
  const bodyBytes = Math.max(...variants.map(({ bytes = 0 }) => bytes));
  const { proxies } = effort;
  return await withLineUp(
    { mode, routes, contenders, workers, connections, bodyBytes, proxies },
    async (lineUp) => {
      const rows: ResultRow[] = [];
      const repeated: string[] = [];
      for (const variant of variants) {
        rows.push(...(await variantRows(comparison, variant, lineUp, effort, repeated)));
      }
      const load = mode === "web-socket" ? webSocketLoadName : httpLoadName;
      return {
        name: comparison.name,
        question: comparison.question,
        method: `${comparison.method} Medians of ${effort.rounds} interleaved rounds of ${effort.seconds} s; load by ${load}, backend ${lineUp.backend.name}.`,
        machine: machineName(),
        versions: versionsOf(lineUp.proxies),
        date: new Date().toISOString().slice(0, 10),
        quick: effort.quick,
        columns: shownColumns(comparison),
        rows,
        skipped: [...lineUp.skipped, ...tooMany, ...repeated],
      };
    },
  );
}

async function variantRows(
  comparison: Comparison,
  variant: Variant,
  { proxies, backend, loadCore }: LineUp,
  effort: Effort,
  repeated: string[],
): Promise<ResultRow[]> {
  const measure = async (proxy: RunningProxy, seconds: number): Promise<Figures> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await measured({ proxy, backend, comparison, variant, load: load(proxy, seconds) });
      } catch (cause) {
        const what = `${rowName(proxy, variant)}: ${cause instanceof Error ? cause.message : String(cause)}`;
        if (attempt === attemptsMax || proxy.program.hasEnded) throw new Error(what, { cause });
        console.log(`  again: ${what}`);
        repeated.push(`measured again: ${what}`);
      }
    }
  };
  const load = (proxy: RunningProxy, seconds: number): LoadOptions => ({
    port: proxy.port,
    host: hostOf(Math.floor(comparison.routes / 2)),
    path: variant.path ?? "/",
    connections: variant.connections,
    closes: variant.closes ?? false,
    uploadBytes: variant.uploadBytes ?? 0,
    pipelined: variant.pipelined ?? 1,
    seconds,
    core: loadCore,
  });
  const rounds = proxies.map((): Figures[] => []);
  if (effort.warmUpSeconds > 0) {
    // What has just been started compiles, and fills its pools: twice as long.
    const times = variant === comparison.variants[0] ? 2 : 1;
    for (const proxy of proxies) await measure(proxy, effort.warmUpSeconds * times);
  }
  for (let round = 0; round < effort.rounds; round++) {
    // Each comes after each: nobody always inherits the caches and ports of the same one.
    for (let turn = 0; turn < proxies.length; turn++) {
      const index = (turn + round) % proxies.length;
      const proxy = proxies[index];
      if (proxy === undefined) continue;
      const figures = await measure(proxy, effort.seconds);
      rounds[index]?.push(figures);
      console.log(`  ${rowName(proxy, variant)} round ${round + 1}: ${shown(figures)}`);
    }
  }
  const rows = proxies.map((proxy, index) => {
    const all = rounds[index] ?? [];
    return { name: rowName(proxy, variant), figures: medianFigures(all), rounds: all };
  });
  return withRatios(rows, proxies, costColumn(comparison));
}

interface Measurement {
  readonly proxy: RunningProxy;
  readonly backend: RunningBackend;
  readonly comparison: Comparison;
  readonly variant: Variant;
  readonly load: LoadOptions;
}

async function measured(measurement: Measurement): Promise<Figures> {
  const { proxy, backend, comparison, variant, load } = measurement;
  const { program } = proxy;
  const acceptedBefore = await backend.accepted();
  const before = program.cpuTime();
  const startMs = performance.now();
  const report = await (comparison.mode === "web-socket" ? webSocketLoad : httpLoad)(load);
  const elapsedMs = performance.now() - startMs;
  const after = program.cpuTime();
  const accepted = await backend.accepted();
  if (program.hasEnded) throw new Error("the proxy ended during the run");
  // An error is cheap to serve: figures with many of them compare nothing.
  if (!(report.requests > 0 && report.errors <= report.requests / 1000)) {
    throw new Error(`${report.errors} errors in ${report.requests} ${unitOf(comparison)}s`);
  }
  const spentMs = after.totalMs - before.totalMs;
  const threads = spentByThreadMs(before, after);
  const perRequest = (ms: number): number => (ms * 1000) / report.requests;
  return {
    [costColumn(comparison)]: perRequest(spentMs),
    "of it in the busiest thread": perRequest(threads[0] ?? 0),
    ...(variant.bytes === undefined
      ? {}
      : { [bytesColumn]: (report.requests * variant.bytes) / 1e6 / spentMs }),
    [threadsColumn]: threads.filter((ms) => ms >= spentMs / 5).length,
    "% of a core": (spentMs / elapsedMs) * 100,
    [`${unitOf(comparison)}s/s`]: report.requestsPerSecond,
    "p50 ms": report.p50Ms,
    "p99 ms": report.p99Ms,
    errors: report.errors,
    // That its pool holds: a proxy that dials for every request has been set wrongly, or is.
    ...(accepted === undefined || acceptedBefore === undefined
      ? {}
      : { "backend connections": accepted - acceptedBefore - 1 }),
  };
}

const bytesColumn = "GB per CPU-second";
const threadsColumn = "threads with a fifth of it";

function unitOf({ mode }: Comparison): string {
  return mode === "web-socket" ? "message" : "request";
}

function costColumn(comparison: Comparison): string {
  return `CPU µs per ${unitOf(comparison)}`;
}

/** Without what only a doubter looks up in bench/results. */
function shownColumns(comparison: Comparison): readonly string[] {
  return [
    costColumn(comparison),
    ...(comparison.variants.some(({ bytes }) => bytes !== undefined) ? [bytesColumn] : []),
    ...((comparison.workers ?? 1) > 1 ? [threadsColumn] : []),
    `${unitOf(comparison)}s/s`,
    "p50 ms",
    "p99 ms",
  ];
}

/** Most first: Crosspoint's worker, or the one thread of the others. */
function spentByThreadMs(before: CpuTime, after: CpuTime): number[] {
  const spent = [...after.threads].map(([thread, ms]) => ms - (before.threads.get(thread) ?? 0));
  return spent.toSorted((a, b) => b - a);
}

function rowName(proxy: RunningProxy, variant: Variant): string {
  return variant.name === "" ? proxy.name : `${proxy.name}, ${variant.name}`;
}
