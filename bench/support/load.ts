// Load: wrk when it is installed, else a small generator of ours; both closed loops, both on one core.
//
// A closed loop hides waiting: its p99 says how the proxy does at full load, not at a given rate.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { wrkVersion } from "./machine.ts";
import { Program } from "./program.ts";
import { withTemporaryFolder } from "./temporary-folder.ts";

export interface LoadOptions {
  readonly port: number;
  readonly path: string;
  readonly host: string;
  readonly connections: number;
  readonly seconds: number;
  /** A new connection for every request. */
  readonly closes: boolean;
  /** Bytes of each request's body: a POST; 0: a GET. */
  readonly uploadBytes: number;
  /** Requests that are sent at once, before their answers; 1: one after another. */
  readonly pipelined: number;
  /** Where the load runs; absent: every core. */
  readonly core: number | undefined;
}

export interface LoadReport {
  readonly requests: number;
  readonly requestsPerSecond: number;
  /** With pipelining wrk counts from the first request of a batch to its last answer. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers other than 2xx and 3xx, and connections that broke. */
  readonly errors: number;
}

/** How a load is put on: with these options, and a report when it is over. */
export type Load = (options: LoadOptions) => Promise<LoadReport>;

/** What a load may need beyond its own time, in ms, before it is ended. */
const graceMs = 20_000;

const version = wrkVersion();
export const httpLoadName = version === undefined ? "own load generator" : `wrk ${version}`;
export const webSocketLoadName = "a client of ours on raw sockets";

export const httpLoad: Load = (options) =>
  version === undefined ? ownLoad("load-generator.ts", options) : wrkLoad(options);

export const webSocketLoad: Load = (options) => ownLoad("web-socket-load.ts", options);

function wrkLoad(options: LoadOptions): Promise<LoadReport> {
  const { connections, seconds, host, port, path, core } = options;
  return withTemporaryFolder(async (folder) => {
    const file = join(folder, "request.lua");
    const script = wrkScript(options);
    writeFileSync(file, script);
    const program = Program.start({
      command: "wrk",
      args: [
        "--threads=1",
        `--connections=${connections}`,
        `--duration=${seconds}s`,
        "--latency",
        ...(script === "" ? [] : [`--script=${file}`]),
        `--header=Host: ${host}`,
        ...(options.closes ? ["--header=Connection: close"] : []),
        `http://127.0.0.1:${port}${path}`,
      ],
      core,
      readsOutput: true,
    });
    return parseWrk(await program.waitForEnd(seconds * 1000 + graceMs));
  });
}

/** What wrk's flags cannot say: bodies, and several requests at once. Empty: a GET from flags alone. */
export function wrkScript({ uploadBytes, pipelined }: LoadOptions): string {
  const body = `wrk.method = "POST"\nwrk.body = string.rep("x", ${uploadBytes})\n`;
  const batch = `init = function(args)
  local one = {}
  for i = 1, ${pipelined} do one[i] = wrk.format() end
  batch = table.concat(one)
end
request = function() return batch end
`;
  return `${uploadBytes > 0 ? body : ""}${pipelined > 1 ? batch : ""}`;
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

async function ownLoad(script: string, options: LoadOptions): Promise<LoadReport> {
  const program = Program.start({
    command: process.execPath,
    args: [join(import.meta.dirname, script), JSON.stringify(options)],
    core: options.core,
    readsOutput: true,
  });
  const output = await program.waitForEnd(options.seconds * 1000 + graceMs);
  return JSON.parse(output) as LoadReport;
}
