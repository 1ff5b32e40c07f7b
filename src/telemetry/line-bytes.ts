// JSON text as bytes in memory that is reused: keys, escaped values, numbers, copied or written in place.
//
// Knows: JSON strings and numbers. Does not know: lines, pages, what the fields mean, how much room
// there is: whoever writes makes sure of it, with `slackBytes` to spare.
//
// This is the hot path, and ugly for it. A call of `set` costs more than what it copies here, and into
// shared memory it copies byte by byte; so what is ready is moved eight bytes at a time, as numbers
// that mean nothing. Everything written is ASCII, and eight ASCII bytes are never a NaN (its first two
// bytes would be 7F F0 or more), whose bits an engine may change.

/** Bytes beyond the end of what was written that a copy may touch, and that must exist. */
export const slackBytes = 8;
/** Sign, 16 digits, dot, 3 digits. */
export const numberBytesMax = 21;
/** `\u00XX` */
export const escapeBytesMax = 6;

/** A text begins with its key and ends with this. */
export const quoteByte = 0x22;

/** ASCII text that is written as a whole. */
export interface Piece {
  readonly words: Float64Array;
  readonly length: number;
}

/** @param text ASCII. */
export function pieceOf(text: string): Piece {
  const bytes = new Uint8Array(Math.ceil(text.length / 8) * 8);
  new TextEncoder().encodeInto(text, bytes);
  const view = new DataView(bytes.buffer);
  const words = new Float64Array(bytes.length / 8);
  for (let i = 0; i < words.length; i++) words[i] = view.getFloat64(i * 8, true);
  return { words, length: text.length };
}

export class LineBytes {
  bytes: Uint8Array;
  view: DataView;
  /** Where the next byte goes. */
  at = 0;

  constructor(bytes: Uint8Array, view: DataView) {
    this.bytes = bytes;
    this.view = view;
  }

  /** In memory of its own. */
  static own(length: number): LineBytes {
    const bytes = new Uint8Array(length + slackBytes);
    return new LineBytes(bytes, new DataView(bytes.buffer));
  }

  byte(value: number): void {
    this.bytes[this.at++] = value;
  }

  piece(piece: Piece): void {
    const { words } = piece;
    const { view, at } = this;
    for (let i = 0; i < words.length; i++) view.setFloat64(at + i * 8, words[i]!, true);
    this.at = at + piece.length;
  }

  /** ASCII of `source[start..end)`, as it is. */
  copy(source: DataView, start: number, end: number): void {
    const { view, at } = this;
    const shift = at - start;
    for (let i = start; i < end; i += 8) {
      view.setFloat64(i + shift, source.getFloat64(i, true), true);
    }
    this.at = end + shift;
  }

  /**
   * Latin-1 that stands in a JSON string as it is, up to the first four bytes of which one does not;
   * answers where those begin, or `end`.
   */
  plain(source: Uint8Array, start: number, end: number): number {
    const { view } = this;
    let at = this.at;
    let i = start;
    for (; i + 4 <= end; i += 4) {
      const word =
        source[i]! | (source[i + 1]! << 8) | (source[i + 2]! << 16) | (source[i + 3]! << 24);
      if (escapesIn(word)) break;
      view.setInt32(at, word, true);
      at += 4;
    }
    this.at = at;
    return i + 4 <= end ? i : this.#plainRest(source, i, end);
  }

  /** Of fewer than four bytes; blanks stand for those that are not there. */
  #plainRest(source: Uint8Array, start: number, end: number): number {
    if (start === end) return end;
    let word = fourBlanks;
    for (let i = end - 1; i >= start; i--) word = (word << 8) | source[i]!;
    if (escapesIn(word)) return start;
    this.view.setInt32(this.at, word, true);
    this.at += end - start;
    return end;
  }

  /** Latin-1 as the inside of a JSON string. */
  escaped(source: Uint8Array, start: number, end: number): void {
    const { bytes } = this;
    let at = this.at;
    for (let i = start; i < end; i++) {
      const byte = source[i]!;
      if (plainByte[byte] === 1) bytes[at++] = byte;
      else at = writeEscape(bytes, at, byte);
    }
    this.at = at;
  }

  /** The first `length` UTF-16 units of a text as the inside of a JSON string. */
  escapedText(text: string, length: number): void {
    const { bytes } = this;
    let at = this.at;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      // The bound keeps the read inside the table; beyond it everything is escaped anyway.
      if (code < 128 && plainByte[code] === 1) bytes[at++] = code;
      else at = writeEscape(bytes, at, code);
    }
    this.at = at;
  }

  /** A number with three decimals, or none if it is whole; what is no safe number is null. */
  number(value: number): void {
    const whole = value | 0;
    if (whole === value && whole >= 0) this.#whole(whole);
    else if (value > 0 && value < fastValueMax) this.thousandths(Math.round(value * 1000));
    else this.#rareNumber(value);
  }

  /** Below 2^31. */
  #whole(value: number): void {
    if (value < 1000) return this.#short(value);
    if (value >= 1_000_000) return this.#large(value);
    const thousands = (value / 1000) | 0;
    this.#short(thousands);
    this.digits3(value - thousands * 1000);
  }

  /** So many thousandths as a number with three decimals, or none. @param thousandths 0 to 2^31 - 1 */
  thousandths(thousandths: number): void {
    const whole = (thousandths / 1000) | 0;
    this.#whole(whole);
    const rest = thousandths - whole * 1000;
    if (rest === 0) return;
    this.bytes[this.at++] = dot;
    this.digits3(rest);
  }

  #rareNumber(value: number): void {
    if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) return this.piece(nullPiece);
    const size = Math.abs(value);
    let whole = Math.floor(size);
    let thousandths = Math.round((size - whole) * 1000);
    if (thousandths === 1000) {
      whole++;
      thousandths = 0;
    }
    if (value < 0 && (whole > 0 || thousandths > 0)) this.bytes[this.at++] = minus;
    this.#large(whole);
    if (thousandths === 0) return;
    this.bytes[this.at++] = dot;
    this.digits3(thousandths);
  }

  #large(value: number): void {
    if (value < 1000) return this.#short(value);
    const thousands = Math.floor(value / 1000);
    this.#large(thousands);
    this.digits3(value - thousands * 1000);
  }

  #short(value: number): void {
    this.view.setInt32(this.at, shortDigits[value]!, true);
    this.at += value < 10 ? 1 : value < 100 ? 2 : 3;
  }

  /** Exactly three digits of 0 to 999. */
  digits3(value: number): void {
    this.view.setInt32(this.at, threeDigits[value]!, true);
    this.at += 3;
  }
}

/** Whether one of the four bytes may not stand in a JSON string of ASCII as it is. */
function escapesIn(word: number): boolean {
  const quotes = word ^ 0x22222222;
  const backslashes = word ^ 0x5c5c5c5c;
  // A byte's highest bit, in turn: beyond ASCII; 0x7f; below 0x20; a quote; a backslash. What is carried
  // from one byte into the next comes from a byte that has been found already.
  const found =
    word |
    (word + 0x01010101) |
    (word - 0x20202020) |
    (quotes - 0x01010101) |
    (backslashes - 0x01010101);
  return (found & highBits) !== 0;
}

/** Writes \" or \\ or \uXXXX and answers where the next byte goes. */
function writeEscape(buffer: Uint8Array, from: number, code: number): number {
  let at = from;
  buffer[at++] = backslash;
  if (code === quoteByte || code === backslash) {
    buffer[at++] = code;
    return at;
  }
  buffer[at++] = letterU;
  for (let shift = 12; shift >= 0; shift -= 4) buffer[at++] = hexDigits[(code >> shift) & 15]!;
  return at;
}

const highBits = 0x80808080;
const fourBlanks = 0x20202020;

const minus = 0x2d;
const dot = 0x2e;
const backslash = 0x5c;
const letterU = 0x75;
const hexDigits = new TextEncoder().encode("0123456789abcdef");
const nullPiece = pieceOf("null");
/** Below it, a thousandth of it is a 32-bit number. */
const fastValueMax = 2_000_000;

/** 1 for bytes that stand in a JSON string as they are: printable ASCII without quote and backslash. */
const plainByte = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f && byte !== quoteByte && byte !== backslash ? 1 : 0,
);

/** The digits of 0 to 999, the first in the lowest byte; without and with leading zeros. */
const shortDigits = Int32Array.from({ length: 1000 }, (_, value) => packed(`${value}`));
const threeDigits = Int32Array.from({ length: 1000 }, (_, value) =>
  packed(`${value}`.padStart(3, "0")),
);

function packed(digits: string): number {
  let word = 0;
  for (let i = digits.length - 1; i >= 0; i--) word = (word << 8) | digits.charCodeAt(i);
  return word;
}
