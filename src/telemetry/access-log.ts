// The access log inside a worker: one JSON line per request, formatted into a reused buffer.
//
// Knows: JSON, bytes, the time. Does not know: what the fields mean, or where lines end up.
//
// This is the hot path. A line makes no string and no object: values are ranges of the request head,
// texts the worker holds anyway, and numbers, all written as bytes into a page of shared memory. A bounded cache of encoded texts was tried and dropped: it made no difference that could
// be measured (bench/access-log.ts holds the numbers).
//
// What comes from strangers is escaped so that one request is one line of ASCII: quotes, backslash,
// control bytes, and everything beyond ASCII as \u00XX (bytes) or \uXXXX (texts).

import { accessLogFieldBytesMax, accessLogLineBytesMax, accessLogPageBytes } from "../limits.ts";
import type { System } from "../system.ts";
import { Counter } from "./counters.ts";
import type { LogPages } from "./log-pages.ts";

/** The pre-encoded text `,"name":`. */
export interface AccessKey {
  readonly bytes: Uint8Array;
}

/** Encodes a key once, at start. */
export function accessKey(name: string): AccessKey {
  return { bytes: new TextEncoder().encode(`,${JSON.stringify(name)}:`) };
}

/** The fields of a line after `time`, in the order in which the session writes them. */
export const AccessField = {
  client: accessKey("client"),
  method: accessKey("method"),
  host: accessKey("host"),
  path: accessKey("path"),
  status: accessKey("status"),
  bytesIn: accessKey("bytes_in"),
  bytesOut: accessKey("bytes_out"),
  durationMs: accessKey("duration_ms"),
  route: accessKey("route"),
  service: accessKey("service"),
  backend: accessKey("backend"),
  tries: accessKey("tries"),
  revision: accessKey("revision"),
  reason: accessKey("reason"),
  requestId: accessKey("request_id"),
  protocol: accessKey("protocol"),
} as const;

export interface AccessLogOptions {
  /** Where lines are written. */
  readonly pages: LogPages;
  /** Hands a page with `length` bytes of whole lines over; whoever gets it releases it. */
  readonly send: (page: number, length: number) => void;
  /** The worker's counters; `logLinesDropped` counts lines that were too long or found no free page. */
  readonly counters: Float64Array;
  readonly system: Pick<System, "wallMs">;
}

/**
 * Formats access-log lines: `begin`, fields in any order, `end`.
 *
 * Invariant: between `end` and the next `begin` the page holds whole lines only.
 */
export class AccessLog {
  readonly #pages: LogPages;
  readonly #send: (page: number, length: number) => void;
  readonly #counters: Float64Array;
  readonly #system: Pick<System, "wallMs">;
  /** The page that is being written; -1: none was free. */
  #page = -1;
  #buffer: Uint8Array = noBytes;
  /** Where the next byte goes, where this line began, and where it must have ended. */
  #at = 0;
  #lineAt = 0;
  #lineEndMax = 0;
  #tooLong = false;
  /** `{"time":"2026-11-21T05:01:02.` of the second that is `#second`. */
  readonly #timePrefix = new Uint8Array(timePrefixLength);
  #second = Number.NaN;

  constructor(options: AccessLogOptions) {
    this.#pages = options.pages;
    this.#send = options.send;
    this.#counters = options.counters;
    this.#system = options.system;
  }

  /** Begins a line with the present time. */
  begin(): void {
    if (this.#page < 0) this.#takePage();
    this.#lineAt = this.#at;
    this.#lineEndMax = this.#at + accessLogLineBytesMax - lineTailBytes;
    this.#tooLong = this.#page < 0;
    if (this.#tooLong) return;
    const nowMs = this.#system.wallMs();
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) this.#encodeSecond(second);
    // A loop, not `set`: into shared memory that copies byte by byte through a call.
    for (let i = 0; i < timePrefixLength; i++) this.#buffer[this.#at++] = this.#timePrefix[i]!;
    this.#digits3(Math.floor(nowMs) - second * 1000);
    this.#buffer[this.#at++] = byteZ;
    this.#buffer[this.#at++] = quote;
  }

  /** Bytes of the request, taken as Latin-1; what is beyond `accessLogFieldBytesMax` is cut off. */
  bytesField(key: AccessKey, bytes: Uint8Array, start: number, end: number): void {
    const stop = Math.min(end, start + accessLogFieldBytesMax);
    if (!this.#key(key, (stop - start) * escapeBytesMax + 2)) return;
    const buffer = this.#buffer;
    let at = this.#at;
    buffer[at++] = quote;
    for (let i = start; i < stop; i++) {
      const byte = bytes[i]!;
      if (plainByte[byte] === 1) buffer[at++] = byte;
      else at = writeEscape(buffer, at, byte);
    }
    buffer[at++] = quote;
    this.#at = at;
  }

  /** A text of ours: the name of a route, an address, a reason. */
  textField(key: AccessKey, text: string): void {
    const length = Math.min(text.length, accessLogFieldBytesMax);
    if (!this.#key(key, length * escapeBytesMax + 2)) return;
    const buffer = this.#buffer;
    let at = this.#at;
    buffer[at++] = quote;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      // The bound keeps the read inside the table; beyond it everything is escaped anyway.
      if (code < 128 && plainByte[code] === 1) buffer[at++] = code;
      else at = writeEscape(buffer, at, code);
    }
    buffer[at++] = quote;
    this.#at = at;
  }

  /** A number with up to three decimals; what is no number is written as null. */
  numberField(key: AccessKey, value: number): void {
    if (!this.#key(key, numberBytesMax)) return;
    if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) {
      for (const byte of nullBytes) this.#buffer[this.#at++] = byte;
      return;
    }
    const size = Math.abs(value);
    let whole = Math.floor(size);
    let thousandths = whole === size ? 0 : Math.round((size - whole) * 1000);
    if (thousandths === 1000) {
      whole++;
      thousandths = 0;
    }
    if (value < 0 && (whole > 0 || thousandths > 0)) this.#buffer[this.#at++] = minus;
    this.#digits(whole);
    if (thousandths === 0) return;
    this.#buffer[this.#at++] = dot;
    this.#digits3(thousandths);
  }

  /** Ends the line; a full batch leaves at once. */
  end(): void {
    if (this.#tooLong) {
      this.#at = this.#lineAt;
      this.#counters[Counter.logLinesDropped]! += 1;
      return;
    }
    this.#buffer[this.#at++] = closingBrace;
    this.#buffer[this.#at++] = newline;
    if (this.#at > accessLogPageBytes - accessLogLineBytesMax) this.flush();
  }

  /** Sends what waits; called by the worker's timer so that a quiet log is not a late one. */
  flush(): void {
    if (this.#at === 0) return;
    const page = this.#page;
    const length = this.#at;
    this.#page = -1;
    this.#at = 0;
    this.#send(page, length);
  }

  #takePage(): void {
    this.#page = this.#pages.take();
    if (this.#page >= 0) this.#buffer = this.#pages.bytesOf(this.#page);
  }

  /** Writes the key when it and `valueBytesMax` more fit; otherwise the line is lost. */
  #key(key: AccessKey, valueBytesMax: number): boolean {
    const bytes = key.bytes;
    const length = bytes.length;
    if (this.#at + length + valueBytesMax > this.#lineEndMax) this.#tooLong = true;
    if (this.#tooLong) return false;
    const buffer = this.#buffer;
    const at = this.#at;
    for (let i = 0; i < length; i++) buffer[at + i] = bytes[i]!;
    this.#at = at + length;
    return true;
  }

  #digits(whole: number): void {
    let length = 1;
    for (let bound = 10; whole >= bound; bound *= 10) length++;
    let rest = whole;
    for (let i = this.#at + length - 1; i >= this.#at; i--) {
      // Beyond 32 bits `| 0` would wrap; status codes and most counts are below.
      const next = rest < 0x7fffffff ? (rest / 10) | 0 : Math.floor(rest / 10);
      this.#buffer[i] = zero + (rest - next * 10);
      rest = next;
    }
    this.#at += length;
  }

  /** Exactly three digits of 0 to 999. */
  #digits3(value: number): void {
    this.#buffer[this.#at++] = zero + ((value / 100) | 0);
    this.#buffer[this.#at++] = zero + (((value / 10) | 0) % 10);
    this.#buffer[this.#at++] = zero + (value % 10);
  }

  #encodeSecond(second: number): void {
    const text = new Date(second * 1000).toISOString();
    new TextEncoder().encodeInto(`{"time":"${text.slice(0, -4)}`, this.#timePrefix);
    this.#second = second;
  }
}

/** Writes \" or \\ or \uXXXX and answers where the next byte goes. */
function writeEscape(buffer: Uint8Array, from: number, code: number): number {
  let at = from;
  buffer[at++] = backslash;
  if (code === quote || code === backslash) {
    buffer[at++] = code;
    return at;
  }
  buffer[at++] = letterU;
  for (let shift = 12; shift >= 0; shift -= 4) buffer[at++] = hexDigits[(code >> shift) & 15]!;
  return at;
}

const noBytes: Uint8Array = new Uint8Array(0);
const quote = 0x22;
const minus = 0x2d;
const dot = 0x2e;
const zero = 0x30;
const byteZ = 0x5a;
const backslash = 0x5c;
const letterU = 0x75;
const closingBrace = 0x7d;
const newline = 0x0a;
const nullBytes = new TextEncoder().encode("null");
const hexDigits = new TextEncoder().encode("0123456789abcdef");
/** `{"time":"2026-11-21T05:01:02.` */
const timePrefixLength = 29;
/** Sign, 16 digits, dot, 3 digits. */
const numberBytesMax = 21;
/** `\u00XX` */
const escapeBytesMax = 6;
/** Brace and newline. */
const lineTailBytes = 2;

/** 1 for bytes that stand in a JSON string as they are: printable ASCII without quote and backslash. */
const plainByte = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f && byte !== quote && byte !== backslash ? 1 : 0,
);
