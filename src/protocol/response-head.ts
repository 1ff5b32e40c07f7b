// An answer's head, as a backend sends it: status, body framing, and what of it may go on.
//
// Knows: RFC 9112 sections 4 and 6.3, RFC 9110 sections 7.6.1 and 15. Every doubt is -502: whoever
// believes another length than the backend meant hands one client's answer to the next.
//
// More forgiving than requests in one point: equal Content-Length lines collapse (RFC 9110
// section 8.6), since backends do send them.

import { ConnectionOptions } from "./connection-options.ts";
import { parseContentLength } from "./content-length.ts";
import { Field } from "./field.ts";
import { Framing } from "./framing.ts";
import { FieldsResult, HeadFields } from "./head-fields.ts";
import { Method } from "./method.ts";
import { crOctet, lfOctet, octetClass, octetsOf, spaceOctet, valueOctet } from "./octets.ts";
import type { HeadLimits } from "./request-head.ts";
import { Coding, codingOf } from "./transfer-coding.ts";

const badGateway = 502;
const upgradeRequired = 426;
const none = -1;
const protocolName = octetsOf("HTTP/1.");
/** Length of "HTTP/1.1 200". */
const statusEndOffset = 12;

export class ResponseHead {
  readonly fields: HeadFields;
  /** 100 to 599. */
  status = 0;
  minor: 0 | 1 = 1;
  /** A `Framing`; None for 1xx, 204, 304 and answers to HEAD. */
  framing: number = Framing.None;
  /**
   * What Content-Length says, or -1. Also set without a body (HEAD, 304), where it is to be
   * forwarded; -1 for 1xx and 204, which may not have it (RFC 9110 section 8.6).
   */
  contentLength = none;
  /** Whether the backend's connection may be used again once the body was read to its end. */
  keepAlive = false;
  reasonStart = 0;
  reasonEnd = 0;
  hasDate = false;
  /**
   * 426 with Upgrade: which protocols the client must switch to. The answer is about that field, so
   * the field goes on (RFC 9110 section 15.5.22). In other final answers it only tells what our own
   * connection to the backend could become, and ends here (section 7.8).
   */
  requiresUpgrade = false;
  /** The value of the only Upgrade field, when Connection says upgrade; else an empty range. */
  upgradeStart = 0;
  upgradeEnd = 0;
  /** A short constant reason when `parse` answered below 0. */
  error = "";

  readonly #headBytesMax: number;
  readonly #connection: ConnectionOptions;
  #codingIndex = none;
  #upgradeIndex = none;
  #upgradeCount = 0;

  constructor(limits: HeadLimits) {
    this.fields = new HeadFields(limits.headFieldsMax);
    this.#connection = new ConnectionOptions(limits.headFieldsMax);
    this.#headBytesMax = limits.headBytesMax;
  }

  /**
   * Reads the head in `bytes[start..end)`: the index after it, 0 when more octets are needed, or
   * -502. `requestMethod` is a `Method`; it decides whether a body follows. As for requests, the
   * outcome does not depend on how the octets were cut.
   */
  parse(bytes: Uint8Array, start: number, end: number, requestMethod: number): number {
    const scanEnd = Math.min(end, start + this.#headBytesMax);
    const result = this.#parse(bytes, start, scanEnd, requestMethod);
    if (result !== 0 || end - start < this.#headBytesMax) return result;
    return this.#fail("head-too-long");
  }

  #parse(bytes: Uint8Array, start: number, end: number, requestMethod: number): number {
    this.error = "";
    const afterStatus = this.#readStatus(bytes, start, end);
    if (afterStatus <= 0) return afterStatus;
    const afterLine = this.#readReason(bytes, afterStatus, end);
    if (afterLine <= 0) return afterLine;
    const afterHead = this.fields.read(bytes, afterLine, end);
    if (afterHead <= 0) {
      return afterHead === FieldsResult.NeedMore ? 0 : this.#fail(this.fields.error);
    }
    const refused = this.#readFields(bytes) || this.#judgeFraming(bytes, requestMethod);
    if (refused < 0) return refused;
    this.#judgeUpgrade();
    return afterHead;
  }

  #readStatus(bytes: Uint8Array, start: number, end: number): number {
    const known = Math.min(end - start, statusEndOffset);
    for (let index = 0; index < known; index++) {
      if (!isStatusOctet(index, bytes[start + index]!)) return this.#fail("bad-status-line");
    }
    if (known < statusEndOffset) return 0;
    const minor = bytes[start + 7]! - 0x30;
    if (minor > 1) return this.#fail("bad-version");
    this.minor = minor === 0 ? 0 : 1;
    this.status =
      (bytes[start + 9]! - 0x30) * 100 +
      (bytes[start + 10]! - 0x30) * 10 +
      bytes[start + 11]! -
      0x30;
    return start + statusEndOffset;
  }

  // The spaceOctet after the status is left out by many who send no reason.
  #readReason(bytes: Uint8Array, start: number, end: number): number {
    if (start === end) return 0;
    let at = start;
    if (bytes[at] === spaceOctet) at++;
    else if (bytes[at] !== crOctet) return this.#fail("bad-status-line");
    const reasonStart = at;
    while (at < end && (octetClass[bytes[at]!]! & valueOctet) !== 0) at++;
    if (at === end) return 0;
    if (bytes[at] !== crOctet) return this.#fail("bad-status-line");
    if (at + 1 === end) return 0;
    if (bytes[at + 1] !== lfOctet) return this.#fail("bare-cr");
    this.reasonStart = reasonStart;
    this.reasonEnd = at;
    return at + 2;
  }

  #readFields(bytes: Uint8Array): number {
    const { fields } = this;
    this.#codingIndex = none;
    this.#upgradeIndex = none;
    this.#upgradeCount = 0;
    this.contentLength = none;
    this.hasDate = false;
    this.requiresUpgrade = false;
    this.#connection.reset();
    for (let index = 0; index < fields.count; index++) {
      const kind = fields.kind[index]!;
      if (kind === Field.Other) continue;
      const refused = this.#readField(bytes, index, kind);
      if (refused < 0) return refused;
    }
    return 0;
  }

  #readField(bytes: Uint8Array, index: number, kind: number): number {
    const { fields } = this;
    switch (kind) {
      case Field.ContentLength:
        fields.dropped[index] = 1;
        return this.#readContentLength(bytes, index);
      case Field.TransferEncoding:
        fields.dropped[index] = 1;
        if (this.#codingIndex !== none) return this.#fail("duplicate-transfer-encoding");
        this.#codingIndex = index;
        return 0;
      case Field.Connection:
        fields.dropped[index] = 1;
        this.#connection.read(bytes, fields, index);
        return 0;
      case Field.Upgrade:
        this.requiresUpgrade = this.status === upgradeRequired;
        if (!this.requiresUpgrade) fields.dropped[index] = 1;
        this.#upgradeIndex = index;
        this.#upgradeCount++;
        return 0;
      case Field.Date:
        this.hasDate = true;
        return 0;
      case Field.KeepAlive:
      case Field.ProxyConnection:
      case Field.Te:
      case Field.Trailer:
      case Field.Http2Settings:
        fields.dropped[index] = 1;
        return 0;
      default:
        return 0;
    }
  }

  #readContentLength(bytes: Uint8Array, index: number): number {
    const { fields } = this;
    const start = fields.valueStart[index]!;
    const length = parseContentLength(bytes, start, fields.valueEnd[index]!);
    if (length < 0) return this.#fail("bad-content-length");
    if (this.contentLength !== none && this.contentLength !== length) {
      return this.#fail("two-content-lengths");
    }
    this.contentLength = length;
    return 0;
  }

  #judgeFraming(bytes: Uint8Array, requestMethod: number): number {
    const connection = this.#connection;
    this.keepAlive = !connection.close && (this.minor === 1 || connection.keepAlive);
    const chunked = this.#codingIndex !== none;
    if (chunked) {
      const refused = this.#judgeCoding(bytes);
      if (refused < 0) return refused;
    }
    if (this.status < 200 || this.status === 204) {
      // Whoever announces a body here may also send one: do not trust the connection again.
      if (chunked || this.contentLength > 0) this.keepAlive = false;
      this.contentLength = none;
      this.framing = Framing.None;
    } else if (this.#isBodiless(requestMethod)) {
      this.framing = Framing.None;
    } else if (chunked) {
      this.framing = Framing.Chunked;
    } else if (this.contentLength >= 0) {
      this.framing = Framing.Length;
    } else {
      this.framing = Framing.UntilClose;
      this.keepAlive = false;
    }
    return 0;
  }

  #judgeCoding(bytes: Uint8Array): number {
    const { fields } = this;
    const index = this.#codingIndex;
    if (this.contentLength >= 0) return this.#fail("two-framings");
    const coding = codingOf(bytes, fields.valueStart[index]!, fields.valueEnd[index]!);
    if (coding !== Coding.Chunked) return this.#fail("bad-transfer-encoding");
    // RFC 9112 section 6.1: faulty framing; read it once, then never again.
    if (this.minor === 0) this.keepAlive = false;
    return 0;
  }

  #isBodiless(requestMethod: number): boolean {
    if (this.status === 304 || requestMethod === Method.Head) return true;
    return requestMethod === Method.Connect && this.status < 300;
  }

  #judgeUpgrade(): void {
    const index = this.#upgradeIndex;
    const offered = this.#connection.upgrade && this.#upgradeCount === 1;
    this.upgradeStart = offered ? this.fields.valueStart[index]! : 0;
    this.upgradeEnd = offered ? this.fields.valueEnd[index]! : 0;
  }

  #fail(error: string): number {
    this.error = error;
    return -badGateway;
  }
}

function isStatusOctet(index: number, octet: number): boolean {
  if (index < protocolName.length) return octet === protocolName[index];
  if (index === 8) return octet === spaceOctet;
  // A status is 100 to 599; others count as a broken answer (RFC 9110 section 15).
  if (index === 9) return octet >= 0x31 && octet <= 0x35;
  return octet >= 0x30 && octet <= 0x39;
}
