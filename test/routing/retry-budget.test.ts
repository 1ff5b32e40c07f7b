// Goal: retries are bought with answers, at the price that is asked; what is saved and what may be owed is bounded.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RetryBudget } from "../../src/routing/retry-budget.ts";

const price = 5;
const reserve = 50;
const savedMax = 500;

/** Retries until the budget has no more. */
function spend(budget: RetryBudget): number {
  for (let retries = 0; ; retries++) {
    if (!budget.affords(price, reserve)) return retries;
    budget.pay(price);
  }
}

function answered(budget: RetryBudget, count: number): void {
  for (let i = 0; i < count; i++) budget.answered(savedMax);
}

describe("a retry budget", () => {
  test.for([
    [0, 10],
    [1, 10],
    [4, 10],
    [5, 11],
    [50, 20],
    [499, 109],
    [500, 110],
    [100_000, 110],
  ] as const)("of %i answers allows %i retries, and then none", ([answers, retries]) => {
    const budget = new RetryBudget();
    answered(budget, answers);
    expect(spend(budget)).toBe(retries);
    expect(spend(budget)).toBe(0);
  });

  test("that is spent is earned anew by answers, one retry for five", () => {
    const budget = new RetryBudget();
    spend(budget);
    answered(budget, 4);
    expect(spend(budget)).toBe(0);
    answered(budget, 1);
    expect(spend(budget)).toBe(1);
    answered(budget, 100_000);
    expect(spend(budget)).toBe(110);
  });

  test("never lets retries cost more than the reserve and what was answered", () => {
    const step = fc.integer({ min: 0, max: 7 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const budget = new RetryBudget();
        let [answers, paid] = [0, 0];
        for (const cost of steps) {
          if (cost === 0) {
            budget.answered(savedMax);
            answers++;
          } else if (budget.affords(cost, reserve)) {
            budget.pay(cost);
            paid += cost;
          } else expect(answers + reserve - paid).toBeLessThan(cost);
        }
        expect(paid).toBeLessThanOrEqual(answers + reserve);
      }),
    );
  });
});
