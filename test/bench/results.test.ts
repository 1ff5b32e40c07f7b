// Goal: figures reach the README as they were measured, and an old or hurried figure is noticed.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type LoadOptions, parseWrk, wrkScript } from "../../bench/support/load.ts";
import { withRatios } from "../../bench/support/ratios.ts";
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

  test("shows the columns that the result names, in its order, then every ratio", () => {
    const figures = { "× nginx": 1.5, hidden: 7, size: 3, cost: 2 };
    const rows = [{ name: "HAProxy", figures, rounds: [] }];
    writeResult(folder, { ...result, columns: ["cost", "size", "absent"], rows });
    const table = writtenTables(readme, folder);
    expect(table).toContain(
      "| | cost | size | × nginx |\n|---|---:|---:|---:|\n| HAProxy | 2 | 3 | 1.5 |\n",
    );
    expect(table).not.toContain("hidden");
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

test("a row's ratios are what it gets done per cost as a multiple of each rival's, and of the cheapest Node peer's", () => {
  const sides = ["rival", "ours", "peer", "peer"] as const;
  const proxies = sides.map((side, index) => ({ name: `p${index}`, side }));
  const rows = [10, 5, 40, 20].map((cost) => ({ name: "", figures: { cost }, rounds: [] }));
  expect(withRatios(rows, proxies, "cost").map(({ figures }) => figures)).toEqual([
    { cost: 10, "× p0": 1, "× best Node peer": 2 },
    { cost: 5, "× p0": 2, "× best Node peer": 4 },
    { cost: 40, "× p0": 0.25, "× best Node peer": 0.5 },
    { cost: 20, "× p0": 0.5, "× best Node peer": 1 },
  ]);
});

describe("wrk's script", () => {
  const plain: LoadOptions = {
    port: 1,
    path: "/",
    host: "h",
    connections: 1,
    seconds: 1,
    closes: false,
    uploadBytes: 0,
    pipelined: 1,
    core: undefined,
  };

  test("is empty where flags say it all", () => expect(wrkScript(plain)).toBe(""));

  test("posts a body of so many bytes", () => {
    const script = wrkScript({ ...plain, uploadBytes: 1024 });
    expect(script).toBe('wrk.method = "POST"\nwrk.body = string.rep("x", 1024)\n');
  });

  test("sends so many requests at once", () => {
    expect(wrkScript({ ...plain, pipelined: 8 })).toContain("for i = 1, 8 do");
  });
});
