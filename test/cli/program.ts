// The real program as a child process: words in, what it printed and how it ended out. And the same
// without a process, for tables of words that only the parser or the node judges.

import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { dispatch } from "../../src/cli/commander.ts";
import { allCommands } from "../../src/cli/commands.ts";
import { terminalOf } from "../../src/cli/terminal.ts";

export const repository = join(import.meta.dirname, "../..");
const main = join(repository, "src/cli/main.ts");

export interface Run {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** What --rpc would say; given as CROSSPOINT_RPC. */
  readonly rpc?: string;
  readonly stdin?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Before the program, for Node. */
  readonly nodeFlags?: readonly string[];
  readonly script?: string;
}

/** Runs `crosspoint WORDS` to its end. */
export function crosspoint(words: readonly string[], options: RunOptions = {}): Promise<Run> {
  return start(words, options).ended;
}

export interface Running {
  readonly ended: Promise<Run>;
  kill(signal: NodeJS.Signals): void;
  /** Nobody reads what it prints any more. */
  closeOutput(): void;
  /** All of it, when called at once. */
  pipeTo(reader: Writable): void;
  /** Resolves when standard output has matched; rejects when the program ends first. */
  printed(pattern: RegExp): Promise<string>;
}

/** Starts it; it is ended with the test at the latest. */
export function start(words: readonly string[], options: RunOptions = {}): Running {
  const { rpc, stdin = "", env = {}, nodeFlags = [], script = main } = options;
  const child = spawn(process.execPath, [...nodeFlags, script, ...words], {
    cwd: repository,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      ...(rpc === undefined ? {} : { CROSSPOINT_RPC: rpc }),
      ...env,
    },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  child.stdin.on("error", () => {}); // it need not read
  child.stdin.end(stdin);
  let sofar = "";
  child.stdout.on("data", (chunk: Buffer) => (sofar += chunk.toString()));
  const closed = new Promise<Pick<Run, "status" | "signal">>((resolve) => {
    child.on("close", (status, signal) => resolve({ status, signal }));
  });
  const ended = Promise.all([closed, text(child.stdout).catch(() => ""), text(child.stderr)]).then(
    ([how, stdout, stderr]): Run => ({ ...how, stdout, stderr }),
  );
  const printed = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = pattern.exec(sofar);
        if (found !== null) resolve(found[0]);
      };
      child.stdout.on("data", look);
      void ended.then((run) => reject(new Error(`ended first: ${JSON.stringify(run)}`)));
      look();
    });
  return {
    ended,
    kill: (signal) => void child.kill(signal),
    pipeTo: (reader) => void child.stdout.pipe(reader),
    closeOutput: () => void child.stdout.destroy(),
    printed,
  };
}

/** Standard output as lines. */
export function linesOf(run: Run): string[] {
  return run.stdout.split("\n").slice(0, -1);
}

/** As `crosspoint`, in this process: some hundred ms less. `serve` parses its settings and ends. */
export async function dispatched(
  words: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Omit<Run, "signal">> {
  let stdout = "";
  let stderr = "";
  const out = { write: (written: string) => void (stdout += written) };
  const err = { write: (written: string) => void (stderr += written) };
  const terminal = terminalOf(out, err, env);
  const commands = allCommands(() => Promise.resolve(0));
  const status = await dispatch(commands, words, { terminal, env, version: "0" });
  return { status, stdout, stderr };
}
