// The request line: method, target, version (RFC 9112 section 3).
//
// Knows: the line's syntax and the four forms of a target. Does not know fields, routes or Host.
// An octet that can never be right is an error at once; what needs the whole line (the version, the
// form of the target) is judged when the line is complete. So it does not matter how the line was
// cut on its way here.

import { Authority } from "./authority.ts";
import { Method, methodOf } from "./method.ts";
import {
  crOctet,
  equalsWord,
  lfOctet,
  octetClass,
  octetsOf,
  pathOctet,
  queryOctet,
  slashOctet,
  spaceOctet,
  tokenOctet,
} from "./octets.ts";

const star = 0x2a;
const question = 0x3f;
const dot = 0x2e;

const protocolName = octetsOf("HTTP/");
const schemeHttp = octetsOf("http://");
const schemeHttps = octetsOf("https://");

/** Length of "HTTP/1.1" and its CRLF. */
const versionLineLength = 10;

/** One reused reader; offsets are absolute in the array that was parsed. */
export class RequestLine {
  methodStart = 0;
  methodEnd = 0;
  method: number = Method.Other;
  targetStart = 0;
  targetEnd = 0;
  /** Index of the first "?", or `targetEnd`. */
  pathEnd = 0;
  minor: 0 | 1 = 1;
  /** The target named scheme and host itself; `authority` holds them. */
  absolute = false;
  readonly authority = new Authority();
  authorityStart = 0;
  authorityEnd = 0;
  /** 80 or 443, by the scheme of an absolute target. */
  portDefault = 80;
  /** A short constant reason when `parse` answered below 0. */
  error = "";

  readonly #targetBytesMax: number;

  constructor(targetBytesMax: number) {
    this.#targetBytesMax = targetBytesMax;
  }

  /** Index after the line; 0 when more octets are needed; below 0 minus the status to answer. */
  parse(bytes: Uint8Array, start: number, end: number): number {
    this.error = "";
    const afterMethod = this.#readMethod(bytes, start, end);
    if (afterMethod <= 0) return afterMethod;
    const afterTarget = this.#readTarget(bytes, afterMethod, end);
    if (afterTarget <= 0) return afterTarget;
    const afterLine = this.#readVersion(bytes, afterTarget, end);
    if (afterLine <= 0) return afterLine;
    const refused = this.#judgeTarget(bytes);
    return refused < 0 ? refused : afterLine;
  }

  #readMethod(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && (octetClass[bytes[at]!]! & tokenOctet) !== 0) at++;
    if (at === end) return 0;
    if (bytes[at] !== spaceOctet || at === start) return this.#fail(400, "bad-method");
    this.methodStart = start;
    this.methodEnd = at;
    this.method = methodOf(bytes, start, at);
    return at + 1;
  }

  #readTarget(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && (octetClass[bytes[at]!]! & pathOctet) !== 0) at++;
    const pathEnd = at;
    if (at < end && bytes[at] === question) {
      while (at < end && (octetClass[bytes[at]!]! & queryOctet) !== 0) at++;
    }
    if (at - start > this.#targetBytesMax) return this.#fail(414, "target-too-long");
    if (at === end) return 0;
    if (bytes[at] !== spaceOctet || at === start) return this.#fail(400, "bad-target");
    this.targetStart = start;
    this.targetEnd = at;
    this.pathEnd = pathEnd;
    return at + 1;
  }

  #readVersion(bytes: Uint8Array, start: number, end: number): number {
    const known = Math.min(end - start, versionLineLength);
    for (let index = 0; index < known; index++) {
      if (!isVersionOctet(index, bytes[start + index]!)) return this.#fail(400, "bad-version");
    }
    if (known < versionLineLength) return 0;
    const major = bytes[start + 5]! - 0x30;
    const minor = bytes[start + 7]! - 0x30;
    if (major !== 1 || minor > 1) return this.#fail(505, "version-not-supported");
    this.minor = minor === 0 ? 0 : 1;
    return start + versionLineLength;
  }

  #judgeTarget(bytes: Uint8Array): number {
    this.absolute = false;
    const first = bytes[this.targetStart]!;
    if (this.method === Method.Connect) return this.#judgeConnect(bytes);
    // Its answer is the request, as it arrived last: every field that proxies and we added, and the
    // cookies that scripts may not read, would be shown to whoever asks. RFC 9110 section 9.3.8 leaves
    // out what is private; nobody can know that of somebody else's fields.
    if (this.method === Method.Trace) return this.#fail(405, "method-not-allowed");
    if (first === slashOctet) return 0;
    if (first === star && this.targetEnd === this.targetStart + 1) {
      return this.method === Method.Options ? 0 : this.#fail(400, "bad-target");
    }
    return this.#readAbsolute(bytes);
  }

  #judgeConnect(bytes: Uint8Array): number {
    const valid = this.authority.parse(bytes, this.targetStart, this.targetEnd);
    if (!valid || this.authority.port < 0) return this.#fail(400, "bad-target");
    return this.#fail(405, "method-not-allowed");
  }

  #readAbsolute(bytes: Uint8Array): number {
    if (this.#startsWith(bytes, schemeHttp)) {
      this.authorityStart = this.targetStart + schemeHttp.length;
      this.portDefault = 80;
    } else if (this.#startsWith(bytes, schemeHttps)) {
      this.authorityStart = this.targetStart + schemeHttps.length;
      this.portDefault = 443;
    } else {
      return this.#fail(400, "bad-target");
    }
    let at = this.authorityStart;
    while (at < this.pathEnd && bytes[at] !== slashOctet) at++;
    this.authorityEnd = at;
    if (!this.authority.parse(bytes, this.authorityStart, at)) return this.#fail(400, "bad-host");
    this.absolute = true;
    return 0;
  }

  #startsWith(bytes: Uint8Array, word: Uint8Array): boolean {
    const wordEnd = this.targetStart + word.length;
    return wordEnd <= this.targetEnd && equalsWord(bytes, this.targetStart, wordEnd, word);
  }

  /**
   * Reduces an absolute target to the origin-form that goes on (RFC 9112 section 3.2.1), in place.
   *
   * An empty path becomes "/", or "*" for OPTIONS (section 3.2.4). Its octet is taken from the
   * scheme's slashes, which nobody needs any more: the only case in which received bytes change,
   * so it is done once the whole head was accepted.
   */
  reduceTarget(bytes: Uint8Array): void {
    if (!this.absolute) return;
    const hasQuery = this.pathEnd < this.targetEnd;
    if (this.authorityEnd < this.pathEnd) {
      this.targetStart = this.authorityEnd;
    } else if (hasQuery) {
      bytes.copyWithin(this.authorityStart - 1, this.authorityStart, this.authorityEnd);
      this.authorityStart--;
      this.authorityEnd--;
      this.authority.hostStart--;
      this.authority.hostEnd--;
      this.targetStart = this.authorityEnd;
      bytes[this.targetStart] = slashOctet;
    } else {
      this.targetStart = this.authorityStart - 1;
      this.targetEnd = this.authorityStart;
      this.pathEnd = this.targetEnd;
      if (this.method === Method.Options) bytes[this.targetStart] = star;
    }
  }

  #fail(status: number, error: string): number {
    this.error = error;
    return -status;
  }
}

function isVersionOctet(index: number, octet: number): boolean {
  if (index < 5) return octet === protocolName[index];
  if (index === 6) return octet === dot;
  if (index === 8) return octet === crOctet;
  if (index === 9) return octet === lfOctet;
  return octet >= 0x30 && octet <= 0x39;
}
