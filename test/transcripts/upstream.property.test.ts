// Goal: what goes upstream is always well-formed, and means what the client meant; no cut changes that; and no
// reader looks at an octet that has not arrived.
// Method: requests made from a description, so that their meaning is known beforehand, and octets made of the
// cases' own pieces, whose meaning nobody knows; both judged by a strict reader that shares no code.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ChunkEvent, ChunkedDecoder } from "../../src/protocol/chunked.ts";
import { Method, RequestHead } from "../../src/protocol/request-head.ts";
import { ResponseHead } from "../../src/protocol/response-head.ts";
import { forwardInMemory } from "../support/forward-in-memory.ts";
import { readStrict, valuesOf } from "../support/strict-http.ts";
import { httpCases } from "./http-cases.ts";
import { limits } from "./parser-driver.ts";

const token = fc.stringMatching(/^[!#$%&'*+\-.^`|~0-9A-Za-z]{1,12}$/);
const value = fc
  .stringMatching(/^[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]{0,20}[\x21-\x7e\x80-\xff])?$/)
  .map((text) => text);
/** Fields that mean nothing to a router: of names that it does not read itself. */
const field = fc.tuple(
  token.map((name) => `x-${name.toLowerCase()}`).filter((name) => !/^x-(?:forw|requ)/.test(name)),
  value,
);
const blanks = fc.constantFrom("", " ", "\t", " \t ");
const chunks = fc.array(fc.string({ minLength: 1, maxLength: 20, unit: "binary-ascii" }), {
  maxLength: 5,
});

interface Described {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly hops: readonly (readonly [string, string])[];
  readonly pieces: readonly string[];
  readonly chunked: boolean;
  readonly blanks: string;
  readonly absolute: boolean;
}

const described: fc.Arbitrary<Described> = fc.record({
  method: fc.oneof(
    fc.constantFrom("GET", "POST", "PUT", "HEAD", "DELETE"),
    token.filter((name) => !["CONNECT", "TRACE"].includes(name)),
  ),
  target: fc.stringMatching(/^\/[-a-zA-Z0-9._~%/]{0,20}(\?[a-z=&?/]{0,10})?$/),
  host: fc.stringMatching(/^[a-z][a-z0-9-]{0,10}(\.[a-z]{1,5}){0,2}(:[1-9][0-9]{1,3})?$/),
  fields: fc.array(field, { maxLength: 6 }),
  hops: fc.array(
    fc.tuple(
      token.map((name) => `hop-${name.toLowerCase()}`),
      value,
    ),
    { maxLength: 3 },
  ),
  pieces: chunks,
  chunked: fc.boolean(),
  blanks,
  absolute: fc.boolean(),
});

function written(it: Described): string {
  const body = it.pieces.join("");
  const named = it.hops.map(([name]) => name.toUpperCase()).join(", ");
  const framing = it.chunked ? "transfer-encoding: Chunked" : `content-length: ${body.length}`;
  const lines = [
    `${it.method} ${it.absolute ? `HTTP://${it.host}` : ""}${it.target} HTTP/1.1`,
    `hOST:${it.blanks}${it.host}${it.blanks}`,
    ...[...it.fields, ...it.hops].map(([name, text]) => `${name}:${it.blanks}${text}${it.blanks}`),
    ...(named === "" ? [] : [`Connection: ${named}`]),
    framing,
  ];
  const coded = it.chunked
    ? `${it.pieces.map((piece) => `${piece.length.toString(16)};e="q"\r\n${piece}\r\n`).join("")}0\r\nT: 1\r\n\r\n`
    : body;
  return `${lines.join("\r\n")}\r\n\r\n${coded}`;
}

describe("a request whose meaning is known", () => {
  test("arrives as that, well-formed", () => {
    fc.assert(
      fc.property(described, (it) => {
        const text = written(it);
        const { text: sent, whole, used, error } = forwardInMemory(`${text}GET /next`);
        expect({ whole, used, error }).toEqual({ whole: true, used: text.length, error: "" });
        const message = readStrict(sent, "request");
        expect(message?.violations).toEqual([]);
        expect(message?.length).toBe(sent.length);
        expect(message?.startLine).toBe(`${it.method} ${it.target} HTTP/1.1`);
        expect(message?.body).toBe(it.pieces.join(""));
        expect(message?.trailers).toBe(0);
        expect(valuesOf(message!, "host")).toEqual([it.host]);
        expect(valuesOf(message!, "connection")).toEqual([]);
        const own = message!.fields.filter(([name]) => /^(?:x-|hop-)/.test(name));
        const theirs = own.filter(([name]) => !/^x-(?:forwarded|request)-/.test(name));
        expect(theirs).toEqual(it.fields);
      }),
      { numRuns: 500 },
    );
  });

  test("arrives as that however it is cut", () => {
    const places = fc.array(fc.nat(400), { maxLength: 12 });
    fc.assert(
      fc.property(described, places, (it, cuts) => {
        const text = written(it);
        const ends = cuts.filter((cut) => cut < text.length).toSorted((a, b) => a - b);
        const cut = forwardInMemory(text, [...ends, text.length]);
        expect(cut.whole).toBe(true);
        const whole = readStrict(forwardInMemory(text).text, "request")!;
        const again = readStrict(cut.text, "request")!;
        const meaning = ({ fields, ...rest }: typeof whole) => ({
          ...rest,
          length: 0,
          fields: fields.filter(([name]) => name !== "x-request-id"),
        });
        expect(meaning(again)).toEqual(meaning(whole));
      }),
      { numRuns: 300 },
    );
  });
});

/** Octets as an attacker would mix them: pieces of the cases, spliced. */
const spliced = fc
  .array(
    fc.tuple(fc.nat(httpCases.length - 1), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(60)),
    { minLength: 1, maxLength: 5 },
  )
  .map((parts) =>
    parts
      .map(([index, from, length], place) => {
        const bytes = httpCases[index]!.bytes.slice(0, 3000);
        if (place === 0) return bytes.slice(0, Math.floor(from * bytes.length) + 1);
        const start = Math.floor(from * bytes.length);
        return bytes.slice(start, start + length + 1);
      })
      .join(""),
  );

describe("octets whose meaning nobody knows", () => {
  test("become a well-formed request or none", () => {
    fc.assert(
      fc.property(spliced, (text) => {
        const { text: sent, whole } = forwardInMemory(text);
        if (sent === "") return;
        const message = readStrict(sent, "request");
        expect(message?.violations).toEqual([]);
        // Cut or broken, it must not look complete either.
        expect(message?.complete).toBe(whole);
        if (whole) expect(message?.length).toBe(sent.length);
      }),
      { numRuns: 2000 },
    );
  });
});

/** What is beyond the octets that arrived: whoever reads there answers differently. */
const beyond = ["\x01", "A", "\r\n\r\n", "0\r\n\r\n", "\0"];

function inside(text: string, rest: string): { bytes: Uint8Array; start: number; end: number } {
  const before = rest.repeat(8);
  const bytes = Buffer.from(before + text + rest.repeat(40), "latin1");
  return { bytes, start: before.length, end: before.length + text.length };
}

const requestHead = new RequestHead(limits);
const responseHead = new ResponseHead(limits);
const readers: Readonly<Record<string, (text: string, rest: string) => unknown>> = {
  "request heads": (text, rest) => {
    const { bytes, start, end } = inside(text, rest);
    const next = requestHead.parse(bytes, start, end);
    if (next <= 0) return [next, requestHead.error];
    const { framing, contentLength, keepAlive, upgrade, targetStart, targetEnd } = requestHead;
    return [next - start, framing, contentLength, keepAlive, upgrade, targetEnd - targetStart];
  },
  "response heads": (text, rest) => {
    const { bytes, start, end } = inside(text, rest);
    const next = responseHead.parse(bytes, start, end, Method.Get);
    if (next <= 0) return [next, responseHead.error];
    const { framing, contentLength, keepAlive, status } = responseHead;
    return [next - start, framing, contentLength, keepAlive, status];
  },
  chunks: (text, rest) => {
    const { bytes, start, end } = inside(text.slice(text.indexOf("\r\n\r\n") + 4), rest);
    const decoder = new ChunkedDecoder(limits);
    const events: unknown[] = [];
    for (let at = start; ; at = decoder.next) {
      const event = decoder.step(bytes, at, end);
      events.push([event, decoder.next - start, decoder.error]);
      if (event !== ChunkEvent.Data) return events;
      events.push([decoder.dataStart - start, decoder.dataEnd - start]);
    }
  },
};

describe("a reader never looks beyond what arrived", () => {
  test.for(Object.entries(readers))("of %s", ([, read]) => {
    fc.assert(
      fc.property(spliced, (text) => {
        const outcomes = beyond.map((rest) => JSON.stringify(read(text, rest)));
        expect(new Set(outcomes).size).toBe(1);
      }),
      { numRuns: 1000 },
    );
  });

  test.for(["request heads", "response heads"] as const)(
    "nor judges a beginning otherwise than the whole, of %s",
    (kind) => {
      const read = readers[kind]!;
      for (const { id, bytes } of httpCases) {
        if (bytes.length > 1000) continue;
        const whole = JSON.stringify(read(bytes, "A"));
        for (let end = 0; end < bytes.length; end++) {
          const [next, ...rest] = read(bytes.slice(0, end), "\x01") as [number, string];
          if (next !== 0) expect(JSON.stringify([next, ...rest]), `${id} at ${end}`).toBe(whole);
        }
      }
    },
  );

  test("nor writes there", () => {
    fc.assert(
      fc.property(spliced, (text) => {
        const { bytes, start, end } = inside(text, "A");
        requestHead.parse(bytes, start, end);
        expect(Buffer.from(bytes.subarray(0, start)).toString()).toBe("A".repeat(start));
        expect(Buffer.from(bytes.subarray(end)).toString()).toBe("A".repeat(bytes.length - end));
      }),
      { numRuns: 1000 },
    );
  });
});
