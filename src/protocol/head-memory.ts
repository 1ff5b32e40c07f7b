// Heads that came before, so that one that comes again is compared and not read: a client that keeps its connection sends
// nearly the same head each time, and so does the backend that answers it.
//
// Equal octets have an equal meaning: what a head says depends on its octets alone, and on no octet behind it. So one
// that begins with a known head, its empty line included, is that head, and what was read of it holds.
//
// Bounded, and shared by all connections of a worker. A head is kept when it is seen for the second time, and replaces
// another one of the same slot only when that one has not been met for a while: one that never comes again costs a
// comparison of a few words, and is not copied.

import { WordView } from "./word-view.ts";

/** Bounds of the memory; see limits.ts. */
export interface HeadMemoryLimits {
  readonly headsKnownMax: number;
  readonly knownHeadBytesMax: number;
}

/** Words that a hash is made of: the first 128 octets, and as many more as meet a cookie of 32 octets in a head of 1,000. */
const wordsHashedFirst = 32;
const wordsHashedMore = 32;
/** Strangers in its slot that a head outlives since it was met. */
const patienceMax = 16;
const wordBytes = 4;
/** Slots that a hash may have, one behind the other. */
const slotsTried = 4;
const noBytes = new Uint8Array(0);

/** One head that is known: its own copy of the octets, from index 0. */
export abstract class KnownHead {
  bytes: Uint8Array = noBytes;
  /** Of the head, its empty line included; 0: none is known here. */
  length = 0;
  hash = 0;
  patience = 0;
  /** `bytes` in words, as many as are whole in `length`. */
  words: Int32Array = new Int32Array(0);

  /** Reads the octets: false when they are nothing to be remembered. */
  abstract read(): boolean;
}

export class HeadMemory<K extends KnownHead> {
  readonly #make: () => K;
  readonly #bytesMax: number;
  /** Two to the power of something: a hash's last bits say which slot. */
  readonly #slots: (K | undefined)[];
  /** Hashes of heads that were seen once. */
  readonly #seenOnce: Int32Array;
  readonly #words = new WordView();

  constructor(limits: HeadMemoryLimits, make: () => K) {
    this.#make = make;
    this.#bytesMax = limits.knownHeadBytesMax;
    const slotCount = 2 ** Math.floor(Math.log2(limits.headsKnownMax));
    this.#slots = Array.from<K | undefined>({ length: slotCount });
    this.#seenOnce = new Int32Array(slotCount * 4);
  }

  /** Whether `bytes[start..end)` begins with this very head. */
  isAt(known: K, bytes: Uint8Array, start: number, end: number): boolean {
    const { length, words } = known;
    if (length === 0 || end - start < length) return false;
    const view = this.#words.made(bytes);
    if (view === undefined) return false;
    const whole = length >> 2;
    for (let word = 0, at = start; word < whole; word++, at += wordBytes) {
      if (view.getInt32(at, true) !== words[word]) return false;
    }
    for (let index = whole * wordBytes; index < length; index++) {
      if (bytes[start + index] !== known.bytes[index]) return false;
    }
    known.patience = patienceMax;
    return true;
  }

  /** For a head that was read in `bytes[start..end)`: what is known of it, from now on or before; or undefined. */
  learn(bytes: Uint8Array, start: number, end: number): K | undefined {
    const length = end - start;
    if (length > this.#bytesMax || length < wordBytes) return undefined;
    const view = this.#words.of(bytes);
    if (view === undefined) return undefined;
    const hash = hashOf(view, start, length);
    const first = hash & (this.#slots.length - 1) & -slotsTried;
    for (let slot = first; slot < first + slotsTried; slot++) {
      const known = this.#slots[slot];
      if (known?.hash !== hash || known.length !== length) continue;
      if (this.isAt(known, bytes, start, end)) return known;
    }
    if (!this.#wasSeen(hash)) return undefined;
    const slot = this.#leastMet(first);
    const known = this.#slots[slot];
    if (known !== undefined && known.patience-- > 0) return undefined;
    return this.#keep(slot, hash, bytes, start, end);
  }

  /** Of the slots that a hash may have from `first` on: one that is free, or whose head was not met for the longest. */
  #leastMet(first: number): number {
    let least = first;
    for (let slot = first; slot < first + slotsTried; slot++) {
      const known = this.#slots[slot];
      if (known === undefined) return slot;
      if (known.patience < this.#slots[least]!.patience) least = slot;
    }
    return least;
  }

  #wasSeen(hash: number): boolean {
    const seen = this.#seenOnce;
    const place = (hash >>> 8) & (seen.length - 2);
    if (seen[place] === hash || seen[place + 1] === hash) return true;
    seen[place + 1] = seen[place]!;
    seen[place] = hash;
    return false;
  }

  #keep(slot: number, hash: number, bytes: Uint8Array, start: number, end: number): K | undefined {
    let known = this.#slots[slot];
    if (known === undefined) this.#slots[slot] = known = this.#make();
    const length = end - start;
    if (known.bytes.length < length) {
      known.bytes = new Uint8Array(Math.ceil(length / 256) * 256);
    }
    known.bytes.set(bytes.subarray(start, end));
    known.words = new Int32Array(known.bytes.buffer, 0, length >> 2);
    known.length = length;
    known.hash = hash;
    known.patience = patienceMax;
    if (known.read()) return known;
    known.length = 0;
    return undefined;
  }
}

/** FNV-1a over the words at the beginning, where paths and hosts differ, some of the others, and the length. */
function hashOf(view: DataView, start: number, length: number): number {
  const words = length >> 2;
  const spread = Math.max(1, Math.ceil((words - wordsHashedFirst) / wordsHashedMore)) * wordBytes;
  const middle = start + Math.min(words, wordsHashedFirst) * wordBytes;
  const end = start + words * wordBytes;
  let hash = 0x811c9dc5 ^ length;
  for (let at = start; at < end; at += at < middle ? wordBytes : spread) {
    hash = Math.imul(hash ^ view.getInt32(at, true), 0x01000193);
    hash ^= hash >>> 15;
  }
  return hash;
}
