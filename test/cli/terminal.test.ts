// Goal: colour only where a person sees it; text of others stays text; columns line up.

import { describe, expect, test } from "vitest";
import { report } from "../../src/cli/failure.ts";
import { printable, printTable } from "../../src/cli/table.ts";
import { type Terminal, terminalOf } from "../../src/cli/terminal.ts";
import { RouterError, type RouterErrorCode } from "../../src/model/errors.ts";

function recorded(isTTY: boolean, env: NodeJS.ProcessEnv = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const terminal: Terminal = terminalOf(
    { isTTY, write: (text) => out.push(text) },
    { isTTY, write: (text) => err.push(text) },
    env,
  );
  return { terminal, out, err };
}

test.for([
  [true, {}, "\u001b[31mx\u001b[39m"],
  [false, {}, "x"],
  [true, { NO_COLOR: "1" }, "x"],
  // https://no-color.org: an empty one does not count.
  [true, { NO_COLOR: "" }, "\u001b[31mx\u001b[39m"],
  [true, { NO_COLOR: "1", FORCE_COLOR: "1" }, "x"],
  [false, { FORCE_COLOR: "1" }, "x"],
  [true, { TERM: "dumb" }, "x"],
] as const)("a terminal: %s with %j colours as %j", ([isTTY, env, expected]) => {
  const { terminal } = recorded(isTTY, env);
  expect(terminal.style("red", "x")).toBe(expected);
  expect(terminal.noteStyle("red", "x")).toBe(expected);
});

test("a table is as wide as its widest cells, and ends its lines where they end", () => {
  const { terminal, out } = recorded(false);
  printTable(
    terminal,
    ["A", "LONG", "C"],
    [
      ["wide cell", "x", ""],
      ["y", "", "z"],
    ],
  );
  expect(out.join("")).toBe("A          LONG  C\nwide cell  x     -\ny          -     z\n");
});

test("control characters become visible", () => {
  expect(printable("a\u001b[2J\n\u009b\u007f")).toBe("a\\x1b[2J\\x0a\\x9b\\x7f");
});

describe("report", () => {
  const statuses: readonly (readonly [RouterErrorCode, number])[] = [
    ["invalid-argument", 2],
    ["not-found", 3],
    ["already-exists", 4],
    ["revision-conflict", 4],
    ["failed-precondition", 1],
    ["out-of-range", 1],
    ["resource-exhausted", 1],
    ["store-unavailable", 69],
    ["unavailable", 69],
    ["unimplemented", 1],
    ["cancelled", 1],
    ["deadline", 1],
    ["internal", 1],
  ];
  test.for(statuses)("%s ends with %i", ([code, status]) => {
    const { terminal, out, err } = recorded(false);
    expect(report(new RouterError(code, "it broke"), terminal)).toBe(status);
    expect(err[0]).toBe("crosspoint: it broke\n");
    expect(out).toEqual([]);
  });

  test("says every detail that the message does not", () => {
    const { terminal, err } = recorded(false);
    const error = new RouterError("already-exists", 'port 5432 belongs to "db"', {
      violations: [
        { field: "route.tcp.port", description: "is taken" },
        { field: "route.service", description: 'belongs to "db"' },
      ],
      resource: { type: "route", name: "db", description: "made by ada" },
      metadata: { since: "12" },
      retryAfterMs: 1_500,
    });
    report(error, terminal);
    expect(err.join("")).toBe(
      [
        'crosspoint: port 5432 belongs to "db"',
        "  route.tcp.port: is taken",
        "  made by ada",
        "  since: 12",
        "  try again in 1.5 s",
        "  see it with `crosspoint route get db`; change it with `crosspoint route add --replace` or `crosspoint apply`",
        "",
      ].join("\n"),
    );
  });

  test("says how a change that is too large is sent", () => {
    const { terminal, err } = recorded(false);
    report(
      new RouterError("resource-exhausted", "too large", { reason: "CHANGE_TOO_LARGE" }),
      terminal,
    );
    expect(err.join("")).toContain("crosspoint apply --in-parts");
  });

  test("shows where a bug of ours is", () => {
    const { terminal, err } = recorded(false);
    expect(report(new TypeError("x is not a function"), terminal)).toBe(1);
    expect(err.join("")).toMatch(/x is not a function\n.*TypeError[^]*at /);
  });
});
