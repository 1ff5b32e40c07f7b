// The value of Upgrade (RFC 9110 section 7.8): which protocols a client offers to switch to.

import {
  commaOctet,
  equalsWord,
  isBlank,
  lowerOctet,
  octetClass,
  octetsOf,
  slashOctet,
  tokenOctet,
} from "./octets.ts";

export const Offer = {
  /** Empty or malformed: there is nothing to switch to. */
  None: 0,
  /** Protocols that we can tunnel without looking inside. */
  Tunnel: 1,
  /** The same, and websocket is among them. */
  WebSocket: 2,
  /** A protocol that carries further requests, or hides them, is offered: ignored as a whole. */
  Opaque: 3,
} as const;

const hyphenOctet = 0x2d;
const webSocket = octetsOf("websocket");
/**
 * Behind these a client could send requests that no rule of ours sees (h2c smuggling, RFC 2817); drafts of
 * them, "h2c-14" or "HTTP-draft-04", too.
 */
const opaque: readonly Uint8Array[] = [
  octetsOf("h2c"),
  octetsOf("h2"),
  octetsOf("http"),
  octetsOf("tls"),
];

/** Which `Offer` the value in `bytes[start..end)` makes: a list of name [ "/" version ]. */
export function offerOf(bytes: Uint8Array, start: number, end: number): number {
  let offer: number = Offer.None;
  let at = start;
  while (at < end) {
    const nameStart = at;
    while (at < end && isToken(bytes[at]!)) at++;
    const nameEnd = at;
    if (nameEnd === nameStart) return Offer.None;
    if (at < end && bytes[at] === slashOctet) {
      const versionStart = ++at;
      while (at < end && isToken(bytes[at]!)) at++;
      if (at === versionStart) return Offer.None;
    }
    if (isOpaque(bytes, nameStart, nameEnd)) return Offer.Opaque;
    if (equalsWord(bytes, nameStart, nameEnd, webSocket)) offer = Offer.WebSocket;
    else if (offer === Offer.None) offer = Offer.Tunnel;
    while (at < end && isBlank(bytes[at]!)) at++;
    if (at === end) break;
    if (bytes[at] !== commaOctet) return Offer.None;
    at++;
    while (at < end && isBlank(bytes[at]!)) at++;
  }
  return offer;
}

/**
 * Whether every protocol that the answer in `bytes[start..end)` names was among those of `offered`, a
 * list that `offerOf` accepted: a server switches to nothing else (RFC 9110 section 7.8). By name,
 * without regard to version and case.
 */
export function wasOffered(
  bytes: Uint8Array,
  start: number,
  end: number,
  offered: Uint8Array,
): boolean {
  let at = start;
  while (at < end) {
    const nameStart = at;
    while (at < end && isToken(bytes[at]!)) at++;
    if (at === nameStart || !isNamed(bytes, nameStart, at, offered)) return false;
    at = nextMember(bytes, at, end);
  }
  return end > start;
}

function isNamed(bytes: Uint8Array, start: number, end: number, offered: Uint8Array): boolean {
  let at = 0;
  while (at < offered.length) {
    let length = 0;
    while (at + length < offered.length && isToken(offered[at + length]!)) length++;
    let same = 0;
    while (
      same < length &&
      start + same < end &&
      lowerOctet[bytes[start + same]!] === lowerOctet[offered[at + same]!]
    ) {
      same++;
    }
    if (same === length && same === end - start) return true;
    at = nextMember(offered, at + length, offered.length);
  }
  return false;
}

/** Behind the next comma and the white space around it, or `end`. */
function nextMember(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] !== commaOctet) at++;
  at++;
  while (at < end && isBlank(bytes[at]!)) at++;
  return Math.min(at, end);
}

function isOpaque(bytes: Uint8Array, start: number, end: number): boolean {
  for (let index = 0; index < opaque.length; index++) {
    const word = opaque[index]!;
    const wordEnd = start + word.length;
    if (wordEnd > end || !equalsWord(bytes, start, wordEnd, word)) continue;
    if (wordEnd === end || bytes[wordEnd] === hyphenOctet) return true;
  }
  return false;
}

function isToken(octet: number): boolean {
  return (octetClass[octet]! & tokenOctet) !== 0;
}
