// When each backend is probed, and when a probe has taken too long. Pure: it is told the time and answers what is due.
//
// From one start to the next of a backend passes its interval, more or less a twentieth, drawn anew each time: backends that became
// known together drift apart, and over time it is as many probes as are asked for. A new backend is probed at once; of many new
// ones the first few, the others anywhere within their interval, as after the start of a node.
//
// Only so many probes are under way; what is due then waits in line, and its next turn counts from its start.

import { type Due, DueHeap } from "./due-heap.ts";

/** Of the interval, so much is left to chance: a tenth, half of it either way. */
const jitterShare = 0.1;

/** One backend's place in the schedule; made by the schedule's user, written by the schedule alone. */
export interface Scheduled extends Due {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  startedMs: number;
  /** "asked": a probe is under way, and `dueMs` is its deadline. "lined-up": it waits for others to end. */
  phase: "idle" | "waiting" | "lined-up" | "asked";
  /** Its deadline was noticed late, and it was given a little more. */
  extended: boolean;
}

export interface ScheduleOptions {
  /** 0 <= x < 1. */
  readonly random: () => number;
  readonly inFlightMax: number;
  /** Of backends that come together, so many are probed at once. */
  readonly atOnceMax: number;
  /** A deadline that is noticed so much later is put off by as much, once: nobody has read what may have come. */
  readonly lateMs: number;
}

/** What is to be done now. */
export type Turn<T> =
  | { readonly kind: "ask"; readonly what: T }
  | { readonly kind: "give-up"; readonly what: T };

export class Schedule<T extends Scheduled> {
  readonly #options: ScheduleOptions;
  readonly #heap = new DueHeap<T>();
  /** In the order in which they became due. */
  readonly #line = new Set<T>();
  #inFlight = 0;

  constructor(options: ScheduleOptions) {
    this.#options = options;
  }

  /** Probes under way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  add(things: readonly T[], nowMs: number): void {
    const { atOnceMax, random } = this.#options;
    for (const [index, thing] of things.entries()) {
      thing.phase = "waiting";
      const afterMs = index < atOnceMax ? 0 : random() * thing.intervalMs;
      this.#heap.put(thing, nowMs + afterMs);
    }
  }

  /** Nothing is due of it any more; a probe under way is the caller's to end. */
  remove(thing: T): void {
    if (thing.phase === "asked") this.#inFlight--;
    this.#line.delete(thing);
    this.#heap.remove(thing);
    thing.phase = "idle";
  }

  /** Its probe has ended, or was given up. */
  ended(thing: T, nowMs: number): void {
    this.#inFlight--;
    thing.phase = "waiting";
    const jitter = 1 + (this.#options.random() - 0.5) * jitterShare;
    this.#heap.put(thing, Math.max(nowMs, thing.startedMs + thing.intervalMs * jitter));
  }

  /** What is due, one by one; undefined: nothing is. What is to be asked counts as asked. */
  poll(nowMs: number): Turn<T> | undefined {
    for (;;) {
      const { first } = this.#heap;
      if (first === undefined || first.dueMs > nowMs) return this.#askNext(nowMs);
      if (first.phase === "waiting") {
        this.#heap.remove(first);
        this.#line.add(first);
        first.phase = "lined-up";
        continue;
      }
      if (nowMs - first.dueMs <= this.#options.lateMs || first.extended) {
        this.#heap.remove(first);
        return { kind: "give-up", what: first };
      }
      first.extended = true;
      this.#heap.put(first, nowMs + this.#options.lateMs);
    }
  }

  /** When `poll` is wanted again, in ms on the clock; Infinity: not before something ends or is added. */
  get nextMs(): number {
    return this.#heap.first?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  #askNext(nowMs: number): Turn<T> | undefined {
    if (this.#inFlight >= this.#options.inFlightMax) return undefined;
    for (const thing of this.#line) {
      this.#line.delete(thing);
      this.#inFlight++;
      thing.phase = "asked";
      thing.startedMs = nowMs;
      thing.extended = false;
      this.#heap.put(thing, nowMs + thing.timeoutMs);
      return { kind: "ask", what: thing };
    }
    return undefined;
  }
}
