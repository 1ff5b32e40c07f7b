// Goal: what is put under the leases of a store stays as long as it must and no longer, and none is left behind.
// Method: an etcd in memory; time is the test's.

import { describe, expect, onTestFinished, test } from "vitest";
import { requestKeptMsMin } from "../../src/limits.ts";
import { backendKeyOf } from "../../src/model/backend.ts";
import { grantTtls, RotatingLease } from "../../src/store/etcd-leases.ts";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import { FakeEtcd, unreachable } from "../support/fake-etcd.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { turns } from "../support/until.ts";
import { backendAt, put, putBackend, putRoute } from "./samples.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** Remembers what was granted, and what was revoked. */
class CountingEtcd extends FakeEtcd {
  readonly granted: [lease: string, seconds: number][] = [];
  readonly revoked: string[] = [];

  override async grantLease(seconds: number) {
    const answer = await super.grantLease(seconds);
    this.granted.push([answer.lease, seconds]);
    return answer;
  }
  override async revokeLease(lease: string) {
    this.revoked.push(lease);
    await super.revokeLease(lease);
  }
}

describe("the lease that rotates", () => {
  test("is one for an hour, lasts two, and is made anew after it", async () => {
    const etcd = new CountingEtcd();
    const system = new FakeSystem();
    const rotating = new RotatingLease(etcd, system);
    const first = await rotating.id();
    system.advance(requestKeptMsMin - 1);
    expect(await rotating.id()).toBe(first);
    system.advance(1);
    const second = await rotating.id();
    expect(second).not.toBe(first);
    expect(etcd.granted).toEqual([
      [first, 7_200],
      [second, 7_200],
    ]);
  });

  test("counts from before etcd was asked, however late it answers", async () => {
    const etcd = new CountingEtcd();
    const system = new FakeSystem();
    const rotating = new RotatingLease(etcd, system);
    etcd.faults.callsHang = true;
    const asked = rotating.id();
    await turns();
    system.advance(requestKeptMsMin);
    etcd.resume();
    const first = await asked;
    expect(await rotating.id()).not.toBe(first);
  });

  test("is made anew when it is gone", async () => {
    const etcd = new CountingEtcd();
    const rotating = new RotatingLease(etcd, new FakeSystem());
    const first = await rotating.id();
    rotating.forget();
    expect(await rotating.id()).not.toBe(first);
  });
});

describe("leases of backends", () => {
  test("are one for each, of its TTL in whole seconds", async () => {
    const etcd = new CountingEtcd();
    const changes = [
      putBackend("10.0.0.1:1", { ttlMs: 1_001 }),
      putBackend("10.0.0.1:2"),
      putRoute("a"),
      putBackend("10.0.0.1:3", { ttlMs: 30_000 }),
    ];
    const leases = await grantTtls(etcd, changes);
    expect(etcd.granted.map(([, seconds]) => seconds)).toEqual([2, 30]);
    expect([...leases].map(([{ address }, lease]) => [address, lease])).toEqual([
      ["10.0.0.1:1", etcd.granted[0]?.[0]],
      ["10.0.0.1:3", etcd.granted[1]?.[0]],
    ]);
  });

  test("are given back when not all of them can be had", async () => {
    const etcd = new CountingEtcd();
    const grant = etcd.grantLease.bind(etcd);
    etcd.grantLease = async (seconds) => {
      if (seconds === 3) throw unreachable();
      return grant(seconds);
    };
    const changes = [1, 2, 3].map((n) => putBackend(`10.0.0.1:${n}`, { ttlMs: n * 1000 }));
    await expect(grantTtls(etcd, changes)).rejects.toMatchObject({ code: "store-unavailable" });
    expect(etcd.revoked).toEqual(etcd.granted.map(([lease]) => lease));
    expect(etcd.revoked).toHaveLength(2);
  });

  test("that etcd calls renewed although they were revoked are not, and their backends are gone", async () => {
    const etcd = new CountingEtcd();
    const store = await EtcdStore.open({
      etcd,
      system: new FakeSystem(),
      prefix: "/x",
      nodeName: "n1",
      directory: temporaryDirectory(),
      log: recordingLog(),
    });
    onTestFinished(() => store.close());
    await store.read();
    await put(store, putBackend("10.0.0.1:1", { ttlMs: 9_000 }));
    const key = backendKeyOf(backendAt("10.0.0.1:1"));
    expect(await store.keepAlive(key)).toBe(true);
    etcd.keepLeaseAlive = async (lease) => {
      etcd.expireLease(lease);
      await turns();
      return 9;
    };
    expect(await store.keepAlive(key)).toBe(false);

    await put(store, putBackend("10.0.0.1:1", { ttlMs: 9_000 }));
    // Nor while the watch does not tell: then etcd itself is asked.
    etcd.faults.cutOnCreated = true;
    etcd.cut();
    await turns();
    expect(store.condition).toMatchObject({ kind: "away" });
    expect(await store.keepAlive(key)).toBe(false);
  });
});
