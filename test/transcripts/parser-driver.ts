// The smallest client of the protocol core: feeds it octets cut in any way and writes down what it
// understood, and what a session would forward. Knows no sockets, adds no fields of its own.

import { ChunkEvent, ChunkedDecoder } from "../../src/protocol/chunked.ts";
import { Framing } from "../../src/protocol/framing.ts";
import { HeadScanner } from "../../src/protocol/head-end.ts";
import type { HeadFields } from "../../src/protocol/head-fields.ts";
import { Method, RequestHead } from "../../src/protocol/request-head.ts";
import { ResponseHead } from "../../src/protocol/response-head.ts";

export const limits = {
  headBytesMax: 16_384,
  headFieldsMax: 128,
  targetBytesMax: 8192,
  trailerBytesMax: 8192,
  trailerFieldsMax: 64,
};

/** What is beyond the octets that arrived; reading it changes an outcome. */
export const poison = 0x01;

export interface Understood {
  /** A request, an answer, or the status of a refusal. */
  readonly kind: "request" | "response" | "refused";
  status: number;
  error: string;
  /** The request line that would be forwarded. */
  line: string;
  host: string;
  /** The field lines that would be copied, as they are. */
  lines: string[];
  framing: number;
  contentLength: number;
  keepAlive: boolean;
  upgrade: string | undefined;
  expectContinue: boolean;
  body: string;
  /** "broken" when the body's coding was; then nothing more is read. */
  bodyState: "open" | "complete" | "broken";
}

/** How a stream of octets is cut: the ends of the pieces. */
export type Cuts = readonly number[];

export function whole(text: string): Cuts {
  return [text.length];
}

export function byteByByte(text: string): Cuts {
  return Array.from({ length: text.length }, (_, index) => index + 1);
}

/** Reads everything that a client sends on one connection. */
export function readRequests(text: string, cuts: Cuts): Understood[] {
  return new Driver((bytes, start, end, out) => {
    const head = sharedRequestHead;
    const next = head.parse(bytes, start, end);
    if (next < 0) out.push({ ...nothing(), kind: "refused", status: -next, error: head.error });
    if (next <= 0) return next;
    const range = (from: number, to: number): string => latin1(bytes, from, to);
    out.push({
      ...nothing(),
      kind: "request",
      line: `${range(head.methodStart, head.methodEnd)} ${range(head.targetStart, head.targetEnd)} HTTP/1.1`,
      host: range(head.hostStart, head.hostEnd),
      lines: [
        ...(head.hostFieldReplaced
          ? [`Host: ${range(head.authorityStart, head.authorityEnd)}\r\n`]
          : []),
        ...keptLines(head.fields, bytes),
      ],
      framing: head.framing,
      contentLength: head.contentLength,
      keepAlive: head.keepAlive,
      upgrade: head.upgrade ? range(head.upgradeStart, head.upgradeEnd) : undefined,
      expectContinue: head.expectContinue,
    });
    return next;
  }).read(text, cuts);
}

/** The method that an answer is to, as far as it decides about the answer's body. */
export function methodOf({ request = "" }: { readonly request?: string }): number {
  return request.startsWith("HEAD ") ? Method.Head : Method.Get;
}

/** Reads everything that a backend sends in answer to one request, until the connection ends. */
export function readResponses(text: string, cuts: Cuts, method: number = Method.Get): Understood[] {
  return new Driver((bytes, start, end, out) => {
    const head = sharedResponseHead;
    const next = head.parse(bytes, start, end, method);
    if (next < 0) out.push({ ...nothing(), kind: "refused", status: -next, error: head.error });
    if (next <= 0) return next;
    out.push({
      ...nothing(),
      kind: "response",
      status: head.status,
      line: `${head.status} ${latin1(bytes, head.reasonStart, head.reasonEnd)}`,
      lines: keptLines(head.fields, bytes),
      framing: head.framing,
      contentLength: head.contentLength,
      keepAlive: head.keepAlive,
    });
    return next;
  }).read(text, cuts);
}

const sharedRequestHead = new RequestHead(limits);
const sharedResponseHead = new ResponseHead(limits);

type ReadHead = (bytes: Uint8Array, start: number, end: number, out: Understood[]) => number;

class Driver {
  readonly #readHead: ReadHead;
  readonly #out: Understood[] = [];
  readonly #scanner = new HeadScanner(limits);
  readonly #decoder = new ChunkedDecoder(limits);
  #current: Understood | undefined;
  #left = 0;
  #at = 0;
  #stopped = false;

  constructor(readHead: ReadHead) {
    this.#readHead = readHead;
  }

  read(text: string, cuts: Cuts): Understood[] {
    const bytes = new Uint8Array(text.length + 64).fill(poison);
    let arrived = 0;
    for (const end of cuts) {
      for (; arrived < end; arrived++) bytes[arrived] = text.charCodeAt(arrived);
      while (!this.#stopped && this.#advance(bytes, end)) {
        // Every turn consumes something or stops.
      }
    }
    return this.#out;
  }

  #advance(bytes: Uint8Array, end: number): boolean {
    if (this.#current !== undefined) return this.#advanceBody(this.#current, bytes, end);
    if (this.#at === end || !this.#scanner.scan(bytes, this.#at, end)) return false;
    const next = this.#readHead(bytes, this.#at, end, this.#out);
    if (next === 0) throw new Error("the scanner called the parser for nothing");
    if (next < 0) {
      this.#stopped = true;
      return false;
    }
    this.#at = next;
    const current = this.#out.at(-1);
    if (current === undefined) throw new Error("a head without an entry");
    this.#begin(current);
    return true;
  }

  #begin(current: Understood): void {
    this.#current = current;
    this.#left = current.framing === Framing.Length ? current.contentLength : 0;
    this.#decoder.reset();
    if (
      current.framing === Framing.None ||
      (current.framing === Framing.Length && this.#left === 0)
    ) {
      this.#finish(current);
    }
  }

  #finish(current: Understood): void {
    current.bodyState = "complete";
    this.#current = undefined;
    // Behind an upgrade request, and behind the last of a connection, nothing is read.
    this.#stopped =
      current.kind === "request"
        ? !current.keepAlive || current.upgrade !== undefined
        : current.status >= 200;
  }

  #advanceBody(current: Understood, bytes: Uint8Array, end: number): boolean {
    if (this.#at === end) return false;
    if (current.framing === Framing.Chunked) return this.#advanceChunked(current, bytes, end);
    const taken =
      current.framing === Framing.Length ? Math.min(this.#left, end - this.#at) : end - this.#at;
    current.body += latin1(bytes, this.#at, this.#at + taken);
    this.#at += taken;
    this.#left -= taken;
    if (current.framing === Framing.Length && this.#left === 0) this.#finish(current);
    return true;
  }

  #advanceChunked(current: Understood, bytes: Uint8Array, end: number): boolean {
    const decoder = this.#decoder;
    const event = decoder.step(bytes, this.#at, end);
    this.#at = decoder.next;
    if (event === ChunkEvent.Data)
      current.body += latin1(bytes, decoder.dataStart, decoder.dataEnd);
    if (event === ChunkEvent.End) this.#finish(current);
    if (event === ChunkEvent.Error) {
      current.bodyState = "broken";
      current.error = decoder.error;
      this.#stopped = true;
    }
    return event !== ChunkEvent.NeedMore;
  }
}

function nothing(): Understood {
  return {
    kind: "request",
    status: 0,
    error: "",
    line: "",
    host: "",
    lines: [],
    framing: Framing.None,
    contentLength: -1,
    keepAlive: false,
    upgrade: undefined,
    expectContinue: false,
    body: "",
    bodyState: "open",
  };
}

function keptLines(fields: HeadFields, bytes: Uint8Array): string[] {
  const lines: string[] = [];
  for (let index = 0; index < fields.count; index++) {
    if (fields.dropped[index] === 1) continue;
    lines.push(latin1(bytes, fields.nameStart[index]!, fields.lineEnd[index]!));
  }
  return lines;
}

export function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
}
