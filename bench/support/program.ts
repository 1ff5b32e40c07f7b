// A program that runs beside us: started on a core, watched, its CPU time read, ended by its id.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { pinned } from "./machine.ts";

export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Absent: every core. */
  readonly core: number | undefined;
  /** Set: standard output is read, and `waitForLine` answers. */
  readonly readsOutput?: boolean;
  /** On top of our own environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** CPU time of a process and its children. */
export interface CpuTime {
  readonly totalMs: number;
  /** By thread id, those of children included. */
  readonly threads: ReadonlyMap<number, number>;
}

const running = new Set<Program>();

// Whatever ends this process ends what it started.
process.once("exit", () => {
  for (const program of running) program.kill();
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

export class Program {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #closed: Promise<void>;
  #output = "";
  #errors = "";

  static start(options: ProgramOptions): Program {
    return new Program(options);
  }

  private constructor(options: ProgramOptions) {
    const { command, args, core, readsOutput = false, environment = {} } = options;
    const [first = command, ...rest] = pinned(core, command, args);
    this.#name = command;
    this.#child = spawn(first, rest, {
      stdio: ["ignore", readsOutput ? "pipe" : "ignore", "pipe"],
      env: { ...process.env, ...environment },
    });
    this.#child.stdout?.on("data", (bytes: Buffer) => (this.#output += bytes.toString()));
    // The end of what it said is kept for the error message; more is not wanted.
    this.#child.stderr?.on("data", (bytes: Buffer) => {
      this.#errors = `${this.#errors}${bytes.toString()}`.slice(-4000);
    });
    this.#closed = new Promise((resolve) => this.#child.once("close", () => resolve()));
    running.add(this);
    this.#child.once("exit", () => running.delete(this));
    this.#child.on("error", (error) => (this.#errors += error.message));
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Until something accepts on the port. */
  async waitForPort(port: number, withinMs = 10_000): Promise<void> {
    await this.#until(() => accepts(port), withinMs, `port ${port}`);
  }

  /** Until a line of standard output matches; the match. */
  async waitForLine(pattern: RegExp, withinMs: number): Promise<RegExpExecArray> {
    let match: RegExpExecArray | undefined;
    const isThere = async (): Promise<boolean> => {
      match = pattern.exec(this.#output) ?? undefined;
      return Promise.resolve(match !== undefined);
    };
    await this.#until(isThere, withinMs, String(pattern));
    if (match === undefined) throw new Error("unreachable");
    return match;
  }

  /** SIGTERM, and SIGKILL when that does not help within 5 s. */
  async stop(): Promise<void> {
    if (this.hasEnded) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const slow = setTimeout(() => this.kill(), 5000);
    await ended;
    clearTimeout(slow);
  }

  /** kill -9, its children too: those of nginx would live on. */
  kill(): void {
    if (this.hasEnded) return;
    for (const pid of processTree(this.pid)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended between the listing and here.
      }
    }
  }

  /** What it printed, once it ended well. Throws when it did not, or not in time: then it is killed. */
  async waitForEnd(withinMs: number): Promise<string> {
    const late = setTimeout(() => this.kill(), withinMs);
    try {
      await this.#closed;
    } finally {
      clearTimeout(late);
    }
    if (this.#child.exitCode !== 0) {
      const status = this.#child.exitCode ?? this.#child.signalCode;
      throw new Error(`${this.#name} ended with ${status}\n${this.#output}${this.#errors}`);
    }
    return this.#output;
  }

  cpuTime(): CpuTime {
    const threads = new Map<number, number>();
    for (const pid of processTree(this.pid)) {
      for (const thread of listed(`/proc/${pid}/task`)) {
        threads.set(thread, threadCpuMs(pid, thread));
      }
    }
    return { totalMs: [...threads.values()].reduce((sum, ms) => sum + ms, 0), threads };
  }

  /** Resident memory of the process and its children, in bytes; what they share counts for each. */
  residentBytes(): number {
    return processTree(this.pid).reduce((sum, pid) => sum + residentBytesOf(pid), 0);
  }

  async #until(isSo: () => Promise<boolean>, withinMs: number, what: string): Promise<void> {
    const endMs = performance.now() + withinMs;
    while (!(await isSo())) {
      if (this.hasEnded || performance.now() > endMs) {
        const why = this.hasEnded ? "it ended" : `not within ${withinMs} ms`;
        await this.stop();
        throw new Error(`${this.#name}: no ${what}: ${why}\n${this.#errors}`);
      }
      await sleep(10);
    }
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });
}

/** First figure of schedstat: ns on a core. (The ticks of stat are 10 ms: too coarse for a short run.) */
function threadCpuMs(pid: number, thread: number): number {
  try {
    return (
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e6
    );
  } catch {
    return 0; // it ended between the listing and here
  }
}

function residentBytesOf(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? Number.NaN) * 1024;
}

function processTree(pid: number): number[] {
  const children = listed("/proc").filter((candidate) => parentOf(candidate) === pid);
  return [pid, ...children.flatMap(processTree)];
}

function parentOf(pid: number): number | undefined {
  try {
    const match = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return match === null ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}

function listed(folder: string): number[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}
