// All client connections of one worker, so that they can be counted, drained and cut.

import { Counter } from "../telemetry/counters.ts";

export interface Session {
  /** Take no new work; finish what is under way. */
  drain(): void;
  /** Cut at once. */
  destroy(): void;
}

export class Sessions {
  readonly #open = new Set<Session>();
  readonly #counters: Float64Array;
  #whenEmpty: (() => void) | undefined;
  #isHandingOver = false;

  constructor(counters: Float64Array) {
    this.#counters = counters;
  }

  get count(): number {
    return this.#open.size;
  }

  add(session: Session): void {
    this.#open.add(session);
    if (this.#isHandingOver) return;
    this.#counters[Counter.connectionsAccepted]! += 1;
    this.#counters[Counter.connectionsOpen]! += 1;
  }

  /** `open` makes the session that goes on with the connection of `from`: it is counted once. */
  handOver(from: Session, open: () => Session): Session {
    this.#open.delete(from);
    this.#isHandingOver = true;
    try {
      return open();
    } finally {
      this.#isHandingOver = false;
    }
  }

  /** Harmless when it was removed before. */
  remove(session: Session): void {
    if (!this.#open.delete(session)) return;
    this.#counters[Counter.connectionsOpen]! -= 1;
    if (this.#open.size === 0) this.#whenEmpty?.();
  }

  /** Asks every session to finish; resolves when the last one is gone. */
  drain(): Promise<void> {
    for (const session of this.#open) session.drain();
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#whenEmpty = resolve));
  }

  /** Cuts what is left and answers how much that was. */
  destroyAll(): number {
    const cut = this.#open.size;
    for (const session of this.#open) session.destroy();
    return cut;
  }
}
