// Goal: the store on etcd keeps the contract, and promises 4 and 5 in its own way: by real leases.
// Method: a real etcd; each test has a prefix of its own. TTLs are waited for: they are the server's.

import { describe, expect, test } from "vitest";
import { backendKeyOf } from "../../src/model/backend.ts";
import { parseRevision, revisionZero } from "../../src/model/revision.ts";
import type { Store } from "../../src/store/store.ts";
import { etcdFixture } from "./etcd-fixture.ts";
import { backendAt, put, putBackend, putRoute, take } from "./samples.ts";
import { describeStore } from "./store.contract.ts";

const etcd = etcdFixture();

describeStore("EtcdStore", ({ history }) => etcd.open(history === undefined ? {} : { history }), {
  keepsTime: false,
  tellsVoidRemovals: false,
});

describe("EtcdStore: TTL", () => {
  const address = "10.0.0.7:8080";
  const mortal = putBackend(address, { ttlMs: 2000 });
  const key = backendKeyOf(backendAt(address));
  const removal = {
    kind: "backend-removed",
    service: backendAt(address).service,
    address: backendAt(address).address,
  } as const;

  /** ms until the next revision after `after`. */
  async function msUntilNext(store: Store, after: number): Promise<number> {
    const startMs = performance.now();
    await take(store, parseRevision(after), 1);
    return performance.now() - startMs;
  }

  test("4: backends whose TTL ends are removed, each in a revision of its own, within a second", async () => {
    const store = await etcd.open();
    const ports = [1, 2, 3];
    const revision = await put(
      store,
      putRoute("a"),
      putBackend("10.0.0.8:8080"),
      ...ports.map((port) => putBackend(`10.0.0.7:${port}`, { ttlMs: 2000 })),
    );
    const startMs = performance.now();
    const removals = await take(store, revision, 3);
    const tookMs = performance.now() - startMs;
    expect(removals.map((set) => set.changes.map((change) => change.kind))).toEqual(
      ports.map(() => ["backend-removed"]),
    );
    expect(tookMs).toBeGreaterThan(1_500);
    expect(tookMs).toBeLessThan(3_500);
    const { backends, routes } = await store.read();
    expect(backends).toMatchObject([backendAt("10.0.0.8:8080")]);
    expect(routes).toHaveLength(1);
  });

  test("4: keepAlive gives the whole TTL again, then it ends", async () => {
    const store = await etcd.open();
    const revision = await put(store, mortal);
    const ended = msUntilNext(store, revision);
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect(await store.keepAlive(key)).toBe(true);
    }
    expect(await ended).toBeGreaterThan(4_500);
    expect(await store.keepAlive(key)).toBe(false);
  }, 15_000);

  test("4: a new put without a TTL stays, whatever becomes of the old lease", async () => {
    const store = await etcd.open();
    await put(store, mortal);
    const revision = await put(store, putBackend(address));
    expect(await store.keepAlive(key)).toBe(false);
    const other = await put(store, putBackend("10.0.0.9:1", { ttlMs: 2000 }));
    const [gone] = await take(store, other, 1);
    expect(gone?.changes).toEqual([{ ...removal, address: backendAt("10.0.0.9:1").address }]);
    expect((await store.read()).backends).toMatchObject([backendAt(address)]);
    expect(revision).toBeLessThan(other);
  });

  test("4: keepAlive is false for a backend without a TTL and for none at all", async () => {
    const store = await etcd.open();
    expect(await store.keepAlive(key)).toBe(false);
    await put(store, putBackend(address));
    expect(await store.keepAlive(key)).toBe(false);
  });

  test("4: a backend that was removed is not renewed, and takes no successor along", async () => {
    const store = await etcd.open();
    await put(store, mortal);
    await put(store, removal);
    expect(await store.keepAlive(key)).toBe(false);
    await put(store, putBackend(address));
    const other = await put(store, putBackend("10.0.0.9:1", { ttlMs: 2000 }));
    await take(store, other, 1);
    expect((await store.read()).backends).toMatchObject([backendAt(address)]);
  });

  test("4: a lease that was revoked is not renewed, and its backend is gone", async () => {
    const store = await etcd.open();
    const prefix = store.name.slice(store.name.lastIndexOf("/"));
    const revision = await put(store, putBackend(address, { ttlMs: 60_000 }));
    const client = await etcd.client();
    const { kvs } = await client.range({ key: `${prefix}/backends/web/${address}` });
    await client.revokeLease(kvs[0]?.lease ?? "");
    expect(await take(store, revision, 1)).toMatchObject([{ changes: [removal] }]);
    expect(await store.keepAlive(key)).toBe(false);
  });

  test("a backend without a lease has no TTL, whatever its value says", async () => {
    const prefix = etcd.prefix();
    await etcd.server.ctl("put", `${prefix}/backends/web/${address}`, '{"ttl":"10s","weight":7}');
    const store = await etcd.open({ prefix });
    expect((await store.read()).backends).toMatchObject([backendAt(address, { weight: 7 })]);
    expect(await store.keepAlive(key)).toBe(false);
  });
});

describe("EtcdStore: request ids", () => {
  const answer = Uint8Array.from([1, 2]);

  test("5: an id is known to another node at once, and after everything was restarted", async () => {
    const prefix = etcd.prefix();
    const [one, other] = [await etcd.open({ prefix }), await etcd.open({ prefix })];
    const request = { id: "../table", fingerprint: "f", answer };
    const revision = await one.commit({
      expected: revisionZero,
      changes: [putRoute("a")],
      request,
    });
    expect(await other.findRequest("../table")).toEqual({ ...request, revision });
    await one.close();
    const next = await etcd.open({ prefix });
    expect(await next.findRequest("../table")).toEqual({ ...request, revision });
    expect(await next.findRequest("..%2Ftable")).toBeUndefined();
  });

  test("5: an id that is used again stands for its last use", async () => {
    const store = await etcd.open();
    const first = { id: "r", fingerprint: "one", answer };
    const revision = await store.commit({
      expected: revisionZero,
      changes: [putRoute("a")],
      request: first,
    });
    const again = { ...first, fingerprint: "two" };
    const later = await store.commit({
      expected: revision,
      changes: [putRoute("a")],
      request: again,
    });
    expect(await store.findRequest("r")).toEqual({ ...again, revision: later });
  });

  test("5: ids are kept under a lease of two hours that many share", async () => {
    const store = await etcd.open();
    const prefix = store.name.slice(store.name.lastIndexOf("/"));
    for (const id of ["a", "b"]) {
      const { revision: expected } = await store.read();
      const request = { id, fingerprint: "f", answer };
      await store.commit({ expected, changes: [putRoute("a")], request });
    }
    const client = await etcd.client();
    const { kvs } = await client.range({ key: `${prefix}/requests/`, end: `${prefix}/requests0` });
    const leases = new Set(kvs.map(({ lease }) => lease));
    expect([kvs.length, leases.size]).toEqual([3, 1]);
    const hex = BigInt([...leases][0] ?? "0").toString(16);
    const told = await etcd.server.ctl("lease", "timetolive", hex);
    expect(Number(/TTL\((\d+)s\)/.exec(told)?.[1])).toBe(7_200);
  });

  test("a record that somebody damaged is named, not taken for another", async () => {
    const store = await etcd.open();
    const prefix = store.name.slice(store.name.lastIndexOf("/"));
    await etcd.server.ctl("put", `${prefix}/requests/r`, "nonsense");
    await expect(store.findRequest("r")).rejects.toMatchObject({
      code: "internal",
      message: expect.stringContaining(`${prefix}/requests/r`),
    });
  });
});
