// A backend in a process of its own that is killed (kill -9) and started again at its address, and counts which
// request it has executed, by its id. The counts are in a file: they survive every kill.
//
// The next process is started while the last one lives, so that a backend can be back at once: then its old
// connections are dead and its port is not.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";

const program = join(import.meta.dirname, "churning-backend-process.ts");

/** A process that has not been told its port yet, or listens there. */
class BackendProcess {
  readonly #child: ChildProcess;
  readonly #said: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;
  readonly #ready: Promise<string>;

  constructor(file: string) {
    const child = spawn(process.execPath, [program, file], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    this.#ended = once(child, "exit");
    const lines: Interface = createInterface({ input: child.stdout });
    this.#said = lines[Symbol.asyncIterator]();
    this.#ready = this.#line();
    // Whoever kills it while it starts does not wait for it.
    this.#ready.catch(() => undefined);
  }

  /** The port that it listens on from now on. */
  async listen(port: number): Promise<number> {
    await this.#ready;
    this.#child.stdin?.write(`${port}\n`);
    return Number(await this.#line());
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#said.next();
    if (done === true) throw new Error("a backend's process ended by itself");
    return value;
  }
}

export class ChurningBackend {
  readonly port: number;
  readonly #file: string;
  #serving: BackendProcess;
  #next: BackendProcess;

  private constructor(file: string, serving: BackendProcess, port: number) {
    this.#file = file;
    this.#serving = serving;
    this.port = port;
    this.#next = new BackendProcess(file);
  }

  /** @param file Where the ids of executed requests go, a line each. */
  static async start(file: string): Promise<ChurningBackend> {
    const first = new BackendProcess(file);
    return new ChurningBackend(file, first, await first.listen(0));
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    await this.#serving.kill();
  }

  async restart(): Promise<void> {
    await this.#next.listen(this.port);
    this.#serving = this.#next;
    this.#next = new BackendProcess(this.#file);
  }

  async close(): Promise<void> {
    await Promise.all([this.#serving.kill(), this.#next.kill()]);
  }
}

/** How often each id was executed. */
export function executionsIn(file: string): ReadonlyMap<string, number> {
  const executions = new Map<string, number>();
  for (const id of readFileSync(file, "latin1").split("\n")) {
    if (id !== "") executions.set(id, (executions.get(id) ?? 0) + 1);
  }
  return executions;
}
