// Goal: the witness says "same" only of a past in which our newest key was written exactly as we saw it.

import { expect, test } from "vitest";
import { askWitness } from "../../src/etcd/witness.ts";
import { FakeEtcd, unreachable } from "../support/fake-etcd.ts";

const key = "/p/a";

/** Written at revision 4. */
function followed(): FakeEtcd {
  const etcd = new FakeEtcd();
  etcd.elsewhere(2);
  etcd.put(key, "x");
  return etcd;
}
const newest = followed().kvs.get(key);

const pasts: readonly {
  readonly name: string;
  readonly past: () => FakeEtcd;
  readonly says: string;
}[] = [
  {
    name: "the same, later",
    past: () => changed(followed(), (etcd) => etcd.put(key, "y")),
    says: "same",
  },
  {
    name: "the same, deleted since",
    past: () => changed(followed(), (etcd) => etcd.delete(key)),
    says: "same",
  },
  {
    name: "compacted",
    past: () => changed(followed(), (etcd) => (etcd.elsewhere(3), etcd.compact())),
    says: "unknown",
  },
  {
    name: "the same value, written earlier",
    past: () => written(["x", undefined, undefined]),
    says: "other",
  },
  {
    name: "another value, written then",
    past: () => written([undefined, undefined, "y"]),
    says: "other",
  },
  { name: "one without it", past: () => written([undefined, undefined, undefined]), says: "other" },
];

function changed(etcd: FakeEtcd, change: (etcd: FakeEtcd) => unknown): FakeEtcd {
  change(etcd);
  return etcd;
}

/** One revision each; undefined: something else was written. */
function written(values: readonly (string | undefined)[]): FakeEtcd {
  const etcd = new FakeEtcd();
  for (const value of values) {
    if (value === undefined) etcd.elsewhere();
    else etcd.put(key, value);
  }
  etcd.elsewhere(5);
  return etcd;
}

test.for(pasts)("a past that is $name: $says", async ({ past, says }) => {
  expect(await askWitness(past(), newest)).toBe(says);
});

test("without a key there is nothing to ask", async () => {
  expect(await askWitness(followed(), undefined)).toBe("unknown");
});

test("an etcd that is away is no answer", async () => {
  const etcd = followed();
  etcd.faults.down = unreachable();
  await expect(askWitness(etcd, newest)).rejects.toThrow("refused");
});
