// Goal: conditions are held against what a client sent, wherever it lies in the received bytes.
// Method: real heads, parsed, with other requests around them: a table of questions; then random heads, whose
// answers must be those of lists that are searched as text.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ValueCondition } from "../../src/model/conditions.ts";
import { RequestHead } from "../../src/protocol/request-head.ts";
import { HeadFacts } from "../../src/worker/request-facts.ts";

const head = new RequestHead({ headBytesMax: 4096, headFieldsMax: 32, targetBytesMax: 1024 });
const facts = new HeadFacts({ current: head });
const encoder = new TextEncoder();

/** Another request before and behind it: what lies around must not count. */
function parsed(text: string): Uint8Array {
  const around = "GET /?v=9&w=9 HTTP/1.1\r\nHost: z\r\nX-A: 9\r\n\r\n";
  const bytes = encoder.encode(around + text + around);
  expect(head.parse(bytes, around.length, bytes.length - around.length), text).toBeGreaterThan(0);
  return bytes;
}

/** "header x=1", "query !x" as in matchText. */
function asks(bytes: Uint8Array, text: string): boolean {
  const [kind, word = ""] = text.split(" ");
  if (kind === "method") return facts.hasMethod(bytes, word);
  const [name = "", value] = word.split(/=(.*)/s);
  const op = value === undefined ? "present" : value.endsWith("*") ? "prefix" : "exact";
  const sought: ValueCondition = { name, op, value: (value ?? "").replace(/\*$/, "") };
  return kind === "header" ? facts.hasField(bytes, sought) : facts.hasParameter(bytes, sought);
}

const fields =
  "Host: a.test\r\nX-Canary:  Yes \r\nX-A: 1\r\nx-a: 2\r\nEmpty:\r\nX_Under: 1\r\n" +
  "Connection: close, X-Named\r\nX-Named: 1\r\nKeep-Alive: timeout=5\r\n\r\n";
const plain = `GET /p/v=7?v=1&a&b=&v=2&c=x=y&&%76=8 HTTP/1.1\r\n${fields}`;
const absolute = `PATCH http://a.test?v=1 HTTP/1.1\r\n${fields}`;
const starred = `OPTIONS * HTTP/1.1\r\n${fields}`;

const table: readonly [string, string, readonly string[], readonly string[]][] = [
  [
    "the method",
    plain,
    ["method GET"],
    ["method GE", "method GETS", "method get", "method OPTIONS"],
  ],
  ["another method", absolute, ["method PATCH"], ["method PATCHED"]],
  [
    "fields",
    plain,
    ["header x-canary=Yes", "header x-canary=Y*", "header x-a=1", "header x-a=2", "header empty="],
    ["header x-canary=yes", "header x-canary=es", "header x-a=3", "header x-a=9", "header x"],
  ],
  [
    "fields that end here",
    plain,
    ["header x-named=1", "header keep-alive", "header connection=close*", "header x_under=1"],
    ["header x-under"],
  ],
  [
    "the query",
    plain,
    ["query v=1", "query v=2", "query a", "query a=", "query b=", "query c=x=y", "query %76=8"],
    ["query v=7", "query v=8", "query v=9", "query w", "query c=x", "query b=2", "query p"],
  ],
  ["the query of an absolute form without a path", absolute, ["query v=1"], ["query v=9"]],
  ["no query", starred, ["method OPTIONS"], ["query v", "query *", "query HTTP/1.1"]],
];

describe("HeadFacts", () => {
  test.for(table)("knows %s", ([, text, holds, fails]) => {
    const bytes = parsed(text);
    for (const one of holds) expect(asks(bytes, one), one).toBe(true);
    for (const one of fails) expect(asks(bytes, one), one).toBe(false);
  });

  test("answers as lists of text would", () => {
    const name = fc.constantFrom("x", "X", "xy", "x_", "y");
    const value = fc.constantFrom("", "1", "12", "2", "a=b");
    const pair = fc.tuple(name, value);
    const parameter = fc.oneof(
      pair.map((parts) => parts.join("=")),
      name,
      fc.constant(""),
    );
    const condition: fc.Arbitrary<ValueCondition> = fc.record({
      name: fc.constantFrom("x", "xy", "x_", "y", "z"),
      op: fc.constantFrom("exact", "prefix", "present"),
      value,
    });
    fc.assert(
      fc.property(
        fc.array(pair, { maxLength: 4 }),
        fc.array(parameter, { maxLength: 4 }),
        condition,
        (lines, parameters, one) => {
          const query = parameters.join("&");
          const bytes = parsed(
            `GET /x=1?${query} HTTP/1.1\r\nHost: a.test\r\n${lines.map((line) => `${line.join(": ")}\r\n`).join("")}\r\n`,
          );
          const fitting = (values: readonly string[]): boolean =>
            values.some((text) =>
              one.op === "exact"
                ? text === one.value
                : one.op === "present" || text.startsWith(one.value),
            );
          const ofFields = lines.filter(([other]) => other.toLowerCase() === one.name);
          const ofQuery = query
            .split("&")
            .filter((text) => text === one.name || text.startsWith(`${one.name}=`));
          expect(facts.hasField(bytes, one)).toBe(fitting(ofFields.map(([, text]) => text)));
          expect(facts.hasParameter(bytes, one)).toBe(
            fitting(ofQuery.map((text) => text.slice(one.name.length + 1))),
          );
        },
      ),
      { numRuns: 2000 },
    );
  });
});
