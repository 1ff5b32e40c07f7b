// Goal: the scanner calls the parser exactly when it has something to say.
// Method: heads whole and in pieces; and any octets, cut anywhere.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HeadScanner } from "../../src/protocol/head-end.ts";
import { RequestHead } from "../../src/protocol/request-head.ts";
import { headLike } from "./head-like.ts";
import { poisoned } from "./octets-of.ts";

const limits = { headBytesMax: 200, headFieldsMax: 8, targetBytesMax: 64 };

/** The number of octets after which `scan`, given one more each time, says yes; -1 for never. */
function firstYes(text: string): number {
  const scanner = new HeadScanner(limits);
  for (let end = 1; end <= text.length; end++) {
    if (scanner.scan(poisoned(text.slice(0, end)), 0, end)) return end;
  }
  return -1;
}

describe("HeadScanner", () => {
  const cases: readonly (readonly [string, string, number])[] = [
    ["a whole head", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27],
    ["a whole head after an empty line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 29],
    ["no end yet", "GET / HTTP/1.1\r\nHost: a\r\n", -1],
    ["a bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", 15],
    ["a bare CR", "GET / HTTP/1.1\rHost: a\r\n\r\n", 16],
    ["a control octet", "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", 21],
    ["two empty lines first", "\r\n\r\nGET", 4],
    ["too many octets", "x".repeat(300), 200],
  ];
  test.for(cases)("given %s octet by octet, says yes at the right one", ([, text, expected]) => {
    expect(firstYes(text)).toBe(expected);
  });

  test.for(cases)("given %s at once, says the same", ([, text, expected]) => {
    const scanner = new HeadScanner(limits);
    expect(scanner.scan(poisoned(text, 5), 5, 5 + text.length)).toBe(expected >= 0);
  });

  test("goes on where it stopped, also when the octets have moved", () => {
    const text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const scanner = new HeadScanner(limits);
    expect(scanner.scan(poisoned(text, 9), 9, 9 + 25)).toBe(false);
    expect(scanner.scan(poisoned(text, 2), 2, 2 + text.length)).toBe(true);
  });

  test.for([
    ["a whole head", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\n"],
    ["too many octets", "x".repeat(199), "x"],
  ] as const)("begins anew after %s", ([, first, last]) => {
    const scanner = new HeadScanner(limits);
    expect(scanner.scan(poisoned(first), 0, first.length)).toBe(false);
    expect(scanner.scan(poisoned(first + last), 0, first.length + last.length)).toBe(true);
    expect(scanner.scan(poisoned("G / HTTP/1.1\r\n\r\n"), 0, 16)).toBe(true);
  });

  test("begins anew after reset", () => {
    const scanner = new HeadScanner(limits);
    expect(scanner.scan(poisoned("GET / HTTP/1.1\r\n"), 0, 16)).toBe(false);
    scanner.reset();
    expect(scanner.scan(poisoned("\r\nGET"), 0, 5)).toBe(false);
  });

  test("never calls the parser for nothing, and never forgets to, whatever arrives", () => {
    const head = new RequestHead(limits);
    fc.assert(
      fc.property(headLike, (text) => {
        const yes = firstYes(text);
        if (yes >= 0) expect(head.parse(poisoned(text.slice(0, yes)), 0, yes)).not.toBe(0);
        const parsed = head.parse(poisoned(text), 0, text.length);
        if (parsed > 0) expect(yes).toBe(parsed);
      }),
      { numRuns: 1000 },
    );
  });
});
