// Bytes that wait to be sent behind others, gathered in one buffer however small they came: a peer that does not read
// must not make a thousand objects wait for it.

/** What the buffer has to spare at most: a connection that waits holds little more than its bytes. */
const spareBytesMax = 4096;
const noBytes: Buffer = Buffer.alloc(0);

export class WaitingBytes {
  length = 0;
  #bytes = noBytes;

  /** Takes a copy of source[start..end). */
  add(source: Uint8Array, start: number, end: number): void {
    const needed = this.length + (end - start);
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(needed + Math.min(needed, spareBytesMax));
      grown.set(this.#bytes.subarray(0, this.length));
      this.#bytes = grown;
    }
    this.#bytes.set(source.subarray(start, end), this.length);
    this.length = needed;
  }

  /** All of them, in a buffer that is the caller's from now on; undefined: none wait. */
  take(): Buffer | undefined {
    if (this.length === 0) return undefined;
    const taken = this.#bytes.subarray(0, this.length);
    this.#bytes = noBytes;
    this.length = 0;
    return taken;
  }
}
