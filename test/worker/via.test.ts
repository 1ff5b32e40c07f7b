// Goal: Via says by which version a message came, and how often it has been here is counted whatever
// others wrote into theirs.

import { describe, expect, test } from "vitest";
import * as limits from "../../src/limits.ts";
import { RequestHead } from "../../src/protocol/request-head.ts";
import { Via } from "../../src/worker/via.ts";

test("is one line, for each version", () => {
  const via = new Via("edge.example:8080");
  const text = ([0, 1] as const).map((minor) => Buffer.from(via.line(minor)).toString("latin1"));
  expect(text).toEqual(["Via: 1.0 edge.example:8080\r\n", "Via: 1.1 edge.example:8080\r\n"]);
});

describe("how often a request was here", () => {
  const named = (name: string, ...values: readonly string[]): number => {
    const lines = values.map((value) => `Via: ${value}\r\n`).join("X-A: crosspoint\r\n");
    const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`, "latin1");
    const head = new RequestHead(limits);
    expect(head.parse(bytes, 0, bytes.length), head.error).toBe(bytes.length);
    expect(head.hasVia).toBe(values.length > 0);
    return new Via(name).timesNamed(bytes, head.fields);
  };

  test.for([
    [[], 0],
    [["1.1 crosspoint"], 1],
    [["1.1 CrossPoint"], 1],
    [["HTTP/1.1   crosspoint"], 1],
    [["1.1 crosspoint, 1.0\tcrosspoint,1.1 other"], 2],
    [["1.1 crosspoint", "1.1 other", "1.1 crosspoint"], 2],
    [["1.1 crosspoint (a, 1.1 crosspoint), 1.1 x"], 1],
    [["1.1 x (a (b), 1.1 crosspoint)"], 0],
    [["1.1 x (\\), 1.1 crosspoint)"], 0],
    [["1.1 x (never closed, 1.1 crosspoint"], 0],
    [["1.1 x), 1.1 crosspoint"], 1],
    [["1.1 crosspoint.example, 1.1 acrosspoint"], 0],
    [["crosspoint"], 0],
    [[""], 0],
    [[",,, ,"], 0],
    [["1.1", "1.1 ", "1.1 ,crosspoint"], 0],
  ] as const)("%j: %i", ([values, times]) => {
    expect(named("crosspoint", ...values)).toBe(times);
  });

  test("a name with a port is another name", () => {
    expect(named("a:81", "1.1 a:81, 1.1 a, 1.1 a:8")).toBe(1);
  });
});
