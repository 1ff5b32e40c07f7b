// Goal: a length is decimal digits and nothing else.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parseContentLength } from "../../src/protocol/content-length.ts";
import { poisoned } from "./octets-of.ts";

function parse(text: string): number {
  return parseContentLength(poisoned(text, 2), 2, 2 + text.length);
}

test.for(["", " 5", "5 ", "-1", "+1", "1e3", "0x1", "1.0", "1_0", "9007199254740992", "1,1"])(
  "%j is no length",
  (text) => {
    expect(parse(text)).toBe(-1);
  },
);

test("every exact number is one, with any zeros before it", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(9), (length, zeros) => {
      expect(parse(`${"0".repeat(zeros)}${length}`)).toBe(length);
    }),
  );
});
