// A heap of things by when they are due: the earliest is at hand, any of them can be taken out or moved.

/** Of one thing; only the heap writes `place`. */
export interface Due {
  dueMs: number;
  /** In the heap; -1: it is not there. */
  place: number;
}

export class DueHeap<T extends Due> {
  readonly #things: T[] = [];

  get first(): T | undefined {
    return this.#things[0];
  }

  /** Puts it in, or moves it when it is there: due at `dueMs`. */
  put(thing: T, dueMs: number): void {
    thing.dueMs = dueMs;
    if (thing.place < 0) {
      thing.place = this.#things.length;
      this.#things.push(thing);
    }
    this.#rise(thing);
    this.#sink(thing);
  }

  /** Harmless when it is not there. */
  remove(thing: T): void {
    if (thing.place < 0) return;
    const last = this.#things.pop()!;
    if (last !== thing) {
      this.#set(last, thing.place);
      this.#rise(last);
      this.#sink(last);
    }
    thing.place = -1;
  }

  #set(thing: T, place: number): void {
    this.#things[place] = thing;
    thing.place = place;
  }

  #rise(thing: T): void {
    for (;;) {
      const parent = this.#things[(thing.place - 1) >> 1];
      if (thing.place === 0 || parent === undefined || parent.dueMs <= thing.dueMs) return;
      this.#swap(thing, parent);
    }
  }

  #sink(thing: T): void {
    for (;;) {
      const left = this.#things[thing.place * 2 + 1];
      const right = this.#things[thing.place * 2 + 2];
      if (left === undefined) return;
      const child = right !== undefined && right.dueMs < left.dueMs ? right : left;
      if (child.dueMs >= thing.dueMs) return;
      this.#swap(thing, child);
    }
  }

  #swap(a: T, b: T): void {
    const { place } = a;
    this.#set(a, b.place);
    this.#set(b, place);
  }
}
