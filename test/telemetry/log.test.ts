// Goal: one entry is one line, whatever strangers put into a field, and errors keep their cause.

import { describe, expect, test } from "vitest";
import { createLog } from "../../src/telemetry/log.ts";

const system = { wallMs: () => Date.UTC(2026, 10, 21, 5, 1, 2, 34) };

function linesOf(format: "json" | "text"): {
  log: ReturnType<typeof createLog>;
  lines: () => string[];
} {
  let text = "";
  const destination = { write: (line: string): void => void (text += line) };
  return {
    log: createLog({ format, destination, system }),
    lines: () => text.split("\n").slice(0, -1),
  };
}

const hostile = 'a\r\n\u001b[2J\u009b31m\u2028"\\b';

describe("the log", () => {
  test("writes JSON lines with time, level, message and fields", () => {
    const { log, lines } = linesOf("json");
    log.info("worker replaced", { slot: 1, reason: "silent" });
    log.warn("late");
    expect(lines().map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        level: "info",
        time: "2026-11-21T05:01:02.034Z",
        message: "worker replaced",
        slot: 1,
        reason: "silent",
      },
      { level: "warn", time: "2026-11-21T05:01:02.034Z", message: "late" },
    ]);
  });

  test("writes text for people, words bare and the rest quoted", () => {
    const { log, lines } = linesOf("text");
    log.error("store lost", { store: "sqlite:/tmp/x", tries: 3, reason: "disk full" });
    expect(lines()).toEqual([
      '2026-11-21T05:01:02.034Z error store lost store=sqlite:/tmp/x tries=3 reason="disk full"',
    ]);
  });

  test.for(["json", "text"] as const)("keeps hostile names on one line of %s", (format) => {
    const { log, lines } = linesOf(format);
    log.info(`added ${hostile}`, { domain: hostile });
    expect(lines()).toHaveLength(1);
    // oxlint-disable-next-line no-control-regex -- control characters are what this is about
    expect(lines()[0]).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028]/);
  });

  test("loses nothing of a hostile name in JSON", () => {
    const { log, lines } = linesOf("json");
    log.info("added", { domain: hostile });
    expect(JSON.parse(lines()[0] ?? "")).toMatchObject({ domain: hostile });
  });

  test("writes an error with message, code and cause", () => {
    const { log, lines } = linesOf("json");
    const cause = Object.assign(new Error("no space left"), { code: "ENOSPC" });
    log.error("write failed", { error: new Error("cannot write", { cause }) });
    expect(JSON.parse(lines()[0] ?? "")).toMatchObject({
      error: { message: "cannot write", cause: { message: "no space left", code: "ENOSPC" } },
    });
  });
});
