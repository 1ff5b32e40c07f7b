// Goal: names have one spelling, and what is none is refused, naming the field.
// Method: tables of cases; then whatever a parser makes must come out of it unchanged.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RouterError } from "../../src/model/errors.ts";
import {
  parseDomain,
  parseLabels,
  parsePathPrefix,
  parsePort,
  parseRouteName,
  parseServiceName,
} from "../../src/model/names.ts";

const of = (length: number): string => "a".repeat(length);
/** 253 characters: three labels of 63, and one of 61. */
const longest = [63, 63, 63, 61].map(of).join(".");

function refusalOf(parse: () => unknown): RouterError {
  try {
    parse();
  } catch (error) {
    if (error instanceof RouterError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

function expectRefused(parse: (field: string) => unknown, why = ""): void {
  const error = refusalOf(() => parse("the.field"));
  expect(error.code).toBe("invalid-argument");
  expect(error.details.violations).toEqual([
    { field: "the.field", description: expect.stringContaining(why) },
  ]);
  expect(error.message.length).toBeLessThan(400);
}

describe("a domain", () => {
  test.for([
    ["app.example.com", "app.example.com"],
    ["App.EXAMPLE.com", "app.example.com"],
    ["app.example.com.", "app.example.com"],
    ["localhost", "localhost"],
    ["*", "*"],
    ["*.example.com", "*.example.com"],
    ["*.COM.", "*.com"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example"],
    ["_acme.a_b.example", "_acme.a_b.example"],
    ["10.0.0.1", "10.0.0.1"],
    ["__proto__", "__proto__"],
    ["constructor", "constructor"],
    [of(63), of(63)],
    [longest, longest],
    [`${longest}.`, longest],
  ] as const)("%s is %s", ([text, domain]) => {
    expect(parseDomain(text)).toBe(domain);
  });

  test.for([
    ["", "is required"],
    [".", "empty label"],
    ["..", "empty label"],
    ["a..com", "empty label"],
    [".a.com", "empty label"],
    ["a.com..", "empty label"],
    ["*..com", "empty label"],
    [`${longest}a`, "254 characters"],
    [`${of(64)}.com`, "not a DNS label"],
    ["a b.com", "not a DNS label"],
    [" a.com", "not a DNS label"],
    ["a.com ", "not a DNS label"],
    ["a.com\n", "not a DNS label"],
    ["a\0.com", "not a DNS label"],
    ["a\x7f.com", "not a DNS label"],
    ["bücher.example", "A-labels"],
    // Lower-cased by toLowerCase it would be a "k".
    ["\u212a.example", "A-labels"],
    ["a.com:80", "no port"],
    ["[::1]", "not a DNS label"],
    ["http://a.com", "not a DNS label"],
    ["a.com/x", "not a DNS label"],
    ["-a.com", "not a DNS label"],
    ["a-.com", "not a DNS label"],
    ["*a.com", "not a DNS label"],
    ["a.*.com", "not a DNS label"],
    ["*.*.com", "not a DNS label"],
    ["a.*", "not a DNS label"],
    ["**", "not a DNS label"],
    [of(10_000), "10000 characters"],
  ] as const)("%j is none: %s", ([text, why]) => {
    expectRefused((field) => parseDomain(text, field), why);
  });
});

describe("a path prefix", () => {
  test.for([
    ["", "/"],
    ["/", "/"],
    ["//", "/"],
    ["/api", "/api"],
    ["/api/", "/api"],
    ["/api///", "/api"],
    ["/a//b/", "/a//b"],
    ["//a", "//a"],
    ["/API/%2F;v=1", "/API/%2F;v=1"],
    ["/a/../b", "/a/../b"],
    ["/~u/a:b@c/!$&'()*+,=|[]", "/~u/a:b@c/!$&'()*+,=|[]"],
    [`/${of(1023)}`, `/${of(1023)}`],
  ] as const)("%s is %s", ([text, prefix]) => {
    expect(parsePathPrefix(text)).toBe(prefix);
  });

  test.for([
    "api",
    "*",
    "/a?b",
    "/a#b",
    "/a b",
    "/a\0",
    "/a\r\n",
    "/a\n",
    "/\x7f",
    "/é",
    '/"',
    "/<a>",
    "/a\\b",
    "/{id}",
    "/^`",
    "http://a.com/",
    `/${of(1024)}`,
  ])("%j is none", (text) => {
    expectRefused((field) => parsePathPrefix(text, field));
  });
});

describe("a route's name", () => {
  test.for(["a", "0", "web-1", "a--b", "constructor", of(63)])("%s is one", (text) => {
    expect(parseRouteName(text)).toBe(text);
  });

  test.for(["", "-", "a-", "-a", "A", "a.b", "a_b", "a b", "a\n", "é", "__proto__", of(64)])(
    "%j is none",
    (text) => expectRefused((field) => parseRouteName(text, field), "is not a route name"),
  );
});

describe("a service's name", () => {
  test.for(["a", "Web.v2_x-1", "constructor", of(128)])("%s is one", (text) => {
    expect(parseServiceName(text)).toBe(text);
  });

  test.for(["", "-a", "a-", ".a", "a.", "_a", "a b", "a/b", "a\n", "é", "__proto__", of(129)])(
    "%j is none",
    (text) => expectRefused((field) => parseServiceName(text, field)),
  );
});

describe("labels", () => {
  const numbered = (count: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, ""]));

  test("are sorted by key, so that the same ones look the same", () => {
    const labels = parseLabels({ b: "2", a: "1", constructor: "x", "app.io/tier": "" });
    expect(JSON.stringify(labels)).toBe('{"a":"1","app.io/tier":"","b":"2","constructor":"x"}');
    expect(Object.keys(parseLabels(numbered(32)))).toHaveLength(32);
  });

  test("are copied", () => {
    const given: Record<string, string> = { a: "1" };
    const labels = parseLabels(given);
    given["a"] = "2";
    expect(labels).toEqual({ a: "1" });
  });

  test.for<[string, Record<string, string>, string]>([
    ["33 of them", numbered(33), "33 entries"],
    ["an empty key", { "": "x" }, "key"],
    ["__proto__", JSON.parse('{"__proto__":"x"}') as Record<string, string>, "key"],
    ["a space", { "a b": "x" }, "key"],
    ["an equals sign", { "a=b": "x" }, "key"],
    ["a letter beyond ASCII", { é: "x" }, "key"],
    ["a long key", { [of(64)]: "x" }, "key"],
    ["a long value", { a: of(257) }, "257 characters"],
  ])("%s is refused", ([, labels, why]) => {
    expectRefused((field) => parseLabels(labels, field), why);
  });

  test("a key has up to 63 characters, a value 256 of any kind", () => {
    const labels = { [of(63)]: `\0\n"${"é".repeat(253)}` };
    expect(parseLabels(labels)).toEqual(labels);
  });
});

test("a port is a whole number from 1 to 65535", () => {
  for (const port of [1, 80, 65_535]) expect(parsePort(port)).toBe(port);
  for (const port of [0, -1, 65_536, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    expectRefused((field) => parsePort(port, field), `${port} is not a port`);
  }
});

describe("what a parser makes, it takes as it is", () => {
  const piece = fc.constantFrom("a", "B", "0", "-", "_", ".", "*", "/", "%", "é", " ", "K", "xn--");
  const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));

  test.for([
    ["domains", "", parseDomain],
    ["path prefixes", "/", parsePathPrefix],
    ["names of routes", "", parseRouteName],
    ["names of services", "", parseServiceName],
  ] as const)("%s", ([, begin, parse]) => {
    let taken = 0;
    fc.assert(
      fc.property(text, (given) => {
        let made: string;
        try {
          made = parse(begin + given);
        } catch {
          return;
        }
        taken++;
        expect(parse(made)).toBe(made);
      }),
      { numRuns: 2000 },
    );
    expect(taken).toBeGreaterThan(20);
  });

  test("labels, in any order", () => {
    const key = fc.constantFrom("a", "b", "10", "9", "constructor", "toString", "a/b");
    fc.assert(
      fc.property(fc.dictionary(key, fc.string({ maxLength: 5 })), (given) => {
        const labels = parseLabels(given);
        expect(labels).toEqual(given);
        const reversed = Object.fromEntries(Object.entries(labels).toReversed());
        expect(JSON.stringify(parseLabels(reversed))).toBe(JSON.stringify(labels));
      }),
    );
  });
});
