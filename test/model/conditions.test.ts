// Goal: the same wish always makes the same conditions, what no request can ever fulfil is refused by name, and the
// text of conditions tells any two apart.
// Method: tables of what is taken and refused; random wishes there and back.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Conditions,
  type ConditionsWish,
  conditionsText,
  parseConditions,
  type ValueCondition,
} from "../../src/model/conditions.ts";
import { RouterError } from "../../src/model/errors.ts";
import { anyConditionsWish } from "../support/any-route.ts";

const wish = (parts: Partial<ConditionsWish>): ConditionsWish => ({
  methods: [],
  headers: [],
  query: [],
  ...parts,
});
const exact = (name: string, value: string): ValueCondition => ({ name, op: "exact", value });
const prefix = (name: string, value: string): ValueCondition => ({ name, op: "prefix", value });
const present = (name: string): ValueCondition => ({ name, op: "present", value: "" });
const absent = (name: string): ValueCondition => ({ name, op: "absent", value: "" });

test("nothing asked for is no conditions", () => {
  expect(parseConditions(wish({}), "http")).toBeUndefined();
});

test("the form is one: sorted, once each, names of fields in lower case", () => {
  const parsed = parseConditions(
    wish({
      methods: ["POST", "GET", "POST"],
      headers: [exact("X-B", "1"), present("x-a"), exact("x-b", "1"), absent("A")],
      query: [exact("B", "1"), prefix("b", "2"), { name: "a", op: "present", value: "idle" }],
    }),
    "http",
  );
  expect(parsed).toStrictEqual({
    methods: ["GET", "POST"],
    headers: [absent("a"), present("x-a"), exact("x-b", "1")],
    query: [exact("B", "1"), present("a"), prefix("b", "2")],
  });
});

test.for<Partial<ConditionsWish>>([
  { methods: ["PURGE", "M-SEARCH", "get2"] },
  { headers: [exact("x", "")] },
  { headers: [exact("x", "a\tb, c")] },
  { headers: [prefix("authorization", "Bearer ")] },
  { headers: [exact("x", "v".repeat(1024))] },
  { query: [exact("a%20b", "")] },
  { query: [exact("a", "b=c")] },
  { query: [exact("a[]", "%C3%BC")] },
  { headers: Array.from({ length: 16 }, (_, i) => present(`x-${i}`)) },
])("%j is taken", (parts) => {
  expect(parseConditions(wish(parts), "http")).toBeDefined();
});

describe("what can never hold, or is a slip, is refused", () => {
  test.for<readonly [Partial<ConditionsWish>, string, RegExp]>([
    [{ methods: ["get"] }, "http.methods[0]", /GET is meant, not get/],
    [{ methods: ["GET", ""] }, "http.methods[1]", /not a method/],
    [{ methods: ["GE T"] }, "http.methods[0]", /not a method/],
    [{ methods: ["CONNECT"] }, "http.methods[0]", /never forwarded/],
    [{ methods: ["connect"] }, "http.methods[0]", /never forwarded/],
    [{ methods: ["M".repeat(257)] }, "http.methods[0]", /not a method/],
    [{ methods: Array.from({ length: 17 }, (_, i) => `M${i}`) }, "http.methods", /17 entries/],
    [{ headers: [present("")] }, "http.headers[0].name", /not the name of a field/],
    [{ headers: [present("x y")] }, "http.headers[0].name", /not the name of a field/],
    [{ headers: [present("x:")] }, "http.headers[0].name", /not the name of a field/],
    [{ headers: [present("Host")] }, "http.headers[0].name", /domain of the match/],
    [{ headers: [exact("x", " a")] }, "http.headers[0].exact", /cannot stand/],
    [{ headers: [exact("x", "a ")] }, "http.headers[0].exact", /cannot stand/],
    [{ headers: [prefix("x", " a")] }, "http.headers[0].prefix", /cannot stand/],
    [{ headers: [exact("x", "a\nb")] }, "http.headers[0].exact", /cannot stand/],
    [{ headers: [exact("x", "ü")] }, "http.headers[0].exact", /cannot stand/],
    [{ headers: [exact("x", "v".repeat(1025))] }, "http.headers[0].exact", /cannot stand/],
    [{ headers: [prefix("x", "")] }, "http.headers[0].prefix", /present says the same/],
    [{ headers: [exact("x", "1"), exact("X", "2")] }, "http.headers[1].name", /named twice/],
    // As text both would be "x=1*".
    [{ headers: [prefix("x", "1"), exact("x", "1*")] }, "http.headers[1].name", /named twice/],
    [{ headers: [present("x"), absent("x")] }, "http.headers[1].name", /named twice/],
    [{ query: [exact("", "1")] }, "http.query[0].name", /percent-encoded/],
    [{ query: [exact("a=b", "1")] }, "http.query[0].name", /percent-encoded/],
    [{ query: [exact("a b", "1")] }, "http.query[0].name", /percent-encoded/],
    [{ query: [exact("a", "b&c")] }, "http.query[0].exact", /cannot stand/],
    [{ query: [exact("a", "b#c")] }, "http.query[0].exact", /cannot stand/],
    [{ query: [exact("ü", "1")] }, "http.query[0].name", /percent-encoded/],
    [{ query: Array.from({ length: 17 }, () => present("a")) }, "http.query", /17 entries/],
  ])("%j", ([parts, field, reason]) => {
    const [violation] = violationsOf(() => parseConditions(wish(parts), "http"));
    expect(violation).toEqual({ field, description: expect.stringMatching(reason) });
  });

  test("all of it in one answer", () => {
    const wrong = wish({
      methods: ["get", "x y"],
      headers: [present("Host"), exact("x", "\n")],
      query: [present("")],
    });
    const fields = violationsOf(() => parseConditions(wrong, "")).map(({ field }) => field);
    expect(fields).toEqual([
      "methods[0]",
      "methods[1]",
      "headers[0].name",
      "headers[1].exact",
      "query[0].name",
    ]);
  });
});

test("what came out goes in again and stays the same", () => {
  fc.assert(
    fc.property(anyConditionsWish, (asked) => {
      const parsed = parseConditions(asked, "http");
      expect(parseConditions(parsed ?? wish({}), "http")).toStrictEqual(parsed);
    }),
  );
});

test.for<readonly [Conditions | undefined, string]>([
  [undefined, ""],
  [wish({ methods: ["GET", "HEAD"] }), "GET|HEAD"],
  [
    wish({ methods: ["GET"], headers: [exact("x-canary", "1")], query: [prefix("v", "2")] }),
    "GET header x-canary=1 query v=2*",
  ],
  [wish({ headers: [present("a"), absent("b")] }), "header a header !b"],
  [wish({ headers: [exact("a", ""), exact("b", "c d*")] }), 'header a="" header b="c d*"'],
])("%j reads %s", ([conditions, text]) => {
  expect(conditionsText(conditions)).toBe(text);
});

test("the text tells any two conditions apart, however their words are chosen", () => {
  const word = fc.constantFrom("a", "b", "!a", "a*", "header", "a|b", "*", "!");
  const value = fc.constantFrom("", "a", "a*", "*", "b header a=a", "a|b", '"a"', "a=a");
  const one = fc.oneof(
    fc.tuple(word, value).map(([name, text]) => exact(name, text)),
    fc.tuple(word, value).map(([name, text]) => prefix(name, `${text}x*`.replace("x", ""))),
    word.map(present),
    word.map(absent),
  );
  const list = fc.uniqueArray(one, { maxLength: 2, selector: ({ name }) => name });
  const any = fc.record({
    methods: fc.uniqueArray(word, { maxLength: 2 }),
    headers: list,
    query: list,
  });
  fc.assert(
    fc.property(any, any, (a, b) => {
      const same = JSON.stringify(a) === JSON.stringify(b);
      expect(conditionsText(a) === conditionsText(b)).toBe(same);
    }),
    { numRuns: 5_000 },
  );
});

function violationsOf(parse: () => unknown) {
  try {
    parse();
  } catch (thrown) {
    if (thrown instanceof RouterError && thrown.code === "invalid-argument") {
      return thrown.details.violations ?? [];
    }
    throw thrown;
  }
  throw new Error("it was taken");
}
