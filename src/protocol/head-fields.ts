// The field lines of a head: where each name and value lies, in reused typed arrays.
//
// Knows: RFC 9112 section 5 (field syntax) and nothing of what a field means. Strict on purpose: a
// line that is accepted can be copied on as it is. Bare CR or LF, folded lines, white spaceOctet before
// the colonOctet, control octets and empty names are refused, never repaired (RFC 9112 section 11.2).
//
// A prefix is judged as the whole would be: a broken octet is an error as soon as it is there, an
// unfinished line is "need more". So it makes no difference how the network cut the head.

import { Field, fieldOf, lookAlikeOf } from "./field.ts";
import {
  colonOctet,
  crOctet,
  isBlank,
  lfOctet,
  octetClass,
  spaceOctet,
  tokenOctet,
  valueOctet,
} from "./octets.ts";
import { skipPrintable, WordView } from "./word-view.ts";

/** What `read` answers besides an index. */
export const FieldsResult = {
  NeedMore: 0,
  Malformed: -1,
  TooMany: -2,
} as const;

const tab = 9;
const underscore = 0x5f;

/** The fields of one head; offsets are absolute in the array that was parsed. */
export class HeadFields {
  /** How many of the entries below hold. */
  count = 0;
  readonly nameStart: Int32Array;
  readonly nameEnd: Int32Array;
  /** The value without the white spaceOctet around it. */
  readonly valueStart: Int32Array;
  readonly valueEnd: Int32Array;
  /** Index after the line's CRLF. */
  readonly lineEnd: Int32Array;
  /** A `Field`. */
  readonly kind: Uint8Array;
  /** 1: not to be forwarded. */
  readonly dropped: Uint8Array;
  /** For names with "_": the `Field` they would be with "-", else Other. */
  readonly lookAlike: Uint8Array;
  /** A short constant reason when `read` answered Malformed or TooMany. */
  error = "";

  readonly #words = new WordView();

  constructor(fieldsMax: number) {
    this.nameStart = new Int32Array(fieldsMax);
    this.nameEnd = new Int32Array(fieldsMax);
    this.valueStart = new Int32Array(fieldsMax);
    this.valueEnd = new Int32Array(fieldsMax);
    this.lineEnd = new Int32Array(fieldsMax);
    this.kind = new Uint8Array(fieldsMax);
    this.dropped = new Uint8Array(fieldsMax);
    this.lookAlike = new Uint8Array(fieldsMax);
  }

  /** Reads field lines up to and with the empty line: index after it, or a `FieldsResult`. */
  read(bytes: Uint8Array, start: number, end: number): number {
    this.count = 0;
    this.error = "";
    const view = this.#words.of(bytes);
    let at = start;
    for (;;) {
      if (at >= end) return FieldsResult.NeedMore;
      if (bytes[at] === crOctet) return this.#readEmptyLine(bytes, at, end);
      if (this.count === this.kind.length)
        return this.#fail(FieldsResult.TooMany, "too-many-fields");
      at = this.#readLine(bytes, view, at, end);
      if (at <= 0) return at;
    }
  }

  #readEmptyLine(bytes: Uint8Array, at: number, end: number): number {
    if (at + 1 >= end) return FieldsResult.NeedMore;
    if (bytes[at + 1] !== lfOctet) return this.#fail(FieldsResult.Malformed, "bad-line-end");
    return at + 2;
  }

  // The loops below are the hot path: one table look-up per octet, or four octets at once, no calls.
  #readLine(bytes: Uint8Array, view: DataView | undefined, start: number, end: number): number {
    let at = start;
    let underscores = 0;
    while (at < end && (octetClass[bytes[at]!]! & tokenOctet) !== 0) {
      if (bytes[at] === underscore) underscores++;
      at++;
    }
    if (at === end) return FieldsResult.NeedMore;
    if (bytes[at] !== colonOctet || at === start) return this.#failName(bytes, start, at);
    const nameEnd = at;
    at++;
    while (at < end && (bytes[at] === spaceOctet || bytes[at] === tab)) at++;
    const valueStart = at;
    if (view !== undefined) at = skipPrintable(view, at, end);
    while (at < end && (octetClass[bytes[at]!]! & valueOctet) !== 0) at++;
    if (at === end) return FieldsResult.NeedMore;
    if (bytes[at] !== crOctet) return this.#failValue(bytes, at);
    if (at + 1 === end) return FieldsResult.NeedMore;
    if (bytes[at + 1] !== lfOctet) return this.#fail(FieldsResult.Malformed, "bare-cr");
    let valueEnd = at;
    while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1]!)) valueEnd--;
    const index = this.count++;
    this.nameStart[index] = start;
    this.nameEnd[index] = nameEnd;
    this.valueStart[index] = valueStart;
    this.valueEnd[index] = valueEnd;
    this.lineEnd[index] = at + 2;
    this.kind[index] = fieldOf(bytes, start, nameEnd);
    this.dropped[index] = 0;
    this.lookAlike[index] = underscores === 0 ? Field.Other : lookAlikeOf(bytes, start, nameEnd);
    return at + 2;
  }

  #failName(bytes: Uint8Array, start: number, at: number): number {
    const octet = bytes[at];
    if (octet === lfOctet || octet === crOctet)
      return this.#fail(FieldsResult.Malformed, "bad-line-end");
    if (at > start) return this.#fail(FieldsResult.Malformed, "bad-field-name");
    const blank = octet === spaceOctet || octet === tab;
    return this.#fail(FieldsResult.Malformed, blank ? "folded-field" : "bad-field-name");
  }

  #failValue(bytes: Uint8Array, at: number): number {
    return this.#fail(
      FieldsResult.Malformed,
      bytes[at] === lfOctet ? "bare-lf" : "bad-field-value",
    );
  }

  #fail(result: number, error: string): number {
    this.error = error;
    return result;
  }
}
