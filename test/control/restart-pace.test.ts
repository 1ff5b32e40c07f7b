// Goal: the first replacement comes at once, a worker that cannot live is not restarted in a loop.

import { describe, expect, test } from "vitest";
import { RestartPace } from "../../src/control/restart-pace.ts";

const pace = (): RestartPace => new RestartPace({ firstMs: 50, lastMs: 2_000, settledMs: 5_000 });

/** The pauses after failures that followed so much service, in ms. */
const pauses = (...servedMs: readonly number[]): number[] => {
  const one = pace();
  return servedMs.map((ms) => one.next(ms));
};

describe("RestartPace", () => {
  test("starts at once, then waits ever longer up to a bound", () => {
    expect(pauses(0, 0, 0, 0, 0, 0, 0, 0, 0)).toEqual([
      0, 50, 100, 200, 400, 800, 1600, 2000, 2000,
    ]);
  });

  test("a while of service makes the next failure the first again", () => {
    expect(pauses(0, 0, 0, 5_000, 0)).toEqual([0, 50, 100, 0, 50]);
  });

  test("a little less than a while does not", () => {
    expect(pauses(0, 4_999, 4_999)).toEqual([0, 50, 100]);
  });

  test("stays bounded after any number of failures", () => {
    expect(pauses(...Array.from({ length: 5_000 }, () => 0)).at(-1)).toBe(2_000);
  });
});
