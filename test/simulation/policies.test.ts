// Goal: each policy does what its definition says, over millions of picks: who gets how much, by weight, by zone and
// while starting slowly; who moves when one leaves; nobody beyond its part; and who is slow gets less.
// Method: a seed, printed; SEED=n replays it. Counts against what the definition expects (chi-square), books kept at
// every pick, and requests that take their time on a clock of their own.

import { describe, expect, test } from "vitest";
import { Policy } from "../../src/model/service.ts";
import type { BackendState } from "../../src/routing/backend-state.ts";
import type { PickQuestion } from "../../src/routing/picker.ts";
import { boundedLoadFactor } from "../../src/routing/ring-hash.ts";
import { backendRemoved } from "../routing/changes.ts";
import { anyHash } from "../support/picks.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { WatchedTable, web, zonedBackend } from "../support/watched-table.ts";

const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`policies: seed ${seed}`);
const picksMany = 1_000_000;

function world(policy: Policy, weights: readonly number[], zones: readonly string[] = []) {
  const watched = new WatchedTable("a");
  watched.replace(
    web({ zone: { usablePercentMin: 70 }, slowStartMs: 10_000 }, policy),
    ...weights.map((weight, i) =>
      zonedBackend(`10.0.${i >> 8}.${i & 255}:80 ${zones[i] ?? ""}`, weight),
    ),
  );
  return watched;
}

const equal = (count: number): number[] => Array.from({ length: count }, () => 100);
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** How often each is picked; nothing stays in flight. */
function counted({ web: { picker, backends } }: WatchedTable, random: SeededRandom, picks: number) {
  const positions = new Map(backends.map((backend, i) => [backend, i]));
  const counts = backends.map(() => 0);
  const question = { random: random.next, nowMs: 0, hash: 0, tried: [], triedCount: 0 };
  for (let i = 0; i < picks; i++) {
    question.hash = anyHash(random.next);
    counts[positions.get(picker.pick(question)!)!]! += 1;
  }
  return counts;
}

/** Of counts against shares; its mean is their number less one. */
function chiSquare(counts: readonly number[], shares: readonly number[]): number {
  const perShare = sum(counts) / sum(shares);
  return sum(
    counts.map((count, i) => (count - shares[i]! * perShare) ** 2 / (shares[i]! * perShare)),
  );
}

/** One in a million is beyond it, with nine degrees of freedom. */
const chiSquareMax = 44.8;

describe("a million picks of an idle service go by weight", () => {
  const weights = Array.from({ length: 10 }, (_, i) => (i + 1) * 10);

  test.for([Policy.Random, Policy.LeastLoaded, Policy.PeakEwma])(
    "%s: as chance has it",
    (policy) => {
      const chi = chiSquare(
        counted(world(policy, weights), new SeededRandom(seed), picksMany),
        weights,
      );
      console.log(`${policy}: chi-square ${chi.toFixed(1)} of 9 ± 4.2`);
      expect(chi).toBeLessThan(chiSquareMax);
    },
  );

  test("round-robin: to the turn", () => {
    const counts = counted(world(Policy.RoundRobin, weights), new SeededRandom(seed), picksMany);
    for (const [i, weight] of weights.entries()) {
      expect(Math.abs(counts[i]! - (picksMany * weight) / 550)).toBeLessThanOrEqual(2);
    }
  });

  test("ring-hash: within 1 % and chance", () => {
    const counts = counted(world(Policy.RingHash, weights), new SeededRandom(seed), picksMany);
    for (const [i, weight] of weights.entries()) {
      const expected = (picksMany * weight) / 550;
      const tolerated = 0.01 * expected + 5 * Math.sqrt(expected);
      expect(Math.abs(counts[i]! - expected)).toBeLessThan(tolerated);
    }
  });

  test("leader: one has all", () => {
    expect(counted(world(Policy.Leader, weights), new SeededRandom(seed), 1_000)[0]).toBe(1_000);
  });
});

test("ring-hash moves few keys when one of a hundred leaves, and only its own when it fails", () => {
  const watched = world(Policy.RingHash, equal(100));
  const random = new SeededRandom(seed);
  const keys = Array.from({ length: 100_000 }, () => anyHash(random.next));
  const gone = watched.web.backends[random.below(100)]!;
  const owners = (): BackendState[] =>
    keys.map((hash) => watched.web.picker.peek(questionOf(random, hash))!);
  const movedSince = (before: readonly BackendState[]): number => {
    const after = owners();
    return before.filter((owner, i) => owner !== after[i]).length / keys.length;
  };
  const before = owners();
  const own = before.filter((owner) => owner === gone).length / keys.length;
  gone.stand({ check: "unhealthy" });
  watched.web.refresh();
  const failed = movedSince(before);
  gone.stand({ check: "healthy" });
  watched.web.refresh();
  expect(movedSince(before)).toBe(0);
  watched.change(backendRemoved("web", gone.address));
  const left = movedSince(before);
  const percent = [own, failed, left].map((share) => `${(share * 100).toFixed(2)} %`);
  console.log(
    `ring-hash: of ${percent[0]} that were its, failing moves ${percent[1]}, leaving ${percent[2]}`,
  );
  expect(failed).toBe(own);
  expect(left).toBeLessThan(0.02);
});

function questionOf(random: SeededRandom, hash: number, nowMs = 0): PickQuestion {
  return { random: random.next, nowMs, hash, tried: [], triedCount: 0 };
}

test.for([
  { name: "10 equal ones", weights: equal(10), picks: picksMany },
  { name: "weights 1 to 10", weights: Array.from({ length: 10 }, (_, i) => i + 1), picks: 300_000 },
  { name: "50 equal ones", weights: equal(50), picks: 300_000 },
])("ring-hash never gives one more than 1.25 times its part: $name", ({ weights, picks }) => {
  const { picker, backends } = world(Policy.RingHash, weights).web;
  const random = new SeededRandom(seed);
  const total = sum(weights);
  const open: BackendState[] = [];
  const question = { random: random.next, nowMs: 0, hash: 0, tried: [], triedCount: 0 };
  let most = 0;
  for (let i = 0; i < picks; i++) {
    // A few keys are asked for most of the time; what is open swings between nothing and some hundreds.
    question.hash = Math.imul(Math.floor(1 / (1 - random.next())), 0x9e3779b1);
    const backend = picker.pick(question)!;
    backend.inFlight++;
    open.push(backend);
    const part = (boundedLoadFactor * open.length * backend.weight) / total;
    if (backend.inFlight > Math.ceil(part - 1e-9)) most = Math.max(most, backend.inFlight / part);
    const swing = (i >> 9) & 1;
    while (open.length > 0 && random.next() < (swing === 0 ? 0.3 : 0.6)) {
      const at = random.below(open.length);
      open[at]!.inFlight--;
      open[at] = open.at(-1)!;
      open.pop();
    }
  }
  expect(most).toBe(0);
  expect(backends.reduce((left, { inFlight }) => left + inFlight, 0)).toBe(open.length);
});

describe("of three backends one takes ten times as long", () => {
  const fastMs = 10;
  const slowMs = 100;

  /** Requests arrive by chance, once a ms on average; what share the slow one gets. */
  function shareOfSlow(policy: Policy): number {
    const watched = world(policy, equal(3));
    const random = new SeededRandom(seed);
    const { picker, backends } = watched.web;
    const slow = backends[2]!;
    const ends = new Ends();
    const question = { random: random.next, nowMs: 0, hash: 0, tried: [], triedCount: 0 };
    const requests = 200_000;
    let toSlow = 0;
    for (let i = 0; i < requests; i++) {
      question.nowMs += -Math.log(1 - random.next());
      ends.until(question.nowMs);
      question.hash = anyHash(random.next);
      const backend = picker.pick(question)!;
      if (backend === slow) toSlow++;
      ends.add(
        backend,
        question.nowMs,
        (backend === slow ? slowMs : fastMs) * (0.5 + random.next()),
      );
    }
    console.log(`${policy}: the slow one gets ${((toSlow / requests) * 100).toFixed(1)} %`);
    return toSlow / requests;
  }

  test("random and round-robin do not mind", () => {
    expect(shareOfSlow(Policy.Random)).toBeCloseTo(1 / 3, 2);
    expect(shareOfSlow(Policy.RoundRobin)).toBeCloseTo(1 / 3, 4);
  });

  test("ring-hash gives it no more than bounded load allows", () => {
    expect(shareOfSlow(Policy.RingHash)).toBeLessThan(0.3);
  });

  test("least-loaded gives it little, peak-ewma hardly anything", () => {
    const leastLoaded = shareOfSlow(Policy.LeastLoaded);
    expect(leastLoaded).toBeLessThan(0.12);
    expect(shareOfSlow(Policy.PeakEwma)).toBeLessThan(leastLoaded / 3);
  });
});

test("peak-ewma neither floods nor starves who is new, fast or slow", () => {
  for (const latencyMs of [5, 10, 200]) {
    const watched = world(Policy.PeakEwma, equal(4));
    const random = new SeededRandom(seed);
    const ends = new Ends();
    let nowMs = 0;
    let toNew = 0;
    for (let i = 0; i < 60_000; i++) {
      nowMs += -Math.log(1 - random.next());
      ends.until(nowMs);
      if (i === 20_000) watched.change(web({}, Policy.PeakEwma), zonedBackend("10.0.9.9:80"));
      const backend = watched.web.picker.pick(questionOf(random, 0, nowMs))!;
      const isNew = backend.address === "10.0.9.9:80";
      // What it gets within its first 200 ms: before anybody can know how fast it is.
      if (isNew && i < 20_200) toNew++;
      ends.add(backend, nowMs, (isNew ? latencyMs : 10) * (0.9 + 0.2 * random.next()));
    }
    console.log(
      `peak-ewma: a new one of ${latencyMs} ms gets ${toNew} of the first 200, then ${watched.at("10.0.9.9:80").requestsTotal}`,
    );
    expect(toNew).toBeGreaterThan(0);
    expect(toNew).toBeLessThan(100);
  }
});

test("zones: what goes out is what the zone cannot bear", () => {
  const random = new SeededRandom(seed);
  const cases = 40;
  for (let i = 0; i < cases; i++) {
    const weights = Array.from({ length: 12 }, () => 1 + random.below(100));
    const zones = weights.map((_, at) => (at < 6 ? "a" : "b"));
    const watched = world(Policy.Random, weights, zones);
    const { backends } = watched.web;
    const failing = backends.filter((_, at) => at !== 0 && at !== 11 && random.chance(0.5));
    for (const backend of failing) backend.stand({ check: "unhealthy" });
    watched.web.refresh();
    const inA = backends.slice(0, 6);
    const weightOf = (some: readonly BackendState[]): number =>
      sum(some.map(({ weight }) => weight));
    const usable = weightOf(inA.filter((backend) => !failing.includes(backend)));
    const stays = Math.min(1, usable / (0.7 * weightOf(inA)));
    const expected = backends.map((backend, at) => {
      if (failing.includes(backend)) return 0;
      if (at < 6) return (stays * backend.weight) / usable;
      const others = weightOf(backends.slice(6).filter((each) => !failing.includes(each)));
      return ((1 - stays) * backend.weight) / others;
    });
    const picks = picksMany / cases;
    for (const [at, count] of counted(watched, random, picks).entries()) {
      const mean = expected[at]! * picks;
      // Of few, chance leaves more than six deviations; of none, nothing.
      const tolerated = mean === 0 ? 0 : 6 * Math.sqrt(mean) + 6;
      expect(Math.abs(count - mean)).toBeLessThanOrEqual(tolerated);
    }
  }
});

test.for([Policy.Random, Policy.RoundRobin, Policy.LeastLoaded, Policy.PeakEwma])(
  "slow start: %s gives what has grown so far, at every moment",
  (policy) => {
    const watched = world(policy, equal(5));
    const random = new SeededRandom(seed);
    watched.change(zonedBackend("10.0.9.9:80"));
    const steps = 25;
    for (let step = 0; step <= steps; step++) {
      const share = 0.1 + 0.9 * (step / steps);
      const picks = picksMany / steps;
      const mean = (picks * share) / (5 + share);
      const count = counted(watched, random, picks).at(-1)!;
      expect(Math.abs(count - mean)).toBeLessThan(5 * Math.sqrt(mean) + 1);
      watched.advance(10_000 / steps);
    }
    expect(watched.web.restless).toBe(false);
  },
);

/** Requests under way, by when they end; a binary heap. */
class Ends {
  readonly #heap: {
    readonly atMs: number;
    readonly tookMs: number;
    readonly backend: BackendState;
  }[] = [];

  add(backend: BackendState, nowMs: number, tookMs: number): void {
    backend.endpoint.inFlight++;
    backend.inFlight++;
    backend.requestsTotal++;
    const heap = this.#heap;
    let at = heap.push({ atMs: nowMs + tookMs, tookMs, backend }) - 1;
    for (let up = (at - 1) >> 1; at > 0 && heap[up]!.atMs > heap[at]!.atMs; up = (at - 1) >> 1) {
      [heap[up], heap[at]] = [heap[at]!, heap[up]!];
      at = up;
    }
  }

  /** All that have ended by then are observed. */
  until(nowMs: number): void {
    for (
      let first = this.#heap[0];
      first !== undefined && first.atMs <= nowMs;
      first = this.#heap[0]
    ) {
      const { backend, tookMs, atMs } = first;
      this.#removeFirst();
      backend.endpoint.inFlight--;
      backend.inFlight--;
      backend.observe(tookMs, atMs);
    }
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let at = 0, down = 1; down < heap.length; down = 2 * at + 1) {
      if (down + 1 < heap.length && heap[down + 1]!.atMs < heap[down]!.atMs) down++;
      if (heap[at]!.atMs <= heap[down]!.atMs) return;
      [heap[at], heap[down]] = [heap[down]!, heap[at]!];
      at = down;
    }
  }
}
