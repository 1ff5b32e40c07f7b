// Goal: every backend is probed as often as it asks for, never twice at once, never when it is gone; never more probes at
// once than allowed; a probe that takes too long is given up in time.
// Method: a clock by hand, and a simulation from a seed in which probes take any time and backends come and go.

import { describe, expect, test } from "vitest";
import { Schedule, type Scheduled } from "../../src/health/schedule.ts";
import { assert } from "../../src/model/errors.ts";
import { SeededRandom } from "../support/seeded-random.ts";

class Probed implements Scheduled {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  dueMs = 0;
  place = -1;
  startedMs = 0;
  phase: Scheduled["phase"] = "idle";
  extended = false;
  starts: number[] = [];
  endsMs = 0;
  readonly number: number;

  constructor(intervalMs: number, timeoutMs: number, number = 0) {
    this.number = number;
    this.intervalMs = intervalMs;
    this.timeoutMs = timeoutMs;
  }
}

const calm = { random: () => 0.5, inFlightMax: 10, atOnceMax: 3, lateMs: 50 };
const many = (count: number, intervalMs = 1_000): Probed[] =>
  Array.from({ length: count }, (_, number) => new Probed(intervalMs, 100, number));

/** Everything that is due at `nowMs`: "ask 0", "give-up 3". */
function due(schedule: Schedule<Probed>, nowMs: number): string[] {
  const turns: string[] = [];
  for (;;) {
    const turn = schedule.poll(nowMs);
    if (turn === undefined) return turns;
    turns.push(`${turn.kind} ${turn.what.number}`);
    if (turn.kind === "give-up") schedule.ended(turn.what, nowMs);
  }
}

describe("a schedule", () => {
  test("probes a new backend at once, and again after its interval, counted from the start", () => {
    const schedule = new Schedule<Probed>(calm);
    const [backend] = many(1) as [Probed];
    schedule.add([backend], 5_000);
    expect(due(schedule, 5_000)).toEqual(["ask 0"]);
    schedule.ended(backend, 5_080);
    expect(schedule.nextMs).toBe(6_000);
    expect(due(schedule, 5_999)).toEqual([]);
    expect(due(schedule, 6_000)).toEqual(["ask 0"]);
  });

  test("probes the first of many new backends at once, the others within their interval", () => {
    let draws = 0;
    const schedule = new Schedule<Probed>({ ...calm, random: () => (draws++ % 10) / 10 });
    schedule.add(many(8), 0);
    expect(due(schedule, 0)).toHaveLength(4);
    expect(due(schedule, 99)).toHaveLength(0);
    expect(due(schedule, 200)).toEqual(["ask 4", "ask 5"]);
  });

  test("draws the time to the next probe anew, a twentieth either way", () => {
    for (const [random, nextMs] of [
      [0, 950],
      [0.999_999, 1_050],
    ] as const) {
      const schedule = new Schedule<Probed>({ ...calm, random: () => random });
      const [backend] = many(1) as [Probed];
      schedule.add([backend], 0);
      due(schedule, 0);
      schedule.ended(backend, 10);
      expect(schedule.nextMs).toBeCloseTo(nextMs, 2);
    }
  });

  test("gives a probe up at its timeout", () => {
    const schedule = new Schedule<Probed>(calm);
    const [backend] = many(1) as [Probed];
    schedule.add([backend], 0);
    due(schedule, 0);
    expect(schedule.nextMs).toBe(100);
    expect(due(schedule, 99)).toEqual([]);
    expect(due(schedule, 100)).toEqual(["give-up 0"]);
    expect(schedule.inFlight).toBe(0);
  });

  test("gives a probe a little more time, once, when nobody looked at its deadline", () => {
    const schedule = new Schedule<Probed>(calm);
    const [backend] = many(1) as [Probed];
    schedule.add([backend], 0);
    due(schedule, 0);
    expect(due(schedule, 2_000)).toEqual([]);
    expect(schedule.nextMs).toBe(2_050);
    expect(due(schedule, 4_000)).toEqual(["give-up 0", "ask 0"]);
  });

  test("has what is due wait in line while too many probes are under way, in its order", () => {
    const schedule = new Schedule<Probed>({ ...calm, inFlightMax: 2, atOnceMax: 9 });
    const backends = many(4);
    for (const [nowMs, backend] of backends.entries()) schedule.add([backend], nowMs);
    expect(due(schedule, 5)).toEqual(["ask 0", "ask 1"]);
    schedule.ended(backends[0]!, 30);
    expect(due(schedule, 30)).toEqual(["ask 2"]);
    schedule.remove(backends[3]!);
    schedule.ended(backends[1]!, 40);
    expect(due(schedule, 40)).toEqual([]);
    // Its next turn counts from its own start.
    schedule.ended(backends[2]!, 50);
    expect(due(schedule, 1_029)).not.toContain("ask 2");
    expect(backends[2]!.dueMs).toBe(1_030);
  });

  test("knows nothing of a backend that was removed, whatever it was doing", () => {
    const schedule = new Schedule<Probed>({ ...calm, inFlightMax: 1, atOnceMax: 2 });
    const backends = many(3) as [Probed, Probed, Probed];
    schedule.add(backends, 0);
    due(schedule, 0);
    expect(backends.map(({ phase }) => phase)).toEqual(["asked", "lined-up", "waiting"]);
    for (const backend of backends) schedule.remove(backend);
    expect(schedule.inFlight).toBe(0);
    expect(schedule.nextMs).toBe(Number.POSITIVE_INFINITY);
    expect(due(schedule, 1e9)).toEqual([]);
  });
});

const seeds =
  process.env["SEED"] === undefined
    ? Array.from({ length: 20 }, (_, seed) => seed)
    : [Number(process.env["SEED"])];

test.for(seeds)("probes as often as configured while backends come and go, seed %i", (seed) => {
  const random = new SeededRandom(seed);
  const inFlightMax = 40;
  const schedule = new Schedule<Probed>({
    random: random.next,
    inFlightMax,
    atOnceMax: 5,
    lateMs: 50,
  });
  const alive = new Set<Probed>();
  const gone = new Set<Probed>();
  const asked = new Set<Probed>();
  const bornMs = new Map<Probed, number>();
  let gaps = 0;
  let gapsSum = 0;
  for (let nowMs = 0; nowMs < 40_000; nowMs += 5) {
    if (random.chance(0.004)) {
      const born = Array.from({ length: random.below(20) }, () => {
        const intervalMs = 500 + random.below(4_000);
        return new Probed(intervalMs, 50 + random.below(450));
      });
      schedule.add(born, nowMs);
      for (const each of born) bornMs.set(each, nowMs);
      for (const each of born) alive.add(each);
    }
    for (const each of alive) {
      if (!random.chance(0.000_2)) continue;
      schedule.remove(each);
      alive.delete(each);
      asked.delete(each);
      gone.add(each);
    }
    for (const each of asked) {
      if (each.endsMs > nowMs) continue;
      asked.delete(each);
      schedule.ended(each, nowMs);
    }
    for (let turn = schedule.poll(nowMs); turn !== undefined; turn = schedule.poll(nowMs)) {
      const { what } = turn;
      assert(!gone.has(what), "what is gone is left alone");
      if (turn.kind === "give-up") {
        assert(asked.delete(what), "only what is asked is given up");
        assert(nowMs - what.startedMs < what.timeoutMs + 10, "in time");
        schedule.ended(what, nowMs);
        continue;
      }
      assert(!asked.has(what), "one probe at a time");
      asked.add(what);
      // Some answer at once, some late, some never.
      what.endsMs = nowMs + (random.chance(0.1) ? 1e9 : random.below(what.timeoutMs * 1.2));
      const before = what.starts.at(-1);
      if (before === undefined) {
        assert(
          nowMs - bornMs.get(what)! <= what.intervalMs + 10,
          "the first one within an interval",
        );
      } else {
        const gap = (nowMs - before) / what.intervalMs;
        assert(gap > 0.94 && gap < 1.05 + 15 / what.intervalMs, `${gap} intervals apart`);
        gaps++;
        gapsSum += gap;
      }
      what.starts.push(nowMs);
    }
    assert(schedule.inFlight === asked.size && asked.size <= inFlightMax, "as many as allowed");
  }
  expect(gaps).toBeGreaterThan(100);
  expect(gapsSum / gaps).toBeGreaterThan(0.99);
  expect(gapsSum / gaps).toBeLessThan(1.01);
});
