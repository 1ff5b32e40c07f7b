// Which descriptors a worker holds by number, and what it has mapped, in memory that outlives it: nothing gives them back
// when its thread dies, for they belong to the process.
//
// One bit per number, written by the worker alone, with a plain store, and read by the main thread when the worker's
// thread is gone. A marked number is open and the worker's own at every moment, or the main thread would close
// somebody else's: a worker marks after the call that made it and unmarks before the one that closes it
// (docs/decisions/0031). The same holds for what is mapped, of which there is little: a list.

/** Numbers that can be marked, 512 KiB for each worker; of what is above, only the count is known. */
const markedNumbersMax = 4 * 1024 * 1024;
const bitsPerWord = 32;
/** Of the first word: how many are held whose numbers have no bit. */
const beyondAt = 0;
/** Of memory that was mapped, at most: a ring has three. */
const mappingsMax = 8;
/** Address and length of each, as 64-bit floats, in bytes from the start. */
const mappingsAt = 8;
const wordsAt = (mappingsAt + mappingsMax * 16) / Int32Array.BYTES_PER_ELEMENT;

/** Words of 32 bits. */
export type DescriptorMemory = SharedArrayBuffer;

/** @param numbers Descriptors that the process may have: their numbers are below (getrlimit(2), RLIMIT_NOFILE). */
export function descriptorMemory(numbers: number): DescriptorMemory {
  const words = Math.ceil(Math.min(numbers, markedNumbersMax) / bitsPerWord);
  return new SharedArrayBuffer((wordsAt + words) * Int32Array.BYTES_PER_ELEMENT);
}

/** Memory that mmap(2) gave. */
export interface Mapping {
  readonly address: number;
  /** In bytes. */
  readonly length: number;
}

/** The marks as the worker writes them, or the main thread once the worker is gone: a DescriptorLedger and a MappingLedger of io/io.ts. */
export class HeldDescriptors {
  /** One bit per number; see DescriptorLedger. */
  readonly marks: Int32Array;
  readonly #words: Int32Array;
  /** Address, length, address, …; 0 and 0: free. */
  readonly #mapped: Float64Array;
  /** Numbers below have a bit. */
  readonly #end: number;

  constructor(memory: DescriptorMemory) {
    this.#words = new Int32Array(memory);
    this.marks = this.#words.subarray(wordsAt);
    this.#mapped = new Float64Array(memory, mappingsAt, mappingsMax * 2);
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

  /** At once when it is mapped; where there is no place left, it stays mapped when the thread dies. */
  map(address: number, length: number): void {
    for (let at = 0; at < this.#mapped.length; at += 2) {
      if (this.#mapped[at + 1] !== 0) continue;
      this.#mapped[at] = address;
      // Last: from now on it counts.
      this.#mapped[at + 1] = length;
      return;
    }
  }

  /** Right before it is unmapped. */
  unmap(address: number): void {
    for (let at = 0; at < this.#mapped.length; at += 2) {
      if (this.#mapped[at] === address) this.#mapped[at + 1] = 0;
    }
  }

  get mappings(): Mapping[] {
    const mappings: Mapping[] = [];
    for (let at = 0; at < this.#mapped.length; at += 2) {
      const [address = 0, length = 0] = this.#mapped.subarray(at, at + 2);
      if (length > 0) mappings.push({ address, length });
    }
    return mappings;
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
