// A program as an operator starts it, whatever stands in front of it (setpriv, unshare, a shell): what it
// prints, how it ends. For `serve`, knows the ready line.

import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export const mainFile = join(import.meta.dirname, "../../src/main.ts");

/** Flags that keep a node in memory and on free ports of the loopback. */
export const anywhere = [
  "--store=memory:",
  "--http=127.0.0.1:0",
  "--rpc=127.0.0.1:0",
  "--admin=127.0.0.1:0",
  "--tcp-address=127.0.0.1",
  "--workers=2",
] as const;

export interface LaunchOptions {
  /** Before `node`. */
  readonly within?: readonly string[];
  readonly stdio?: StdioOptions;
  readonly env?: NodeJS.ProcessEnv;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

export interface Ready {
  readonly line: string;
  readonly rpc: string;
  readonly admin: string;
  readonly http: readonly string[];
  /** Of the first HTTP listener. */
  readonly httpPort: number;
  readonly adminPort: number;
}

export class Launched {
  readonly child: ChildProcess;
  out = "";
  err = "";
  readonly #ended: Promise<unknown>;
  readonly #watchers = new Set<() => void>();

  /** Runs `node src/main.ts FLAGS`; it is ended with the test at the latest. */
  constructor(flags: readonly string[], options: LaunchOptions = {}) {
    const { within = [], stdio = ["ignore", "pipe", "pipe"], env = process.env } = options;
    const [command = "", ...words] = [...within, process.execPath, mainFile, ...flags];
    this.child = spawn(command, words, { stdio, env });
    this.#ended = once(this.child, "close");
    onTestFinished(async () => {
      this.child.kill("SIGKILL");
      await this.#ended;
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.out += text;
      this.#look();
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.err += text;
      this.#look();
    });
  }

  /** The lines of its log, so far. */
  get log(): readonly LogLine[] {
    const lines = this.err.split("\n").filter((line) => line.startsWith("{"));
    return lines.map((line) => JSON.parse(line) as LogLine);
  }

  /** Resolves when what it printed fits; rejects when it ends first. */
  async untilPrinted(holds: () => boolean, what: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (!holds()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      void this.#ended.then(() =>
        reject(new Error(`ended before ${what}: ${this.out}${this.err}`)),
      );
      look();
    });
  }

  async untilLogged(message: string): Promise<LogLine> {
    const find = (): LogLine | undefined => this.log.find((line) => line.message === message);
    await this.untilPrinted(() => find() !== undefined, `"${message}"`);
    return find()!;
  }

  async ready(): Promise<Ready> {
    await this.untilPrinted(() => /^ready .*\n/m.test(this.out), "the ready line");
    return readyOf(/^ready .*$/m.exec(this.out)?.[0] ?? "");
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Its exit status, or the signal that ended it. */
  async end(): Promise<number | NodeJS.Signals | null> {
    await this.#ended;
    return this.child.exitCode ?? this.child.signalCode;
  }

  /** SIGTERM, and its exit status. */
  async stop(): Promise<number | NodeJS.Signals | null> {
    this.kill("SIGTERM");
    return await this.end();
  }

  #look(): void {
    for (const look of this.#watchers) look();
  }
}

export function readyOf(line: string): Ready {
  const field = (name: string): string => new RegExp(` ${name}=(\\S+)`).exec(line)?.[1] ?? "";
  const portOf = (text: string): number => Number(/\d+$/.exec(text)?.[0]);
  const http = field("http").split(",");
  const admin = field("admin");
  return {
    line,
    rpc: field("rpc"),
    admin,
    http,
    httpPort: portOf(http[0] ?? ""),
    adminPort: portOf(admin),
  };
}
