// Fields of an access-log line that are known long before it is written: what a request said of itself,
// escaped as it will stand in the line, until the request is over.
//
// Knows: how fields are written. Does not know: which there are.
//
// The memory is reused and grows to what the longest request so far needed.

import { accessLogFieldBytesMax } from "../limits.ts";
import type { AccessKey } from "./access-fields.ts";
import { escapeBytesMax, LineBytes, type Piece, quoteByte, slackBytes } from "./line-bytes.ts";

/** Request line, host and id of a typical request fit; a longer one grows the memory once. */
const bytesUsual = 512;
/** Memory up to this size stays with an idle exchange; more is given back. */
const keptBytesMax = 2048;
const nothing = LineBytes.own(0);

export class KeptFields {
  #line = nothing;

  get line(): LineBytes {
    return this.#line;
  }

  /** Bytes so far. Setting it takes the later fields back. */
  get length(): number {
    return this.#line.at;
  }

  set length(length: number) {
    this.#line.at = length;
  }

  /** A whole field, or several. */
  ready(fields: Piece): void {
    this.#reserve(fields.length);
    this.#line.piece(fields);
  }

  /** Bytes of the request, taken as Latin-1; what is beyond `accessLogFieldBytesMax` is cut off. */
  bytesField(key: AccessKey, bytes: Uint8Array, start: number, end: number): void {
    const stop = Math.min(end, start + accessLogFieldBytesMax);
    const keyLength = key.quoted.length;
    this.#reserve(keyLength + stop - start + 1);
    this.#line.piece(key.quoted);
    const rest = this.#line.plain(bytes, start, stop);
    if (rest < stop) {
      this.#reserve((stop - rest) * escapeBytesMax + 1);
      this.#line.escaped(bytes, rest, stop);
    }
    this.#line.byte(quoteByte);
  }

  /** ASCII that needs no escapes: the first `length` bytes of whole words of eight. */
  asciiField(key: AccessKey, ascii: DataView, length: number): void {
    this.#reserve(key.quoted.length + length + 1);
    this.#line.piece(key.quoted);
    this.#line.copy(ascii, 0, length);
    this.#line.byte(quoteByte);
  }

  /** The line was written: memory for an unusually long one is given back. */
  release(): void {
    if (this.#line.bytes.length > keptBytesMax) this.#line = nothing;
  }

  #reserve(count: number): void {
    const { at, bytes } = this.#line;
    const needed = at + count + slackBytes;
    if (needed <= bytes.length) return;
    const grown = LineBytes.own(Math.max(bytesUsual, needed + (needed >> 1)));
    grown.bytes.set(bytes);
    grown.at = at;
    this.#line = grown;
  }
}
