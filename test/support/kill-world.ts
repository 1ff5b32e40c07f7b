// What a soak of dying workers asks of its two processes: kill-load.ts, the outside world, and kill-node.ts, the node.
// The words between them.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** How a worker dies: of an exception; terminated, wherever it is; terminated while it lets everybody wait. */
export const deaths = ["crash", "end", "end while busy"] as const;
export type Death = (typeof deaths)[number];

export type LoadQuestion =
  /** Starts the backends; answers with their Backends. */
  | { readonly kind: "backends" }
  /** Where the node listens. */
  | { readonly kind: "node"; readonly httpPort: number; readonly tcpPort: number }
  /** Opens a kept connection; answers with its first answer. */
  | { readonly kind: "open"; readonly id: number; readonly protocol: "http" | "tcp" }
  /** Begins fresh connections. */
  | { readonly kind: "flow"; readonly perSecond: number }
  /** Ends them; answers when none is under way. */
  | { readonly kind: "quiet" }
  /** KeptFigures of every kept connection; those that ended are told once. */
  | { readonly kind: "kept" }
  /** FreshFigures. */
  | { readonly kind: "fresh" }
  /** Ends the kept connections. */
  | { readonly kind: "close" };

export interface Backends {
  readonly http: string;
  readonly tcp: string;
}

export interface KeptFigures {
  readonly id: number;
  readonly answers: number;
  /** Why it ended; undefined: it lives. */
  readonly ended: string | undefined;
}

export interface FreshFigures {
  readonly opened: number;
  /** The kernel had completed the handshake. */
  readonly connected: number;
  readonly answered: number;
  /** Connected, then closed or reset before the whole answer. */
  readonly cut: number;
  /** Refused, late, or answered wrongly. */
  readonly failures: readonly string[];
  readonly ms: readonly number[];
}

export type NodeQuestion =
  /** NodePlaces. */
  | { readonly kind: "places" }
  /** Ends the worker of a slot; answers with a Killed once the slot serves again. */
  | { readonly kind: "kill"; readonly slot: number; readonly death: Death }
  /** Accepted. */
  | { readonly kind: "accepted" }
  /** The workers of both slots look at nothing for so long. */
  | { readonly kind: "stall"; readonly ms: number }
  /** Ends the node as a signal does, within `ms`; answers with how many connections were cut. */
  | { readonly kind: "drain"; readonly ms: number };

/** Where it is. */
export interface NodePlaces {
  readonly rpc: string;
  readonly httpPort: number;
  readonly metrics: string;
  /** Adapter of the workers. */
  readonly io: string;
}

/** Sessions that workers began, in memory that outlives them. */
export interface Accepted {
  /** By the workers that live, by slot. */
  readonly bySlot: readonly number[];
  readonly all: number;
}

export interface Killed {
  /** Sessions that the dead worker had, as it left them. */
  readonly held: number;
  /** From the order until the slot served again. */
  readonly ms: number;
  /** Of that, the pause that the node had imposed. */
  readonly pausedMs: number;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** One of the two processes. */
export class Asked<Question> {
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #last = 0;

  /** Starts `test/support/FILE`. */
  constructor(file: string, words: readonly string[] = []) {
    this.#child = fork(join(import.meta.dirname, file), words, { stdio: "inherit" });
    this.#child.on("message", ({ id, value, error }: Answer) => {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (error === undefined) pending?.resolve(value);
      else pending?.reject(new Error(error));
    });
    this.#child.once("exit", (status) => {
      for (const { reject } of this.#pending.values())
        reject(new Error(`${file} ended with ${status}`));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  ask<T = void>(question: Question): Promise<T> {
    const id = ++this.#last;
    const pending = Promise.withResolvers<unknown>();
    this.#pending.set(id, pending);
    this.#child.send({ id, question });
    return pending.promise as Promise<T>;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }
}

/** In the child: answers every question until whoever started it has gone, or has done with it. */
export function answerAll(
  answer: (question: never) => unknown,
  atEnd: () => Promise<unknown> = () => Promise.resolve(),
): void {
  // Whoever asked may be gone by the time of the answer.
  const send = (reply: Answer): void => void (process.connected && process.send?.(reply));
  process.on("message", ({ id, question }: { id: number; question: never }) => {
    Promise.resolve()
      .then(() => answer(question))
      .then(
        (value) => send({ id, value }),
        (error: unknown) => send({ id, error: String(error) }),
      );
  });
  process.on("disconnect", () => void atEnd().finally(() => process.exit()));
}
