// A reused buffer that heads and small bodies are written into before they are sent in one piece.
//
// Hot path: plain loops for short ranges and one call for long ones; nothing is allocated unless the
// buffer must grow, which happens once for the largest head ever seen.

import { copyBytes } from "../io/copy-bytes.ts";

/** Below this many bytes a loop beats a call, which costs 30 ns. */
const loopBytesMax = 28;

const digitsScratch = new Uint8Array(20);
const utf8 = new TextEncoder();

/** Text that is written often, as bytes. ASCII only. */
export function ascii(text: string): Uint8Array {
  return utf8.encode(text);
}

export class ByteWriter {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Holds nothing any more, its buffer included. */
  clear(): void {
    this.bytes = new Uint8Array(0);
    this.length = 0;
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  byte(value: number): void {
    if (this.length === this.bytes.length) this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** source[start..end) */
  range(source: Uint8Array, start: number, end: number): void {
    const count = end - start;
    if (this.length + count > this.bytes.length) this.reserve(count);
    const { bytes } = this;
    let at = this.length;
    this.length = at + count;
    if (count > loopBytesMax) return copyBytes(source, start, end, bytes, at);
    for (let i = start; i < end; i++) bytes[at++] = source[i]!;
  }

  all(source: Uint8Array): void {
    this.range(source, 0, source.length);
  }

  /** Latin-1 text; characters beyond it become "?". */
  text(text: string): void {
    this.reserve(text.length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      bytes[at++] = code < 256 ? code : 63;
    }
    this.length = at;
  }

  /** A whole number >= 0 in decimal. */
  number(value: number): void {
    let count = 0;
    let rest = value;
    do {
      // Beyond 31 bits `| 0` would wrap; lengths and statuses are below.
      const quotient = rest < 0x7fffffff ? (rest / 10) | 0 : Math.floor(rest / 10);
      digitsScratch[count++] = 48 + (rest - quotient * 10);
      rest = quotient;
    } while (rest > 0);
    this.reserve(count);
    while (count > 0) this.bytes[this.length++] = digitsScratch[--count]!;
  }
}
