// The field names that the router itself reads, told apart by length and octets.
//
// Knows: names. Does not know what a field means or whether it may be forwarded (head-fields.ts).

import { lowerOctet } from "./octets.ts";

/** The fields we tell apart; everything else is Other. */
export const Field = {
  Other: 0,
  Host: 1,
  Connection: 2,
  ContentLength: 3,
  TransferEncoding: 4,
  Upgrade: 5,
  Expect: 6,
  KeepAlive: 7,
  ProxyConnection: 8,
  Te: 9,
  Trailer: 10,
  XForwardedFor: 11,
  XForwardedProto: 12,
  XForwardedHost: 13,
  XForwardedPort: 14,
  XRequestStart: 15,
  XRequestId: 16,
  Cookie: 17,
  Accept: 18,
  Date: 19,
  Http2Settings: 20,
  SetCookie: 21,
  Server: 22,
  Proxy: 23,
  Authorization: 24,
  ContentType: 25,
  ContentEncoding: 26,
  CacheControl: 27,
  Location: 28,
  SecWebSocketKey: 29,
  SecWebSocketVersion: 30,
  Via: 31,
  Forwarded: 32,
  MaxForwards: 33,
} as const;
export type Field = (typeof Field)[keyof typeof Field];

const names: readonly (readonly [Field, string])[] = [
  [Field.Host, "host"],
  [Field.Connection, "connection"],
  [Field.ContentLength, "content-length"],
  [Field.TransferEncoding, "transfer-encoding"],
  [Field.Upgrade, "upgrade"],
  [Field.Expect, "expect"],
  [Field.KeepAlive, "keep-alive"],
  [Field.ProxyConnection, "proxy-connection"],
  [Field.Te, "te"],
  [Field.Trailer, "trailer"],
  [Field.XForwardedFor, "x-forwarded-for"],
  [Field.XForwardedProto, "x-forwarded-proto"],
  [Field.XForwardedHost, "x-forwarded-host"],
  [Field.XForwardedPort, "x-forwarded-port"],
  [Field.XRequestStart, "x-request-start"],
  [Field.XRequestId, "x-request-id"],
  [Field.Cookie, "cookie"],
  [Field.Accept, "accept"],
  [Field.Date, "date"],
  [Field.Http2Settings, "http2-settings"],
  [Field.SetCookie, "set-cookie"],
  [Field.Server, "server"],
  [Field.Proxy, "proxy"],
  [Field.Authorization, "authorization"],
  [Field.ContentType, "content-type"],
  [Field.ContentEncoding, "content-encoding"],
  [Field.CacheControl, "cache-control"],
  [Field.Location, "location"],
  [Field.SecWebSocketKey, "sec-websocket-key"],
  [Field.SecWebSocketVersion, "sec-websocket-version"],
  [Field.Via, "via"],
  [Field.Forwarded, "forwarded"],
  [Field.MaxForwards, "max-forwards"],
];

// Names hash by length and first and last octet into `slots`; names that fall together are
// chained through `nextOf`. The octets of all names lie in one array, so that a look-up touches
// three small typed arrays and no object.
const slotMask = 255;
const slots = new Uint8Array(slotMask + 1);
const nextOf = new Uint8Array(names.length + 1);
const nameAt = new Uint16Array(names.length + 1);
const nameLength = new Uint8Array(names.length + 1);
const nameOctets = new Uint8Array(names.reduce((sum, [, name]) => sum + name.length, 0));

let filled = 0;
for (const [field, name] of names) {
  nameAt[field] = filled;
  nameLength[field] = name.length;
  for (let index = 0; index < name.length; index++) {
    nameOctets[filled + index] = name.charCodeAt(index);
  }
  filled += name.length;
  const slot = slotOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1));
  nextOf[field] = slots[slot]!;
  slots[slot] = field;
}

function slotOf(length: number, first: number, last: number): number {
  return (length * 37 + first * 11 + last * 3) & slotMask;
}

const foldUnderscore = lowerOctet.slice();
foldUnderscore[0x5f] = 0x2d;

function find(bytes: Uint8Array, start: number, end: number, fold: Uint8Array): number {
  const length = end - start;
  if (length < 2) return Field.Other;
  let field = slots[slotOf(length, fold[bytes[start]!]!, fold[bytes[end - 1]!]!)]!;
  while (field !== Field.Other) {
    if (nameLength[field] === length) {
      const at = nameAt[field]!;
      let index = 0;
      while (index < length && fold[bytes[start + index]!] === nameOctets[at + index]) index++;
      if (index === length) return field;
    }
    field = nextOf[field]!;
  }
  return Field.Other;
}

/** Which field the name in `bytes[start..end)` is, without regard to case. */
export function fieldOf(bytes: Uint8Array, start: number, end: number): number {
  return find(bytes, start, end, lowerOctet);
}

/**
 * The same with "_" read as "-". Servers that hand fields to programs as variables (CGI, RFC 3875
 * section 4.1.18) cannot tell the two apart, so Content_Length may be believed behind us.
 */
export function lookAlikeOf(bytes: Uint8Array, start: number, end: number): number {
  return find(bytes, start, end, foldUnderscore);
}
