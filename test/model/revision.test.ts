// Goal: a Revision is a counter that JavaScript counts exactly.

import { expect, test } from "vitest";
import { parseRevision, revisionZero } from "../../src/model/revision.ts";

const last = Number.MAX_SAFE_INTEGER;

test.for<[number | bigint, number]>([
  [0, 0],
  [0n, 0],
  [12n, 12],
  [last, last],
  [BigInt(last), last],
])("%s is a revision", ([value, revision]) => {
  expect(parseRevision(value)).toBe(revision);
});

test.for<number | bigint>([
  -1,
  -1n,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  last + 1,
  BigInt(last) + 1n,
  // Rounded to a double it would be another number.
  BigInt(last) + 2n,
  2n ** 64n,
])("%s is none", (value) => {
  expect(() => parseRevision(value)).toThrow(`${value} is not a revision`);
});

test("zero is before everything", () => {
  expect(revisionZero).toBe(parseRevision(0));
});
