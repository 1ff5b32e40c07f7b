// Load: wrk when it is installed, else a small generator of ours; both closed loops, both on one core.
//
// A closed loop hides waiting: its p99 says how the proxy does at full load, not at a given rate.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { loadCore, pinned, wrkVersion } from "./machine.ts";

export interface LoadOptions {
  readonly port: number;
  readonly path: string;
  readonly host: string;
  readonly connections: number;
  readonly seconds: number;
  /** A new connection for every request. */
  readonly closes: boolean;
}

export interface LoadReport {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers other than 2xx and 3xx, and connections that broke. */
  readonly errors: number;
}

const version = wrkVersion();
export const loadName = version === undefined ? "own load generator" : `wrk ${version}`;

export async function applyLoad(options: LoadOptions): Promise<LoadReport> {
  return version === undefined ? await ownLoad(options) : await wrkLoad(options);
}

async function wrkLoad(options: LoadOptions): Promise<LoadReport> {
  const { connections, seconds, host, port, path } = options;
  const output = await outputOf("wrk", [
    "--threads=1",
    `--connections=${connections}`,
    `--duration=${seconds}s`,
    "--latency",
    `--header=Host: ${host}`,
    ...(options.closes ? ["--header=Connection: close"] : []),
    `http://127.0.0.1:${port}${path}`,
  ]);
  return parseWrk(output);
}

/** Reads what wrk prints with --latency. */
export function parseWrk(output: string): LoadReport {
  const number = (pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? Number.NaN);
  const statuses = /Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? "0";
  const sockets = /Socket errors: (.*)/.exec(output)?.[1] ?? "";
  const broken = [...sockets.matchAll(/\d+/g)].reduce((sum, match) => sum + Number(match[0]), 0);
  return {
    requests: number(/(\d+) requests in/),
    requestsPerSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: milliseconds(/ 50%\s+(\S+)/.exec(output)?.[1]),
    p99Ms: milliseconds(/ 99%\s+(\S+)/.exec(output)?.[1]),
    errors: Number(statuses) + broken,
  };
}

/** "851.00us", "1.02ms", "1.10s". */
function milliseconds(text = ""): number {
  const factors: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };
  const match = /^([\d.]+)(us|ms|s|m)$/.exec(text);
  return Number(match?.[1] ?? Number.NaN) * (factors[match?.[2] ?? ""] ?? Number.NaN);
}

async function ownLoad(options: LoadOptions): Promise<LoadReport> {
  const script = join(import.meta.dirname, "load-generator.ts");
  const output = await outputOf(process.execPath, [script, JSON.stringify(options)]);
  return JSON.parse(output) as LoadReport;
}

async function outputOf(command: string, args: readonly string[]): Promise<string> {
  const [first = command, ...rest] = pinned(loadCore, command, args);
  const child = spawn(first, rest, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (bytes: Buffer) => (output += bytes.toString()));
  const [status] = (await once(child, "close")) as [number | null];
  if (status !== 0) throw new Error(`${command} ended with ${status}\n${output}`);
  return output;
}
