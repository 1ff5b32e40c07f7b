// Goal: a list is all of a range at one revision, whatever happens between its pages and however large they are.
// Method: a fake etcd that writes, compacts or becomes another between two pages, and refuses large answers.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { KeyRange, KeyValue } from "../../src/etcd/etcd.ts";
import { Lister, nextPageKeys } from "../../src/etcd/listing.ts";
import { etcdPageKeysMax } from "../../src/limits.ts";
import { FakeEtcd } from "../support/fake-etcd.ts";
import { follow, range } from "./followed-fixture.ts";

const never = new AbortController().signal;

test("a list whose pages lose their revision starts over, and never mixes two", async () => {
  const etcd = new FakeEtcd();
  for (let n = 0; n < 100; n++) etcd.put(`/p/${n}`, "1");
  let pages = 0;
  etcd.beforeRange = () => {
    if (++pages !== 2) return;
    for (let n = 0; n < 100; n++) etcd.put(`/p/${n}`, "2");
    etcd.compact();
  };
  const { owner, pass, equal } = follow({ etcd });
  await pass(200);
  expect(equal()).toBe(true);
  expect(new Set(owner.batches[0]?.puts.map(({ text }) => text))).toEqual(new Set(["2"]));
});

test("a list whose pages come from two clusters starts over", async () => {
  const etcd = new FakeEtcd();
  for (let n = 0; n < 100; n++) etcd.put(`/p/${n}`, "1");
  const other = new FakeEtcd();
  other.elsewhere(120);
  for (let n = 0; n < 100; n++) other.put(`/p/${n}`, "2");
  let pages = 0;
  etcd.beforeRange = () => {
    if (++pages === 2) etcd.restore({ ...other.backup(), compacted: 0 }, "77");
  };
  const { owner, pass } = follow({ etcd });
  await pass(200);
  expect(new Set(owner.batches[0]?.puts.map(({ text }) => text))).toEqual(new Set(["2"]));
});

test("a list of huge values shrinks its pages, then grows them again", async () => {
  const etcd = new FakeEtcd();
  const big = "x".repeat(1_400_000);
  for (let n = 0; n < 30; n++) etcd.put(`/p/a${String(n).padStart(2, "0")}`, big);
  for (let n = 0; n < 3_000; n++) etcd.put(`/p/b${n}`, "small");
  etcd.faults.answerBytesMax = 16 * 1024 * 1024;
  const { pass, equal } = follow({ etcd });
  await pass(2_000);
  expect(equal()).toBe(true);
  const limits = etcd.ranges.flatMap(({ limit, keysOnly }) => (keysOnly ? [] : (limit ?? [])));
  expect(limits.slice(0, 3)).toEqual([32, 8, 1]);
  expect(limits.at(-1)).toBeGreaterThan(1_000);
});

async function keysOf(etcd: FakeEtcd, skip: KeyRange | undefined): Promise<string[]> {
  let keys: string[] = [];
  const reader = { begin: () => void (keys = []), see: (kv: KeyValue) => void keys.push(kv.key) };
  await new Lister({ etcd, range, skip }).list(reader, { keysOnly: true, signal: never });
  return keys;
}

describe("what is skipped", () => {
  const etcd = new FakeEtcd();
  for (const key of ["/p/a", "/p/m", "/p/m/1", "/p/m/2", "/p/z", "/q"]) etcd.put(key, "x");

  test.for([
    { name: "nothing", skip: undefined, keys: ["/p/a", "/p/m", "/p/m/1", "/p/m/2", "/p/z"] },
    { name: "in the middle", skip: { key: "/p/m/", end: "/p/m0" }, keys: ["/p/a", "/p/m", "/p/z"] },
    { name: "one key", skip: { key: "/p/m" }, keys: ["/p/a", "/p/m/1", "/p/m/2", "/p/z"] },
    {
      name: "the beginning",
      skip: { key: "/p/", end: "/p/m" },
      keys: ["/p/m", "/p/m/1", "/p/m/2", "/p/z"],
    },
    { name: "the end", skip: { key: "/p/m", end: "/p0" }, keys: ["/p/a"] },
  ])("$name", async ({ skip, keys }) => {
    expect(await keysOf(etcd, skip)).toEqual(keys);
  });
});

test("a list that is always compacted is given up", async () => {
  const etcd = new FakeEtcd();
  for (let n = 0; n < 2 * etcdPageKeysMax; n++) etcd.put(`/p/${n}`, "x");
  etcd.beforeRange = ({ revision }) => {
    etcd.elsewhere();
    if (revision !== undefined) etcd.compact();
  };
  await expect(keysOf(etcd, undefined)).rejects.toThrow("lost its revision 5 times");
});

test("a page is never empty, never above the limit, and grows at most fourfold", () => {
  const sizes = fc.array(fc.nat(1_400_000), { maxLength: 50 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: etcdPageKeysMax }), sizes, (limit, bytes) => {
      const kvs = bytes.map((size, n): KeyValue => {
        return {
          key: `${n}`,
          text: undefined,
          bytes: size,
          createRevision: 1,
          modRevision: 1,
          lease: "0",
        };
      });
      const next = nextPageKeys(limit, kvs);
      expect(next).toBeGreaterThanOrEqual(1);
      expect(next).toBeLessThanOrEqual(Math.min(etcdPageKeysMax, limit * 4));
    }),
  );
});
