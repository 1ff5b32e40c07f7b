// Goal: a ChurnMap is a Map, but for the entries that it keeps in secret.
// Method: random operations beside a Map; then one flapping key in a large map.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ChurnMap } from "../../src/model/churn-map.ts";

const byAge = (all: Iterable<{ readonly at: number }>): number[] =>
  [...all].map((value) => value.at).toSorted((a, b) => a - b);

test("answers as a Map does", () => {
  const operation = fc.tuple(fc.boolean(), fc.nat(12));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const churn = new ChurnMap<number, { readonly at: number }>();
      const map = new Map<number, { readonly at: number }>();
      for (const [at, [isPut, key]] of operations.entries()) {
        if (isPut) {
          churn.set(key, { at });
          map.set(key, { at });
        } else {
          churn.delete(key);
          map.delete(key);
        }
        expect(churn.size).toBe(map.size);
        for (let k = 0; k <= 12; k++) {
          expect(churn.get(k)).toEqual(map.get(k));
          expect(churn.has(k)).toBe(map.has(k));
        }
        expect(new Set(churn.keys())).toEqual(new Set(map.keys()));
        expect(byAge(churn.values())).toEqual(byAge(map.values()));
      }
    }),
  );
});

test("takes no longer the thousandth time that a key comes back", () => {
  const size = 100_000;
  const churn = new ChurnMap<string, object>();
  for (let i = 0; i < size; i++) churn.set(`key-${i}`, {});
  const flapMs = (): number => {
    const began = performance.now();
    for (let i = 0; i < 50_000; i++) {
      churn.set("flapping", {});
      churn.delete("flapping");
    }
    return performance.now() - began;
  };
  // About 10 ms; a Map takes 3 s for the first 50,000 and longer for the next.
  expect(flapMs() + flapMs()).toBeLessThan(1_000);
  expect(churn.size).toBe(size);
});
