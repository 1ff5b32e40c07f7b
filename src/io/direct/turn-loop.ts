// The turns of a worker that waits by itself: what a driver tells is handed out, then what was put off is done, then
// the thread's own event loop (timers, messages, DNS) gets its turn, then the driver waits again.
//
// The waiting is done in the driver and not in libuv: that saves a wake-up, a read and two system calls per turn. The
// driver watches the descriptor that libuv would wait on, so whatever comes there ends the waiting at once; timers are
// told to this loop by those who set them (timers.ts).
//
// Knows: slots and generations, the order of things within a turn. Does not know sockets, bytes or HTTP.

import { eventLoopFd, isReadable } from "../ffi.ts";
import type { Driver } from "./driver.ts";

/** Whoever watches a descriptor. */
export interface Watcher {
  /**
   * It has a turn coming: the loop's own mark. Who asks again meanwhile gets no second one, or whoever has much to do would have
   * one more with each event, and in the end most of every turn.
   */
  goesOn: boolean;
  /** Bits of `Event`. */
  onEvents(events: number): void;
  /** A turn after it asked `goOn`. */
  onTurn(): void;
}

/** Who has a slot; the descriptor that it watches. */
export interface Seat {
  readonly slot: number;
  readonly generation: number;
}

export interface TurnLoopOptions {
  readonly driver: Driver;
  /** ms until the next timer of this thread is due; Infinity: none is. */
  readonly timerInMs: () => number;
  /** Never waits longer, in ms: for threads whose timers nobody tells. */
  readonly waitMsMax: number;
  /** Others put off work in this thread by setImmediate: it waits only after many turns without an event. */
  readonly sharesThread?: boolean;
}

/** In a shared thread: so many turns without an event, and whoever else is there is taken to wait as well. */
const quietTurnsMin = 20;

/** Without waiting in between, so many turns may follow each other before libuv has one. */
const turnsMax = 16;
/** After so many events the next ones are there already. */
const busyEvents = 8;
/**
 * After fewer, the next event may come soon: going through libuv first costs a lone connection 5 µs of some 75. A promise that
 * a turn resolved goes on so much later at most; what cannot wait asks for `letLibuv`. ms: a shorter time has the kernel
 * set the processor's own timer for every wait, which costs as much.
 */
const shortWaitMs = 25;
/** libuv's turns after it was told of something: one to handle it, one to watch what was begun by that. */
const libuvTurnsAfter = 2;
const generationMax = 2 ** 30;

export class TurnLoop {
  readonly driver: Driver;
  readonly #options: TurnLoopOptions;
  readonly #watchers: (Watcher | undefined)[] = [];
  #generations = new Int32Array(1024);
  readonly #freeSlots: number[] = [];
  /** Who goes on in the next turn, and who does so in this one: two arrays that change places. */
  #next: Watcher[] = [];
  #now: Watcher[] = [];
  #ends: (() => void)[] = [];
  #endsNow: (() => void)[] = [];
  #watched = 0;
  #isScheduled = false;
  #libuvWaits = false;
  #quietTurns = 0;
  readonly #libuvFd: number;
  /** Turns that libuv has yet to have before this loop may wait. */
  #libuvTurns = 0;
  #closed = false;
  readonly #turn = (): void => this.#turns();

  constructor(options: TurnLoopOptions) {
    this.driver = options.driver;
    this.#options = options;
    const libuv: Watcher = {
      goesOn: false,
      onEvents: () => {
        this.#libuvWaits = true;
        this.#libuvTurns = libuvTurnsAfter;
      },
      onTurn() {},
    };
    this.#libuvFd = eventLoopFd();
    this.driver.watch(this.#libuvFd, this.#take(libuv), 0);
  }

  /** Tells `watcher` of what happens to the descriptor. Throws SocketError; and an Error once the loop is closed. */
  watch(fd: number, watcher: Watcher): Seat {
    if (this.#closed) throw new Error(`descriptor ${fd} comes too late: this worker has ended`);
    const slot = this.#take(watcher);
    const generation = this.#generations[slot]!;
    try {
      this.driver.watch(fd, slot, generation);
    } catch (error) {
      this.#free(slot);
      throw error;
    }
    this.#watched++;
    this.#schedule();
    return { slot, generation };
  }

  /** Call it before the descriptor is closed. */
  unwatch(fd: number, { slot, generation }: Seat): void {
    // What a closed driver had is unmapped: nothing of it may be touched.
    if (!this.#closed) this.driver.unwatch(fd, slot, generation);
    this.#free(slot);
    this.#watched--;
    // A driver may have to tell the kernel first, which holds the connection open until then: also after the last one.
    this.#schedule();
  }

  /** What was let go of before is let go of by the kernel as well: a port that is closed next is free. */
  settle(): void {
    if (!this.#closed) this.driver.settle();
  }

  /** `watcher.onTurn` is called once, behind the next events, which are not waited for. */
  goOn(watcher: Watcher): void {
    if (watcher.goesOn) return;
    watcher.goesOn = true;
    this.#next.push(watcher);
    this.#schedule();
  }

  /** Runs an action once, when the events of this turn have been handed out. */
  atTurnEnd(action: () => void): void {
    this.#ends.push(action);
    this.#schedule();
  }

  /** Resolves when libuv has had its turn, before this loop waits again. */
  letLibuv(): Promise<void> {
    this.#libuvWaits = true;
    this.#libuvTurns = libuvTurnsAfter;
    return new Promise((resolve) => setImmediate(resolve));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.driver.close();
  }

  #take(watcher: Watcher): number {
    const slot = this.#freeSlots.pop() ?? this.#watchers.length;
    if (slot >= this.#generations.length) {
      const grown = new Int32Array(slot * 2);
      grown.set(this.#generations);
      this.#generations = grown;
    }
    this.#watchers[slot] = watcher;
    return slot;
  }

  #free(slot: number): void {
    this.#watchers[slot] = undefined;
    this.#generations[slot] = (this.#generations[slot]! + 1) % generationMax;
    this.#freeSlots.push(slot);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#closed) return;
    this.#isScheduled = true;
    setImmediate(this.#turn);
  }

  get #isIdle(): boolean {
    return this.#next.length === 0 && this.#ends.length === 0;
  }

  /** As many turns as follow each other without libuv's. */
  #turns(): void {
    this.#isScheduled = false;
    if (this.#closed) return;
    try {
      this.#libuvWaits = false;
      // For long only when nothing of ours has run since libuv had its turn: what it put off (promises) would wait as well.
      const mayWait = this.#isIdle && this.#isLibuvDone();
      this.#endTurn();
      let count = this.#oneTurn(mayWait ? this.#waitMs() : 0);
      for (let turn = 1; turn < turnsMax && count > 0 && !this.#libuvWaits; turn++) {
        const isBusy = count >= busyEvents || !this.#isIdle;
        // A timer is libuv's: it must not be late by all these waits, nor deadlines that count ticks run slow.
        if (!isBusy && this.#waitMs() < shortWaitMs) break;
        count = this.#oneTurn(isBusy ? 0 : shortWaitMs);
      }
    } finally {
      // Also after a watcher has thrown: the others are still there.
      if (this.#watched > 0 || !this.#isIdle) this.#schedule();
    }
  }

  /** What it was told of has been handled, and what that began is known to the kernel. */
  #isLibuvDone(): boolean {
    if (this.#libuvTurns === 0) return true;
    if (--this.#libuvTurns > 0) return false;
    // It leaves some of what is much for its next turn; being there already, that would wake nobody.
    if (!isReadable(this.#libuvFd)) return true;
    this.#libuvTurns = 1;
    return false;
  }

  #waitMs(): number {
    if (this.#watched === 0) return 0;
    if (this.#options.sharesThread === true && this.#quietTurns < quietTurnsMin) return 0;
    const ms = Math.min(this.#options.timerInMs(), this.#options.waitMsMax);
    // A timer that is due runs when libuv's clock says so, up to a ms later: not waiting would be spinning.
    return Math.max(1, Math.ceil(ms));
  }

  #oneTurn(waitMs: number): number {
    const { driver } = this;
    const count = driver.wait(waitMs);
    this.#quietTurns = count === 0 ? this.#quietTurns + 1 : 0;
    for (let i = 0; i < count; i++) {
      const slot = driver.slotAt(i);
      // Events may be late: the slot is somebody else's by now, or nobody's.
      if (this.#generations[slot] === driver.generationAt(i)) {
        this.#watchers[slot]?.onEvents(driver.eventsAt(i));
      }
    }
    this.#runPutOff();
    this.#endTurn();
    return count;
  }

  #runPutOff(): void {
    const now = this.#next;
    if (now.length === 0) return;
    this.#next = this.#now;
    this.#now = now;
    let at = 0;
    try {
      while (at < now.length) {
        const watcher = now[at++]!;
        watcher.goesOn = false;
        watcher.onTurn();
      }
    } finally {
      // Who comes behind one that threw has its turn still, in the next one.
      while (at < now.length) this.#next.push(now[at++]!);
      now.length = 0;
    }
  }

  /** What an end puts off is for the next turn; what it adds to the ends runs in the same one. */
  #endTurn(): void {
    while (this.#ends.length > 0) {
      const ends = this.#ends;
      this.#ends = this.#endsNow;
      this.#endsNow = ends;
      try {
        for (const end of ends) end();
      } finally {
        ends.length = 0;
      }
    }
  }
}
