// A System under the test's hand: time moves only when told to, randomness comes from a seed.

import type { System } from "../../src/system.ts";

interface Timer {
  readonly dueMs: number;
  readonly action: () => void;
}

/** Timers fire inside `advance`, in the order of their time, each seeing its own time on the clock. */
export class FakeSystem implements System {
  #wallMs: number;
  #monotonicMs = 0;
  #randomState: number;
  readonly #timers = new Set<Timer>();

  constructor(options: { readonly seed?: number; readonly wallMs?: number } = {}) {
    this.#randomState = options.seed ?? 1;
    this.#wallMs = options.wallMs ?? 1_790_000_000_000;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  heartbeatMs(): number {
    return this.#monotonicMs;
  }

  /** mulberry32. */
  random(): number {
    this.#randomState = (this.#randomState + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#randomState ^ (this.#randomState >>> 15), 1 | this.#randomState);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  after(delayMs: number, action: () => void): () => void {
    // As Node's setTimeout: what does not fit into 31 bits fires after 1 ms.
    const waitMs = delayMs > 2 ** 31 - 1 ? 1 : Math.max(0, delayMs);
    const timer: Timer = { dueMs: this.#monotonicMs + waitMs, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  atTurnEnd(action: () => void): void {
    this.after(0, action);
  }

  every(periodMs: number, action: () => void): () => void {
    let cancel = (): void => {};
    const arm = (): void => {
      cancel = this.after(periodMs, () => {
        arm();
        action();
      });
    };
    arm();
    return () => cancel();
  }

  /** Timers that wait. */
  get timerCount(): number {
    return this.#timers.size;
  }

  /** Lets `ms` pass; timers that are set meanwhile fire too when their time lies within. */
  advance(ms: number): void {
    const untilMs = this.#monotonicMs + ms;
    for (let timer = this.#first(untilMs); timer !== undefined; timer = this.#first(untilMs)) {
      this.#timers.delete(timer);
      this.#pass(Math.max(0, timer.dueMs - this.#monotonicMs));
      timer.action();
    }
    this.#pass(Math.max(0, untilMs - this.#monotonicMs));
  }

  /** The process stands still for `ms`: no timer fires before the next `advance`, then late. */
  stall(ms: number): void {
    this.#pass(ms);
  }

  /** Somebody set the wall clock. */
  jumpWall(ms: number): void {
    this.#wallMs += ms;
  }

  #pass(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
  }

  #first(untilMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= untilMs && (first === undefined || timer.dueMs < first.dueMs)) {
        first = timer;
      }
    }
    return first;
  }
}
