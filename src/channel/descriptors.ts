// Which descriptors a worker holds by number, in memory that outlives it: nothing closes them when its thread dies,
// for a raw descriptor belongs to the process.
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
const wordsAt = 1;

/** Words of 32 bits. */
export type DescriptorMemory = SharedArrayBuffer;

/** @param numbers Descriptors that the process may have: their numbers are below (getrlimit(2), RLIMIT_NOFILE). */
export function descriptorMemory(numbers: number): DescriptorMemory {
  const words = Math.ceil(Math.min(numbers, markedNumbersMax) / bitsPerWord);
  return new SharedArrayBuffer((wordsAt + words) * Int32Array.BYTES_PER_ELEMENT);
}

/** The marks as the worker writes them, or the main thread once the worker is gone. A DescriptorLedger of io/io.ts. */
export class HeldDescriptors {
  readonly #words: Int32Array;
  /** Numbers below have a bit. */
  readonly #end: number;

  constructor(memory: DescriptorMemory) {
    this.#words = new Int32Array(memory);
    this.#end = (this.#words.length - wordsAt) * bitsPerWord;
  }

  /** At once when the descriptor is ours: between the two, a thread that is ended leaves it open for good. */
  hold(fd: number): void {
    if (fd < this.#end) this.#words[wordsAt + (fd >>> 5)]! |= 1 << (fd & 31);
    else this.#words[beyondAt]! += 1;
  }

  /** Right before the descriptor is closed, or when somebody else closes it from now on. */
  drop(fd: number): void {
    if (fd < this.#end) this.#words[wordsAt + (fd >>> 5)]! &= ~(1 << (fd & 31));
    else this.#words[beyondAt]! -= 1;
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
    for (let at = wordsAt; at < this.#words.length; at++) {
      for (let word = this.#words[at]!; word !== 0; word &= word - 1) {
        numbers.push((at - wordsAt) * bitsPerWord + 31 - Math.clz32(word & -word));
      }
    }
    return numbers;
  }

  /** For the worker that comes next. */
  clear(): void {
    this.#words.fill(0);
  }
}
