// Goal: whatever is copied in words or checked four bytes at a time comes out as byte by byte.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapeBytesMax, LineBytes, pieceOf } from "../../src/telemetry/line-bytes.ts";

const written = (line: LineBytes): string =>
  Buffer.from(line.bytes.subarray(0, line.at)).toString("latin1");

const isPlain = (byte: number): boolean =>
  byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;

describe("plain", () => {
  test("takes each byte that may stand in a JSON string, at each place, and no other", () => {
    for (let length = 1; length <= 9; length++) {
      for (let place = 0; place < length; place++) {
        for (let byte = 0; byte < 256; byte++) {
          const source = new Uint8Array(length + 8).fill(0x61).fill(0x22, length);
          source[place] = byte;
          const line = LineBytes.own(length);
          const stop = line.plain(source, 0, length);
          const expected = isPlain(byte) ? length : place & ~3;
          expect([length, place, byte, stop, line.at]).toEqual([
            length,
            place,
            byte,
            expected,
            expected,
          ]);
        }
      }
    }
  });

  test("with escaped behind it writes any bytes as a JSON string has them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(60), (bytes, from) => {
        const start = Math.min(from, bytes.length);
        const line = LineBytes.own(bytes.length * escapeBytesMax);
        line.escaped(bytes, line.plain(bytes, start, bytes.length), bytes.length);
        expect(written(line)).toMatch(/^[\x20-\x7e]*$/);
        expect(JSON.parse(`"${written(line)}"`)).toBe(
          Buffer.from(bytes.subarray(start)).toString("latin1"),
        );
      }),
    );
  });

  test("stops at bytes that carries between the four would hide or invent", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            0,
            1,
            0x1f,
            0x20,
            0x21,
            0x22,
            0x23,
            0x5b,
            0x5c,
            0x5d,
            0x7e,
            0x7f,
            0x80,
            0xff,
          ),
          {
            minLength: 4,
            maxLength: 4,
          },
        ),
        (four) => {
          const line = LineBytes.own(4);
          expect(line.plain(Uint8Array.from(four), 0, 4)).toBe(four.every(isPlain) ? 4 : 0);
        },
      ),
      { numRuns: 20_000 },
    );
  });
});

describe("copy and piece", () => {
  test("write ASCII of any length at any place, and no further than the slack", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii", maxLength: 70 }), fc.nat(9), (text, at) => {
        const line = LineBytes.own(100 + text.length);
        line.at = at;
        line.piece(pieceOf(text));
        expect(line.at).toBe(at + text.length);
        const again = LineBytes.own(text.length);
        again.copy(line.view, at, line.at);
        expect(written(again)).toBe(text);
      }),
    );
  });
});

describe("number", () => {
  test("writes every number below a million, and thousandths, as JavaScript does", () => {
    const line = LineBytes.own(32);
    const textOf = (value: number): string => {
      line.at = 0;
      line.number(value);
      return written(line);
    };
    for (let value = 0; value < 1_000_000; value += value < 12_000 ? 1 : 997) {
      if (textOf(value) !== `${value}`) expect(textOf(value)).toBe(`${value}`);
      const decimal = value / 1000;
      const expected = Number.isInteger(decimal) ? `${decimal}` : decimal.toFixed(3);
      if (textOf(decimal) !== expected) expect(textOf(decimal)).toBe(expected);
    }
    for (const value of [
      999_999,
      1_000_000,
      1_999_999.5,
      2_000_000.5,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 53 - 1,
    ]) {
      expect(Number(textOf(value))).toBe(value);
    }
  });
});
