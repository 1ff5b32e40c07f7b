// Goal: `backend list` says what a person looks for in 100 columns and everything with --wide; watched it replaces itself on a
// terminal, follows the terminal's size and leaves it as it was; on a pipe each look is a table or a line of JSON; Ctrl-C ends
// it with 130.
// Method: a node that answers what the test says; a terminal that records; the real program on a pipe and under a real terminal.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { backendTable, latencyText } from "../../src/cli/backend-table.ts";
import { Repaint } from "../../src/cli/repaint.ts";
import { tableLines } from "../../src/cli/table.ts";
import { type Style, terminalOf } from "../../src/cli/terminal.ts";
import { BackendStatus, Health } from "../../src/gen/crosspoint/v1/router.ts";
import { RouterError } from "../../src/model/errors.ts";
import { startAnsweringNode } from "./answering-node.ts";
import { crosspoint, dispatched, linesOf, repository, start } from "./program.ts";

const nowMs = Date.UTC(2026, 10, 21, 12);

const backends = [
  BackendStatus.fromPartial({
    backend: { service: "web", address: "10.0.0.7:8080", weight: 100 },
    health: Health.HEALTHY,
    healthReason: "HTTP 200",
    requestsInFlight: 12,
    requestsTotal: 123_456n,
    failuresTotal: 3n,
    latencyP50Ms: 0.42,
    latencyP90Ms: 3.26,
    latencyP99Ms: 81.2,
    connectionsOpen: 40,
    source: "api",
  }),
  BackendStatus.fromPartial({
    backend: { service: "web", address: "10.0.0.8:8080", weight: 100 },
    health: Health.UNHEALTHY,
    healthReason: "connect refused 3 times",
    lastFailure: "connect refused",
    source: "api",
  }),
  BackendStatus.fromPartial({
    backend: { service: "web", address: "[2001:db8::9]:8080", weight: 5 },
    healthReason: "ejected: HTTP 500 (5 times)",
    ejectedUntil: new Date(nowMs + 9_500),
    ejectionsTotal: 2,
    latencyP99Ms: 2_500,
    source: "etcd:/services/web/1",
  }),
];

const plain = { style: (_: Style, text: string) => text };
const linesFor = (wide: boolean, width?: number): string[] => {
  const { head, rows } = backendTable(backends, wide, nowMs);
  return tableLines(plain, head, rows, width);
};

describe("the table", () => {
  test("has what matters most in 100 columns", () => {
    const lines = linesFor(false);
    expect(lines).toEqual([
      "SERVICE  ADDRESS             HEALTH       BUSY  REQUESTS  FAILED  P50     P99   WHY",
      "web      10.0.0.7:8080       healthy      12    123456    3       0.42ms  81ms  HTTP 200",
      "web      10.0.0.8:8080       unhealthy    0     0         0       -       -     connect refused 3 times",
      "web      [2001:db8::9]:8080  ejected 10s  0     0         0       -       2.5s  ejected: HTTP 500 (5 times)",
    ]);
    const cut = linesFor(false, 100);
    expect(Math.max(...cut.map(({ length }) => length))).toBe(100);
    expect(cut[2]).toMatch(/connect refused 3 t…$/);
  });

  test("has everything with --wide", () => {
    const [head, first, , third] = linesFor(true).map((line) => line.split(/ {2,}/));
    const shown = (row = head) =>
      Object.fromEntries(head?.map((title, i) => [title, row?.[i]]) ?? []);
    expect(shown(first)).toMatchObject({
      WEIGHT: "100",
      TTL: "-",
      CONNECTIONS: "40",
      EJECTIONS: "0",
      P90: "3.3ms",
      SOURCE: "api",
    });
    expect(shown(third)).toMatchObject({ EJECTIONS: "2", SOURCE: "etcd:/services/web/1" });
  });

  test("colours what is not as it should be, and nothing but the words", () => {
    const { head, rows } = backendTable(backends, false, nowMs);
    const styled = { style: (style: Style, text: string) => `<${style}>${text}</>` };
    const lines = tableLines(styled, head, rows);
    expect(lines.map((line) => /<(green|red|yellow)>([^<]*)<\/>/.exec(line)?.slice(1))).toEqual([
      undefined,
      ["green", "healthy"],
      ["red", "unhealthy"],
      ["yellow", "ejected 10s"],
    ]);
  });

  test("an ejection whose time is over lasts until a request has shown that the backend is back", () => {
    const { rows } = backendTable(backends, false, nowMs + 9_500);
    expect(rows[2]?.[2]).toEqual({ text: "ejected", style: "yellow" });
  });

  test.for([
    [0, ""],
    [0.424, "0.42ms"],
    [8.16, "8.2ms"],
    [120.4, "120ms"],
    [2_540, "2.5s"],
  ] as const)("%d ms is %j", ([ms, text]) => {
    expect(latencyText(ms)).toBe(text);
  });
});

/** A terminal's screen, as far as these sequences go. */
function fakeScreen(columns: number, rows: number) {
  const size = { columns, rows };
  const resized = new Set<() => void>();
  const writes: string[] = [];
  return {
    size: () => size,
    write: (text: string) => void writes.push(text),
    onResize(action: () => void) {
      resized.add(action);
      return () => void resized.delete(action);
    },
    writes,
    resized,
    resize(width: number, height: number) {
      Object.assign(size, { columns: width, rows: height });
      for (const action of resized) action();
    },
  };
}

/** The lines of what was painted; a real terminal's driver has put a second CR at each end. */
const painted = (text = ""): string[] =>
  stripVTControlCharacters(text)
    .split("\n")
    .map((line) => line.replaceAll("\r", ""));

describe("a repainted screen", () => {
  test("is the second one without a cursor, painted over in one piece, and left as it was", () => {
    const screen = fakeScreen(20, 5);
    const paper = new Repaint(screen);
    paper.show(() => ["a", "b"]);
    paper.close();
    paper.close();
    expect(screen.writes).toEqual([
      "\u001b[?1049h\u001b[?25l",
      "\u001b[Ha\u001b[K\r\nb\u001b[K\u001b[J",
      "\u001b[?25h\u001b[?1049l",
    ]);
    expect(screen.resized.size).toBe(0);
  });

  test("says how much is below its end", () => {
    const screen = fakeScreen(20, 3);
    new Repaint(screen).show(() => ["head", "1", "2", "3"]);
    expect(painted(screen.writes.at(-1))).toEqual(["head", "1", "… and 2 more"]);
    screen.resize(20, 4);
    expect(painted(screen.writes.at(-1))).toEqual(["head", "1", "2", "3"]);
  });

  test("is painted anew in its new width when that changes", () => {
    const screen = fakeScreen(20, 3);
    new Repaint(screen).show((columns) => [`${columns} wide`]);
    screen.resize(33, 3);
    expect(painted(screen.writes.at(-1))).toEqual(["33 wide"]);
  });
});

test("a dumb terminal, and a pipe, have no screen", () => {
  const write = () => {};
  expect(terminalOf({ isTTY: true, write }, { write }, {}).screen?.size()).toEqual({
    columns: 80,
    rows: 24,
  });
  expect(terminalOf({ isTTY: true, write }, { write }, { TERM: "dumb" }).screen).toBeUndefined();
  expect(terminalOf({ write }, { write }, {}).screen).toBeUndefined();
});

describe("--watch", () => {
  /** Answers one more request in each list. */
  const counting = () => {
    let looks = 0;
    return startAnsweringNode({
      listBackends: () => {
        const [first] = backends;
        return { backends: [{ ...first, requestsTotal: BigInt(++looks) }] };
      },
    });
  };

  test("on a pipe: a table each time, with a blank line between; Ctrl-C ends it with 130", async () => {
    const { rpc } = await counting();
    const watching = start(["backend", "list", "web", "--watch", "--interval", "100ms"], { rpc });
    await watching.printed(/ {2}3 {8} /);
    watching.kill("SIGINT");
    const run = await watching.ended;
    expect(run).toMatchObject({ status: 130, signal: null, stderr: "" });
    expect(run.stdout).toMatch(/^SERVICE/);
    const tables = run.stdout.split("\n\n");
    expect(tables.length).toBeGreaterThanOrEqual(3);
    expect(tables.map((table) => /healthy +12 +(\d+)/.exec(table)?.[1])).toEqual(
      tables.map((_, i) => String(i + 1)),
    );
    // No control sequence comes into a file.
    expect(run.stdout).not.toContain("\u001b");
  });

  test("with --json: a line each time", async () => {
    const { rpc } = await counting();
    const watching = start(["backend", "list", "--watch", "--json", "--interval", "100ms"], {
      rpc,
    });
    await watching.printed(/"requestsTotal":"3".*\n/);
    watching.kill("SIGTERM");
    const run = await watching.ended;
    expect(run.status).toBe(143);
    expect(
      linesOf(run).map((line) => JSON.parse(line).backends[0].requestsTotal as string),
    ).toEqual(linesOf(run).map((_, i) => String(i + 1)));
  });

  test("a node that is away at the first look ends it; later it is told, and looked for", async () => {
    const first = await dispatched(["backend", "list", "--watch", "--rpc", "127.0.0.1:1"]);
    expect(first).toMatchObject({ status: 69, stdout: "" });
    let looks = 0;
    const { rpc } = await startAnsweringNode({
      listBackends: () => {
        if (++looks === 2) throw new RouterError("unavailable", "this node is leaving");
        return { backends };
      },
    });
    const watching = start(["backend", "list", "--watch", "--interval", "100ms"], { rpc });
    await watching.printed(/\n\n/);
    watching.kill("SIGINT");
    const run = await watching.ended;
    expect(run.status).toBe(130);
    expect(run.stderr).toMatch(/^crosspoint: .*this node is leaving/);
  });

  test("under a terminal: repainted, and the terminal is as it was after Ctrl-C", async () => {
    const { rpc } = await counting();
    const program = join(repository, "src/cli/main.ts");
    const words = `${process.execPath} ${program} backend list --watch --interval 100ms`;
    // script(1) gives a program a terminal, and what is typed there to the program: 3 is Ctrl-C.
    const child = spawn("script", ["-qec", `stty cols 60 rows 10; ${words}`, "/dev/null"], {
      env: { ...process.env, CROSSPOINT_RPC: rpc, TERM: "xterm" },
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    let seen = "";
    const status = new Promise((resolve) => child.on("close", resolve));
    let typed = false;
    child.stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
      if (typed || seen.split("\u001b[J").length < 4) return;
      typed = child.stdin.write("\u0003") || true;
    });
    expect(await status).toBe(130);
    expect(seen).toContain("\u001b[?1049h\u001b[?25l\u001b[H");
    expect(seen.endsWith("\u001b[?25h\u001b[?1049l")).toBe(true);
    const [, frame = ""] = seen.split("\u001b[H");
    expect(Math.max(...painted(frame.split("\u001b[J")[0]).map(({ length }) => length))).toBe(60);
  });

  test.for([
    [["--interval", "1s"], /--interval: only together with --watch/],
    [["--watch", "--interval", "99ms"], /--interval: must be at least 100ms/],
    [["--watch", "--interval", "soon"], /--interval: "soon" is not a duration/],
  ] as const)("refuses %j", async ([words, message]) => {
    const run = await dispatched(["backend", "list", ...words]);
    expect(run).toMatchObject({ status: 2, stdout: "" });
    expect(run.stderr).toMatch(message);
  });
});

test("once, on a pipe: nothing is cut", async () => {
  const { rpc } = await startAnsweringNode({ listBackends: () => ({ backends }) });
  const run = await crosspoint(["backend", "list"], { rpc });
  expect(run.stdout).toContain("connect refused 3 times\n");
});
