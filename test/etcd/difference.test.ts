// Goal: the difference turns what is followed into what was listed, and finds pasts that cannot be one.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contradicts, Difference } from "../../src/etcd/difference.ts";
import type { KeyValue } from "../../src/etcd/etcd.ts";
import { realSystem } from "../../src/system.ts";

function kvOf(key: string, modRevision: number, text = "x", createRevision = 1): KeyValue {
  return { key, text, bytes: text.length, createRevision, modRevision, lease: "0" };
}

const all = { counts: () => true, serves: (key: string) => !key.startsWith("n") };

async function compare(before: readonly KeyValue[], listed: readonly KeyValue[]) {
  const difference = new Difference(new Map(before.map((kv) => [kv.key, kv])), all);
  difference.begin();
  for (const kv of listed) difference.see(kv);
  await difference.finish(realSystem);
  return difference;
}

describe("Difference", () => {
  test("counts only what serves, and as changed only what has another value", async () => {
    const difference = await compare(
      [kvOf("a", 2), kvOf("b", 3), kvOf("c", 4), kvOf("n1", 9)],
      [kvOf("a", 2), kvOf("b", 7), kvOf("d", 8, "y"), kvOf("n2", 10)],
    );
    expect(difference).toMatchObject({
      puts: [{ key: "b" }, { key: "d" }, { key: "n2" }],
      deletes: ["c", "n1"],
      removed: 1,
      changed: 0,
      added: 1,
      servingBefore: 3,
      listedServing: 3,
      revision: 10,
      newestBefore: { key: "n1" },
      contradiction: undefined,
    });
  });

  test("forgets what it saw when the list starts over", async () => {
    const difference = new Difference(new Map([["a", kvOf("a", 5)]]), all);
    difference.begin();
    difference.see(kvOf("a", 3, "old"));
    difference.see(kvOf("z", 9));
    difference.begin();
    difference.see(kvOf("a", 5));
    await difference.finish(realSystem);
    expect(difference).toMatchObject({ puts: [], deletes: [], changed: 0, added: 0, revision: 5 });
    expect(difference.contradiction).toBeUndefined();
  });

  test("makes of any two sets the second one", async () => {
    const sets = fc.uniqueArray(
      fc.record({
        key: fc.constantFrom("a", "b", "c", "d", "e", "f"),
        mod: fc.integer({ min: 2, max: 5 }),
      }),
      { selector: ({ key }) => key },
    );
    await fc.assert(
      fc.asyncProperty(sets, sets, async (one, other) => {
        const [before, listed] = [one, other].map((set) =>
          set.map(({ key, mod }) => kvOf(key, mod)),
        );
        const { puts, deletes } = await compare(before!, listed!);
        const result = new Map(before!.map((kv) => [kv.key, kv]));
        for (const kv of puts) result.set(kv.key, kv);
        for (const key of deletes) result.delete(key);
        expect(result).toEqual(new Map(listed!.map((kv) => [kv.key, kv])));
      }),
    );
  });
});

const pasts = [
  { name: "written later", had: kvOf("a", 5), now: kvOf("a", 9), contradictory: false },
  { name: "the same", had: kvOf("a", 5), now: kvOf("a", 5), contradictory: false },
  { name: "written before", had: kvOf("a", 5), now: kvOf("a", 4), contradictory: true },
  { name: "another value then", had: kvOf("a", 5), now: kvOf("a", 5, "y"), contradictory: true },
  { name: "made anew since", had: kvOf("a", 5), now: kvOf("a", 9, "x", 8), contradictory: false },
  {
    name: "made anew before it was last written",
    had: kvOf("a", 5),
    now: kvOf("a", 9, "x", 4),
    contradictory: true,
  },
];

test.for(pasts)("a key that is $name contradicts the past: $contradictory", (one) => {
  expect(contradicts(one.had, one.now)).toBe(one.contradictory);
});
