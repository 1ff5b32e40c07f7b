// Goal: whose a hash is depends on the members alone, spreads by weight, and changes little when one leaves.
// Method: tables of many sizes, counted; the same members in other words.

import { describe, expect, test } from "vitest";
import { buildMaglev, maglevSize } from "../../src/routing/maglev-table.ts";

const membersOf = (weights: readonly number[]) =>
  weights
    .map((weight, i) => ({ name: `10.0.${i >> 8}.${i & 255}:8080`, weight }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
const equal = (count: number): readonly number[] => Array.from({ length: count }, () => 100);

function shares(weights: readonly number[]): number[] {
  const members = membersOf(weights);
  const table = buildMaglev(members);
  const counts = members.map(() => 0);
  for (const position of table) counts[position]! += 1;
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  return counts.map((count, i) => (count / table.length) * (total / members[i]!.weight));
}

describe("a Maglev table", () => {
  test.for([1, 2, 3, 10, 40, 100, 655, 1_310])(
    "gives each of %i equal ones within 1 %% of the same",
    (count) => {
      for (const share of shares(equal(count))) expect(Math.abs(share - 1)).toBeLessThan(0.01);
    },
  );

  test.for([
    { weights: [1, 2, 3] },
    { weights: [1, 1000] },
    { weights: [1000, 1] },
    { weights: [5, 1, 1] },
    { weights: [1000, ...Array.from({ length: 99 }, () => 10)] },
    { weights: Array.from({ length: 40 }, (_, i) => i + 1) },
  ])("spreads by the weights $weights", ({ weights }) => {
    // The lightest has ten slots or so, and one more or less is a matter of rounding.
    for (const share of shares(weights)) expect(Math.abs(share - 1)).toBeLessThan(0.1);
  });

  test("has a slot for nobody else, and one for each of very many", () => {
    const table = buildMaglev(membersOf(equal(70_000)));
    expect(new Set(table).size).toBe(70_000);
    expect(Math.max(...new Set(table))).toBe(69_999);
  });

  test("is bounded, whatever the number and the weights", () => {
    expect(maglevSize(membersOf(equal(10)))).toBe(4_093);
    expect(maglevSize(membersOf(equal(100)))).toBe(65_537);
    expect(maglevSize(membersOf(equal(5_000)))).toBe(131_071);
    expect(maglevSize(membersOf([1, ...Array.from({ length: 500 }, () => 1_000)]))).toBe(131_071);
  });

  test("is the same for the same members, and another for others", () => {
    expect(buildMaglev(membersOf([1, 2, 3]))).toEqual(buildMaglev(membersOf([1, 2, 3])));
    expect(buildMaglev(membersOf([1, 2, 3]))).not.toEqual(buildMaglev(membersOf([1, 3, 2])));
  });

  // Whoever changes how it is filled moves the keys of every cluster while its nodes are replaced.
  test("is filled as ever", () => {
    const table = buildMaglev(membersOf([100, 100, 200]));
    expect([...table.subarray(0, 24)].join("")).toBe("221220222111222202221111");
  });

  test("moves few slots of the others when one of a hundred leaves", () => {
    const members = membersOf(equal(100));
    const gone = members[37]!;
    const rest = members.filter((member) => member !== gone);
    const before = buildMaglev(members);
    const after = buildMaglev(rest);
    let lost = 0;
    let moved = 0;
    for (const [slot, position] of before.entries()) {
      const owner = members[position]!;
      if (owner === gone) lost++;
      else if (owner !== rest[after[slot]!]) moved++;
    }
    expect(lost / before.length).toBeCloseTo(0.01, 3);
    expect(moved / before.length).toBeLessThan(0.01);
  });
});
