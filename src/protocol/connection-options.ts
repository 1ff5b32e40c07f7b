// What Connection says: whether the connection goes on, and which fields end at the next hop.
//
// Knows: RFC 9110 section 7.6.1. A field that one of our peers names here is not forwarded, with
// one exception: fields whose meaning we know and that are meant for everybody (Cookie, Host,
// X-Forwarded-For and so on) cannot be named away, or a client could take from the backend what
// it decides by.

import { sameRange } from "./authority.ts";
import { Field, fieldOf } from "./field.ts";
import type { HeadFields } from "./head-fields.ts";
import { commaOctet, equalsWord, isBlank, octetsOf } from "./octets.ts";

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

  reset(): void {
    this.close = false;
    this.keepAlive = false;
    this.upgrade = false;
    this.namesFraming = false;
  }

  /**
   * Reads the Connection field `index`, and marks the fields it names as dropped.
   *
   * Costs at most options × fields, both bounded by the head's limits; per octet received that is
   * no more than ordinary small requests cost.
   */
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
      if (kind === Field.Other) dropNamed(bytes, start, end, fields);
      else if (isFraming(kind)) this.namesFraming = true;
    }
  }
}

function isFraming(kind: number): boolean {
  return kind === Field.Host || kind === Field.ContentLength || kind === Field.TransferEncoding;
}

function dropNamed(bytes: Uint8Array, start: number, end: number, fields: HeadFields): void {
  for (let index = 0; index < fields.count; index++) {
    if (fields.kind[index] !== Field.Other || fields.dropped[index] === 1) continue;
    const nameStart = fields.nameStart[index]!;
    if (sameRange(bytes, nameStart, fields.nameEnd[index]!, start, end)) fields.dropped[index] = 1;
  }
}
