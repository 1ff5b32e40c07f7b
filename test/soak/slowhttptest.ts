// slowhttptest beside a good client: node test/soak/slowhttptest.ts [seconds=30] [connections=1000]
//
// Its four modes, one after the other, each for so many seconds with so many connections: slow heads (-H), slow bodies
// (-B), slow reading of a megabyte (-X), overlapping ranges (-R). A client that asks 200 times a second notes every
// answer, in the quiet before each mode and during it: it must get them (99.99 %), the median and the 99th percentile of
// their time must be at most twice those of the quiet, and what the node keeps for a slow connection is bounded. Node,
// backend and good client are processes of their own; slowhttptest has the lowest priority. Ends with one line per mode,
// and with status 1 when a promise was broken. Says how to get slowhttptest when it is missing. Linux only (proc(5)).

import { setTimeout as sleep } from "node:timers/promises";
import type { ChildNode } from "../support/child-node.ts";
import { percentile } from "../support/percentiles.ts";
import { routeFields } from "../support/rpc-node.ts";
import { SideProcess } from "../support/side-process.ts";
import {
  attackSlowly,
  type SlowAttackFigures,
  slowhttptestMissing,
  slowModes,
} from "../support/slowhttptest.ts";
import { soakHost, withSoakNode } from "../support/soak-node.ts";
import type { SteadyFigures } from "../support/steady-client.ts";

const goodPerSecond = 200;
/** Until code is warm, in ms. */
const warmMs = 5_000;
/** As often as during a mode (attackSlowly), in ms. */
const lookMs = 500;
/** The router has let go of everybody after a mode, in ms. */
const quietMsMax = 90_000;
const successMin = 0.9999;
const slowerMax = 2;
const mebibyte = 1024 * 1024;
/** What a slow connection may cost in bytes of the node's resident memory, and what its heaps may breathe by besides. */
const connectionBytesMax = 96 * 1024;
const breathBytesMax = 64 * mebibyte;

export interface ModeFigures extends SlowAttackFigures {
  readonly mode: string;
  /** The most that the node had open at a time, and all that came; some of the good client's among them. */
  readonly openMax: number;
  readonly opened: number;
  readonly residentBytesMax: number;
  readonly beside: SteadyFigures;
}

export interface SlowhttptestFigures {
  readonly connections: number;
  /** In the quiet before the first mode. */
  readonly residentBytes: number;
  /** Before each of the modes, together. */
  readonly quiet: SteadyFigures;
  readonly modes: readonly ModeFigures[];
}

export async function runSlowhttptest(
  seconds: number,
  connections: number,
): Promise<SlowhttptestFigures> {
  const backend = await SideProcess.start("backend-process.ts", ["large"]);
  try {
    return await withSoakNode([String(backend.ready)], async ({ node, client, httpPort }) => {
      // slowhttptest names the address that it connects to.
      await client.call("addRoute", { route: routeFields("*", "soak") });
      const words = [String(httpPort), soakHost, String(goodPerSecond)];
      const good = await SideProcess.start("steady-client.ts", words);
      try {
        await sleep(warmMs);
        await take(good);
        return await runModes(node, good, { seconds, connections, httpPort });
      } finally {
        await good.end();
      }
    });
  } finally {
    await backend.end();
  }
}

async function runModes(
  node: ChildNode,
  good: SideProcess,
  options: {
    readonly seconds: number;
    readonly connections: number;
    readonly httpPort: number;
  },
): Promise<SlowhttptestFigures> {
  const { seconds, connections, httpPort } = options;
  const url = `http://127.0.0.1:${httpPort}/`;
  const residentBytes = node.residentBytes();
  const quiet: SteadyFigures[] = [];
  const modes: ModeFigures[] = [];
  for (const mode of slowModes) {
    quiet.push(await quietly(node, good, seconds));
    const seen = { openMax: 0, residentBytesMax: 0 };
    const openedBefore = await connectionsOf(node, "accepted_total");
    const look = async (): Promise<void> => {
      const { open, residentBytes: resident } = await lookAt(node);
      seen.openMax = Math.max(seen.openMax, open);
      seen.residentBytesMax = Math.max(seen.residentBytesMax, resident);
    };
    const told = await attackSlowly({ mode, url, seconds, connections, look });
    const opened = (await connectionsOf(node, "accepted_total")) - openedBefore;
    modes.push({ mode, ...seen, opened, ...told, beside: await take(good) });
    await untilGone(node, connections);
    await take(good);
  }
  const together = {
    ms: quiet.flatMap(({ ms }) => ms),
    failures: quiet.flatMap(({ failures }) => failures),
  };
  return { connections, residentBytes, quiet: together, modes };
}

/** As long as a mode, and with as many looks at the node: so many answers each, and nothing but the mode is different. */
async function quietly(
  node: ChildNode,
  good: SideProcess,
  seconds: number,
): Promise<SteadyFigures> {
  const endMs = performance.now() + seconds * 1000;
  while (performance.now() < endMs) {
    await sleep(lookMs);
    await lookAt(node);
  }
  return await take(good);
}

async function lookAt(
  node: ChildNode,
): Promise<{ readonly open: number; readonly residentBytes: number }> {
  return { open: await connectionsOf(node, "open"), residentBytes: node.residentBytes() };
}

async function take(good: SideProcess): Promise<SteadyFigures> {
  return (await good.ask("take", 10_000)) as SteadyFigures;
}

async function connectionsOf(node: ChildNode, which: "open" | "accepted_total"): Promise<number> {
  return (await node.metrics()).get(`crosspoint_connections_${which}`) ?? Number.NaN;
}

/** The next mode begins when the last one's connections are closed. */
async function untilGone(node: ChildNode, connections: number): Promise<void> {
  const endMs = performance.now() + quietMsMax;
  while ((await connectionsOf(node, "open")) > connections / 10) {
    if (performance.now() > endMs) throw new Error("slow connections are still open");
    await sleep(200);
  }
}

/** Every promise that the figures break; empty when all were kept. */
export function slowhttptestFailures(figures: SlowhttptestFigures): string[] {
  const { quiet, connections, residentBytes } = figures;
  const failures = failuresOf("the quiet", quiet);
  for (const { mode, beside, openMax, opened, residentBytesMax } of figures.modes) {
    failures.push(...failuresOf(mode, beside));
    for (const share of [0.5, 0.99]) {
      const [before, during] = [quiet, beside].map(({ ms }) => percentile(ms, share));
      if (!(during! <= slowerMax * before!))
        failures.push(`${mode}: p${share * 100} was ${inMs(before!)} and became ${inMs(during!)}`);
    }
    // One that asks for ranges has its answer at once, and is closed: no thousand of them are open at a time.
    const came = mode === "ranges" ? opened : openMax;
    if (!(came >= connections)) failures.push(`${mode}: only ${came} connections`);
    const cost = residentBytesMax - residentBytes;
    if (cost > openMax * connectionBytesMax + breathBytesMax)
      failures.push(`${mode}: ${inMebibytes(cost)} MiB for ${openMax} connections`);
  }
  if (figures.modes.length < slowModes.length) failures.push("not every mode was shown");
  return failures;
}

function failuresOf(when: string, { ms, failures }: SteadyFigures): string[] {
  if (ms.length === 0) return [`${when}: nothing was asked`];
  if (1 - failures.length / ms.length >= successMin) return [];
  return [`${when}: ${failures.length} of ${ms.length} failed: ${failures[0]}`];
}

function inMs(ms: number): string {
  return `${ms.toFixed(2)} ms`;
}

function inMebibytes(bytes: number): number {
  return Math.round(bytes / mebibyte);
}

function clientText({ ms, failures }: SteadyFigures): string {
  const share = ((1 - failures.length / ms.length) * 100).toFixed(2);
  const [p50, p99] = [0.5, 0.99].map((part) => inMs(percentile(ms, part)));
  return `${ms.length} good requests, ${share} % answered, p50 ${p50}, p99 ${p99}`;
}

if (import.meta.main) {
  const missing = slowhttptestMissing();
  if (missing !== undefined) {
    console.error(missing);
    process.exit(1);
  }
  const seconds = Number(process.argv[2] ?? "30");
  const figures = await runSlowhttptest(seconds, Number(process.argv[3] ?? "1000"));
  const failures = slowhttptestFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line);
  const quietText = clientText(figures.quiet);
  console.log(`slowhttptest: quiet: ${quietText}; RSS ${inMebibytes(figures.residentBytes)} MiB`);
  for (const { mode, openMax, opened, available, beside, residentBytesMax } of figures.modes)
    console.log(
      `slowhttptest: ${mode}: ${opened} connections, at most ${openMax} at a time; ${clientText(beside)}; ` +
        `RSS at most ${inMebibytes(residentBytesMax)} MiB; slowhttptest's probe: available ${available}`,
    );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
