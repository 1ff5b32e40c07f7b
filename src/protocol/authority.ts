// host [ ":" port ], as Host and absolute-form carry it (RFC 9110 section 4.2, RFC 3986 section 3.2).
//
// Narrower than the RFC: a host is a domain name or an IP literal. No user information, no lists,
// no escapes, no empty labels: nothing that two readers could take for two different hosts.

import { colonOctet, hostOctet, literalOctet, lowerOctet, octetClass } from "./octets.ts";

const dot = 0x2e;
const bracketOpen = 0x5b;
const bracketClose = 0x5d;
const portMax = 65_535;

/** One reused reader; `parse` fills it. */
export class Authority {
  hostStart = 0;
  /** Without a trailing dot. */
  hostEnd = 0;
  /** -1 when none, or an empty one, was given. */
  port = -1;

  /** True when `bytes[start..end)` is a host with an optional port. */
  parse(bytes: Uint8Array, start: number, end: number): boolean {
    this.hostStart = start;
    this.port = -1;
    if (start === end) return false;
    const afterHost =
      bytes[start] === bracketOpen
        ? this.#readLiteral(bytes, start, end)
        : this.#readName(bytes, start, end);
    if (afterHost < 0) return false;
    if (afterHost === end) return true;
    return bytes[afterHost] === colonOctet && this.#readPort(bytes, afterHost + 1, end);
  }

  #readName(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    let labelStart = start;
    for (; at < end; at++) {
      const octet = bytes[at]!;
      if ((octetClass[octet]! & hostOctet) === 0) break;
      if (octet !== dot) continue;
      if (at === labelStart) return -1;
      labelStart = at + 1;
    }
    if (at === start) return -1;
    this.hostEnd = labelStart === at ? at - 1 : at;
    return at;
  }

  #readLiteral(bytes: Uint8Array, start: number, end: number): number {
    let at = start + 1;
    let colons = 0;
    while (at < end && (octetClass[bytes[at]!]! & literalOctet) !== 0) {
      if (bytes[at] === colonOctet) colons++;
      at++;
    }
    if (colons < 2 || at === end || bytes[at] !== bracketClose) return -1;
    this.hostEnd = at + 1;
    return at + 1;
  }

  #readPort(bytes: Uint8Array, start: number, end: number): boolean {
    if (start === end) return true;
    let port = 0;
    for (let at = start; at < end; at++) {
      const digit = bytes[at]! - 0x30;
      if (digit < 0 || digit > 9) return false;
      port = port * 10 + digit;
      if (port > portMax) return false;
    }
    this.port = port;
    return true;
  }
}

/** Whether both ranges hold the same octets, whatever their case. */
export function sameRange(
  bytes: Uint8Array,
  start: number,
  end: number,
  otherStart: number,
  otherEnd: number,
): boolean {
  const length = end - start;
  if (length !== otherEnd - otherStart) return false;
  for (let index = 0; index < length; index++) {
    if (lowerOctet[bytes[start + index]!] !== lowerOctet[bytes[otherStart + index]!]) return false;
  }
  return true;
}
