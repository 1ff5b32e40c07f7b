// Goal: health changes after so many results in a row and no sooner, and the reason says what happened and how often.

import { array, assert, constantFrom, property } from "fast-check";
import { describe, expect, test } from "vitest";
import { CheckState } from "../../src/health/check-state.ts";
import { failed, healthy } from "../../src/health/probe-result.ts";
import type { HealthCheck } from "../../src/model/service-options.ts";

const check: HealthCheck = {
  probe: { kind: "tcp" },
  intervalMs: 1_000,
  timeoutMs: 100,
  healthyThreshold: 2,
  unhealthyThreshold: 3,
};

/** "+" is a success, "-" a refused connection, "5" an HTTP 500. */
function told(results: string, from: "unknown" | "healthy" | "unhealthy" = "unknown"): string[] {
  const state = new CheckState(check, from);
  return Array.from(results, (result) => {
    const probed =
      result === "+"
        ? healthy("HTTP 200")
        : failed(result === "5" ? "HTTP 500" : "connect refused");
    const news = state.observe(probed);
    return news === undefined ? "" : `${news.state}: ${news.reason}`;
  });
}

describe("the state of a check", () => {
  test("is healthy with the first success when nothing was known", () => {
    expect(told("+")).toEqual(["healthy: HTTP 200"]);
    expect(told("--+")).toEqual(["", "", "healthy: HTTP 200"]);
  });

  test("is unhealthy after as many failures in a row as are asked for, the first ones counted", () => {
    expect(told("---")).toEqual(["", "", "unhealthy: connect refused (3 times)"]);
    expect(told("+--+---").at(-1)).toBe("unhealthy: connect refused (3 times)");
    expect(told("+--+--").filter((news) => news !== "")).toEqual(["healthy: HTTP 200"]);
  });

  test("is healthy again after as many successes in a row as are asked for", () => {
    expect(told("---+-+")).toEqual(["", "", "unhealthy: connect refused (3 times)", "", "", ""]);
    expect(told("---++").slice(3)).toEqual(["", "healthy: HTTP 200"]);
  });

  test("goes on from what was known", () => {
    expect(told("+", "unhealthy")).toEqual([""]);
    expect(told("++", "unhealthy")).toEqual(["", "healthy: HTTP 200"]);
    expect(told("+", "healthy")).toEqual([""]);
    expect(told("--", "healthy")).toEqual(["", ""]);
  });

  test("names the last failure, and says when those before it were others", () => {
    expect(told("--5").at(-1)).toBe("unhealthy: HTTP 500 (the last of 3 failures)");
  });

  test("tells another reason of an unhealthy backend once, and never another one of a healthy one", () => {
    expect(told("---555--")).toEqual([
      "",
      "",
      "unhealthy: connect refused (3 times)",
      "unhealthy: HTTP 500 (the last of 4 failures)",
      "",
      "",
      "unhealthy: connect refused (the last of 7 failures)",
      "",
    ]);
    expect(told("++++").slice(1)).toEqual(["", "", ""]);
  });

  test("never changes before its threshold, whatever comes", () => {
    assert(
      property(array(constantFrom("+", "-", "5"), { maxLength: 60 }), (results) => {
        const news = told(results.join(""));
        let wasUnhealthy = false;
        for (const [at, said] of news.entries()) {
          if (said === "") continue;
          const last = results.slice(0, at + 1);
          const isUnhealthy = said.startsWith("unhealthy");
          if (!isUnhealthy) expect(last.slice(wasUnhealthy ? -2 : -1)).not.toContain("-");
          else if (!wasUnhealthy) expect(last.slice(-3)).not.toContain("+");
          wasUnhealthy = isUnhealthy;
        }
      }),
    );
  });
});
