// Via (RFC 9110 section 7.6.3): by which version a message came to us, and what we are called.
//
// Ours is a line of its own behind those of others: several lines are one list (section 5.3). Why it is
// written unless an operator turns it off: docs/decisions/0023-via.md.

import { Field } from "../protocol/field.ts";
import type { HeadFields } from "../protocol/head-fields.ts";
import { commaOctet, equalsWord, isBlank, octetsOf } from "../protocol/octets.ts";
import { ascii } from "./byte-writer.ts";

const openOctet = 0x28;
const closeOctet = 0x29;
const backslash = 0x5c;

export class Via {
  readonly #lines: readonly [Uint8Array, Uint8Array];
  readonly #name: Uint8Array;

  /** @param name A pseudonym, or HOST[:PORT]. */
  constructor(name: string) {
    this.#lines = [ascii(`Via: 1.0 ${name}\r\n`), ascii(`Via: 1.1 ${name}\r\n`)];
    this.#name = octetsOf(name.toLowerCase());
  }

  /** "Via: 1.1 crosspoint\r\n". @param minor Of the version by which the message was received. */
  line(minor: 0 | 1): Uint8Array {
    return this.#lines[minor];
  }

  /** How often the message has been here, as its Via fields tell. */
  timesNamed(bytes: Uint8Array, fields: HeadFields): number {
    let times = 0;
    for (let index = 0; index < fields.count; index++) {
      if (fields.kind[index] !== Field.Via) continue;
      times += this.#timesIn(bytes, fields.valueStart[index]!, fields.valueEnd[index]!);
    }
    return times;
  }

  /** A list of: received-protocol, blanks, received-by, perhaps a comment. */
  #timesIn(bytes: Uint8Array, start: number, end: number): number {
    let times = 0;
    let at = start;
    while (at < end) {
      at = wordEnd(bytes, skipBlanks(bytes, at, end), end);
      const nameStart = skipBlanks(bytes, at, end);
      const nameEnd = wordEnd(bytes, nameStart, end);
      if (equalsWord(bytes, nameStart, nameEnd, this.#name)) times++;
      at = nextMember(bytes, nameEnd, end);
    }
    return times;
  }
}

function skipBlanks(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isBlank(bytes[at]!)) at++;
  return at;
}

function wordEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] !== commaOctet && !isBlank(bytes[at]!)) at++;
  return at;
}

/** Behind the next comma that stands in no comment (RFC 9110 section 5.6.5), or `end`. */
function nextMember(bytes: Uint8Array, start: number, end: number): number {
  let depth = 0;
  let at = start;
  while (at < end) {
    const octet = bytes[at++];
    if (octet === openOctet) depth++;
    else if (octet === closeOctet) depth--;
    else if (octet === backslash) at++;
    else if (octet === commaOctet && depth <= 0) break;
  }
  return Math.min(at, end);
}
