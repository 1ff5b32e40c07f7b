// Goal: each policy spreads as it says, and never answers what was tried.
// Method: thousands of picks from a fixed seed, counted; small rotations spelled out.

import { describe, expect, test } from "vitest";
import { parseAddress } from "../../src/model/address.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { Policy } from "../../src/model/service.ts";
import { BackendState, Endpoint } from "../../src/routing/backend-state.ts";
import { anybody, type Picker, type PickQuestion } from "../../src/routing/picker.ts";
import { pickerOfPolicy } from "../../src/routing/picker-of-policy.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { anyHash, asked, askedBy } from "../support/picks.ts";

const policies = Object.values(Policy);
const weightings: readonly { readonly name: string; readonly weights: readonly number[] }[] = [
  { name: "one backend", weights: [100] },
  { name: "two equal backends", weights: [100, 100] },
  { name: "seven equal backends", weights: Array.from({ length: 7 }, () => 3) },
  { name: "weights 1 and 1000", weights: [1, 1000] },
  { name: "weights 5, 1, 1", weights: [5, 1, 1] },
  { name: "weights 1 to 40", weights: Array.from({ length: 40 }, (_, i) => i + 1) },
];
const combinations = policies.flatMap((policy) =>
  weightings.map((weighting) => ({ policy, ...weighting })),
);

function backendsOf(weights: readonly number[]): BackendState[] {
  const service = parseServiceName("web");
  return weights.map(
    (weight, i) =>
      new BackendState(service, new Endpoint(parseAddress(`10.0.0.1:${i + 1}`)), weight),
  );
}

function seeded(seed = 7): () => number {
  const system = new FakeSystem({ seed });
  return () => system.random();
}

function countPicks(picker: Picker, backends: readonly BackendState[], picks: number): number[] {
  const random = seeded();
  const counts = backends.map(() => 0);
  for (let i = 0; i < picks; i++)
    counts[backends.indexOf(picker.pick(askedBy(anyHash(random), random))!)]! += 1;
  return counts;
}

const lowest = (): number => 0;
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

const rotation = (weights: readonly number[], picks: number, draw: number): string => {
  const backends = backendsOf(weights);
  const picker = pickerOfPolicy(Policy.RoundRobin, backends);
  const letters = Array.from({ length: picks }, () =>
    "abcdefg".charAt(backends.indexOf(picker.pick(asked(() => draw, [], 0))!)),
  );
  return letters.join("");
};

const busiest = (policy: Policy): number => {
  const backends = backendsOf(Array.from({ length: 100 }, () => 100));
  const picker = pickerOfPolicy(policy, backends);
  const random = seeded(11);
  for (let i = 0; i < 10_000; i++) picker.pick(asked(random, [], 0))!.endpoint.inFlight++;
  return Math.max(...backends.map(({ endpoint }) => endpoint.inFlight));
};

const firstOfRotation = (...draws: number[]): number => {
  const backends = backendsOf([3, 2]);
  const picker = pickerOfPolicy(Policy.RoundRobin, backends);
  return backends.indexOf(picker.pick(asked(() => draws.shift() ?? 0, [], 0))!);
};

test.for(combinations.filter(({ policy }) => policy !== Policy.Leader))(
  "$policy, $name: spreads an idle service by weight",
  ({ policy, weights }) => {
    const backends = backendsOf(weights);
    const picks = 20_000;
    const counts = countPicks(pickerOfPolicy(policy, backends), backends, picks);
    for (const [i, weight] of weights.entries()) {
      const expected = (picks * weight) / sum(weights);
      // Five standard deviations of a fair draw.
      expect(Math.abs(counts[i]! - expected)).toBeLessThan(5 * Math.sqrt(expected) + 2);
    }
  },
);

describe.for(combinations)("$policy, $name", ({ policy, weights }) => {
  test("answers everyone once when each answer was tried, then nobody", () => {
    const random = seeded();
    for (let round = 0; round < 20; round++) {
      const backends = backendsOf(weights);
      const picker = pickerOfPolicy(policy, backends);
      for (let asker = 0; asker < 10; asker++) {
        const hash = anyHash(random);
        const tried: BackendState[] = [];
        for (let i = 0; i < backends.length; i++) {
          tried.push(picker.pick(asked(random, tried, i, hash))!);
        }
        expect(new Set(tried)).toEqual(new Set(backends));
        expect(picker.pick(asked(random, tried, tried.length, hash))).toBeUndefined();
      }
    }
  });

  test("looks at no more of the tried than it is told", () => {
    const backends = backendsOf(weights);
    const picker = pickerOfPolicy(policy, backends);
    expect(picker.pick(asked(seeded(), backends, 0))).toBeDefined();
    const random = seeded();
    for (let i = 0; i < 100; i++) {
      const question = asked(random, backends, backends.length - 1, anyHash(random));
      expect(picker.pick(question)).toBe(backends.at(-1));
    }
  });

  test("peeks at what the next pick answers, and changes nothing by it", () => {
    const backends = backendsOf(weights);
    const picker = pickerOfPolicy(policy, backends);
    const draws = seeded(3);
    for (let i = 0; i < 50; i++) {
      const seed = Math.floor(draws() * 1e9);
      const question = (): PickQuestion => askedBy(anyHash(seeded(seed)), seeded(seed));
      const peeked = picker.peek(question());
      expect(picker.peek(question())).toBe(peeked);
      const picked = picker.pick(question());
      expect(picked).toBe(peeked);
      picked!.inFlight = picked!.endpoint.inFlight += i % 3;
      picked!.observe(1 + draws(), 0);
    }
  });

  test("can be drawn at both ends of chance", () => {
    const backends = backendsOf(weights);
    for (const draw of [0, 1 - 2 ** -53]) {
      expect(backends).toContain(pickerOfPolicy(policy, backends).pick(asked(() => draw, [], 0)));
      if (backends.length < 2) continue;
      const second = pickerOfPolicy(policy, backends).pick(asked(() => draw, [backends[0]!], 1));
      expect(backends.slice(1)).toContain(second);
    }
  });
});

test.for(policies)("%s has nobody to pick in a service without backends", (policy) => {
  const picker = pickerOfPolicy(policy, []);
  expect(picker.pick(asked(seeded(), [], 0))).toBeUndefined();
  expect(picker.peek(anybody(seeded()))).toBeUndefined();
});

describe("random", () => {
  test("gives each backend the part of chance that is its weight, to the point", () => {
    const backends = backendsOf([100, 300, 100]);
    const picker = pickerOfPolicy(Policy.Random, backends);
    const drawn = [0, 0.19, 0.2, 0.79, 0.8, 0.99].map((draw) =>
      backends.indexOf(picker.pick(asked(() => draw, [], 0))!),
    );
    expect(drawn).toEqual([0, 0, 1, 1, 2, 2]);
  });

  test("spreads second tries by the weights of the untried", () => {
    const backends = backendsOf([100, 300, 500, 100]);
    const picker = pickerOfPolicy(Policy.Random, backends);
    const drawn = [0, 0.19, 0.2, 0.79, 0.8, 0.99].map((draw) =>
      backends.indexOf(picker.pick(asked(() => draw, [backends[2]!], 1))!),
    );
    expect(drawn).toEqual([0, 0, 1, 1, 3, 3]);
  });
});

describe("round-robin", () => {
  test("takes turns, beginning anywhere", () => {
    expect(rotation([1, 1, 1], 7, 0)).toBe("abcabca");
    expect(rotation([100, 100], 5, 0.9)).toBe("babab");
  });

  test("spreads a heavy backend's turns evenly", () => {
    expect(rotation([5, 1, 1], 7, 0)).toBe("aabacaa");
  });

  test("gives everyone its exact share of any whole rotation, wherever it begins", () => {
    for (const draw of [0, 0.3, 0.7, 0.99]) {
      const letters = rotation([5, 1, 1], 70, draw);
      expect(letters.replaceAll(/[^a]/g, "")).toHaveLength(50);
    }
  });

  test("begins anywhere with unequal weights too", () => {
    expect(firstOfRotation(0, 0)).toBe(0);
    expect(firstOfRotation(0, 0.99)).toBe(1);
  });

  test("does not pay those that were tried for the turn of another", () => {
    const backends = backendsOf([2, 1]);
    const picker = pickerOfPolicy(Policy.RoundRobin, backends);
    const [heavy, light] = backends;
    expect(picker.pick(asked(lowest, [], 0))).toBe(heavy);
    expect(picker.pick(asked(lowest, [heavy!], 1))).toBe(light);
    expect(picker.pick(asked(lowest, [], 0))).toBe(light);
    expect(picker.pick(asked(lowest, [], 0))).toBe(heavy);
  });

  test("goes on with the next when one was tried", () => {
    const backends = backendsOf([1, 1, 1]);
    const picker = pickerOfPolicy(Policy.RoundRobin, backends);
    const [a, b, c] = backends;
    expect(picker.pick(asked(lowest, [a!], 1))).toBe(b);
    expect(picker.pick(asked(lowest, [], 0))).toBe(c);
    expect(picker.pick(asked(lowest, [], 0))).toBe(a);
  });
});

describe("least-loaded", () => {
  test("avoids the busy one of two, always", () => {
    const backends = backendsOf([100, 100]);
    backends[0]!.endpoint.inFlight = 10;
    const [busy, idle] = countPicks(pickerOfPolicy(Policy.LeastLoaded, backends), backends, 1000);
    expect([busy, idle]).toEqual([0, 1000]);
  });

  test.for([
    [100, 300],
    [300, 100],
    [1, 1000],
    [1000, 1],
  ])("avoids the busy one of two with the weights %j, always", (weights) => {
    for (const busy of [0, 1]) {
      const backends = backendsOf(weights);
      backends[busy]!.endpoint.inFlight = 10;
      const counts = countPicks(pickerOfPolicy(Policy.LeastLoaded, backends), backends, 1000);
      expect(counts[busy]).toBe(0);
    }
  });

  test("avoids the busiest of many", () => {
    const backends = backendsOf(Array.from({ length: 10 }, () => 100));
    backends[4]!.endpoint.inFlight = 1;
    expect(countPicks(pickerOfPolicy(Policy.LeastLoaded, backends), backends, 1000)[4]).toBe(0);
  });

  test("counts load per weight", () => {
    const backends = backendsOf([100, 300]);
    const picker = pickerOfPolicy(Policy.LeastLoaded, backends);
    const random = seeded();
    for (let i = 0; i < 400; i++) picker.pick(asked(random, [], 0))!.endpoint.inFlight++;
    const [light, heavy] = backends.map(({ endpoint }) => endpoint.inFlight);
    expect(light).toBeGreaterThanOrEqual(99);
    expect(light).toBeLessThanOrEqual(101);
    expect(light! + heavy!).toBe(400);
  });

  test("compares two of the untried on a second try", () => {
    const backends = backendsOf([100, 100, 100]);
    backends[1]!.endpoint.inFlight = 1;
    const picker = pickerOfPolicy(Policy.LeastLoaded, backends);
    const random = seeded();
    for (let i = 0; i < 100; i++) {
      expect(picker.pick(asked(random, [backends[0]!], 1))).toBe(backends[2]);
    }
  });

  test("keeps the busiest of a hundred near the mean, where chance alone does not", () => {
    // Mean 100. One choice: about 100 + sqrt(2 * 100 * ln 100) = 130. Two choices: about
    // 100 + ln ln 100 / ln 2 = 102, whatever the number of requests.
    expect(busiest(Policy.LeastLoaded)).toBeLessThanOrEqual(104);
    expect(busiest(Policy.Random)).toBeGreaterThan(115);
  });
});
