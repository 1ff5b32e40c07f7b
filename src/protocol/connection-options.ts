// What Connection says: whether the connection goes on, and which fields end at the next hop.
//
// Knows: RFC 9110 section 7.6.1. A field that one of our peers names here is not forwarded, with
// one exception: fields whose meaning we know and that are meant for everybody (Cookie, Host,
// X-Forwarded-For and so on) cannot be named away, or a client could take from the backend what
// it decides by.

import { sameRange } from "./authority.ts";
import { Field, fieldOf } from "./field.ts";
import type { HeadFields } from "./head-fields.ts";
import { commaOctet, equalsWord, isBlank, lowerOctet, octetsOf } from "./octets.ts";

const close = octetsOf("close");
const keepAlive = octetsOf("keep-alive");
const upgrade = octetsOf("upgrade");

/** One reused reader; `read` adds one Connection field to what is known. */
export class ConnectionOptions {
  close = false;
  keepAlive = false;
  upgrade = false;
  /** Host or a framing field was named: no honest peer does that. */
  namesFraming = false;

  readonly #unknown: UnknownFields;

  constructor(fieldsMax: number) {
    this.#unknown = new UnknownFields(fieldsMax);
  }

  reset(): void {
    this.#unknown.forget();
    this.close = false;
    this.keepAlive = false;
    this.upgrade = false;
    this.namesFraming = false;
  }

  /** Reads the Connection field `index`, and marks the fields it names as dropped. */
  read(bytes: Uint8Array, fields: HeadFields, index: number): void {
    const end = fields.valueEnd[index]!;
    let at = fields.valueStart[index]!;
    while (at < end) {
      while (at < end && (isBlank(bytes[at]!) || bytes[at] === commaOctet)) at++;
      const start = at;
      while (at < end && bytes[at] !== commaOctet) at++;
      let optionEnd = at;
      while (optionEnd > start && isBlank(bytes[optionEnd - 1]!)) optionEnd--;
      if (optionEnd > start) this.#readOption(bytes, start, optionEnd, fields);
    }
  }

  #readOption(bytes: Uint8Array, start: number, end: number, fields: HeadFields): void {
    if (equalsWord(bytes, start, end, close)) {
      this.close = true;
    } else if (equalsWord(bytes, start, end, keepAlive)) {
      this.keepAlive = true;
    } else if (equalsWord(bytes, start, end, upgrade)) {
      this.upgrade = true;
    } else {
      const kind = fieldOf(bytes, start, end);
      if (kind === Field.Other) this.#unknown.drop(bytes, start, end, fields);
      else if (isFraming(kind)) this.namesFraming = true;
    }
  }
}

function isFraming(kind: number): boolean {
  return kind === Field.Host || kind === Field.ContentLength || kind === Field.TransferEncoding;
}

const slotCount = 256;

// The fields whose names we do not know, by a hash of the name, made when the first of them is
// named. 8000 options and 120 fields fit into a head of 15 KiB: comparing each with each took 50
// to 100 times as long as this.
class UnknownFields {
  /** First field of a slot, as index + 1. */
  readonly #first = new Int16Array(slotCount);
  /** Next field of the same slot, as index + 1. */
  readonly #next: Int16Array;
  #filled = false;

  constructor(fieldsMax: number) {
    this.#next = new Int16Array(fieldsMax);
  }

  forget(): void {
    this.#filled = false;
  }

  /** Marks every field with the name in `bytes[start..end)`; each leaves its slot by that. */
  drop(bytes: Uint8Array, start: number, end: number, fields: HeadFields): void {
    if (!this.#filled) this.#fill(bytes, fields);
    const slot = slotOf(bytes, start, end);
    let before = 0;
    let entry = this.#first[slot]!;
    while (entry !== 0) {
      const index = entry - 1;
      const next = this.#next[index]!;
      if (sameRange(bytes, fields.nameStart[index]!, fields.nameEnd[index]!, start, end)) {
        fields.dropped[index] = 1;
        if (before === 0) this.#first[slot] = next;
        else this.#next[before - 1] = next;
      } else {
        before = entry;
      }
      entry = next;
    }
  }

  #fill(bytes: Uint8Array, fields: HeadFields): void {
    this.#filled = true;
    this.#first.fill(0);
    for (let index = 0; index < fields.count; index++) {
      const slot = slotOf(bytes, fields.nameStart[index]!, fields.nameEnd[index]!);
      this.#next[index] = this.#first[slot]!;
      this.#first[slot] = index + 1;
    }
  }
}

function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let at = start; at < end; at++) hash = (hash * 31 + lowerOctet[bytes[at]!]!) & 0xffff;
  return (hash ^ (hash >> 8)) & (slotCount - 1);
}
