// Forwarded (RFC 7239): who asked, over what and for which host, in one field beside X-Forwarded-*.
//
// One element of our own, in a line of its own: several lines are one list (section 7.1), so what a
// trusted proxy wrote before us is continued without being touched. `by` is left out (section 5.1 lets
// us): the port is in X-Forwarded-Port, and nobody asked for more.

import { colonOctet } from "../protocol/octets.ts";
import { ascii, type ByteWriter } from "./byte-writer.ts";

const host = ascii(";host=");
const quote = 0x22;

/** "Forwarded: for=192.0.2.1;proto=http", the part that all requests of a connection share. */
export function forwardedStart(address: string): Uint8Array {
  return ascii(`Forwarded: for=${nodeOf(address)};proto=http`);
}

/** Section 6: IPv6 in brackets, and quoted since brackets are no part of a token; without a zone. */
function nodeOf(address: string): string {
  if (address === "") return "unknown";
  return address.includes(":") ? `"[${address.replace(/%.*$/, "")}]"` : address;
}

/** Appends the line; `bytes[authorityStart..authorityEnd)` is the host with its port, checked before. */
export function writeForwarded(
  writer: ByteWriter,
  start: Uint8Array,
  bytes: Uint8Array,
  authorityStart: number,
  authorityEnd: number,
): void {
  writer.all(start);
  if (authorityEnd > authorityStart) {
    writer.all(host);
    // Of what a host may hold only ":" and the brackets, which never come without it, are no token.
    const quoted = hasColon(bytes, authorityStart, authorityEnd);
    if (quoted) writer.byte(quote);
    writer.range(bytes, authorityStart, authorityEnd);
    if (quoted) writer.byte(quote);
  }
  writer.byte(13);
  writer.byte(10);
}

function hasColon(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === colonOctet) return true;
  return false;
}
