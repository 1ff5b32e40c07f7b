// X-Request-Id and X-Request-Start, written without making strings.

import { randomFillSync } from "node:crypto";
import type { ByteWriter } from "./byte-writer.ts";

/** Random bytes are drawn this many at a time: one call to the system per 1,024 ids. */
const poolBytes = 16 * 1024;
/** The two digits of each byte, in the order in which they are written. */
const hexPairs = Uint16Array.from({ length: 256 }, (_, byte) => {
  const pair = byte.toString(16).padStart(2, "0");
  return (pair.charCodeAt(0) << 8) | pair.charCodeAt(1);
});
/** Where the digits of each of the 16 bytes stand in "00000000-0000-0000-0000-000000000000". */
const pairAt = Uint8Array.of(0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34);

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

  constructor() {
    this.last.set(new TextEncoder().encode("00000000-0000-0000-0000-000000000000"));
  }

  /** Writes a new UUID, version 4 (RFC 9562 section 5.4). */
  write(writer: ByteWriter): void {
    if (this.#next === poolBytes) {
      randomFillSync(this.#pool);
      this.#next = 0;
    }
    const next = this.#next;
    const pool = this.#pool;
    pool[next + 6] = (pool[next + 6]! & 0x0f) | 0x40;
    pool[next + 8] = (pool[next + 8]! & 0x3f) | 0x80;
    const digits = this.lastView;
    for (let i = 0; i < 16; i++) digits.setUint16(pairAt[i]!, hexPairs[pool[next + i]!]!);
    this.#next = next + 16;
    writer.range(this.last, 0, 36);
  }
}
