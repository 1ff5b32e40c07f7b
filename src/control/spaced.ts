// An action that is done at once when it is asked for, and then at most once in so many ms.
//
// What is asked for meanwhile is done once, at the end of that time: for work that many changes want and
// one doing serves, such as telling workers of a backend that flaps.

import type { System } from "../system.ts";

export class Spaced {
  readonly #system: System;
  readonly #periodMs: number;
  readonly #action: () => void;
  #cancel: (() => void) | undefined;
  #wanted = false;
  #stopped = false;

  constructor(options: {
    readonly system: System;
    readonly periodMs: number;
    readonly action: () => void;
  }) {
    this.#system = options.system;
    this.#periodMs = options.periodMs;
    this.#action = options.action;
  }

  ask(): void {
    if (this.#stopped) return;
    if (this.#cancel !== undefined) {
      this.#wanted = true;
      return;
    }
    this.#cancel = this.#system.after(this.#periodMs, () => this.#periodOver());
    this.#action();
  }

  /** Nothing is done any more. */
  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #periodOver(): void {
    this.#cancel = undefined;
    if (!this.#wanted) return;
    this.#wanted = false;
    this.ask();
  }
}
