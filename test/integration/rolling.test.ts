// Goal: backends are replaced, and restarted behind a pause, without a failed request or a cut connection.
// Method: the soak programs, small; their judges see what is broken.

import { expect, test } from "vitest";
import { type PauseFigures, pauseFailures, runPause } from "../soak/pause.ts";
import { type RollingFigures, rollingFailures, runRolling } from "../soak/rolling.ts";
import { noFigures } from "../support/steady-requests.ts";

test("thirty replacements in three lanes", { timeout: 90_000 }, async () => {
  expect(rollingFailures(await runRolling(30, 3))).toEqual([]);
});

test("three restarts behind a pause", { timeout: 90_000 }, async () => {
  expect(pauseFailures(await runPause(3, 100))).toEqual([]);
});

test("the judges see what is broken", () => {
  const none = { ...noFigures(), requests: 1, tunnels: 1, seconds: 1 };
  const rolling: RollingFigures = {
    ...none,
    replacements: 1,
    cutByDrains: 0,
    openAtStop: 0,
    drainMs: [],
  };
  expect(rollingFailures(rolling)).toEqual([]);
  const wrong: Partial<RollingFigures>[] = [
    { failed: ["x"] },
    { cut: ["x"] },
    { cutByDrains: 1 },
    { openAtStop: 1 },
    { requests: 0 },
  ];
  for (const one of wrong) expect(rollingFailures({ ...rolling, ...one })).toHaveLength(1);
  const pause: PauseFigures = { ...none, rounds: 1, inFlight: 0, openAtStop: 0, pauseMs: [] };
  expect(pauseFailures(pause)).toEqual([]);
  for (const one of [{ failed: ["x"] }, { inFlight: 1 }, { openAtStop: 1 }, { requests: 0 }]) {
    expect(pauseFailures({ ...pause, ...one })).toHaveLength(1);
  }
});
