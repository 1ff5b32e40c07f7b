// Goal: four octets at a time never pass what one at a time would stop at, and a head read that way says the same.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HeadFields } from "../../src/protocol/head-fields.ts";
import { octetClass, valueOctet } from "../../src/protocol/octets.ts";
import { skipPrintable, WordView } from "../../src/protocol/word-view.ts";

describe("skipPrintable", () => {
  test("passes four octets exactly when each may stand in a value and is no tab, wherever they lie", () => {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    const passes = (octet: number): boolean =>
      (octetClass[octet]! & valueOctet) !== 0 && octet !== 9;
    for (const fill of [0x20, 0x41, 0x7e, 0x80, 0xff]) {
      for (let octet = 0; octet < 256; octet++) {
        for (let at = 0; at < 4; at++) {
          for (const start of [0, 1, 2, 3]) {
            bytes.fill(fill);
            bytes[start + at] = octet;
            expect(skipPrintable(view, start, start + 4)).toBe(passes(octet) ? start + 4 : start);
          }
        }
      }
    }
  });

  test("stops before an octet that stops it, and less than four before the end", () => {
    const octets = fc.uint8Array({ minLength: 0, maxLength: 24 });
    fc.assert(
      fc.property(octets, (bytes) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        const at = skipPrintable(view, 0, bytes.length);
        for (let index = 0; index < at; index++) {
          expect(octetClass[bytes[index]!]! & valueOctet).not.toBe(0);
        }
        expect(at).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("WordView", () => {
  test("has a view of an array that comes twice in a row", () => {
    const words = new WordView();
    const [one, other] = [new Uint8Array(8), new Uint8Array(8)];
    expect(words.of(one)).toBeUndefined();
    expect(words.of(one)?.buffer).toBe(one.buffer);
    expect(words.made(one)?.buffer).toBe(one.buffer);
    expect(words.made(other)).toBeUndefined();
    expect(words.of(other)).toBeUndefined();
    expect(words.made(one)).toBeUndefined();
  });
});

test("fields read from an array that is known say what they say from another", () => {
  const array = new Uint8Array(256);
  const known = new HeadFields(16);
  known.read(array, 0, 1);
  const piece = fc.constantFrom(
    "a",
    "b: ",
    ":",
    " ",
    "\t",
    "\r\n",
    "\r",
    "\n",
    "\u007f",
    "\u0000",
    "é",
    "value",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.nat({ max: 3 }), (pieces, start) => {
      const text = Buffer.from(`${pieces.join("")}\r\n\r\n`, "latin1");
      array.set(text, start);
      const fresh = new HeadFields(16);
      const expected = fresh.read(new Uint8Array(array), start, start + text.length);
      expect(known.read(array, start, start + text.length)).toBe(expected);
      expect(known.error).toBe(fresh.error);
      expect(known.count).toBe(fresh.count);
      for (let index = 0; index < fresh.count; index++) {
        expect(known.valueStart[index]).toBe(fresh.valueStart[index]);
        expect(known.valueEnd[index]).toBe(fresh.valueEnd[index]);
        expect(known.lineEnd[index]).toBe(fresh.lineEnd[index]);
      }
    }),
    { numRuns: 2_000 },
  );
});
