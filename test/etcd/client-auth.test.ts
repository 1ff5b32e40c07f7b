// Goal: a client with user and password goes on over everything that ends its token, and says what is wrong when
// it may not. Method: an etcd with authentication, and a user with a prefix.

import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { prefixEnd } from "../../src/etcd/etcd.ts";
import { failureOf, openClient, put, WatchRecord } from "../support/etcd-client.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { until } from "../support/until.ts";

/** Secret, so that a message that holds it is seen. */
const bob = { user: "bob", password: "pa55word" };
const ok = { key: "ok/", end: prefixEnd("ok/") };
const asRoot = "--user=root:r00t";

async function startWithUsers(extraArgs: readonly string[]): Promise<EtcdServer> {
  const server = await startEtcd({ extraArgs });
  await server.ctl("user", "add", "root:r00t");
  await server.ctl("user", "grant-role", "root", "root");
  await server.ctl("user", "add", `${bob.user}:${bob.password}`);
  await server.ctl("role", "add", "some");
  await server.ctl("role", "grant-permission", "some", "--prefix=true", "readwrite", "ok/");
  await server.ctl("user", "grant-role", bob.user, "some");
  await server.ctl("auth", "enable");
  return server;
}

describe("an etcd with simple tokens", () => {
  let server: EtcdServer;
  beforeAll(async () => {
    // Tokens that are not used for 1 s are forgotten.
    server = await startWithUsers(["--auth-token-ttl=1"]);
    return () => server.stop();
  });

  test("serves whom it knows: calls, leases and watches", async () => {
    const etcd = await openClient(server.endpoint, bob);
    const { header } = await put(etcd, "ok/1", "v");
    expect((await etcd.range(ok)).kvs[0]?.text).toBe("v");
    const { lease } = await etcd.grantLease(9);
    expect(await etcd.keepLeaseAlive(lease)).toBe(9);
    const watch = new WatchRecord(etcd, { ...ok, startRevision: header.revision });
    await until(() => watch.events.length === 1, "the event");
  });

  test("may forget a token by a restart: the next call and the next watch have a new one", async () => {
    const etcd = await openClient(server.endpoint, bob);
    const before = await put(etcd, "ok/1", "before");
    const open = new WatchRecord(etcd, { ...ok, startRevision: before.header.revision + 1 });
    await until(() => open.isCreated, "the watch");
    await server.restart();
    await until(() => open.cause !== undefined, "the end of the watch");
    expect(open.cause?.details.reason).toBe("ETCD_UNREACHABLE");
    // At once, so that the watch is what meets the old token first.
    let watch = new WatchRecord(etcd, { ...ok, startRevision: before.header.revision + 1 });
    await until(() => {
      if (watch.cause?.details.reason === "ETCD_UNREACHABLE") {
        watch = new WatchRecord(etcd, { ...ok, startRevision: before.header.revision + 1 });
      }
      return watch.isCreated || watch.cause?.details.reason === "ETCD_AUTH";
    }, "the new watch");
    expect(watch.cause).toBeUndefined();
    await put(etcd, "ok/1", "after");
    await until(() => watch.events.length === 1, "the event");
  });

  test("may let a token expire: whatever comes next, a watch or calls, goes on", async () => {
    const [watching, calling] = [
      await openClient(server.endpoint, bob),
      await openClient(server.endpoint, bob),
    ];
    const { header } = await put(watching, "ok/1", "v");
    await calling.range(ok);
    // The tokens must grow old, by etcd's own clock.
    await pause(2_500);
    const watch = new WatchRecord(watching, { ...ok, startRevision: header.revision });
    await until(() => watch.events.length === 1, "the event");
    const written = await Promise.all([put(calling, "ok/1", "a"), put(calling, "ok/2", "b")]);
    expect(written.map(({ succeeded }) => succeeded)).toEqual([true, true]);
  });

  test.for([
    ["a wrong password", { user: "bob", password: "wr0ng" }, /refuses the password of user "bob"/],
    ["an unknown user", { user: "eve", password: "wr0ng" }, /refuses the password of user "eve"/],
    ["no user at all", {}, /asks for a user and password: give --etcd-user and --etcd-password/],
  ] as const)("refuses %s in words, without the password", async ([, login, says]) => {
    const etcd = await openClient(server.endpoint, login);
    const watch = new WatchRecord(etcd, { ...ok, startRevision: 1 });
    const calls = [etcd.range(ok), put(etcd, "ok/1", "v")];
    for (const error of await Promise.all(calls.map(failureOf))) {
      expect([error.code, error.details.reason]).toEqual(["store-unavailable", "ETCD_AUTH"]);
      expect(error.message).toMatch(says);
      expect(JSON.stringify([error.message, error.details])).not.toContain("wr0ng");
      expect(error.details.metadata?.["applied"]).toBe("no");
    }
    await until(() => watch.cause !== undefined, "the end of the watch");
    // etcd 3.4 tells a nameless watch no more than that.
    expect(watch.cause?.details.reason).toBe("ETCD_AUTH");
  });

  test("names the keys and the user when a permission is missing, for calls and watches", async () => {
    const etcd = await openClient(server.endpoint, bob);
    const other = { key: "other/", end: prefixEnd("other/") };
    const watch = new WatchRecord(etcd, { ...other, startRevision: 1 });
    const wider = new WatchRecord(etcd, { key: "ok/", end: "p", startRevision: 1 });
    const range = await failureOf(etcd.range(other));
    expect(range.details.reason).toBe("ETCD_AUTH");
    expect(range.message).toMatch(
      /does not permit user "bob" the range of other\/….*grant-permission/,
    );
    const written = await failureOf(put(etcd, "other/1", "v"));
    expect(written.message).toMatch(/does not permit user "bob" the transaction on other\/1/);
    await until(() => watch.cause !== undefined && wider.cause !== undefined, "both ends");
    expect(watch.cause?.message).toMatch(/does not permit user "bob" the watch of other\/…/);
    expect(wider.cause?.message).toMatch(/does not permit user "bob" the watch of ok\/…/);
    expect(wider.isCreated).toBe(false);
    // One watch that is refused does not stand in the way of others.
    const mine = new WatchRecord(etcd, { ...ok, startRevision: 1 });
    await until(() => mine.isCreated, "a permitted watch");
  });
});

test("an etcd with JSON web tokens refuses all of them after a change of roles: the client gets another", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const keys = await startEtcd();
  onTestFinished(() => keys.stop());
  const at = (name: string): string => join(keys.dataDir, "..", name);
  writeFileSync(at("jwt.pub"), publicKey);
  writeFileSync(at("jwt.key"), privateKey);
  const token = `jwt,pub-key=${at("jwt.pub")},priv-key=${at("jwt.key")},sign-method=RS256,ttl=10m`;
  const server = await startWithUsers([`--auth-token=${token}`]);
  onTestFinished(() => server.stop());
  const etcd = await openClient(server.endpoint, bob);
  const { header } = await put(etcd, "ok/1", "v");
  await server.ctl(asRoot, "role", "grant-permission", "some", "--prefix=true", "read", "more/");
  const watch = new WatchRecord(etcd, { ...ok, startRevision: header.revision });
  await until(() => watch.events.length === 1, "the event");
  await server.ctl(asRoot, "role", "revoke-permission", "some", "--prefix=true", "more/");
  expect((await put(etcd, "ok/1", "w")).succeeded).toBe(true);
});

test("an etcd without authentication refuses a user, and says so", async () => {
  const server = await startEtcd();
  onTestFinished(() => server.stop());
  const etcd = await openClient(server.endpoint, bob);
  const error = await failureOf(etcd.range(ok));
  expect(error.details.reason).toBe("ETCD_AUTH");
  expect(error.message).toMatch(/has no authentication, but a user \("bob"\) is set: leave it out/);
});
