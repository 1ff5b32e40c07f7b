// The access log inside a worker: one JSON line per request, formatted into a reused buffer.
//
// Knows: bytes, the time, which fields repeat from line to line. Does not know where lines end up.
//
// This is the hot path. A line makes no string and no object: what repeats stands ready and is copied,
// eight bytes at a time (line-bytes.ts); what a request said of itself was escaped when it was read
// (kept-fields.ts); only the rest is written here. A value written byte by byte costs 2 ns a byte, and
// a character of a string 3 ns; bench/access-log.ts holds the whole.
//
// What comes from strangers is escaped so that one request is one line of ASCII: quotes, backslash,
// control bytes, and everything beyond ASCII as \u00XX (bytes) or \uXXXX (texts).

import { accessLogFieldBytesMax, accessLogLineBytesMax, accessLogPageBytes } from "../limits.ts";
import type { System } from "../system.ts";
import { AccessField, type AccessKey } from "./access-fields.ts";
import { Counter } from "./counters.ts";
import { FieldSlots } from "./field-slots.ts";
import type { KeptFields } from "./kept-fields.ts";
import {
  escapeBytesMax,
  LineBytes,
  numberBytesMax,
  type Piece,
  pieceOf,
  quoteByte,
  slackBytes,
} from "./line-bytes.ts";
import type { LogPages } from "./log-pages.ts";
import { ReadyFields } from "./ready-fields.ts";

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
  readonly ready = new ReadyFields();
  readonly #pages: LogPages;
  readonly #send: (page: number, length: number) => void;
  readonly #counters: Float64Array;
  readonly #system: Pick<System, "wallMs">;
  /** The page that is being written; -1: none was free. */
  #page = -1;
  readonly #clients = new FieldSlots({
    keys: [AccessField.client],
    slots: clientSlots,
    slotBytes: 64,
  });
  readonly #places = new FieldSlots({
    keys: [AccessField.route, AccessField.service, AccessField.backend],
    slots: placeSlots,
    slotBytes: 192,
  });
  readonly #line = new LineBytes(noBytes, new DataView(noBytes.buffer));
  /** Where this line began, and where it must have ended. */
  #lineAt = 0;
  #lineEndMax = 0;
  #tooLong = false;
  /** `{"time":"2026-11-21T05:01:02.034Z"` of `#timeMs`. */
  readonly #time = LineBytes.own(timeLength);
  #timeMs = Number.NaN;
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
    const line = this.#line;
    this.#lineAt = line.at;
    this.#lineEndMax = line.at + accessLogLineBytesMax - lineTailBytes;
    this.#tooLong = this.#page < 0;
    if (this.#tooLong) return;
    const nowMs = this.#system.wallMs();
    if (nowMs !== this.#timeMs) this.#encodeTime(nowMs);
    line.copy(this.#time.view, 0, timeLength);
  }

  /** A text; what is beyond `accessLogFieldBytesMax` characters is cut off. */
  textField(key: AccessKey, text: string): void {
    const length = Math.min(text.length, accessLogFieldBytesMax);
    if (!this.#key(key.quoted, length * escapeBytesMax + 1)) return;
    const line = this.#line;
    line.escapedText(text, length);
    line.byte(quoteByte);
  }

  /** The client's address. */
  client(address: string): void {
    this.#repeated(this.#clients, address, "", "");
  }

  /** Where the request went; "" for what it did not come to. */
  place(route: string, service: string, backend: string): void {
    this.#repeated(this.#places, route, service, backend);
  }

  #repeated(slots: FieldSlots, first: string, second: string, third: string): void {
    const slot = slots.slotOf(first, second, third);
    if (slot < 0) return this.#longFields(slots.keys, first, second, third);
    const start = slot * slots.slotBytes;
    this.#copy(slots.view, start, start + slots.lengthOf(slot));
  }

  #longFields(keys: readonly AccessKey[], first: string, second: string, third: string): void {
    const [one, two, three] = keys;
    if (one !== undefined) this.textField(one, first);
    if (two !== undefined) this.textField(two, second);
    if (three !== undefined) this.textField(three, third);
  }

  /** A number with up to three decimals; what is no number is written as null. */
  numberField(key: AccessKey, value: number): void {
    if (this.#key(key.plain, numberBytesMax)) this.#line.number(value);
  }

  /** As numberField, of thousandths from 0 to 2^31 - 1: a number with decimals would be boxed on its way here. */
  thousandthsField(key: AccessKey, thousandths: number): void {
    if (this.#key(key.plain, numberBytesMax)) this.#line.thousandths(thousandths);
  }

  /** Whole fields that are the same in many lines. */
  readyFields(fields: Piece): void {
    this.#key(fields, 0);
  }

  /** Fields that were kept: those in kept[start..end). */
  keptFields(kept: KeptFields, start: number, end: number): void {
    this.#copy(kept.line.view, start, end);
  }

  /** Ends the line; a full batch leaves at once. */
  end(): void {
    const line = this.#line;
    if (this.#tooLong) {
      line.at = this.#lineAt;
      this.#counters[Counter.logLinesDropped]! += 1;
      return;
    }
    line.byte(closingBrace);
    line.byte(newline);
    if (line.at > accessLogPageBytes - accessLogLineBytesMax) this.flush();
  }

  /** Sends what waits; called by the worker's timer so that a quiet log is not a late one. */
  flush(): void {
    const length = this.#line.at;
    if (length === 0) return;
    const page = this.#page;
    this.#page = -1;
    this.#line.at = 0;
    this.#send(page, length);
  }

  #takePage(): void {
    this.#page = this.#pages.take();
    if (this.#page < 0) return;
    this.#line.bytes = this.#pages.bytesOf(this.#page);
    this.#line.view = this.#pages.viewOf(this.#page);
  }

  /** Writes the key when it and `valueBytesMax` more fit; otherwise the line is lost. */
  #key(key: Piece, valueBytesMax: number): boolean {
    const line = this.#line;
    if (line.at + key.length + valueBytesMax > this.#lineEndMax) this.#tooLong = true;
    if (this.#tooLong) return false;
    line.piece(key);
    return true;
  }

  #copy(source: DataView, start: number, end: number): void {
    const line = this.#line;
    if (line.at + end - start > this.#lineEndMax) this.#tooLong = true;
    if (!this.#tooLong) line.copy(source, start, end);
  }

  #encodeTime(nowMs: number): void {
    const time = this.#time;
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      time.at = 0;
      time.piece(pieceOf(`{"time":"${new Date(second * 1000).toISOString()}"`));
      this.#second = second;
    }
    time.at = timeMsAt;
    time.digits3(Math.floor(nowMs) - second * 1000);
    time.byte(byteZ);
    this.#timeMs = nowMs;
  }
}

/** Clients' addresses, and triples of route, service and backend, that stand ready: 16 KiB and 384 KiB. */
const clientSlots = 256;
const placeSlots = 2048;
const noBytes = new Uint8Array(0);
/** `{"time":"2026-11-21T05:01:02.034Z"`, and where its milliseconds begin. */
const timeLength = 34;
const timeMsAt = 29;
const byteZ = 0x5a;
const closingBrace = 0x7d;
const newline = 0x0a;
/** Brace and newline, and what a copy may touch behind. */
const lineTailBytes = 2 + slackBytes;
