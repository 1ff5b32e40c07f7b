// A hash table without keys: hashes, a number beside each, and the values. What a hash stands for, its owner
// compares.
//
// For tables of a million entries: hash and number lie side by side in one Int32Array, the values at the same
// places in an array. So a lookup waits for memory once (both places are known from the hash), and an entry costs
// 16 bytes per slot where a Map takes about 50, and its keys. Collisions go to the next slot; a removed entry
// leaves no trace, because those behind it move up.

/** Slots of an empty table. A power of two, as always. */
const slotsMin = 4;
/** At most so many of 8 slots are taken: a search that finds nothing looks at 4 on average, one that finds at 2. */
const takenOf8 = 5;
/** 2 ** 32 divided by the golden ratio: spreads hashes whose low bits are alike. */
const golden = 0x9e3779b1 | 0;
/** Of an empty slot. */
const none = 0;

export class HashedSlots<V extends object> {
  /** Pairs: the hash, the owner's number. */
  #pairs = new Int32Array(2 * slotsMin);
  #values: (V | undefined)[] = emptyValues(slotsMin);
  /** 32 less the bits of a slot's number. */
  #shift = 32 - Math.log2(slotsMin);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The first slot of this hash, or -1. Other hashes are never found; other keys of the same hash are. */
  find(hash: number): number {
    const sought = hash === none ? 1 : hash | 0;
    return this.#from(Math.imul(sought, golden) >>> this.#shift, sought);
  }

  /** The next slot of the same hash behind `slot`, or -1. */
  findNext(slot: number): number {
    return this.#from(slot + 1, this.#pairs[2 * slot]!);
  }

  valueAt(slot: number): V {
    return this.#values[slot]!;
  }
  numberAt(slot: number): number {
    return this.#pairs[2 * slot + 1]!;
  }
  setValue(slot: number, value: V): void {
    this.#values[slot] = value;
  }
  setNumber(slot: number, number: number): void {
    this.#pairs[2 * slot + 1] = number;
  }

  /** Adds an entry, beside others of the same hash. Slots that were found before may have moved. */
  insert(hash: number, value: V, number = 0): void {
    const slots = this.#values.length;
    if ((this.#size + 1) * 8 > slots * takenOf8) this.#resize(2 * slots);
    this.#place(hash === none ? 1 : hash | 0, value, number);
    this.#size++;
  }

  /** Slots that were found before may have moved. */
  removeAt(slot: number): void {
    const mask = this.#values.length - 1;
    let hole = slot;
    for (let at = (hole + 1) & mask; this.#pairs[2 * at] !== none; at = (at + 1) & mask) {
      const home = Math.imul(this.#pairs[2 * at]!, golden) >>> this.#shift;
      // Stays, when its home lies behind the hole: a search from there must find it.
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#put(hole, this.#pairs[2 * at]!, this.#pairs[2 * at + 1]!, this.#values[at]);
      hole = at;
    }
    this.#put(hole, none, 0, undefined);
    this.#size--;
    const slots = this.#values.length;
    // Far below what it grows at, so that one key that comes and goes moves nothing.
    if (slots > slotsMin && this.#size * 8 < slots) this.#resize(slots / 2);
  }

  /** Every taken slot. */
  *taken(): Generator<number, undefined> {
    for (let slot = 0; slot < this.#values.length; slot++) {
      if (this.#pairs[2 * slot] !== none) yield slot;
    }
    return undefined;
  }

  *values(): Generator<V, undefined> {
    for (const slot of this.taken()) yield this.#values[slot]!;
    return undefined;
  }

  #from(first: number, sought: number): number {
    const pairs = this.#pairs;
    const mask = this.#values.length - 1;
    for (let slot = first & mask; ; slot = (slot + 1) & mask) {
      const held = pairs[2 * slot];
      if (held === sought) return slot;
      if (held === none) return -1;
    }
  }

  #place(hash: number, value: V | undefined, number: number): void {
    const mask = this.#values.length - 1;
    let slot = Math.imul(hash, golden) >>> this.#shift;
    while (this.#pairs[2 * slot] !== none) slot = (slot + 1) & mask;
    this.#put(slot, hash, number, value);
  }

  #put(slot: number, hash: number, number: number, value: V | undefined): void {
    this.#pairs[2 * slot] = hash;
    this.#pairs[2 * slot + 1] = number;
    this.#values[slot] = value;
  }

  /** Slots follow from the upper bits of a hash, so this goes through both arrays from one end to the other. */
  #resize(slots: number): void {
    const before = this.#pairs;
    const valuesBefore = this.#values;
    const pairs = new Int32Array(2 * slots);
    const values = emptyValues<V>(slots);
    const shift = 32 - Math.log2(slots);
    const mask = slots - 1;
    for (let old = 0; old < valuesBefore.length; old++) {
      const hash = before[2 * old]!;
      if (hash === none) continue;
      let slot = Math.imul(hash, golden) >>> shift;
      while (pairs[2 * slot] !== none) slot = (slot + 1) & mask;
      pairs[2 * slot] = hash;
      pairs[2 * slot + 1] = before[2 * old + 1]!;
      values[slot] = valuesBefore[old];
    }
    this.#pairs = pairs;
    this.#values = values;
    this.#shift = shift;
  }
}

/** `undefined` in every place: no hole, which would be looked for in the prototypes. */
function emptyValues<V>(slots: number): (V | undefined)[] {
  // oxlint-disable-next-line no-new-array -- made of a length, step by step, a million take 10 ms
  return new Array<V | undefined>(slots).fill(undefined);
}
