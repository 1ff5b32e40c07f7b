// Goal: the soaks of slow and of hostile clients overlook nothing.
// Method: their judges are shown good figures and one that is wrong; the fuzz runs a hundred times.

import { describe, expect, test } from "vitest";
import { type FuzzFigures, fuzzFailures, runFuzz } from "./http-fuzz.ts";
import {
  type ModeFigures,
  type SlowhttptestFigures,
  slowhttptestFailures,
} from "./slowhttptest.ts";

describe("slowhttptest", () => {
  const quick = { ms: Array.from({ length: 200 }, () => 1), failures: [] };
  const mode = (name: string): ModeFigures => ({
    mode: name,
    openMax: 1000,
    opened: 1000,
    residentBytesMax: 2e8,
    beside: quick,
    available: "YES",
  });
  const modes = ["slow heads", "slow bodies", "slow reading", "ranges"].map(mode);
  const good: SlowhttptestFigures = {
    connections: 1000,
    residentBytes: 1.5e8,
    quiet: quick,
    modes,
  };

  const late = (count: number): readonly number[] => quick.ms.map((ms, n) => (n < count ? 3 : ms));
  test.for<[Partial<ModeFigures>, string]>([
    [{ beside: { ms: quick.ms, failures: ["502 x"] } }, "slow heads: 1 of 200 failed: 502 x"],
    [{ beside: { ms: [], failures: [] } }, "slow heads: nothing was asked"],
    [{ beside: { ms: late(120), failures: [] } }, "slow heads: p50 was 1.00 ms and became 3.00 ms"],
    [{ beside: { ms: late(5), failures: [] } }, "slow heads: p99 was 1.00 ms and became 3.00 ms"],
    [{ openMax: 900 }, "slow heads: only 900 connections"],
    [{ residentBytesMax: 4e8 }, "slow heads: 238 MiB for 1000 connections"],
  ])("its judge sees %j", ([wrong, says]) => {
    expect(slowhttptestFailures(good)).toEqual([]);
    const [first, ...rest] = modes;
    expect(slowhttptestFailures({ ...good, modes: [{ ...first!, ...wrong }, ...rest] })).toContain(
      says,
    );
  });

  test("its judge counts ranges by how many came, and misses a mode", () => {
    const ranges = { ...mode("ranges"), openMax: 3 };
    expect(slowhttptestFailures({ ...good, modes: [...modes.slice(0, 3), ranges] })).toEqual([]);
    expect(slowhttptestFailures({ ...good, modes: modes.slice(1) })).toEqual([
      "not every mode was shown",
    ]);
  });
});

describe("http-fuzz", () => {
  test.for(["core", "sockets"] as const)("in small, %s", async (kind) => {
    const figures = await runFuzz(kind, { seconds: 60, seed: 7, executionsMax: 100 });
    expect(fuzzFailures(figures)).toEqual([]);
    expect(figures.executions).toBe(100);
  });

  const good: FuzzFigures = {
    kind: "core",
    executions: 9,
    accepted: 3,
    answers: 4,
    minutes: 1,
    trouble: undefined,
  };
  test.for<[Partial<FuzzFigures>, string]>([
    [{ trouble: "hangs" }, "hangs"],
    [{ accepted: 0 }, "core: nothing was shown"],
    [{ answers: 0 }, "core: nothing was shown"],
    [{ answers: 9 }, "core: nothing was shown"],
  ])("its judge sees %j", ([wrong, says]) => {
    expect(fuzzFailures(good)).toEqual([]);
    expect(fuzzFailures({ ...good, ...wrong })).toEqual([says]);
  });
});
