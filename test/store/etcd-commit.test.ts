// Goal: a write is stored once or not at all, and its caller is told which, whatever is lost on the way.
// Method: an etcd in memory behind one that loses requests and answers or delivers them late; time is the test's.

import { describe, expect, onTestFinished, test } from "vitest";
import type { KeyValue, Transaction } from "../../src/etcd/etcd.ts";
import { backendKeyOf } from "../../src/model/backend.ts";
import { RouterError } from "../../src/model/errors.ts";
import { type Revision, revisionZero } from "../../src/model/revision.ts";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import type { Write } from "../../src/store/store.ts";
import { FakeEtcd, storeUnavailable } from "../support/fake-etcd.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { turns } from "../support/until.ts";
import { type Fate, LossyEtcd } from "./lossy-etcd.ts";
import { backendAt, put, putBackend, putRoute, removeRoute } from "./samples.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

async function opened() {
  const system = new FakeSystem();
  const fake = new FakeEtcd();
  const etcd = new LossyEtcd(fake);
  const store = await EtcdStore.open({
    etcd,
    system,
    prefix: "/x",
    nodeName: "n1",
    directory: temporaryDirectory(),
    log: recordingLog(),
  });
  onTestFinished(() => store.close());
  await store.read();
  await turns();
  /** Lets time pass until `promise` is settled. */
  async function settled<T>(promise: Promise<T>, msMax = 20_000): Promise<PromiseSettledResult<T>> {
    const results: PromiseSettledResult<T>[] = [];
    void Promise.allSettled([promise]).then(([one]) => results.push(one));
    for (let ms = 0; ms <= msMax; ms += 10) {
      await turns(2);
      const [result] = results;
      if (result !== undefined) return result;
      system.advance(10);
    }
    throw new Error(`not settled within ${msMax} ms`);
  }
  return { system, fake, etcd, store, settled };
}

/** Loses the first transactions that write routes; `then` for those that follow. */
function first(fates: readonly Fate[]): (transaction: Transaction) => Fate {
  const left = [...fates];
  return () => left.shift() ?? "arrives";
}

const at = (expected: Revision, ...changes: Write["changes"]): Write => ({ expected, changes });

describe("a write", () => {
  test("puts the guard with its marker, and compares it and what it touches", async () => {
    const { fake, etcd, store } = await opened();
    fake.put("/x/routes/b", '{"http":{"domain":"b.example.com"},"service":"web"}');
    await turns();
    const { revision } = await store.read();
    await store.commit(at(revision, putRoute("a"), removeRoute("b")));
    const { compare, success } = etcd.sent.at(-1)!;
    expect(compare.map(({ key, revision: mod }) => [key.replace(/@.*/, "@"), mod])).toEqual([
      ["/x/table", 0],
      ["/x/routes/a", 0],
      ["/x/routes/b", revision],
      ["/x/requests/@", 0],
    ]);
    expect(success.map(({ kind, key }) => `${kind} ${key.replace(/@.*/, "@")}`)).toEqual([
      "put /x/routes/a",
      "delete /x/routes/b",
      "put /x/table",
      "put /x/requests/@",
    ]);
    const marker = JSON.parse(fake.kvs.get("/x/table")?.text ?? "") as { store: string };
    expect(marker.store).toMatch(/^[0-9a-f-]{36}$/);
    await put(store, putRoute("c"));
    const { store: id } = marker;
    expect(JSON.parse(fake.kvs.get("/x/table")?.text ?? "")).toMatchObject({ store: id });
  });

  test("asks the other nodes in the same transaction, if it asks", async () => {
    const { fake, store } = await opened();
    await put(store, putRoute("a"));
    expect(fake.kvs.has("/x/writes/n1")).toBe(false);
    const { revision: expected } = await store.read();
    const revision = await store.commit({
      expected,
      changes: [putRoute("b")],
      ask: { waitMs: 700 },
    });
    const asked = fake.kvs.get("/x/writes/n1");
    expect(JSON.parse(asked?.text ?? "")).toMatchObject({ ask: { waitMs: 700 } });
    expect(asked?.modRevision).toBe(revision);
  });

  test("that names one thing twice leaves the last of it", async () => {
    const { fake, store } = await opened();
    await put(
      store,
      putRoute("a"),
      putRoute("b"),
      removeRoute("a"),
      putRoute("b", { sticky: true }),
    );
    expect([...fake.kvs.keys()].filter((key) => key.startsWith("/x/routes/"))).toEqual([
      "/x/routes/b",
    ]);
    expect((await store.read()).routes).toMatchObject([{ name: "b", sticky: true }]);
  });

  test("with a TTL that fails leaves no lease behind", async () => {
    const { fake, etcd, store } = await opened();
    const granted: string[] = [];
    const revoked: string[] = [];
    etcd.grantLease = async (seconds) => {
      const answer = await fake.grantLease(seconds);
      granted.push(answer.lease);
      return answer;
    };
    etcd.revokeLease = async (lease) => {
      revoked.push(lease);
      await fake.revokeLease(lease);
    };
    await put(store, putRoute("a"));
    const [rotating] = granted.splice(0);
    fake.faults.watchesStall = true;
    const byHand = fake.put("/x/backends/web/10.0.0.1:1", "{}");
    const { revision } = await store.read();
    const write = at(revision, putBackend("10.0.0.1:1", { ttlMs: 1500 }));
    await expect(store.commit(write)).rejects.toMatchObject({
      code: "revision-conflict",
      details: { metadata: { current: String(byHand) } },
    });
    expect(granted).toHaveLength(1);
    expect(revoked).toEqual(granted);
    expect(rotating).not.toBe(granted[0]);
  });
});

describe("a write that loses a race", () => {
  test("against a hand that wrote is told the revision of that", async () => {
    const { fake, store } = await opened();
    const revision = await put(store, putRoute("a"));
    fake.faults.watchesStall = true;
    const byHand = fake.put("/x/routes/a", '{"http":{"domain":"b.example.com"},"service":"web"}');
    await expect(store.commit(at(revision, putRoute("a")))).rejects.toMatchObject({
      code: "revision-conflict",
      details: { metadata: { current: String(byHand) } },
    });
    expect(fake.kvs.get("/x/routes/a")?.modRevision).toBe(byHand);
  });

  test("against a hand that deleted waits for the watch, to tell the revision of that", async () => {
    const { fake, store, settled } = await opened();
    const revision = await put(store, putRoute("a"));
    fake.faults.watchesStall = true;
    const byHand = fake.delete("/x/routes/a");
    const refused = settled(store.commit(at(revision, putRoute("a"))));
    await turns();
    fake.resume();
    expect(await refused).toMatchObject({
      reason: { code: "revision-conflict", details: { metadata: { current: String(byHand) } } },
    });
  });

  test("goes through where a hand wrote something else", async () => {
    const { fake, store } = await opened();
    const revision = await put(store, putRoute("a"));
    fake.faults.watchesStall = true;
    fake.put("/x/routes/b", '{"http":{"domain":"b.example.com"},"service":"web"}');
    const stored = store.commit(at(revision, putRoute("a", { sticky: true })));
    await turns();
    fake.resume();
    expect(await stored).toBe(fake.revision);
  });
});

describe("a write whose answer is lost", () => {
  test.for<readonly [fates: readonly Fate[], stored: boolean]>([
    [["answer lost"], true],
    [["answer lost", "answer lost"], true],
    [["answer lost", "request lost", "request lost", "answer lost"], true],
    [["request lost"], false],
    [["request lost", "answer lost"], false],
    [["request lost", "request lost", "answer lost", "answer lost"], false],
    [["late"], false],
    [["late", "late", "answer lost"], false],
  ])("%j: is stored: %s, and its caller is told so", async ([fates, stored]) => {
    const { fake, etcd, store, settled } = await opened();
    const before = await put(store, putRoute("before"));
    etcd.fate = first(fates);
    const result = await settled(store.commit(at(before, putRoute("a"))));
    if (stored) {
      expect(result).toEqual({
        status: "fulfilled",
        value: fake.kvs.get("/x/routes/a")?.modRevision,
      });
      expect((await store.read()).routes).toHaveLength(2);
    } else {
      expect(result).toMatchObject({
        reason: {
          code: "store-unavailable",
          message: expect.stringMatching(/^nothing was stored/),
        },
      });
      expect(fake.kvs.has("/x/routes/a")).toBe(false);
    }
    expect(await etcd.deliver()).toBe(0);
    expect(fake.kvs.has("/x/routes/a")).toBe(stored);
    await put(store, putRoute("after"));
    expect((await store.read()).routes).toHaveLength(stored ? 3 : 2);
    expect(versions(fake.kvs.get("/x/routes/a"))).toBe(stored ? 1 : 0);
  });

  test("and cannot be asked after is unknown; the next write settles it first", async () => {
    const { fake, etcd, store, settled } = await opened();
    const before = await put(store, putRoute("before"));
    const lost = (fate: Fate): void => {
      etcd.fate = (transaction) => {
        const isWrite = transaction.success.some(({ key }) => key === "/x/routes/a");
        return isWrite ? fate : "request lost";
      };
    };
    lost("late");
    expect(await settled(store.commit(at(before, putRoute("a"))))).toMatchObject({
      reason: { code: "store-unavailable", details: { reason: "WRITE_OUTCOME_UNKNOWN" } },
    });
    expect(await settled(store.commit(at(before, putRoute("b"))))).toMatchObject({
      reason: {
        code: "store-unavailable",
        message: expect.stringMatching(/^nothing was stored: what became of an earlier write/),
      },
    });
    etcd.fate = () => "arrives";
    await put(store, putRoute("c"));
    expect(await etcd.deliver()).toBe(0);
    expect([...fake.kvs.keys()].filter((key) => key.startsWith("/x/routes/"))).toEqual([
      "/x/routes/before",
      "/x/routes/c",
    ]);
  });

  test("and was stored unknown to its caller is seen before the next write is decided", async () => {
    const { fake, etcd, store, settled } = await opened();
    const before = await put(store, putRoute("before"));
    fake.faults.watchesStall = true;
    etcd.fate = first(["answer lost", ...Array<Fate>(1_000).fill("request lost")]);
    expect(await settled(store.commit(at(before, putRoute("a"))))).toMatchObject({
      reason: { details: { reason: "WRITE_OUTCOME_UNKNOWN" } },
    });
    etcd.fate = () => "arrives";
    const { modRevision } = fake.kvs.get("/x/routes/a")!;
    const next = settled(store.commit(at(before, putRoute("b"))));
    await turns();
    fake.resume();
    expect(await next).toMatchObject({
      reason: {
        code: "revision-conflict",
        details: { metadata: { current: String(modRevision) } },
      },
    });
  });

  test("keeps the lease of a backend that may be stored", async () => {
    const { fake, etcd, store, settled } = await opened();
    const before = await put(store, putRoute("before"));
    etcd.fate = first(["answer lost", ...Array<Fate>(1_000).fill("request lost")]);
    const write = at(before, putBackend("10.0.0.1:1", { ttlMs: 9_000 }));
    expect(await settled(store.commit(write))).toMatchObject({ status: "rejected" });
    expect(fake.kvs.has("/x/backends/web/10.0.0.1:1")).toBe(true);
    expect(await store.keepAlive(backendKeyOf(backendAt("10.0.0.1:1")))).toBe(true);
  });

  test("and whose trace somebody took away is unknown, and cannot be stored any more", async () => {
    const { fake, etcd, store, settled } = await opened();
    const before = await put(store, putRoute("before"));
    const trace = [...fake.kvs.values()].find(({ key }) => key.includes("@"))!;
    etcd.fate = (transaction) => {
      if (transaction.success.length === 1) return "arrives";
      fake.expireLease(trace.lease);
      return "late";
    };
    expect(await settled(store.commit(at(before, putRoute("a"))))).toMatchObject({
      reason: { details: { reason: "WRITE_OUTCOME_UNKNOWN" } },
    });
    etcd.fate = () => "arrives";
    expect(await etcd.deliver()).toBe(0);
    await put(store, putRoute("b"));
    expect((await store.read()).routes.map(({ name }) => name)).toEqual(["before", "b"]);
  });

  test("holds up no close", async () => {
    const { etcd, store, settled } = await opened();
    etcd.fate = () => "request lost";
    const lost = settled(store.commit(at(revisionZero, putRoute("a"))));
    await turns();
    await store.close();
    expect(await lost).toMatchObject({ reason: { code: "store-unavailable" } });
    await expect(store.commit(at(revisionZero, putRoute("a")))).rejects.toThrow("closed");
  });
});

describe("a lease that was revoked by hand", () => {
  test("is made anew without anybody noticing", async () => {
    const { fake, etcd, store } = await opened();
    await put(store, putRoute("a"));
    const trace = [...fake.kvs.values()].find(({ key }) => key.includes("@"))!;
    fake.expireLease(trace.lease);
    const refuse = fake.transact.bind(fake);
    fake.transact = async (transaction) => {
      if (transaction.success.some((one) => one.kind === "put" && one.lease === trace.lease)) {
        throw new RouterError("not-found", "no lease", {
          reason: "ETCD_LEASE_GONE",
        });
      }
      return refuse(transaction);
    };
    expect(await put(store, putRoute("b"))).toBe(fake.revision);
    expect(etcd.sent.length).toBeGreaterThan(2);
  });
});

describe("a store that cannot be written to", () => {
  test("says so at once when it is known to be away, and has nothing to settle", async () => {
    const { fake, etcd, store } = await opened();
    await put(store, putRoute("a"));
    fake.faults.down = storeUnavailable("ETCD_UNREACHABLE", "gone");
    fake.cut();
    await turns();
    const sent = etcd.sent.length;
    expect(store.condition).toMatchObject({ kind: "away", stale: false });
    await expect(put(store, putRoute("b"))).rejects.toMatchObject({ message: "gone" });
    expect(etcd.sent.length).toBe(sent);
    expect((await store.read()).routes).toHaveLength(1);
  });

  test("passes on what etcd refuses, and that nothing was stored", async () => {
    const { fake, store } = await opened();
    fake.transact = async () => {
      throw new RouterError("resource-exhausted", "the quota is used up", {
        reason: "ETCD_NOSPACE",
      });
    };
    await expect(put(store, putRoute("a"))).rejects.toMatchObject({
      code: "resource-exhausted",
      message: "the quota is used up",
    });
  });
});

/** How often a key was written since it was made, as far as that shows. */
function versions(kv: KeyValue | undefined): number {
  if (kv === undefined) return 0;
  return kv.createRevision === kv.modRevision ? 1 : 2;
}
