// Goal: Max-Forwards is a plain number or nothing; OPTIONS alone is counted down by it.

import { describe, expect, test } from "vitest";
import { parseMaxForwards } from "../../src/protocol/max-forwards.ts";
import { RequestHead } from "../../src/protocol/request-head.ts";
import { poisoned } from "./octets-of.ts";

const limits = { headBytesMax: 1024, headFieldsMax: 8, targetBytesMax: 64 };

test.for([
  ["0", 0],
  ["1", 1],
  ["007", 7],
  ["2147483647", 2_147_483_647],
  ["2147483648", 2_147_483_647],
  ["9".repeat(400), 2_147_483_647],
  ["", -1],
  ["-1", -1],
  ["+1", -1],
  ["1.0", -1],
  ["1, 1", -1],
  ["0x1", -1],
  ["ten", -1],
] as const)("%j is %i", ([text, value]) => {
  expect(parseMaxForwards(poisoned(text, 3), 3, 3 + text.length)).toBe(value);
});

describe("a head", () => {
  const read = (method: string, fields: string): string => {
    const text = `${method} / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
    const head = new RequestHead(limits);
    const bytes = poisoned(text);
    const result = head.parse(bytes, 0, text.length);
    if (result < 0) return `${-result} ${head.error}`;
    return `${head.maxForwards}${head.fields.dropped[1] === 1 ? ", dropped" : ""}`;
  };

  test.for([
    ["OPTIONS", "Max-Forwards: 3\r\n", "3, dropped"],
    ["OPTIONS", "max-FORWARDS: 0\r\n", "0, dropped"],
    ["OPTIONS", "X: 3\r\n", "-1"],
    ["OPTIONS", "Max-Forwards: x\r\n", "400 bad-max-forwards"],
    ["OPTIONS", "Max-Forwards:\r\n", "400 bad-max-forwards"],
    ["OPTIONS", "Max-Forwards: 1\r\nMax-Forwards: 1\r\n", "400 duplicate-max-forwards"],
    // Nobody can take from the count what it says.
    ["OPTIONS", "Max-Forwards: 3\r\nConnection: max-forwards\r\n", "3, dropped"],
    ["GET", "Max-Forwards: 3\r\n", "-1"],
    ["GET", "Max-Forwards: x\r\n", "-1"],
    ["options", "Max-Forwards: 0\r\n", "-1"],
  ] as const)("of %s with %j: %s", ([method, fields, expected]) => {
    expect(read(method, fields)).toBe(expected);
  });
});
