// A map whose keys are domains, asked with the bytes of a request: nothing is made for a lookup.
//
// The domains lie as words in one array, each behind its length (domain-key.ts). One that is gone leaves its words
// until the array is full.

import { assert } from "../model/errors.ts";
import { domainCharactersMax } from "../model/names.ts";
import { domainWords, readDomain } from "./domain-key.ts";
import { HashedSlots } from "./hashed-slots.ts";

/** Of the array of a map with few domains. */
const wordsMin = 32;
/** A domain that is asked for as text. */
const scratch = new Uint8Array(domainCharactersMax);

export class DomainMap<V extends object> {
  /** The number of each slot: where its domain begins in `#words`. */
  readonly #slots = new HashedSlots<V>();
  #words = new Int32Array(wordsMin);
  /** How many of `#words` were written. */
  #written = 0;
  /** How many of those are of domains that are there. */
  #live = 0;

  /** For the domain in `bytes[start]` up to, not including, `bytes[end]`; A to Z count as a to z. Hot path. */
  find(bytes: Uint8Array, start: number, end: number): V | undefined {
    // A client must not make us hash a host of thousands of bytes.
    if (end - start > domainCharactersMax) return undefined;
    const slot = this.#slotOf(readDomain(bytes, start, end), end - start);
    return slot < 0 ? undefined : this.#slots.valueAt(slot);
  }

  get(domain: string): V | undefined {
    if (domain.length > domainCharactersMax) return undefined;
    const slot = this.#slotOf(readText(domain), domain.length);
    return slot < 0 ? undefined : this.#slots.valueAt(slot);
  }

  set(domain: string, value: V): void {
    const { length } = domain;
    const hash = readText(domain);
    const slot = this.#slotOf(hash, length);
    if (slot >= 0) return this.#slots.setValue(slot, value);
    const words = 1 + wordsOf(length);
    this.#makeRoom(words);
    this.#words[this.#written] = length;
    this.#words.set(domainWords.subarray(0, words - 1), this.#written + 1);
    this.#slots.insert(hash, value, this.#written);
    this.#written += words;
    this.#live += words;
  }

  /** Harmless when it is not there. */
  delete(domain: string): void {
    const slot = this.#slotOf(readText(domain), domain.length);
    if (slot < 0) return;
    this.#slots.removeAt(slot);
    this.#live -= 1 + wordsOf(domain.length);
  }

  /** Of the domain that was read last, or -1. */
  #slotOf(hash: number, length: number): number {
    const slots = this.#slots;
    let slot = slots.find(hash);
    while (slot >= 0 && !isDomainAt(this.#words, slots.numberAt(slot), length)) {
      slot = slots.findNext(slot);
    }
    return slot;
  }

  /** Half as much again as is live, so that a word is moved twice or so in its life. */
  #makeRoom(words: number): void {
    if (this.#written + words <= this.#words.length) return;
    const before = this.#words;
    this.#words = new Int32Array(Math.max(wordsMin, Math.ceil((this.#live + words) * 1.5)));
    if (this.#live === this.#written) {
      this.#words.set(before.subarray(0, this.#written));
      return;
    }
    this.#written = 0;
    for (const slot of this.#slots.taken()) {
      const from = this.#slots.numberAt(slot);
      const to = from + 1 + wordsOf(before[from]!);
      this.#words.set(before.subarray(from, to), this.#written);
      this.#slots.setNumber(slot, this.#written);
      this.#written += to - from;
    }
  }
}

/** Whether the domain at `at` is the one that was read last. */
function isDomainAt(words: Int32Array, at: number, length: number): boolean {
  if (words[at] !== length) return false;
  const count = wordsOf(length);
  for (let i = 0; i < count; i++) if (words[at + 1 + i] !== domainWords[i]) return false;
  return true;
}

function readText(domain: string): number {
  const { length } = domain;
  assert(length <= scratch.length, "a domain is no longer than a domain may be");
  for (let i = 0; i < length; i++) scratch[i] = domain.charCodeAt(i);
  return readDomain(scratch, 0, length);
}

function wordsOf(length: number): number {
  return (length + 3) >>> 2;
}
