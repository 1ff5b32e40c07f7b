// Goal: figures reach the README as they were measured, and an old or hurried figure is noticed.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseWrk } from "../../bench/support/load.ts";
import { writtenTables } from "../../bench/support/readme-table.ts";
import {
  figureText,
  median,
  medianFigures,
  type Result,
  writeResult,
} from "../../bench/support/results.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "crosspoint-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const result: Result = {
  name: "small",
  question: "What?",
  method: "So.",
  machine: "a machine",
  versions: { HAProxy: "2.6" },
  date: "2026-11-21",
  quick: false,
  rows: [
    { name: "HAProxy", figures: { "CPU µs": 14.84, "requests/s": 61_234.5 }, rounds: [] },
    { name: "Crosspoint", figures: { "CPU µs": 15 }, rounds: [] },
  ],
  skipped: [],
};

describe("writtenTables", () => {
  const readme = "before\n<!-- bench:small -->\nold\n<!-- /bench -->\nafter\n";

  test("writes a marked table anew, leaves the rest, and changes nothing the second time", () => {
    writeResult(folder, result);
    const written = writtenTables(readme, folder);
    expect(written).toBe(
      [
        "before",
        "<!-- bench:small -->",
        "| | CPU µs | requests/s |",
        "|---|---:|---:|",
        "| HAProxy | 14.8 | 61,235 |",
        "| Crosspoint | 15 | – |",
        "",
        "So. (a machine, 2026-11-21, HAProxy 2.6)",
        "<!-- /bench -->",
        "after",
        "",
      ].join("\n"),
    );
    expect(writtenTables(written, folder)).toBe(written);
  });

  test("refuses the figures of a quick run, and a table that was never measured", () => {
    expect(() => writtenTables(readme, folder)).toThrow(/small\.json/);
    writeResult(folder, { ...result, quick: true });
    expect(() => writtenTables(readme, folder)).toThrow(/quick run/);
  });
});

describe("figures", () => {
  test.for([
    [[3, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[7], 7],
  ] as const)("the median of %j is %d", ([values, expected]) => {
    expect(median(values)).toBe(expected);
  });

  test("every column has its own median", () => {
    expect(
      medianFigures([
        { a: 1, b: 9 },
        { a: 2, b: 8 },
        { a: 3, b: 7 },
      ]),
    ).toEqual({ a: 2, b: 8 });
  });

  test.for([
    [0.012345, "0.0123"],
    [999.4, "999"],
    [1000.6, "1,001"],
    [0, "0"],
    [Number.NaN, "–"],
  ] as const)("%d is shown as %s", ([value, text]) => {
    expect(figureText(value)).toBe(text);
  });
});

test("what wrk prints is read: units, errors, broken sockets", () => {
  const output = `Running 2s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.05ms  220.00us   6.00ms   90.00%
  Latency Distribution
     50%  851.00us
     75%    1.10ms
     90%    1.30ms
     99%    1.20s
  120040 requests in 2.00s, 28.16MB read
  Socket errors: connect 1, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 10
Requests/sec:  60011.12
Transfer/sec:     14.08MB
`;
  const report = parseWrk(output);
  expect(report).toMatchObject({
    requests: 120_040,
    requestsPerSecond: 60_011.12,
    p99Ms: 1200,
    errors: 16,
  });
  expect(report.p50Ms).toBeCloseTo(0.851);
});
