// Goal: every byte of a range arrives, none beside it is touched, whatever its length and place.
// Method: all short lengths and alignments, against `set`.

import { expect, test } from "vitest";
import { copyShort, viewOf } from "../../src/io/copy-bytes.ts";

test("copies every length up to 40 between every alignment, and nothing beside it", () => {
  // Every bit pattern that a float would take for a NaN is among them.
  const source = Uint8Array.from({ length: 64 }, (_, i) => (i % 3 === 0 ? 0xff : 0xf0 + (i % 16)));
  for (let count = 0; count <= 40; count++) {
    for (let shift = 0; shift < 8; shift++) {
      const target = new Uint8Array(64).fill(1);
      const wanted = target.slice();
      wanted.set(source.subarray(shift, shift + count), 7 - shift);
      copyShort(viewOf(target), 7 - shift, viewOf(source), shift, count);
      expect(target, `${count} bytes from ${shift}`).toEqual(wanted);
    }
  }
});

test("a view is of the array that was asked for, however many take turns", () => {
  const backing = new Uint8Array(100);
  const arrays = Array.from({ length: 10 }, (_, i) => backing.subarray(i * 10, i * 10 + 10));
  for (let round = 0; round < 3; round++) {
    for (const [i, array] of arrays.entries()) {
      viewOf(array).setUint8(0, i + 1);
      expect(backing[i * 10]).toBe(i + 1);
      expect(viewOf(array).byteLength).toBe(10);
    }
  }
  expect(viewOf(backing)).toBe(viewOf(backing));
});
