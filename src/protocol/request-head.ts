// A request head: what it says about host, body, connection, and what of it may be forwarded.
//
// Knows: RFC 9112 sections 2.2, 3, 6 and 9, RFC 9110 sections 7 and 10.1.1, RFC 6455 section 4.2.1.
// Does not know: sockets, routes, limits of its own.
//
// Nothing is repaired. What two readers could understand differently (both framings, two Hosts, a
// list of lengths, a folded line) is refused, because that is how requests are smuggled
// (RFC 9112 section 11.2). Nothing is allocated: one instance serves all requests of a worker.

import { Authority, sameRange } from "./authority.ts";
import { ConnectionOptions } from "./connection-options.ts";
import { parseContentLength } from "./content-length.ts";
import { Field } from "./field.ts";
import { Framing } from "./framing.ts";
import { FieldsResult, HeadFields } from "./head-fields.ts";
import { parseMaxForwards } from "./max-forwards.ts";
import { isIdempotentMethod, Method } from "./method.ts";
import { crOctet, equalsWord, lfOctet, octetsOf } from "./octets.ts";
import { RequestLine } from "./request-line.ts";
import { Coding, codingOf } from "./transfer-coding.ts";
import { Offer, offerOf } from "./upgrade.ts";

export { Method } from "./method.ts";

/** Bounds of a head; see limits.ts. */
export interface HeadLimits {
  readonly headBytesMax: number;
  readonly headFieldsMax: number;
  readonly targetBytesMax: number;
}

const continueWord = octetsOf("100-continue");
/** A Sec-WebSocket-Key is 16 octets in base64 (RFC 6455 section 4.1). */
const webSocketKeyLength = 24;
const none = -1;

export class RequestHead {
  readonly fields: HeadFields;
  methodStart = 0;
  methodEnd = 0;
  /** A `Method`. */
  method: number = Method.Other;
  /** Whether the request may be sent a second time (RFC 9110 section 9.2.2). */
  isIdempotent = false;
  /** The target to forward, in origin-form or "*". */
  targetStart = 0;
  targetEnd = 0;
  /** Index of "?", or `targetEnd`. */
  pathEnd = 0;
  /** The host without port and trailing dot, as sent; an empty range when HTTP/1.0 gave none. */
  hostStart = 0;
  hostEnd = 0;
  /** The host with its port, as sent. */
  authorityStart = 0;
  authorityEnd = 0;
  /** The target carried the host, so Host was dropped and is to be written from the authority. */
  hostFieldReplaced = false;
  minor: 0 | 1 = 1;
  /** Whether the client's connection may be used again after this request. */
  keepAlive = false;
  /** The client asks to switch to a protocol that we tunnel; then the range holds Upgrade's value. */
  upgrade = false;
  upgradeStart = 0;
  upgradeEnd = 0;
  /** The client waits for 100 Continue; Expect is forwarded for the backend to answer. */
  expectContinue = false;
  /**
   * Of OPTIONS: how many may still forward it, from Max-Forwards, which is dropped; 0: we are the
   * last recipient. -1: nothing said, or of a method that it does not concern (RFC 9110 section 7.6.2).
   */
  maxForwards = none;
  /** There is a Via: somebody forwarded it before us. */
  hasVia = false;
  /** A `Framing`: None, Length or Chunked. */
  framing: number = Framing.None;
  /** Octets of the body; -1 when no Content-Length was given. */
  contentLength = none;
  /** A short constant reason when `parse` answered below 0. */
  error = "";

  readonly #headBytesMax: number;
  readonly #line: RequestLine;
  readonly #hostField = new Authority();
  readonly #connection: ConnectionOptions;
  #hostIndex = none;
  #codingIndex = none;
  #upgradeIndex = none;
  #upgradeCount = 0;
  #expectIndex = none;
  #webSocketKeyIndex = none;
  #webSocketVersionIndex = none;

  constructor(limits: HeadLimits) {
    this.fields = new HeadFields(limits.headFieldsMax);
    this.#connection = new ConnectionOptions(limits.headFieldsMax);
    this.#headBytesMax = limits.headBytesMax;
    this.#line = new RequestLine(limits.targetBytesMax);
  }

  /**
   * Reads the head in `bytes[start..end)`.
   *
   * Returns the index after the head; 0 when more octets are needed; below 0 minus the status to
   * answer, and `error` says why. For a given stream of octets the outcome is the same however
   * they were cut: no prefix gets another answer than 0 or that of the whole.
   */
  parse(bytes: Uint8Array, start: number, end: number): number {
    const scanEnd = Math.min(end, start + this.#headBytesMax);
    const result = this.#parse(bytes, start, scanEnd);
    if (result !== 0 || end - start < this.#headBytesMax) return result;
    return this.#fail(431, "head-too-long");
  }

  #parse(bytes: Uint8Array, start: number, end: number): number {
    this.error = "";
    let at = start;
    // One empty line before a request is forgiven (RFC 9112 section 2.2); more is a flood.
    if (at < end && bytes[at] === crOctet) {
      if (at + 1 === end) return 0;
      if (bytes[at + 1] !== lfOctet) return this.#fail(400, "bare-cr");
      at += 2;
    }
    const afterLine = this.#line.parse(bytes, at, end);
    if (afterLine <= 0) {
      this.error = this.#line.error;
      return afterLine;
    }
    const afterHead = this.fields.read(bytes, afterLine, end);
    if (afterHead <= 0) return this.#failFields(afterHead);
    const refused = this.#judge(bytes);
    return refused < 0 ? refused : afterHead;
  }

  #failFields(result: number): number {
    if (result === FieldsResult.NeedMore) return 0;
    return this.#fail(result === FieldsResult.TooMany ? 431 : 400, this.fields.error);
  }

  // What follows runs once per request, when the head is complete.
  #judge(bytes: Uint8Array): number {
    this.#takeLine();
    const refused =
      this.#readFields(bytes) ||
      this.#judgeConnection() ||
      this.#judgeFraming(bytes) ||
      this.#judgeExpect(bytes) ||
      this.#judgeUpgrade(bytes) ||
      this.#judgeHost(bytes);
    if (refused < 0) return refused;
    this.#line.reduceTarget(bytes);
    this.#takeTarget();
    return 0;
  }

  #takeLine(): void {
    const line = this.#line;
    this.methodStart = line.methodStart;
    this.methodEnd = line.methodEnd;
    this.method = line.method;
    this.isIdempotent = isIdempotentMethod(line.method);
    this.minor = line.minor;
  }

  #readFields(bytes: Uint8Array): number {
    const { fields } = this;
    this.#hostIndex = none;
    this.#codingIndex = none;
    this.#upgradeIndex = none;
    this.#upgradeCount = 0;
    this.#expectIndex = none;
    this.#webSocketKeyIndex = none;
    this.#webSocketVersionIndex = none;
    this.contentLength = none;
    this.expectContinue = false;
    this.maxForwards = none;
    this.hasVia = false;
    this.#connection.reset();
    for (let index = 0; index < fields.count; index++) {
      if (fields.lookAlike[index] !== Field.Other) {
        const refused = this.#judgeLookAlike(index);
        if (refused < 0) return refused;
      }
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
      case Field.Host:
        if (this.#hostIndex !== none) return this.#fail(400, "duplicate-host");
        this.#hostIndex = index;
        return 0;
      case Field.ContentLength:
        fields.dropped[index] = 1;
        return this.#readContentLength(bytes, index);
      case Field.TransferEncoding:
        fields.dropped[index] = 1;
        if (this.#codingIndex !== none) return this.#fail(400, "duplicate-transfer-encoding");
        this.#codingIndex = index;
        return 0;
      case Field.Connection:
        fields.dropped[index] = 1;
        this.#connection.read(bytes, fields, index);
        return 0;
      case Field.Upgrade:
        fields.dropped[index] = 1;
        this.#upgradeIndex = index;
        this.#upgradeCount++;
        return 0;
      case Field.Expect:
        if (this.#expectIndex !== none) return this.#fail(417, "duplicate-expect");
        this.#expectIndex = index;
        return 0;
      case Field.SecWebSocketKey:
        if (this.#webSocketKeyIndex !== none) return this.#fail(400, "duplicate-websocket-key");
        this.#webSocketKeyIndex = index;
        return 0;
      case Field.SecWebSocketVersion:
        this.#webSocketVersionIndex = index;
        return 0;
      case Field.MaxForwards:
        return this.method === Method.Options ? this.#readMaxForwards(bytes, index) : 0;
      case Field.Via:
        this.hasVia = true;
        return 0;
      case Field.KeepAlive:
      case Field.ProxyConnection:
      case Field.Te:
      case Field.Trailer:
      case Field.Http2Settings:
      case Field.Proxy: // CGI would read it as HTTP_PROXY (CVE-2016-5385)
        fields.dropped[index] = 1;
        return 0;
      default:
        return 0;
    }
  }

  #readContentLength(bytes: Uint8Array, index: number): number {
    if (this.contentLength !== none) return this.#fail(400, "duplicate-content-length");
    const { fields } = this;
    const start = fields.valueStart[index]!;
    this.contentLength = parseContentLength(bytes, start, fields.valueEnd[index]!);
    return this.contentLength < 0 ? this.#fail(400, "bad-content-length") : 0;
  }

  // TRACE, the other method that it concerns, goes nowhere (request-line.ts).
  #readMaxForwards(bytes: Uint8Array, index: number): number {
    if (this.maxForwards !== none) return this.#fail(400, "duplicate-max-forwards");
    const { fields } = this;
    fields.dropped[index] = 1;
    this.maxForwards = parseMaxForwards(bytes, fields.valueStart[index]!, fields.valueEnd[index]!);
    return this.maxForwards < 0 ? this.#fail(400, "bad-max-forwards") : 0;
  }

  // Content_Length and its kind: what decides the message is refused, the rest goes no further.
  #judgeLookAlike(index: number): number {
    const kind = this.fields.lookAlike[index]!;
    this.fields.dropped[index] = 1;
    if (kind === Field.ContentLength || kind === Field.TransferEncoding || kind === Field.Host) {
      return this.#fail(400, "underscore-in-framing-field");
    }
    return 0;
  }

  #judgeConnection(): number {
    const connection = this.#connection;
    if (connection.namesFraming) return this.#fail(400, "connection-names-framing");
    this.keepAlive = !connection.close && (this.minor === 1 || connection.keepAlive);
    return 0;
  }

  #judgeFraming(bytes: Uint8Array): number {
    const { fields } = this;
    const index = this.#codingIndex;
    this.framing = this.contentLength < 0 ? Framing.None : Framing.Length;
    if (index === none) return 0;
    // HTTP/1.0 knows no transfer codings: who sends one cannot be trusted with framing.
    if (this.minor === 0) return this.#fail(400, "transfer-encoding-in-1.0");
    if (this.contentLength >= 0) return this.#fail(400, "two-framings");
    const coding = codingOf(bytes, fields.valueStart[index]!, fields.valueEnd[index]!);
    if (coding === Coding.Faulty) return this.#fail(400, "bad-transfer-encoding");
    if (coding === Coding.Unknown) return this.#fail(501, "unknown-transfer-coding");
    this.framing = Framing.Chunked;
    return 0;
  }

  #judgeExpect(bytes: Uint8Array): number {
    const index = this.#expectIndex;
    if (index === none) return 0;
    const { fields } = this;
    const start = fields.valueStart[index]!;
    if (!equalsWord(bytes, start, fields.valueEnd[index]!, continueWord)) {
      return this.#fail(417, "unknown-expectation");
    }
    // Without a body there is nothing to wait for; HTTP/1.0 cannot be told to go on.
    this.expectContinue = this.minor === 1 && this.#hasBody();
    if (!this.expectContinue) fields.dropped[index] = 1;
    return 0;
  }

  #judgeUpgrade(bytes: Uint8Array): number {
    this.upgrade = false;
    this.upgradeStart = 0;
    this.upgradeEnd = 0;
    const index = this.#upgradeIndex;
    if (index === none || !this.#connection.upgrade || this.minor === 0) return 0;
    // Several Upgrade lines are several chances to overlook one: taken as no offer.
    if (this.#upgradeCount > 1) return 0;
    const start = this.fields.valueStart[index]!;
    const end = this.fields.valueEnd[index]!;
    const offer = offerOf(bytes, start, end);
    if (offer === Offer.None || offer === Offer.Opaque) return 0;
    if (offer === Offer.WebSocket && !this.#isWebSocketHandshake()) {
      return this.#fail(400, "bad-websocket-handshake");
    }
    if (this.#hasBody()) return 0;
    this.upgrade = true;
    this.upgradeStart = start;
    this.upgradeEnd = end;
    return 0;
  }

  #isWebSocketHandshake(): boolean {
    const key = this.#webSocketKeyIndex;
    if (this.method !== Method.Get || this.#hasBody()) return false;
    if (key === none || this.#webSocketVersionIndex === none) return false;
    const length = this.fields.valueEnd[key]! - this.fields.valueStart[key]!;
    return length === webSocketKeyLength;
  }

  #hasBody(): boolean {
    return this.framing === Framing.Chunked || this.contentLength > 0;
  }

  #judgeHost(bytes: Uint8Array): number {
    const index = this.#hostIndex;
    this.hostFieldReplaced = false;
    if (index === none) return this.#judgeWithoutHost();
    const start = this.fields.valueStart[index]!;
    const end = this.fields.valueEnd[index]!;
    const host = this.#hostField;
    if (!host.parse(bytes, start, end)) return this.#fail(400, "bad-host");
    this.authorityStart = start;
    this.authorityEnd = end;
    this.hostStart = host.hostStart;
    this.hostEnd = host.hostEnd;
    if (!this.#line.absolute) return 0;
    this.hostFieldReplaced = true;
    this.fields.dropped[index] = 1;
    return this.#sameHost(bytes) ? 0 : this.#fail(400, "host-differs-from-target");
  }

  #judgeWithoutHost(): number {
    if (this.minor === 1) return this.#fail(400, "missing-host");
    this.authorityStart = 0;
    this.authorityEnd = 0;
    this.hostStart = 0;
    this.hostEnd = 0;
    this.hostFieldReplaced = this.#line.absolute;
    return 0;
  }

  // RFC 9112 section 3.2.2 lets the target win over Host; one who sends two hosts wants to be
  // understood differently by two readers, so we take neither.
  #sameHost(bytes: Uint8Array): boolean {
    const { authority, portDefault } = this.#line;
    const host = this.#hostField;
    const port = authority.port < 0 ? portDefault : authority.port;
    const hostPort = host.port < 0 ? portDefault : host.port;
    if (port !== hostPort) return false;
    return sameRange(bytes, authority.hostStart, authority.hostEnd, host.hostStart, host.hostEnd);
  }

  #takeTarget(): void {
    const line = this.#line;
    this.targetStart = line.targetStart;
    this.targetEnd = line.targetEnd;
    this.pathEnd = line.pathEnd;
    if (!line.absolute) return;
    this.authorityStart = line.authorityStart;
    this.authorityEnd = line.authorityEnd;
    this.hostStart = line.authority.hostStart;
    this.hostEnd = line.authority.hostEnd;
  }

  #fail(status: number, error: string): number {
    this.error = error;
    return -status;
  }
}
