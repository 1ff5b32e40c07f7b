// Goal: what is written is what stands in the buffer, whatever its length and however small the buffer.
// Method: random writes against a plain string.

import { describe, expect, test } from "vitest";
import { ascii, ByteWriter } from "../../src/worker/byte-writer.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const textOf = (writer: ByteWriter): string =>
  Buffer.from(writer.bytes.subarray(0, writer.length)).toString("latin1");

test.for([1, 2, 3])("any sequence of writes, seed %i", (seed) => {
  const random = new SeededRandom(seed);
  const writer = new ByteWriter(8);
  let expected = "";
  const source = Buffer.from("0123456789".repeat(50), "latin1");
  for (let i = 0; i < 400; i++) {
    switch (random.below(5)) {
      case 0: {
        const code = random.below(256);
        writer.byte(code);
        expected += String.fromCharCode(code);
        break;
      }
      case 1: {
        const start = random.below(200);
        const end = start + random.below(200);
        writer.range(source, start, end);
        expected += source.toString("latin1", start, end);
        break;
      }
      case 2: {
        const text = "ab\u00e9".repeat(random.below(30));
        writer.text(text);
        expected += text;
        break;
      }
      case 3: {
        const value = Math.floor(2 ** (random.next() * 53));
        writer.number(value);
        expected += String(value);
        break;
      }
      default: {
        const piece = ascii("x".repeat(random.below(100)));
        writer.all(piece);
        expected += "x".repeat(piece.length);
      }
    }
  }
  expect(textOf(writer)).toBe(expected);
});

describe("a number", () => {
  test.for([0, 9, 10, 2 ** 31 - 2, 2 ** 31 - 1, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER])(
    "%i in decimal",
    (value) => {
      const writer = new ByteWriter(1);
      writer.number(value);
      expect(textOf(writer)).toBe(String(value));
    },
  );
});

test("characters beyond Latin-1 become question marks, one each", () => {
  const writer = new ByteWriter(1);
  writer.text("a€b");
  expect(textOf(writer)).toBe("a?b");
});

test("room that was reserved is not taken from what was written", () => {
  const writer = new ByteWriter(4);
  writer.text("abcd");
  writer.reserve(1_000);
  expect(writer.bytes.length).toBeGreaterThanOrEqual(1_004);
  expect(textOf(writer)).toBe("abcd");
});
