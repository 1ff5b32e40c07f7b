// Who waits for a service, in the order of coming: a list whose members hold each other, so that whoever leaves does so at
// once, wherever it stands.
//
// Pure: knows order and times. Does not know why somebody waits, how many may, nor what a service is.

/** Why somebody does not wait, or no longer. */
export type WaitRefusal = "service-full" | "queue-time" | "paused-full" | "paused-too-long";

/** One who waits. Made once for each request that ever waits, and used again. */
export class Waiter {
  /** When it came, in ms; for who is there again, no later than for those behind it. */
  sinceMs = 0;
  isAgain = false;
  /** When it came this time, in ms. */
  joinedMs = 0;
  /** For how long it has, before this time, in ms. */
  waitedMs = 0;
  /** When it has waited for too long; 0: it has never waited. */
  deadlineMs = 0;
  line: WaitingLine | undefined = undefined;
  next: Waiter | undefined = undefined;
  previous: Waiter | undefined = undefined;
  readonly owner: WaiterOwner;

  constructor(owner: WaiterOwner) {
    this.owner = owner;
  }
}

/** Whoever waits. */
export interface WaiterOwner {
  /** It is first, and there may be room. False: there is none for it; it stays. True: it has left the line. */
  onTurn(): boolean;
  /** Its time is over; it has left the line. */
  onWaitedTooLong(reason: WaitRefusal): void;
}

export class WaitingLine {
  length = 0;
  first: Waiter | undefined = undefined;
  #last: Waiter | undefined = undefined;
  /** Somebody may be due before those ahead of it. */
  #isMixed = false;

  /** To the end. */
  add(waiter: Waiter): void {
    waiter.isAgain = false;
    this.#append(waiter);
  }

  #append(waiter: Waiter): void {
    const last = this.#last;
    if (last !== undefined && waiter.deadlineMs < last.deadlineMs) this.#isMixed = true;
    waiter.line = this;
    waiter.previous = last;
    if (last === undefined) this.first = waiter;
    else last.next = waiter;
    this.#last = waiter;
    this.length++;
  }

  /** It has been let through once before: behind others of that kind, ahead of all the rest. */
  addAgain(waiter: Waiter): void {
    waiter.isAgain = true;
    let after: Waiter | undefined;
    for (let one = this.first; one?.isAgain === true; one = one.next) after = one;
    if (after === this.#last) return this.#append(waiter);
    const next = after === undefined ? this.first : after.next;
    this.#isMixed = true;
    waiter.line = this;
    waiter.previous = after;
    waiter.next = next;
    if (after === undefined) this.first = waiter;
    else after.next = waiter;
    if (next !== undefined) next.previous = waiter;
    this.length++;
  }

  /** From anywhere. */
  remove(waiter: Waiter): void {
    const { next, previous } = waiter;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    waiter.line = waiter.next = waiter.previous = undefined;
    this.length--;
    if (this.length === 0) this.#isMixed = false;
  }

  /** Whether somebody came, or came again, at `nowMs` or before. */
  hasSince(nowMs: number): boolean {
    for (let one = this.first; one !== undefined; one = one.next) {
      if (one.joinedMs <= nowMs) return true;
      // All behind it came later still.
      if (!one.isAgain) return false;
    }
    return false;
  }

  /** None of them is due before `sinceMs + queueMs`. */
  extend(queueMs: number): void {
    for (let one = this.first; one !== undefined; one = one.next) {
      one.deadlineMs = Math.max(one.deadlineMs, one.sinceMs + queueMs);
    }
  }

  /**
   * Takes out whose time is over and tells them. As a rule those stand in front; after bounds have changed, anywhere.
   */
  expire(nowMs: number, tell: (waiter: Waiter) => void): void {
    let one = this.first;
    while (one !== undefined && (this.#isMixed || one.deadlineMs <= nowMs)) {
      // Whoever is told may leave, and take others with it: only what is still here is followed.
      const { next }: Waiter = one;
      if (one.deadlineMs <= nowMs) {
        this.remove(one);
        tell(one);
        one = next?.line === this ? next : this.first;
      } else one = next;
    }
  }
}
