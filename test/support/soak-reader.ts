// Reads messages of the adapters' soak as they come, in whatever pieces, and compares their bodies with the pattern as
// they pass: nothing is kept but a head that is not whole.

import type { Framing } from "./soak-plan.ts";

/** A field's value in a head that is in lower case; "" when it is not there. */
export function fieldIn(head: string, name: string): string {
  const at = head.indexOf(`\r\n${name}: `);
  return at < 0 ? "" : head.slice(at + name.length + 4, head.indexOf("\r\n", at + 2));
}

/** What is known of a message once its head is there: how its body is framed, and what it must be. */
export interface Expected {
  readonly framing: Framing;
  /** Of a body with a length. */
  readonly length: number;
  /** The part of the pattern that it must be; undefined: anything goes. */
  readonly body: { readonly at: number; readonly size: number } | undefined;
}

export interface ReaderEvents {
  /** Throws when the head is wrong. */
  head(text: string): Expected;
  /** A whole message was read, and was right. */
  whole(): void;
}

const Reading = {
  head: 0,
  body: 1,
  size: 2,
  chunk: 3,
  chunkEnd: 4,
  trailer: 5,
  untilEnd: 6,
} as const;
type State = (typeof Reading)[keyof typeof Reading];
const none = Buffer.alloc(0);
const headEnd = Buffer.from("\r\n\r\n");
const lineEnd = Buffer.from("\r\n");

export class SoakReader {
  readonly #events: ReaderEvents;
  readonly #pattern: Buffer;
  #state: State = Reading.head;
  /** Half a head, or half a line between chunks. */
  #rest = none;
  /** Bytes of the body, or of this chunk, that are still to come. */
  #left = 0;
  #got = 0;
  #expected: Expected | undefined;

  constructor(pattern: Buffer, events: ReaderEvents) {
    this.#pattern = pattern;
    this.#events = events;
  }

  /** Something of a message has come, and not all of it. */
  get isWithin(): boolean {
    return this.#state !== Reading.head || this.#rest.length > 0;
  }

  /** Throws with what is wrong. */
  read(bytes: Buffer): void {
    let buffer = bytes;
    let at = 0;
    if (this.#rest.length > 0) {
      buffer = Buffer.concat([this.#rest, bytes]);
      this.#rest = none;
    }
    while (at < buffer.length) {
      const next = this.#step(buffer, at);
      if (next < 0) {
        this.#rest = Buffer.from(buffer.subarray(at));
        return;
      }
      at = next;
    }
  }

  /** The other side has ended. */
  end(): void {
    if (this.#state === Reading.untilEnd) this.#whole();
  }

  /** Where to go on; -1: more is needed. */
  #step(buffer: Buffer, at: number): number {
    switch (this.#state) {
      case Reading.head:
        return this.#head(buffer, at);
      case Reading.body:
      case Reading.chunk:
        return this.#body(buffer, at, Math.min(this.#left, buffer.length - at));
      case Reading.untilEnd:
        return this.#body(buffer, at, buffer.length - at);
      default:
        return this.#line(buffer, at);
    }
  }

  #head(buffer: Buffer, at: number): number {
    const end = buffer.indexOf(headEnd, at);
    if (end < 0) return -1;
    const expected = this.#events.head(buffer.toString("latin1", at, end + 2));
    this.#expected = expected;
    this.#got = 0;
    this.#left = expected.length;
    if (expected.framing === "chunked") this.#state = Reading.size;
    else if (expected.framing === "until-close") this.#state = Reading.untilEnd;
    else if (expected.framing === "length" && expected.length > 0) this.#state = Reading.body;
    else this.#whole();
    return end + 4;
  }

  #body(buffer: Buffer, at: number, length: number): number {
    const { body } = this.#expected!;
    if (body !== undefined) {
      const from = body.at + this.#got;
      const { size } = body;
      if (this.#got + length > size) throw new Error(`a body of more than ${size} bytes`);
      const differs = this.#pattern.compare(buffer, at, at + length, from, from + length) !== 0;
      if (differs) throw new Error(`a body differs within ${length} bytes from byte ${this.#got}`);
    }
    this.#got += length;
    this.#left -= length;
    if (this.#left === 0 && this.#state === Reading.body) this.#whole();
    else if (this.#left === 0 && this.#state === Reading.chunk) this.#state = Reading.chunkEnd;
    return at + length;
  }

  /** A chunk's size, the empty line behind it, or one of the trailer. */
  #line(buffer: Buffer, at: number): number {
    const end = buffer.indexOf(lineEnd, at);
    if (end < 0) return -1;
    const line = buffer.toString("latin1", at, end);
    if (this.#state === Reading.size) {
      if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`a chunk's size is ${JSON.stringify(line)}`);
      this.#left = Number.parseInt(line, 16);
      this.#state = this.#left === 0 ? Reading.trailer : Reading.chunk;
    } else if (line === "") {
      if (this.#state === Reading.trailer) this.#whole();
      else this.#state = Reading.size;
    } else if (this.#state === Reading.chunkEnd) {
      throw new Error(`behind a chunk comes ${JSON.stringify(line)}`);
    }
    return end + 2;
  }

  #whole(): void {
    const size = this.#expected?.body?.size;
    if (size !== undefined && size !== this.#got)
      throw new Error(`a body of ${this.#got} bytes instead of ${size}`);
    this.#state = Reading.head;
    this.#events.whole();
  }
}
