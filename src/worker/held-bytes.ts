// Bytes that arrived before they could be used. Holds no memory while it holds no bytes.

const noBytes = new Uint8Array(0);
/** A buffer up to this size is kept for the next time; a larger one is given back. */
const keptBytesMax = 2048;

export class HeldBytes {
  /** Valid from `start` to `end`. */
  bytes: Uint8Array = noBytes;
  start = 0;
  end = 0;

  get length(): number {
    return this.end - this.start;
  }

  /** Appends a copy of source[from..to). */
  add(source: Uint8Array, from: number, to: number): void {
    const count = to - from;
    if (this.end + count > this.bytes.length) this.#makeRoom(count);
    this.bytes.set(source.subarray(from, to), this.end);
    this.end += count;
  }

  /** What is before `at` was used. */
  dropTo(at: number): void {
    if (at >= this.end) this.clear();
    else this.start = at;
  }

  clear(): void {
    this.start = this.end = 0;
    if (this.bytes.length > keptBytesMax) this.bytes = noBytes;
  }

  #makeRoom(count: number): void {
    const needed = this.length + count;
    const room =
      needed <= this.bytes.length ? this.bytes : new Uint8Array(Math.max(512, needed * 2));
    room.set(this.bytes.subarray(this.start, this.end));
    this.bytes = room;
    this.end = this.length;
    this.start = 0;
  }
}
