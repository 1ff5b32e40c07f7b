// Goal: no order of requests in several workers passes a rate, by its definition: never more than the burst and
// what the time between the first and the last of them allows.
// Method: cases by hand; then workers whose steps in the shared memory are put between each other's, from a seed.

import { describe, expect, test } from "vitest";
import { RateBuckets, rateMemory, Taken, type Words } from "../../src/channel/rate-buckets.ts";
import { parseIp } from "../../src/model/ip-address.ts";
import type { RateLimit } from "../../src/model/route-options.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const ip = (text: string): readonly number[] => parseIp(text)!;
const all: readonly number[] = [];
const limit = (requests: number, perMs: number, burst = requests): RateLimit => ({
  requests,
  perMs,
  burst,
  key: "client",
});
const startMs = 86_400_000.125;

/** How many of `count` requests are let in at once. */
function admitted(
  rates: RateBuckets,
  of: RateLimit,
  options: { readonly nowMs: number; readonly count?: number; readonly ip?: string },
): number {
  let sum = 0;
  for (let i = 0; i < (options.count ?? 100); i++) {
    const words = options.ip === undefined ? all : ip(options.ip);
    if (rates.take("r", words, of, options.nowMs) === Taken.Admitted) sum++;
  }
  return sum;
}

describe("a bucket", () => {
  test("lets a burst in, then one each time that its share has passed, and says how long that is", () => {
    const rates = new RateBuckets(rateMemory(1));
    const two = limit(2, 1_000, 3);
    expect(admitted(rates, two, { nowMs: startMs })).toBe(3);
    expect(rates.take("r", all, two, startMs)).toBe(500);
    expect(rates.take("r", all, two, startMs + 499.5)).toBe(0.5);
    expect(admitted(rates, two, { nowMs: startMs + 500 })).toBe(1);
    expect(admitted(rates, two, { nowMs: startMs + 1_750 })).toBe(2);
    expect(admitted(rates, two, { nowMs: startMs + 3_600_000 })).toBe(3);
  });

  test("is one for all workers", () => {
    const memory = rateMemory(2);
    const workers = [new RateBuckets(memory), new RateBuckets(memory)];
    const five = limit(5, 1_000);
    expect(workers.map((one) => admitted(one, five, { nowMs: startMs, count: 4 }))).toEqual([4, 1]);
  });

  test("is one for each client, IPv6 by its /64, and one for each route", () => {
    const rates = new RateBuckets(rateMemory(3));
    const one = limit(1, 1_000);
    const from = (address: string): number => admitted(rates, one, { nowMs: startMs, ip: address });
    expect(["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1"].map(from)).toEqual([
      1, 1, 1, 1,
    ]);
    expect(["10.0.0.1", "::ffff:10.0.0.2", "2001:db8::ffff:1"].map(from)).toEqual([0, 0, 0]);
    expect(admitted(rates, one, { nowMs: startMs })).toBe(1);
    expect(rates.take("other", ip("10.0.0.1"), one, startMs)).toBe(Taken.Admitted);
  });

  test("goes by another limit at once, and owes no more than that", () => {
    const rates = new RateBuckets(rateMemory(4));
    expect(admitted(rates, limit(1, 3_600_000, 10), { nowMs: startMs })).toBe(10);
    const faster = limit(100, 1_000, 10);
    expect(rates.take("r", all, faster, startMs)).toBe(10);
    expect(admitted(rates, faster, { nowMs: startMs + 50 })).toBe(5);
    expect(admitted(rates, limit(1, 3_600_000, 1), { nowMs: startMs + 50 })).toBe(0);
  });

  test.for([
    [1_000_000, 1_000],
    [700_000, 1_000],
    [3, 1_000],
    [1, 3_600_000],
    [7, 61_000],
  ] as const)("of %i in %i ms gives no more, and hardly less", ([requests, perMs]) => {
    const rates = new RateBuckets(rateMemory(5));
    const of = limit(requests, perMs, 1);
    let nowMs = startMs;
    for (let i = 0; i < 1_000; i++) {
      const waitMs = rates.take("r", all, of, nowMs);
      expect(waitMs).toBe(Taken.Admitted);
      // With what a double loses of it.
      nowMs += Math.max(0, rates.take("r", all, of, nowMs)) + 0.000_01;
    }
    const spentMs = nowMs - startMs;
    expect(spentMs).toBeGreaterThanOrEqual(((1_000 * perMs) / requests) * 0.999_999 - 0.001);
    expect(spentMs).toBeLessThan((1_000 * perMs * 1.06) / requests + 0.02);
  });

  test("of the deepest kind works, and one that was left alone for long is full again", () => {
    const rates = new RateBuckets(rateMemory(6));
    const deep = limit(1, 3_600_000, 1_000_000);
    expect(rates.take("r", all, deep, startMs)).toBe(Taken.Admitted);
    const one = limit(1, 3_600_000);
    const dayMs = 86_400_000;
    for (const days of [30, 200, 300, 401, 408, 1_000]) {
      expect(rates.take("r", all, one, startMs + days * dayMs), `${days} days`).toBe(0);
      expect(rates.take("r", all, one, startMs + days * dayMs)).toBe(3_600_000);
    }
  });

  test("gives its place away when it is full again, and not before", () => {
    const rates = new RateBuckets(rateMemory(7, 8));
    const one = limit(1, 1_000);
    const results = (from: number, nowMs: number): number[] =>
      Array.from({ length: 8 }, (_, i) => rates.take("r", [from + i], one, nowMs));
    expect(results(0, startMs)).toEqual(Array.from({ length: 8 }, () => Taken.Admitted));
    expect(results(100, startMs + 999)).toEqual(Array.from({ length: 8 }, () => Taken.Uncounted));
    expect(results(0, startMs + 999)).toEqual(Array.from({ length: 8 }, () => 1));
    expect(results(100, startMs + 1_000)).toEqual(Array.from({ length: 8 }, () => Taken.Admitted));
    expect(results(0, startMs + 1_000)).toEqual(Array.from({ length: 8 }, () => Taken.Uncounted));
  });
});

/** Shared words between whose steps other workers do something. */
function disturbed(memory: ReturnType<typeof rateMemory>, between: () => void): Words {
  const words = new BigUint64Array(memory.bytes);
  return {
    length: words.length,
    load(at) {
      between();
      return words[at]!;
    },
    swap(at, expected, next) {
      between();
      if (words[at] !== expected) return false;
      words[at] = next;
      return true;
    },
  };
}

interface Came {
  readonly client: number;
  readonly nowMs: number;
}

/** Lets workers interrupt each other in the middle; answers who was let in, and how many uncounted. */
function simulate(seed: number, of: RateLimit, clients: number, clockRuns: boolean) {
  const random = new SeededRandom(seed);
  const memory = rateMemory(seed + 1, 8);
  const came: Came[] = [];
  let uncounted = 0;
  let depth = 0;
  let nowMs = startMs;
  const ask = (): void => {
    const client = random.below(clients);
    const askedMs = nowMs;
    const taken = rates.take("r", [client], of, askedMs);
    if (taken === Taken.Uncounted) uncounted++;
    if (taken === Taken.Admitted) came.push({ client, nowMs: askedMs });
  };
  const rates = new RateBuckets(
    memory,
    disturbed(memory, () => {
      if (depth >= 3 || !random.chance(0.15)) return;
      depth++;
      if (clockRuns) nowMs += random.next() * driftMs;
      ask();
      depth--;
    }),
  );
  for (let i = 0; i < 2_000; i++) {
    ask();
    nowMs += random.next() * (random.chance(0.02) ? 3_000 : 40);
  }
  return { came, uncounted };
}

const driftMs = 0.01;

/** The most that came over what the definition allows, in any window; 0 or less is right. */
function excess(came: readonly Came[], { requests, perMs, burst }: RateLimit): number {
  const times = came.map(({ nowMs }) => nowMs).toSorted((a, b) => a - b);
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < times.length; i++) {
    for (let j = i; j < times.length; j++) {
      const allowed = burst + Math.floor(((times[j]! - times[i]!) * requests) / perMs + 1e-6);
      most = Math.max(most, j - i + 1 - allowed);
    }
  }
  return most;
}

test("two workers that begin a bucket in different places end up with one", () => {
  const memory = rateMemory(8, 8);
  const one = limit(1, 1_000);
  const second = new RateBuckets(memory);
  expect(second.take("other", all, one, startMs)).toBe(Taken.Admitted);
  const taken: number[] = [];
  let steps = 0;
  const first = new RateBuckets(
    memory,
    disturbed(memory, () => {
      // The first worker has chosen the second place; now the first one is free.
      if (steps++ === 8) taken.push(second.take("r", all, one, startMs + 1_000));
    }),
  );
  taken.push(first.take("r", all, one, startMs + 999));
  expect(taken).toEqual([Taken.Admitted, 1_001]);
  expect(first.take("r", all, one, startMs + 2_000)).toBe(Taken.Admitted);
  expect(second.take("r", all, one, startMs + 2_000)).toBe(1_000);
});

describe("workers that interrupt each other", () => {
  const seeds = Array.from({ length: 40 }, (_, i) => i + Number(process.env["SEED"] ?? 1));

  test.for(seeds)("never pass the rate of any client, seed %i", (seed) => {
    const of = limit(1 + (seed % 7), 1_000, 1 + (seed % 4));
    const { came, uncounted } = simulate(seed, of, 6, false);
    for (let client = 0; client < 6; client++) {
      const own = came.filter((one) => one.client === client);
      expect(own.length).toBeGreaterThan(20);
      expect(excess(own, of), `client ${client}`).toBeLessThanOrEqual(0);
    }
    // There is a place for each of them.
    expect(uncounted).toBe(0);
  });

  test.for(seeds)(
    "while places change hands and clocks differ, by one at most, seed %i",
    (seed) => {
      const of = limit(5, 1_000, 1 + (seed % 4));
      const { came, uncounted } = simulate(seed, of, 40, true);
      for (let client = 0; client < 40; client++) {
        const own = came.filter((one) => one.client === client);
        expect(excess(own, of), `client ${client}`).toBeLessThanOrEqual(1);
      }
      expect(came.length).toBeGreaterThan(500);
      expect(uncounted).toBeGreaterThan(0);
    },
  );
});
