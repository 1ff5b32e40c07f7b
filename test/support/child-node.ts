// A node as it is delivered, `node src/main.ts`, in a process of its own: it can be killed, measured and started
// again on the same files. Knows the ready line and the admin port; does not know routes.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { askedIo } from "./adapters.ts";

const main = join(import.meta.dirname, "../../src/main.ts");
/** Nothing takes longer on a busy machine, in ms. */
const readyMsMax = 30_000;
const logCharactersKept = 8_192;

export interface ChildNodeOptions {
  /** For its state; the caller removes it, but when a signal ends this process we do. */
  readonly directory: string;
  /** As --store. */
  readonly store: string;
  readonly flags?: readonly string[];
}

export interface NodeAddresses {
  readonly rpc: string;
  readonly httpPort: number;
  readonly adminPort: number;
}

export class ChildNode {
  /** Rejects when it ends first, or is not ready in time. */
  readonly ready: Promise<NodeAddresses>;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  /** The end of what it logged. */
  log = "";

  /** Starts it; every port is the kernel's choice, everything is on loopback. */
  constructor({ directory, store, flags = [] }: ChildNodeOptions) {
    const { first, last } = tcpPortsOfThisProcess();
    const fixed = [
      `--store=${store}`,
      `--state=${directory}`,
      `--tcp-ports=${first}-${last}`,
      "--http=127.0.0.1:0",
      "--rpc=127.0.0.1:0",
      "--admin=127.0.0.1:0",
      "--tcp-address=127.0.0.1",
      "--workers=2",
      `--io=${askedIo()}`,
    ];
    const child = spawn(process.execPath, [main, ...fixed, ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#ended = once(child, "close");
    endWithUs(child, directory);
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.log = `${this.log}${text}`.slice(-logCharactersKept);
    });
    this.ready = this.#untilReady();
    // Whoever kills it while it starts does not wait for it.
    this.ready.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** kill -9, by its id; resolves when it is gone. Harmless twice. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  /** SIGTERM; the exit status. */
  async stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    await this.#ended;
    return this.#child.exitCode;
  }

  /** What the kernel says it occupies; Linux only (proc(5), VmRSS). */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  }

  /** The samples of /metrics: 'crosspoint_worker_connections_open{worker="0"}' to its value. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const { adminPort } = await this.ready;
    const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
    const lines = (await answer.text()).split("\n").filter((line) => /^[a-z]/.test(line));
    return new Map(
      lines.map((line) => {
        const space = line.lastIndexOf(" ");
        return [line.slice(0, space), Number(line.slice(space + 1))];
      }),
    );
  }

  async #untilReady(): Promise<NodeAddresses> {
    let printed = "";
    const line = Promise.withResolvers<NodeAddresses>();
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
      const found = /^ready rpc=(\S+) admin=\S*:(\d+) http=\S*:(\d+) /m.exec(printed);
      const [, rpc = "", adminPort, httpPort] = found ?? [];
      if (found !== null) {
        line.resolve({ rpc, adminPort: Number(adminPort), httpPort: Number(httpPort) });
      }
    });
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), readyMsMax);
    void this.#ended.then(() =>
      line.reject(new Error(`the node ended before it was ready: ${this.log}`)),
    );
    try {
      return await line.promise;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Children that live, and their directories: none outlives this process, unless that is killed with -9 itself. */
const living = new Map<ChildProcess, string>();

function endWithUs(child: ChildProcess, directory: string): void {
  if (living.size === 0) {
    process.on("exit", endAll);
    for (const signal of endSignals) process.on(signal, exitBySignal);
  }
  living.set(child, directory);
  child.once("close", () => {
    living.delete(child);
    if (living.size > 0) return;
    process.off("exit", endAll);
    for (const signal of endSignals) process.off(signal, exitBySignal);
  });
}

const endSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function endAll(): void {
  for (const child of living.keys()) child.kill("SIGKILL");
  // A child that is still dying may add a file meanwhile.
  const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 50 };
  for (const directory of living.values()) rmSync(directory, options);
}

function exitBySignal(_signal: string, number: number): void {
  process.exit(128 + number);
}

/**
 * A hundred ports for TCP routes that two test processes rarely share, below the range that the kernel gives to
 * outgoing connections (ip_local_port_range begins at 32768).
 */
export function tcpPortsOfThisProcess(): { readonly first: number; readonly last: number } {
  const first = 10_000 + (process.pid % 200) * 100;
  return { first, last: first + 99 };
}
