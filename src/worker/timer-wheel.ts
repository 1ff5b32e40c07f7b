// One coarse timer wheel per worker: thousands of deadlines, one real timer.
//
// Moving a deadline later, which happens at every request, is one store: the entry stays in its
// slot and is put further when that slot comes up. Only a deadline that moves closer is re-linked.
// Resolution is one tick (`tickMs`): a deadline fires at most two ticks late, never early.

/** Slots of the wheel; deadlines beyond one turn wait another turn. A power of two. */
const slotCount = 512;
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
  readonly #tickMs: number;
  readonly #slots: (Timer | undefined)[] = Array.from<Timer | undefined>({ length: slotCount });
  #tick: number;
  /** The time of the last tick, in ms; what deadlines are computed from. */
  nowMs: number;

  constructor(options: { readonly tickMs: number; readonly nowMs: number }) {
    this.#tickMs = options.tickMs;
    this.nowMs = options.nowMs;
    this.#tick = Math.floor(options.nowMs / options.tickMs);
  }

  /** Asks for `onTimeout` in about `delayMs`; replaces what was armed before. */
  arm(timer: Timer, delayMs: number): void {
    const deadlineMs = this.nowMs + delayMs;
    const sooner = deadlineMs < timer.deadlineMs;
    timer.deadlineMs = deadlineMs;
    if (timer.slot < 0) this.#link(timer);
    else if (sooner) {
      this.#unlink(timer);
      this.#link(timer);
    }
  }

  /** No `onTimeout` any more. */
  disarm(timer: Timer): void {
    timer.deadlineMs = never;
    if (timer.slot >= 0) this.#unlink(timer);
  }

  /** Fires what is due. `nowMs` never goes backwards. */
  advance(nowMs: number): void {
    const last = Math.floor(nowMs / this.#tickMs);
    this.nowMs = nowMs;
    // After a stall of a whole turn every slot is looked at once, not once per missed tick.
    if (last - this.#tick > slotCount) this.#tick = last - slotCount;
    while (this.#tick < last) {
      this.#tick++;
      this.#fire(this.#tick & (slotCount - 1), nowMs);
    }
  }

  #fire(slot: number, nowMs: number): void {
    let timer = this.#slots[slot];
    this.#slots[slot] = undefined;
    // The chain is detached first: what is linked again while it fires waits for its own turn.
    while (timer !== undefined) {
      const next: Timer | undefined = timer.next;
      timer.slot = -1;
      timer.next = timer.previous = undefined;
      if (next !== undefined) next.previous = undefined;
      if (timer.deadlineMs <= nowMs) {
        timer.deadlineMs = never;
        // Whoever is disarmed by this call is still in the detached chain: see #unlink.
        this.#firing = next;
        timer.owner.onTimeout();
        timer = this.#firing;
      } else {
        this.#link(timer);
        timer = next;
      }
    }
  }

  /** The rest of the chain that is being fired. */
  #firing: Timer | undefined = undefined;

  #link(timer: Timer): void {
    const dueTick = Math.max(Math.ceil(timer.deadlineMs / this.#tickMs), this.#tick + 1);
    const slot = dueTick & (slotCount - 1);
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
    else if (this.#slots[timer.slot] === timer) this.#slots[timer.slot] = next;
    if (next !== undefined) next.previous = previous;
    if (this.#firing === timer) this.#firing = next;
    timer.slot = -1;
    timer.next = timer.previous = undefined;
  }
}
