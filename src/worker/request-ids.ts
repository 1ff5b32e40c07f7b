// X-Request-Id and X-Request-Start, written without making strings.

import { randomFillSync } from "node:crypto";
import type { ByteWriter } from "./byte-writer.ts";

/** Random bytes are drawn this many at a time: one call to the system per 256 ids. */
const poolBytes = 4096;
const hex = new TextEncoder().encode("0123456789abcdef");

/** Which bytes an id that a client sent may hold: `[A-Za-z0-9+/=_-]` (the flynn router's alphabet and "_"). */
const allowed = new Uint8Array(256);
for (const byte of new TextEncoder().encode(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-",
)) {
  allowed[byte] = 1;
}

/** Whether a client's id is kept: 20 to 200 characters of the alphabet. */
export function isRequestId(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length < 20 || length > 200) return false;
  for (let i = start; i < end; i++) if (allowed[bytes[i]!] === 0) return false;
  return true;
}

export class RequestIds {
  readonly #pool = new Uint8Array(poolBytes);
  #next = poolBytes;
  /** Of the last id written, which is its first 36 bytes, ASCII; whole words of eight, for the access log. */
  readonly lastView = new DataView(new ArrayBuffer(40));
  readonly last = new Uint8Array(this.lastView.buffer, 0, 36);

  /** Writes a new UUID, version 4 (RFC 9562 section 5.4). */
  write(writer: ByteWriter): void {
    if (this.#next === poolBytes) {
      randomFillSync(this.#pool);
      this.#next = 0;
    }
    const { last } = this;
    let at = 0;
    for (let i = 0; i < 16; i++) {
      let byte = this.#pool[this.#next + i]!;
      if (i === 6) byte = (byte & 0x0f) | 0x40;
      else if (i === 8) byte = (byte & 0x3f) | 0x80;
      if (i === 4 || i === 6 || i === 8 || i === 10) last[at++] = 45;
      last[at++] = hex[byte >> 4]!;
      last[at++] = hex[byte & 15]!;
    }
    this.#next += 16;
    writer.range(last, 0, 36);
  }
}
