// A file of ours in a process of its own, so that it does not share a thread with what is measured. The two talk by
// Node's channel between parent and child; when either ends, the channel closes, and with it the child.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** What a side process says first. */
const readyMsMax = 30_000;

export class SideProcess {
  /** The first thing it said. */
  readonly ready: unknown;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ready: unknown) {
    this.#child = child;
    this.ready = ready;
  }

  /** Starts `test/support/FILE` and waits for its first message. */
  static async start(file: string, words: readonly string[] = []): Promise<SideProcess> {
    const child = fork(join(import.meta.dirname, file), words, { serialization: "advanced" });
    return new SideProcess(child, await nextMessage(child, file, readyMsMax));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Says something and resolves with the next thing that it says; rejects when it ends instead. */
  async ask(question: unknown, msMax: number): Promise<unknown> {
    const answer = nextMessage(this.#child, `process ${this.pid}`, msMax);
    this.#child.send(question as object);
    return await answer;
  }

  /** Resolves when it is gone. Harmless twice. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

async function nextMessage(child: ChildProcess, what: string, msMax: number): Promise<unknown> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const timer = setTimeout(() => waiting.abort(new Error(`${what} says nothing`)), msMax);
  const ended = once(child, "exit", { signal }).then(([status]) => {
    throw new Error(`${what} ended with ${String(status)}`);
  });
  try {
    const [message] = await Promise.race([once(child, "message", { signal }), ended]);
    return message as unknown;
  } finally {
    clearTimeout(timer);
    ended.catch(() => undefined);
    waiting.abort();
  }
}

/** In the child: says that it is ready, answers every question, and ends with its parent. */
export function serveParent(
  ready: unknown,
  answer: (question: unknown) => unknown = () => undefined,
): void {
  const say = (what: unknown): void => {
    if (process.send === undefined) throw new Error("start this file by SideProcess.start");
    process.send(what);
  };
  process.on("disconnect", () => process.exit());
  process.on("message", (question) => say(answer(question)));
  say(ready);
}
