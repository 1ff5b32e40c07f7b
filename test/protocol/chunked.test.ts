// Goal: a chunked body is decoded in one way only, however it arrives, or refused.
// Method: bodies of our own making must come back; broken ones must break, at the same octet.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as limits from "../../src/limits.ts";
import { ChunkEvent, ChunkedDecoder, writeChunkHead } from "../../src/protocol/chunked.ts";
import { poisoned, textOf } from "./octets-of.ts";

interface Decoded {
  readonly body: string;
  readonly outcome: string;
  /** Octets used up to the end, or up to the octet that broke it. */
  readonly used: number;
}

function decode(text: string, pieces: readonly number[] = [text.length]): Decoded {
  const decoder = new ChunkedDecoder(limits);
  let body = "";
  let at = 0;
  for (const end of pieces) {
    const bytes = poisoned(text.slice(0, end));
    let event: number = ChunkEvent.Data;
    while (event === ChunkEvent.Data) {
      event = decoder.step(bytes, at, end);
      at = decoder.next;
      if (event === ChunkEvent.Data) body += textOf(bytes, decoder.dataStart, decoder.dataEnd);
    }
    if (event === ChunkEvent.End) return { body, outcome: "end", used: at };
    if (event === ChunkEvent.Error) return { body, outcome: decoder.error, used: at };
    expect(at).toBe(end);
  }
  return { body, outcome: "more", used: at };
}

function oneByOne(text: string): number[] {
  return Array.from({ length: text.length }, (_, index) => index + 1);
}

describe("ChunkedDecoder", () => {
  const good: readonly (readonly [string, string])[] = [
    ["0\r\n\r\n", ""],
    ["5\r\nhello\r\n0\r\n\r\n", "hello"],
    ["A\r\n0123456789\r\n000\r\n\r\n", "0123456789"],
    ["0000000000000001\r\nx\r\n0\r\n\r\n", "x"],
    ["1;a\r\nx\r\n0;b=c\r\n\r\n", "x"],
    ['1 ; a = "q\\"\\\\;" ;b\r\nx\r\n0\r\n\r\n', "x"],
    ["1\r\nx\r\n0\r\nX-T: 1\r\nContent-Length: 5\r\n\r\n", "x"],
    ["1\r\n\n\r\n0\r\n\r\n", "\n"],
  ];
  test.for(good)("%j carries %j, and leaves what follows", ([text, body]) => {
    const expected = { body, outcome: "end", used: text.length };
    expect(decode(text)).toEqual(expected);
    expect(decode(text, oneByOne(text))).toEqual(expected);
    expect(decode(`${text}GET /`)).toEqual(expected);
  });

  const bad: readonly (readonly [string, string])[] = [
    ["\r\n", "bad-chunk-size"],
    ["g\r\n", "bad-chunk-size"],
    ["0x5\r\n", "bad-chunk-size"],
    ["+5\r\n", "bad-chunk-size"],
    [" 5\r\n", "bad-chunk-size"],
    ["5\nhello", "bad-chunk-size"],
    ["5\rX", "bare-cr"],
    ["5 \r\n", "bad-chunk-extension"],
    ["5 a\r\n", "bad-chunk-extension"],
    ["5;\r\n", "bad-chunk-extension"],
    ["5;a\t\r\n", "bad-chunk-extension"],
    ["5;a=b \r\n", "bad-chunk-extension"],
    ["5;a=\r\n", "bad-chunk-extension"],
    ['5;a="b\r\n', "bad-chunk-extension"],
    ["5;a\n", "bad-chunk-extension"],
    ["5;\0\r\n", "bad-chunk-extension"],
    ["00000000000000001\r\n", "chunk-size-too-long"],
    ["20000000000000\r\n", "chunk-too-large"],
    [`5;${"a".repeat(5000)}\r\n`, "extensions-too-long"],
    ["1\r\nx\n", "bad-chunk-end"],
    ["1\r\nxy", "bad-chunk-end"],
    ["1\r\nx\rX", "bad-chunk-end"],
    ["0\r\n\n", "bad-trailer"],
    ["0\r\n\rX", "bare-cr"],
    ["0\r\nX: y\n", "bad-trailer"],
    ["0\r\nX : y\r\n", "bad-trailer"],
    ["0\r\n: y\r\n", "bad-trailer"],
    ["0\r\n folded\r\n", "bad-trailer"],
    ["0\r\nX: \0\r\n", "bad-trailer"],
    [`0\r\n${"X: y\r\n".repeat(65)}`, "too-many-trailers"],
    [`0\r\nX: ${"y".repeat(9000)}`, "trailers-too-long"],
  ];
  test.for(bad)("%j is broken: %s", ([text, error]) => {
    const atOnce = decode(text);
    expect(atOnce.outcome).toBe(error);
    expect(decode(text, oneByOne(text))).toEqual(atOnce);
  });

  test("extensions are bounded by body, not by chunk", () => {
    const text = `1;${"a".repeat(100)}\r\nx\r\n`.repeat(60);
    expect(decode(text).outcome).toBe("extensions-too-long");
  });

  test("reset forgets everything", () => {
    const decoder = new ChunkedDecoder(limits);
    const broken = poisoned("zz");
    expect(decoder.step(broken, 0, 2)).toBe(ChunkEvent.Error);
    expect(decoder.step(poisoned("0\r\n\r\n"), 0, 5)).toBe(ChunkEvent.Error);
    decoder.reset();
    expect(decoder.step(poisoned("0\r\n\r\n"), 0, 5)).toBe(ChunkEvent.End);
    expect(decoder.next).toBe(5);
  });

  test("what writeChunkHead writes comes back, cut anywhere", () => {
    const chunks = fc.array(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 }), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(chunks, fc.array(fc.nat(400), { maxLength: 5 }), (parts, cuts) => {
        const text = `${parts.map((part) => `${headOf(part.length)}${part}\r\n`).join("")}0\r\n\r\n`;
        const pieces = [
          ...cuts.filter((cut) => cut < text.length).toSorted((a, b) => a - b),
          text.length,
        ];
        expect(decode(text, pieces)).toEqual({
          body: parts.join(""),
          outcome: "end",
          used: text.length,
        });
      }),
    );
  });

  test("any octets have the same outcome however they are cut", () => {
    const octet = fc.constantFrom(...'0125aAfg;="\\ \t\r\n:X\0\xff'.split(""));
    const pieces = fc.oneof(
      fc.constantFrom("5\r\nhello\r\n", "0\r\n", "\r\n", "1\r\nx", ";a=b", '"', "X: y\r\n"),
      fc.string({ unit: octet, maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 10 }), (parts) => {
        const text = parts.join("");
        expect(decode(text, oneByOne(text))).toEqual(decode(text));
      }),
      { numRuns: 2000 },
    );
  });
});

function headOf(size: number): string {
  const out = new Uint8Array(24);
  return textOf(out, 0, writeChunkHead(out, 0, size));
}

test.for([
  [1, "1\r\n"],
  [500, "1f4\r\n"],
  [65_536, "10000\r\n"],
  [2 ** 40 + 10, "1000000000a\r\n"],
] as const)("writeChunkHead writes %i as %j", ([size, expected]) => {
  expect(headOf(size)).toBe(expected);
});
