// Goal: Date is that of the second at hand, in the one form that is to be sent, made once a second.

import { expect, test } from "vitest";
import { dateLineAt } from "../../src/worker/date-line.ts";

const text = (line: Uint8Array): string => Buffer.from(line).toString("latin1");

test("is a whole line in the fixed form of RFC 9110 section 5.6.7", () => {
  expect(text(dateLineAt(784_111_777_000))).toBe("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  expect(text(dateLineAt(951_782_400_000))).toBe("Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
});

test("is the same bytes within a second, and other ones in the next or after a jump back", () => {
  const first = dateLineAt(1_790_000_000_000);
  expect(dateLineAt(1_790_000_000_999)).toBe(first);
  expect(text(dateLineAt(1_790_000_001_000))).not.toBe(text(first));
  expect(text(dateLineAt(1_790_000_000_500))).toBe(text(first));
});
