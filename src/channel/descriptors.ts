// Which descriptors a worker holds by number, and what it has mapped, in memory that outlives it: nothing closes them when
// its thread dies, for both belong to the process. What is mapped of a ring keeps the ring open, and that every socket which it
// watches.
//
// One bit per number, written by the worker alone, with a plain store, and read by the main thread when the worker's
// thread is gone. A marked number is open and the worker's own at every moment, or the main thread would close
// somebody else's: a worker marks after the call that made it and unmarks before the one that closes it
// (docs/decisions/0031).

/** Numbers that can be marked, 512 KiB for each worker; of what is above, only the count is known. */
const markedNumbersMax = 4 * 1024 * 1024;
const bitsPerWord = 32;
/** Of the first word: how many are held whose numbers have no bit. */
const beyondAt = 0;
/** Then the mappings, from the second 64-bit word on: address and length of each; an address of 0 is none. */
const mappingsAt = 8;
const mappingsMax = 8;
const wordsAt = (mappingsAt + mappingsMax * 2 * Float64Array.BYTES_PER_ELEMENT) / 4;

/** Words of 32 bits. */
export type DescriptorMemory = SharedArrayBuffer;

/** @param numbers Descriptors that the process may have: their numbers are below (getrlimit(2), RLIMIT_NOFILE). */
export function descriptorMemory(numbers: number): DescriptorMemory {
  const words = Math.ceil(Math.min(numbers, markedNumbersMax) / bitsPerWord);
  return new SharedArrayBuffer((wordsAt + words) * Int32Array.BYTES_PER_ELEMENT);
}

/** The marks as the worker writes them, or the main thread once the worker is gone. A ThreadLedger of io/io.ts. */
export class HeldDescriptors {
  /** One bit per number; see DescriptorLedger. */
  readonly marks: Int32Array;
  readonly #words: Int32Array;
  readonly #mappings: Float64Array;
  /** Numbers below have a bit. */
  readonly #end: number;

  constructor(memory: DescriptorMemory) {
    this.#words = new Int32Array(memory);
    this.marks = this.#words.subarray(wordsAt);
    this.#mappings = new Float64Array(memory, mappingsAt, mappingsMax * 2);
    this.#end = this.marks.length * bitsPerWord;
  }

  /** At once when the descriptor is ours: between the two, a thread that is ended leaves it open for good. */
  hold(fd: number): void {
    if (fd < this.#end) this.marks[fd >>> 5]! |= 1 << (fd & 31);
    else this.#words[beyondAt]! += 1;
  }

  /** Right before the descriptor is closed, or when somebody else closes it from now on. */
  drop(fd: number): void {
    if (fd < this.#end) this.marks[fd >>> 5]! &= ~(1 << (fd & 31));
    else this.#words[beyondAt]! -= 1;
  }

  /** At once when it is mapped. Throws an Error when there are too many: a worker has those of one ring. */
  holdMapping(address: number, length: number): void {
    for (let at = 0; at < this.#mappings.length; at += 2) {
      if (this.#mappings[at] !== 0) continue;
      this.#mappings[at + 1] = length;
      this.#mappings[at] = address;
      return;
    }
    throw new Error(`a worker holds more than ${mappingsMax} mappings`);
  }

  /** Right before it is unmapped. */
  dropMapping(address: number): void {
    const at = this.#mappings.findIndex((word, index) => index % 2 === 0 && word === address);
    if (at >= 0) this.#mappings[at] = 0;
  }

  /** Address and length of each. */
  mappings(): (readonly [address: number, length: number])[] {
    const held: (readonly [number, number])[] = [];
    for (let at = 0; at < this.#mappings.length; at += 2) {
      const address = this.#mappings[at]!;
      if (address !== 0) held.push([address, this.#mappings[at + 1]!]);
    }
    return held;
  }

  get count(): number {
    return this.all().length + this.beyond;
  }

  /** Held, but with a number too large for a mark: nobody can close them but the worker. */
  get beyond(): number {
    return this.#words[beyondAt]!;
  }

  /** The marked numbers, in order. */
  all(): number[] {
    const numbers: number[] = [];
    for (const [at, bits] of this.marks.entries()) {
      for (let word = bits; word !== 0; word &= word - 1) {
        numbers.push(at * bitsPerWord + 31 - Math.clz32(word & -word));
      }
    }
    return numbers;
  }

  /** For the worker that comes next. */
  clear(): void {
    this.#words.fill(0);
  }
}
