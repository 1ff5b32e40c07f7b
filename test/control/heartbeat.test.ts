// Goal: a silent worker is told from a process that stood still.

import { describe, expect, test } from "vitest";
import { Heartbeat } from "../../src/control/heartbeat.ts";

const periodMs = 250;

/** Looks at [time, beat] one after the other; answers the silence after the last. */
function silence(...looks: readonly (readonly [nowMs: number, beat: number])[]): number {
  const heartbeat = new Heartbeat({ periodMs, nowMs: 0 });
  let silentMs = 0;
  for (const [nowMs, beat] of looks) silentMs = heartbeat.observe(beat, nowMs);
  return silentMs;
}

describe("Heartbeat", () => {
  test("no silence while the beat changes", () => {
    expect(silence([250, 1], [500, 2], [750, 3])).toBe(0);
  });

  test("silence adds up while it does not", () => {
    expect(silence([250, 1], [500, 1], [750, 1], [1000, 1])).toBe(750);
  });

  test("a beat ends the silence", () => {
    expect(silence([250, 1], [500, 1], [750, 2])).toBe(0);
    expect(silence([250, 1], [500, 1], [750, 2], [1000, 2])).toBe(250);
  });

  test("a beat that is the same from the start is silence too", () => {
    expect(silence([250, 0], [500, 0])).toBe(250);
  });

  test("a clock that says anything at all will do: only a change counts", () => {
    expect(silence([250, 5_000_000], [500, 3])).toBe(0);
  });

  test("when the whole process stood still, the gap counts as two looks at most", () => {
    expect(silence([250, 1], [30_250, 1])).toBe(2 * periodMs);
  });
});
