// The value of Transfer-Encoding (RFC 9112 section 6.1). We understand "chunked" and nothing else.

import { commaOctet, equalsWord, isBlank, octetClass, octetsOf, tokenOctet } from "./octets.ts";

export const Coding = {
  Chunked: 0,
  /** Well-formed, chunked last and once, but with codings before it that we do not speak: 501. */
  Unknown: 1,
  /** Not a list of codings that ends in chunked: where the body ends is anybody's guess. */
  Faulty: 2,
} as const;

const chunked = octetsOf("chunked");

/** Which `Coding` the value in `bytes[start..end)` is; white space around it is gone already. */
export function codingOf(bytes: Uint8Array, start: number, end: number): number {
  if (equalsWord(bytes, start, end, chunked)) return Coding.Chunked;
  let at = start;
  for (;;) {
    const wordStart = at;
    while (at < end && (octetClass[bytes[at]!]! & tokenOctet) !== 0) at++;
    if (at === wordStart) return Coding.Faulty;
    const isChunked = equalsWord(bytes, wordStart, at, chunked);
    if (at === end) return isChunked ? Coding.Unknown : Coding.Faulty;
    if (isChunked) return Coding.Faulty;
    while (at < end && isBlank(bytes[at]!)) at++;
    if (at === end || bytes[at] !== commaOctet) return Coding.Faulty;
    at++;
    while (at < end && isBlank(bytes[at]!)) at++;
  }
}
