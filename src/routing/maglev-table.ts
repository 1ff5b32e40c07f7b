// Maglev's lookup table: which of n members a hash belongs to, in one look.
//
// Knows: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016), section 3.4. Each
// member has a permutation of all slots, made of its name alone; in turns each takes the first slot of its own that is
// still free, until none is. So everybody who knows the same members has the same table, and when a member leaves
// nearly all slots of the others stay theirs. Does not know: who is busy or usable.
//
// Weights: a member of half the weight has half the turns, evenly spread.

import { hashText } from "./key-hash.ts";

/** Slots of a Maglev table for each backend, at least: shares are within 1 % of what they should be (Maglev, NSDI 2016, section 5.3). */
const maglevSlotsPerMember = 100;
/** Slots of a Maglev table for the lightest backend, at least. */
const maglevSlotsPerWeight = 10;

export interface MaglevMember {
  readonly name: string;
  readonly weight: number;
}

/** Which member each slot belongs to, by its position. @param members At least one, sorted by name. */
export type MaglevTable = Uint16Array | Uint32Array;

export function buildMaglev(members: readonly MaglevMember[]): MaglevTable {
  const size = maglevSize(members);
  const slots = members.length < nobody16 ? new Uint16Array(size) : new Uint32Array(size);
  const nobody = slots.BYTES_PER_ELEMENT === 2 ? nobody16 : 0xffffffff;
  slots.fill(nobody);
  fill(slots, nobody, members);
  return slots;
}

const nobody16 = 0xffff;

/**
 * Sizes of tables. The smallest is for 40 equal members; 65537 is Envoy's; the largest, 256 KiB, is for 1,310: the
 * shares of more are less even. Few sizes, because with another size nearly every hash belongs to another member.
 */
const primes = [4_093, 65_537, 131_071];

/** A prime: then every skip makes a permutation. Hundred slots for each member keep shares within 1 % (section 5.3). */
export function maglevSize(members: readonly MaglevMember[]): number {
  let total = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const { weight } of members) {
    total += weight;
    if (weight < least) least = weight;
  }
  const wanted = Math.max(
    members.length * maglevSlotsPerMember,
    (total / least) * maglevSlotsPerWeight,
  );
  return primes.find((prime) => prime >= wanted) ?? primes.at(-1)!;
}

function fill(slots: MaglevTable, nobody: number, members: readonly MaglevMember[]): void {
  const size = slots.length;
  const at = new Uint32Array(members.length);
  const skips = new Uint32Array(members.length);
  for (const [position, { name }] of members.entries()) {
    at[position] = (hashText(name) >>> 0) % size;
    skips[position] = ((hashText(name, skipSeed) >>> 0) % (size - 1)) + 1;
  }
  const turns = new Turns(members);
  for (let free = size; free > 0; free--) {
    const position = turns.next();
    const skip = skips[position]!;
    let slot = at[position]!;
    while (slots[slot] !== nobody) {
      slot += skip;
      if (slot >= size) slot -= size;
    }
    slots[slot] = position;
    at[position] = slot + skip >= size ? slot + skip - size : slot + skip;
  }
}

/** Whose turn it is; a member of half the heaviest one's weight has one in every second round. */
class Turns {
  readonly #members: readonly MaglevMember[];
  readonly #heaviest: number;
  /** Turns that each has had, and with it the next. */
  readonly #turns: Uint32Array;
  /** The first whose turn is in a round, by the round's lowest bits, and who comes after each; -1: nobody. */
  readonly #first: Int32Array;
  readonly #after: Int32Array;
  #round = 0;

  constructor(members: readonly MaglevMember[]) {
    this.#members = members;
    this.#heaviest = members.reduce((most, { weight }) => Math.max(most, weight), 0);
    const lightest = members.reduce((least, { weight }) => Math.min(least, weight), this.#heaviest);
    // As many rounds as lie between two turns of the lightest, and one more for what is rounded up.
    this.#first = new Int32Array(Math.ceil(this.#heaviest / lightest) + 2).fill(-1);
    this.#after = new Int32Array(members.length);
    this.#turns = new Uint32Array(members.length);
    for (let position = 0; position < members.length; position++) this.#enqueue(position);
  }

  next(): number {
    const rounds = this.#first.length;
    while (this.#first[this.#round % rounds]! < 0) this.#round++;
    const position = this.#first[this.#round % rounds]!;
    this.#first[this.#round % rounds] = this.#after[position]!;
    this.#enqueue(position);
    return position;
  }

  #enqueue(position: number): void {
    const turn = (this.#turns[position]! += 1);
    const round = Math.ceil((turn * this.#heaviest) / this.#members[position]!.weight);
    const bucket = round % this.#first.length;
    this.#after[position] = this.#first[bucket]!;
    this.#first[bucket] = position;
  }
}

/** Any number: the two hashes of a name are to have nothing in common. */
const skipSeed = 0x5bd1e995;
