// Keeps a file that is only appended to from filling the machine's page cache.
//
// Knows: how much was appended. Does not know: how a cache is emptied, which is handed in.
//
// A log of gigabytes is rarely read again by the machine that writes it, yet each of its pages would be
// memory that is fetched anew. Memory that a log uses over and over costs a sixth of the CPU where
// fetching it is dear, as in a virtual machine (docs/decisions/0035). What follows the log closely, a
// shipper or `tail`, still finds its end in memory.

/** Bytes of the file's end that stay cached, and bytes between two trims. */
const cachedBytesMin = 16 * 1024 * 1024;
const trimEveryBytes = 4 * 1024 * 1024;

/** Forgets what is cached of a range; resolves in any case. */
export type DropCached = (fd: number, offset: number, length: number) => Promise<void>;

export class CacheTrim {
  readonly #fd: number;
  readonly #dropCached: DropCached;
  #length: number;
  /** Everything before it was asked to be forgotten twice: first written, then dropped. */
  #trimmed: number;
  #running: Promise<void> | undefined;

  /** @param length Of the file so far; what is there stays as it is. */
  constructor(fd: number, length: number, dropCached: DropCached) {
    this.#fd = fd;
    this.#length = length;
    this.#trimmed = length;
    this.#dropCached = dropCached;
  }

  /** `count` more bytes are in the file. Never waits: at most one trim runs, and the next makes up for it. */
  appended(count: number): void {
    this.#length += count;
    const due = this.#length - this.#trimmed - cachedBytesMin;
    if (due < trimEveryBytes || this.#running !== undefined) return;
    // From one step back, because what was only just being written then could not be dropped.
    const from = Math.max(0, this.#trimmed - trimEveryBytes);
    this.#trimmed += due;
    this.#running = this.#dropCached(this.#fd, from, this.#trimmed - from).finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves when nothing uses the file any more. */
  async settled(): Promise<void> {
    await this.#running;
  }
}
