// One coarse timer wheel per worker: thousands of deadlines, one real timer.
//
// Moving a deadline later, which happens at every request, is one store: the entry stays in its
// slot and is put further when that slot comes up. Only a deadline that moves closer is re-linked.
//
// Time is what the thread could use: while it stands still (a stopped process, a long turn) only a
// little counts, or a whole worker's peers would be found too slow for what they had sent long ago.
// A deadline fires at most two ticks late, and never early while ticks come on time.

/** Slots of the wheel; deadlines beyond one turn wait another turn. A power of two. */
const slotCount = 512;
/** Behind the slots of the wheel: what has been found due and not yet fired. */
const dueSlot = slotCount;
/** Of the time between two calls of `advance`, so much counts. */
const ticksCountedMax = 2;
/** Of the time between two calls of `advance`, so much in ms is more than being busy: the thread stood still. */
const standstillMs = 1_000;
const never = Number.POSITIVE_INFINITY;

/** Something that may run out of time. */
export interface TimerOwner {
  onTimeout(): void;
}

/** A deadline that can be armed again and again; one per connection, made once. */
export class Timer {
  readonly owner: TimerOwner;
  deadlineMs = never;
  slot = -1;
  next: Timer | undefined = undefined;
  previous: Timer | undefined = undefined;

  constructor(owner: TimerOwner) {
    this.owner = owner;
  }
}

export class TimerWheel {
  /** Timers that wait. */
  armed = 0;
  readonly #tickMs: number;
  readonly #slots: (Timer | undefined)[] = Array.from<Timer | undefined>({ length: slotCount + 1 });
  #tick: number;
  /** What the clock said at the last `advance`, in ms. */
  #seenMs: number;
  /** When the thread last went on after it had stood still. */
  #resumedMs = Number.NEGATIVE_INFINITY;
  /** The time at the last tick, in ms, without what did not count. */
  #nowMs: number;

  constructor(options: { readonly tickMs: number; readonly nowMs: number }) {
    this.#tickMs = options.tickMs;
    this.#seenMs = options.nowMs;
    this.#nowMs = options.nowMs;
    this.#tick = Math.floor(options.nowMs / options.tickMs);
  }

  /** Asks for `onTimeout` after `delayMs`; replaces what was armed before. */
  arm(timer: Timer, delayMs: number): void {
    // Up to a tick has passed since `#nowMs`.
    const deadlineMs = this.#nowMs + this.#tickMs + delayMs;
    const sooner = deadlineMs < timer.deadlineMs;
    timer.deadlineMs = deadlineMs;
    if (timer.slot < 0) {
      this.armed++;
      this.#link(timer);
    } else if (sooner) {
      this.#unlink(timer);
      this.#link(timer);
    }
  }

  /** How long until an armed one fires, in ms: at least what was asked for less the time since, at most two ticks more. */
  leftMs(timer: Timer): number {
    return timer.deadlineMs - this.#nowMs;
  }

  /** No `onTimeout` any more. */
  disarm(timer: Timer): void {
    timer.deadlineMs = never;
    if (timer.slot < 0) return;
    this.armed--;
    this.#unlink(timer);
  }

  /** Whether the thread stood still after `sinceMs`: what it hears now of what it began then tells of that alone. */
  stoodStillSince(sinceMs: number, nowMs: number): boolean {
    if (sinceMs < this.#resumedMs) return true;
    return nowMs - this.#seenMs >= standstillMs && sinceMs < this.#seenMs + standstillMs;
  }

  /** Fires what is due. `nowMs` never goes backwards. */
  advance(nowMs: number): void {
    if (nowMs - this.#seenMs >= standstillMs) this.#resumedMs = nowMs;
    this.#nowMs += Math.min(nowMs - this.#seenMs, ticksCountedMax * this.#tickMs);
    this.#seenMs = nowMs;
    const last = Math.floor(this.#nowMs / this.#tickMs);
    while (this.#tick < last) this.#collect(++this.#tick & (slotCount - 1));
    // Of the tick that has begun, too: a deadline is not to wait for the end of its tick.
    this.#collect((last + 1) & (slotCount - 1));
    this.#fire();
  }

  /** Moves what is due to its own list, and everything else of this slot further. */
  #collect(slot: number): void {
    let timer = this.#slots[slot];
    this.#slots[slot] = undefined;
    while (timer !== undefined) {
      const { next }: Timer = timer;
      if (timer.deadlineMs <= this.#nowMs) this.#put(timer, dueSlot);
      else this.#link(timer);
      timer = next;
    }
  }

  // Whoever is fired may arm and disarm any timer, its own and those behind it in the list.
  #fire(): void {
    for (;;) {
      const timer = this.#slots[dueSlot];
      if (timer === undefined) return;
      this.#unlink(timer);
      if (timer.deadlineMs > this.#nowMs) this.#link(timer);
      else {
        this.armed--;
        timer.deadlineMs = never;
        timer.owner.onTimeout();
      }
    }
  }

  #link(timer: Timer): void {
    const dueTick = Math.max(Math.ceil(timer.deadlineMs / this.#tickMs), this.#tick + 1);
    this.#put(timer, dueTick & (slotCount - 1));
  }

  #put(timer: Timer, slot: number): void {
    const head = this.#slots[slot];
    timer.slot = slot;
    timer.previous = undefined;
    timer.next = head;
    if (head !== undefined) head.previous = timer;
    this.#slots[slot] = timer;
  }

  #unlink(timer: Timer): void {
    const { previous, next } = timer;
    if (previous !== undefined) previous.next = next;
    else this.#slots[timer.slot] = next;
    if (next !== undefined) next.previous = previous;
    timer.slot = -1;
    timer.next = timer.previous = undefined;
  }
}
