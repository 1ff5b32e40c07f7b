// Asks crash-load.ts: the words between the two, and the process that it runs in.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

export type CrashQuestion =
  /** Starts the backend; answers its address. */
  | { readonly kind: "backend" }
  /** Where the node listens. */
  | { readonly kind: "node"; readonly port: number }
  /** Opens a kept connection; answers with its first answer. */
  | { readonly kind: "open"; readonly id: number }
  /** Begins fresh connections. */
  | { readonly kind: "flow"; readonly perSecond: number }
  /** Ends them; answers when none is under way. */
  | { readonly kind: "quiet" }
  | { readonly kind: "kept" }
  | { readonly kind: "fresh" };

export interface CrashAnswer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
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

export class CrashWorld {
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #last = 0;

  constructor() {
    this.#child = fork(join(import.meta.dirname, "crash-load.ts"), { stdio: "inherit" });
    this.#child.on("message", ({ id, value, error }: CrashAnswer) => {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (error === undefined) pending?.resolve(value);
      else pending?.reject(new Error(error));
    });
    this.#child.once("exit", (status) => {
      for (const { reject } of this.#pending.values())
        reject(new Error(`the load ended with ${status}`));
    });
  }

  ask<T = void>(question: CrashQuestion): Promise<T> {
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
