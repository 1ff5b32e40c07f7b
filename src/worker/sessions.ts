// All client connections of one worker, so that they can be counted, drained and cut.

import type { BackendState } from "../routing/backend-state.ts";
import { Counter } from "../telemetry/counters.ts";

export interface Session {
  /** Since when nobody waits for an answer on it, in ms of the timer wheel; Infinity: somebody does. */
  readonly waitingSinceMs: number;
  /** Take no new work; finish what is under way. */
  drain(): void;
  /** Cut at once. */
  destroy(): void;
  /** Close at once, in order: another one needs the room. Only called while it waits. */
  giveWay(): void;
  /** Cut what is open at this backend, which has drained for long enough; absent: it has never anything there. */
  cutAt?(backend: BackendState): void;
}

/** Where a connection is counted besides; told once when it is gone. */
export interface Place {
  left(): void;
}

const nowhere: Place = { left() {} };

export class Sessions {
  readonly #open = new Map<Session, Place>();
  readonly #counters: Float64Array;
  /** Of the session that is being made. */
  #place: Place = nowhere;
  #whenEmpty: (() => void) | undefined;
  #isHandingOver = false;

  constructor(counters: Float64Array) {
    this.#counters = counters;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Those that are open, and where each is counted. */
  entries(): Iterable<readonly [Session, Place]> {
    return this.#open.entries();
  }

  add(session: Session): void {
    this.#open.set(session, this.#place);
    if (this.#isHandingOver) return;
    this.#counters[Counter.connectionsAccepted]! += 1;
    this.#counters[Counter.connectionsOpen]! += 1;
  }

  /** `open` makes a session, which is counted at `place`. */
  enter<T>(place: Place, open: () => T): T {
    this.#place = place;
    try {
      return open();
    } finally {
      this.#place = nowhere;
    }
  }

  /** `open` makes the session that goes on with the connection of `from`: it is counted once, from now on at `place`. */
  handOver(from: Session, open: () => Session, place: Place): Session {
    this.#open.delete(from);
    this.#isHandingOver = true;
    try {
      return this.enter(place, open);
    } finally {
      this.#isHandingOver = false;
    }
  }

  /** Harmless when it was removed before. */
  remove(session: Session): void {
    const place = this.#open.get(session);
    if (place === undefined) return;
    this.#open.delete(session);
    place.left();
    this.#counters[Counter.connectionsOpen]! -= 1;
    if (this.#open.size === 0) this.#whenEmpty?.();
  }

  /** Asks every session to finish; resolves when the last one is gone. */
  drain(): Promise<void> {
    for (const session of this.#open.keys()) session.drain();
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#whenEmpty = resolve));
  }

  /** What is open at a backend whose time to drain is over. O(sessions). */
  cutAt(backend: BackendState): void {
    for (const session of this.#open.keys()) session.cutAt?.(backend);
  }

  /** Cuts what is left and answers how much that was. */
  destroyAll(): number {
    const cut = this.#open.size;
    for (const session of this.#open.keys()) session.destroy();
    return cut;
  }
}
