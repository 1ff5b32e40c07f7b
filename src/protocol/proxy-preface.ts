// The PROXY protocol, read: what a proxy before us says about the client, ahead of the client's bytes.
//
// Knows: versions 1 and 2 of HAProxy's doc/proxy-protocol.txt. Does not know whose word counts, nor
// how long to wait. Strict, since whoever can make us read one otherwise than its sender meant it
// chooses the client's address: no guess, no repair.
//
// A reading depends on nothing but the bytes that lie before its decision: each check looks at the
// earliest bytes that can fail it, so that more bytes, or other pieces, never change the outcome.

import { crc32c } from "./crc32c.ts";
import { ipText, ipv4Octets, ipv6Octets } from "./ip-octets.ts";
import { crOctet, lfOctet, octetsOf } from "./octets.ts";

/** Whom a connection was made by, and to where. */
export interface PrefaceEnds {
  /** "192.0.2.1" or "2001:db8::1". */
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

/** A type-length-value record of version 2: kept as it came, believed by nobody. */
export interface PrefaceRecord {
  readonly type: number;
  readonly value: Uint8Array;
}

export interface Preface {
  readonly version: 1 | 2;
  /** undefined: it names nobody (LOCAL, UNKNOWN, UNIX, UDP): the connection's own ends hold. */
  readonly ends: PrefaceEnds | undefined;
  readonly records: readonly PrefaceRecord[];
}

export type PrefaceReading =
  | { readonly kind: "incomplete" }
  | { readonly kind: "refused"; readonly why: string }
  /** `end`: where the client's own bytes begin. */
  | { readonly kind: "whole"; readonly end: number; readonly preface: Preface };

/** Octets of the longest line of version 1, its CRLF included (section 2.1). */
export const lineBytesMax = 107;
const lineBegin = octetsOf("PROXY ");
export const signature = octetsOf("\r\n\r\n\0\r\nQUIT\n");
/** Signature, version and command, family and transport, length (section 2.2). */
export const fixedBytes = 16;
const checksumType = 3;
const incomplete: PrefaceReading = { kind: "incomplete" };
const refused = (why: string): PrefaceReading => ({ kind: "refused", why });

/**
 * Reads the preface at the beginning of bytes[start..end), of which more may follow.
 * @param bytesMax A longer one is refused.
 */
export function readPreface(
  bytes: Uint8Array,
  start: number,
  end: number,
  bytesMax: number,
): PrefaceReading {
  if (start === end) return incomplete;
  return bytes[start] === signature[0]
    ? readBinary(bytes, start, end, bytesMax)
    : readLine(bytes, start, end);
}

function beginsWith(bytes: Uint8Array, start: number, end: number, begin: Uint8Array): boolean {
  const length = Math.min(end - start, begin.length);
  for (let at = 0; at < length; at++) if (bytes[start + at] !== begin[at]) return false;
  return true;
}

// --- version 1: "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"

function readLine(bytes: Uint8Array, start: number, end: number): PrefaceReading {
  if (!beginsWith(bytes, start, end, lineBegin)) return refused("it does not begin with a preface");
  const limit = Math.min(end, start + lineBytesMax);
  let at = start;
  while (at < limit && bytes[at] !== lfOctet) at++;
  if (at === limit) {
    return end - start < lineBytesMax
      ? incomplete
      : refused(`no CRLF within ${lineBytesMax} bytes`);
  }
  if (bytes[at - 1] !== crOctet) return refused("the line ends without CR");
  const line = String.fromCharCode(...bytes.subarray(start, at - 1));
  if (/^PROXY UNKNOWN(?: [^\r]*)?$/.test(line)) return lineRead(undefined, at + 1);
  const ends = endsOfLine(line);
  return ends === undefined ? refused("the line is malformed") : lineRead(ends, at + 1);
}

const lineRead = (ends: PrefaceEnds | undefined, end: number): PrefaceReading => ({
  kind: "whole",
  end,
  preface: { version: 1, ends, records: [] },
});

const linePattern = /^PROXY TCP([46]) ([^ ]+) ([^ ]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/;

function endsOfLine(line: string): PrefaceEnds | undefined {
  const [, family, from = "", to = "", fromPort, toPort] = linePattern.exec(line) ?? [];
  const octetsOfIp = family === "4" ? ipv4Octets : ipv6Octets;
  const source = octetsOfIp(from);
  const destination = octetsOfIp(to);
  const sourcePort = Number(fromPort);
  const destinationPort = Number(toPort);
  if (source === undefined || destination === undefined) return undefined;
  if (sourcePort > 65_535 || destinationPort > 65_535) return undefined;
  return { source: ipText(source), sourcePort, destination: ipText(destination), destinationPort };
}

// --- version 2

/** Octets of both addresses and ports, by family: none, IPv4, IPv6, UNIX. UNIX has paths of 108 and no ports. */
const endsBytes = [0, 12, 36, 216] as const;

function readBinary(
  bytes: Uint8Array,
  start: number,
  end: number,
  bytesMax: number,
): PrefaceReading {
  const known = end - start;
  if (!beginsWith(bytes, start, end, signature)) return refused("it does not begin with a preface");
  if (known < 13) return incomplete;
  if (bytes[start + 12]! >>> 4 !== 2) return refused("its version is not 2");
  const command = bytes[start + 12]! & 15;
  if (command > 1) return refused("its command is neither LOCAL nor PROXY");
  if (known < 14) return incomplete;
  const family = bytes[start + 13]! >>> 4;
  const transport = bytes[start + 13]! & 15;
  const isLocal = command === 0;
  // Of LOCAL everything is ignored, the family too.
  if (!isLocal && (family > 3 || transport > 2)) {
    return refused("its address family or transport is not assigned");
  }
  if (known < fixedBytes) return incomplete;
  const after = start + fixedBytes + ((bytes[start + 14]! << 8) | bytes[start + 15]!);
  if (after - start > bytesMax) return refused(`it is longer than ${bytesMax} bytes`);
  const isNameless = isLocal || family === 0 || transport === 0;
  const recordsAt = start + fixedBytes + (isNameless ? 0 : endsBytes[family]!);
  if (recordsAt > after) return refused("its addresses do not fit its length");
  if (after > end) return incomplete;
  const nameless: Preface = { version: 2, ends: undefined, records: [] };
  if (isNameless) return { kind: "whole", end: after, preface: nameless };
  const records = readRecords(bytes, recordsAt, after);
  if (records === undefined) return refused("a record does not fit its length");
  if (!isChecksumRight(bytes.subarray(start, after), recordsAt - start)) {
    return refused("its checksum is wrong");
  }
  const isTcp = transport === 1 && family < 3;
  const ends = isTcp ? endsOfOctets(bytes, start + fixedBytes, family === 1 ? 4 : 16) : undefined;
  return { kind: "whole", end: after, preface: { version: 2, ends, records } };
}

/** @param length Octets of one address. */
function endsOfOctets(bytes: Uint8Array, at: number, length: number): PrefaceEnds {
  const portsAt = at + 2 * length;
  return {
    source: ipText(bytes.subarray(at, at + length)),
    sourcePort: (bytes[portsAt]! << 8) | bytes[portsAt + 1]!,
    destination: ipText(bytes.subarray(at + length, portsAt)),
    destinationPort: (bytes[portsAt + 2]! << 8) | bytes[portsAt + 3]!,
  };
}

/** undefined: they do not fill bytes[start..end) exactly. */
function readRecords(bytes: Uint8Array, start: number, end: number): PrefaceRecord[] | undefined {
  const records: PrefaceRecord[] = [];
  let at = start;
  while (at < end) {
    if (at + 3 > end) return undefined;
    const next = at + 3 + ((bytes[at + 1]! << 8) | bytes[at + 2]!);
    if (next > end) return undefined;
    records.push({ type: bytes[at]!, value: bytes.slice(at + 3, next) });
    at = next;
  }
  return records;
}

/** Of a whole preface with well-formed records: true when it carries no checksum (section 2.2.3), false when two. */
function isChecksumRight(preface: Uint8Array, recordsAt: number): boolean {
  let found = -1;
  for (let at = recordsAt; at < preface.length; ) {
    const length = (preface[at + 1]! << 8) | preface[at + 2]!;
    if (preface[at] === checksumType) {
      if (found >= 0 || length !== 4) return false;
      found = at + 3;
    }
    at += 3 + length;
  }
  if (found < 0) return true;
  const told = new DataView(preface.buffer, preface.byteOffset + found, 4).getUint32(0);
  const zeroed = preface.slice();
  zeroed.fill(0, found, found + 4);
  return crc32c(zeroed, 0, zeroed.length) === told;
}
