// Goal: the client says to a real etcd what the port means, and back. Method: each call against one etcd, with
// keys and values that are hard to carry; what etcdctl says is the second opinion.

import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { EtcdClient } from "../../src/etcd/client.ts";
import { type KeyValue, prefixEnd } from "../../src/etcd/etcd.ts";
import { etcdValueBytesMax } from "../../src/limits.ts";
import { always, failureOf, openClient, put, WatchRecord } from "../support/etcd-client.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { until } from "../support/until.ts";

let server: EtcdServer;
let etcd: EtcdClient;
let prefix: string;
let count = 0;

beforeAll(async () => {
  server = await startEtcd();
  return () => server.stop();
});
beforeEach(async () => {
  etcd = await openClient(server.endpoint);
  count += 1;
  prefix = `/t${count}/`;
});

const all = (): { key: string; end: string } => ({ key: prefix, end: prefixEnd(prefix) });

async function only(key: string): Promise<KeyValue> {
  const { kvs } = await etcd.range({ key });
  expect(kvs).toHaveLength(1);
  return kvs[0]!;
}

describe("ranges", () => {
  test("tell each key with its revisions, lease and text, and who answered", async () => {
    const first = await put(etcd, `${prefix}a`, "one");
    const second = await put(etcd, `${prefix}a`, "two");
    const answer = await etcd.range(all());
    expect(answer.more).toBe(false);
    expect(answer.header).toEqual(second.header);
    expect(answer.header.clusterId).toMatch(/^\d{10,}$/);
    expect(answer.kvs).toEqual([
      {
        key: `${prefix}a`,
        text: "two",
        bytes: 3,
        createRevision: first.header.revision,
        modRevision: second.header.revision,
        lease: "0",
      },
    ]);
  });

  test("stop at the limit and go on at the revision of the first page", async () => {
    for (const name of ["a", "b", "c"]) await put(etcd, prefix + name, name);
    const first = await etcd.range({ ...all(), limit: 2 });
    expect([first.kvs.map(({ text }) => text), first.more]).toEqual([["a", "b"], true]);
    await put(etcd, `${prefix}c`, "later");
    const second = await etcd.range({
      key: `${prefix}b\0`,
      end: prefixEnd(prefix),
      revision: first.header.revision,
    });
    expect([second.kvs.map(({ text }) => text), second.more]).toEqual([["c"], false]);
  });

  test("of keys only have no text", async () => {
    await put(etcd, `${prefix}a`, "value");
    const { kvs } = await etcd.range({ ...all(), keysOnly: true });
    expect(kvs.map(({ key, text }) => [key, text])).toEqual([[`${prefix}a`, undefined]]);
  });

  test("of a revision that was compacted say so", async () => {
    const { header } = await put(etcd, `${prefix}a`, "1");
    const later = await put(etcd, `${prefix}a`, "2");
    await server.ctl("compact", String(later.header.revision));
    const error = await failureOf(etcd.range({ ...all(), revision: header.revision }));
    expect([error.code, error.details.reason]).toEqual(["out-of-range", "ETCD_COMPACTED"]);
  });

  test("of a revision that is still to come say so", async () => {
    const error = await failureOf(etcd.range({ ...all(), revision: 2 ** 40 }));
    expect([error.code, error.details.reason]).toEqual(["out-of-range", "ETCD_FUTURE"]);
  });

  test("answer more than 4 MiB", async () => {
    const value = "x".repeat(1024 * 1024);
    for (const name of ["a", "b", "c", "d", "e"]) await put(etcd, prefix + name, value);
    const { kvs } = await etcd.range(all());
    expect(kvs.map(({ bytes }) => bytes)).toEqual(Array.from({ length: 5 }, () => value.length));
  });
});

describe("keys and values", () => {
  test.for([
    ["ASCII", "plain"],
    ["every byte but zero", String.fromCharCode(...Array.from({ length: 255 }, (_, i) => i + 1))],
    ["a zero byte", "a\0b"],
    ["UTF-8 as bytes", Buffer.from("größe-日本", "utf8").toString("latin1")],
  ])("a key of %s comes back as it went", async ([, name = ""]) => {
    await put(etcd, prefix + name, "v");
    const { kvs } = await etcd.range(all());
    expect(kvs.map(({ key }) => key)).toEqual([prefix + name]);
  });

  test.for([
    ["empty", ""],
    ["with a byte order mark", "\ufeff{}"],
    ["in many scripts", "größe 日本 \u{1f600}"],
    ["of control characters", "\0\n\u2028"],
  ])("a text %s comes back as it went", async ([, value = ""]) => {
    await put(etcd, `${prefix}k`, value);
    const kv = await only(`${prefix}k`);
    expect([kv.text, kv.bytes]).toEqual([value, Buffer.byteLength(value)]);
  });

  test("a value that is no UTF-8 has no text, but a length", async () => {
    await server.ctl("put", `${prefix}k`, "--", "ab");
    const wrong = Buffer.from([0x7b, 0xff, 0xc0]);
    const response = await fetch(`${server.endpoint}/v3/kv/put`, {
      method: "POST",
      body: JSON.stringify({
        key: Buffer.from(`${prefix}k`).toString("base64"),
        value: wrong.toString("base64"),
      }),
    });
    expect(response.status).toBe(200);
    const kv = await only(`${prefix}k`);
    expect([kv.text, kv.bytes]).toEqual([undefined, 3]);
  });

  test("a value over the limit has no text, one at the limit has", async () => {
    await put(etcd, `${prefix}a`, "x".repeat(etcdValueBytesMax));
    await put(etcd, `${prefix}b`, "x".repeat(etcdValueBytesMax + 1));
    const { kvs } = await etcd.range(all());
    expect(kvs.map(({ text, bytes }) => [text?.length, bytes])).toEqual([
      [etcdValueBytesMax, etcdValueBytesMax],
      [undefined, etcdValueBytesMax + 1],
    ]);
  });
});

describe("transactions", () => {
  test("create only what is not there: the loser learns what is", async () => {
    const create = (value: string) => ({
      compare: [{ key: `${prefix}a`, target: "create", revision: 0 } as const],
      success: [{ kind: "put", key: `${prefix}a`, value } as const],
      failure: [{ kind: "range", key: `${prefix}a` } as const],
    });
    const first = await etcd.transact(create("mine"));
    expect([first.succeeded, first.ranges]).toEqual([true, []]);
    const second = await etcd.transact(create("theirs"));
    expect(second.succeeded).toBe(false);
    expect(second.ranges.map(({ kvs }) => kvs[0]?.text)).toEqual(["mine"]);
    expect(second.ranges[0]?.header).toEqual(second.header);
  });

  test("replace only the revision that was read", async () => {
    const { header } = await put(etcd, `${prefix}a`, "1");
    const replace = {
      compare: [{ key: `${prefix}a`, target: "mod", revision: header.revision } as const],
      success: [{ kind: "put", key: `${prefix}a`, value: "2" } as const],
      failure: [],
    };
    expect((await etcd.transact(replace)).succeeded).toBe(true);
    expect((await etcd.transact(replace)).succeeded).toBe(false);
    expect((await only(`${prefix}a`)).text).toBe("2");
  });

  test("do all of their operations at one revision, and tell each range in order", async () => {
    for (const name of ["a", "b", "c"]) await put(etcd, prefix + name, name);
    const { header, ranges } = await etcd.transact(
      always(
        { kind: "range", key: `${prefix}b` },
        { kind: "delete", key: `${prefix}a`, end: `${prefix}c` },
        { kind: "put", key: `${prefix}d`, value: "d" },
        { kind: "range", ...all(), keysOnly: true },
      ),
    );
    expect(ranges.map(({ kvs }) => kvs.map(({ key, text }) => [key.at(-1), text]))).toEqual([
      [["b", "b"]],
      [
        ["c", undefined],
        ["d", undefined],
      ],
    ]);
    expect((await only(`${prefix}d`)).modRevision).toBe(header.revision);
  });

  test.for([
    ["129 operations", 129, 10],
    ["1.6 MiB in one value", 1, 1_600_000],
    ["3 MiB in three values", 3, 1_000_000],
  ] as const)("of %s are refused, named and not applied", async ([, operations, bytes]) => {
    const names = Array.from({ length: operations }, (_, i) => `${prefix}${i}`);
    const value = "x".repeat(bytes);
    const error = await failureOf(
      etcd.transact(always(...names.map((key) => ({ kind: "put", key, value }) as const))),
    );
    expect([error.code, error.details.reason]).toEqual(["resource-exhausted", "ETCD_TOO_LARGE"]);
    expect(error.details.metadata?.["applied"]).toBe("no");
    expect((await etcd.range(all())).kvs).toEqual([]);
  });

  test("of 128 operations pass", async () => {
    const names = Array.from({ length: 128 }, (_, i) => `${prefix}${i}`);
    await etcd.transact(always(...names.map((key) => ({ kind: "put", key, value: "" }) as const)));
    expect((await etcd.range(all())).kvs).toHaveLength(128);
  });

  test("that touch one key twice are the caller's fault", async () => {
    const key = `${prefix}a`;
    const error = await failureOf(
      etcd.transact(always({ kind: "put", key, value: "1" }, { kind: "put", key, value: "2" })),
    );
    expect([error.code, error.details.reason]).toEqual(["invalid-argument", "ETCD_REFUSED"]);
    expect(error.message).toContain("duplicate key");
  });
});

describe("leases", () => {
  test("hold a key, are renewed, and take it along when they are revoked", async () => {
    const { lease, seconds } = await etcd.grantLease(60);
    expect(seconds).toBe(60);
    await etcd.transact(always({ kind: "put", key: `${prefix}a`, value: "v", lease }));
    expect((await only(`${prefix}a`)).lease).toBe(lease);
    expect(await etcd.keepLeaseAlive(lease)).toBe(60);
    await etcd.revokeLease(lease);
    expect((await etcd.range(all())).kvs).toEqual([]);
  });

  test("that are gone renew for 0 seconds, hold nothing, and are revoked without complaint", async () => {
    const { lease } = await etcd.grantLease(60);
    await etcd.revokeLease(lease);
    expect(await etcd.keepLeaseAlive(lease)).toBe(0);
    await etcd.revokeLease(lease);
    const error = await failureOf(
      etcd.transact(always({ kind: "put", key: `${prefix}a`, value: "v", lease })),
    );
    expect([error.code, error.details.reason]).toEqual(["not-found", "ETCD_LEASE_GONE"]);
  });
});

describe("watches", () => {
  test("tell what happened since, then what happens, whole revisions with their kind", async () => {
    const first = await put(etcd, `${prefix}a`, "1");
    const watch = new WatchRecord(etcd, { ...all(), startRevision: first.header.revision });
    await until(() => watch.events.length === 1, "the past");
    await etcd.transact(
      always({ kind: "delete", key: `${prefix}a` }, { kind: "put", key: `${prefix}b`, value: "2" }),
    );
    await put(etcd, "/elsewhere", "3");
    await until(() => watch.events.length === 3, "the present");
    const revision = first.header.revision;
    expect(watch.events.slice(1)).toEqual([
      { kind: "delete", key: `${prefix}a`, modRevision: revision + 1 },
      expect.objectContaining({
        kind: "put",
        kv: expect.objectContaining({ key: `${prefix}b`, text: "2", modRevision: revision + 1 }),
      }),
    ]);
    expect(watch.messages[0]).toMatchObject({ kind: "created" });
    expect(watch.cause).toBeUndefined();
  });

  test("hand over a large answer in fragments that add up", async () => {
    const value = "x".repeat(60_000);
    const names = Array.from({ length: 100 }, (_, i) => `${prefix}${i}`);
    const before = (await etcd.range(all())).header.revision;
    for (let from = 0; from < 100; from += 20) {
      const batch = names.slice(from, from + 20);
      await etcd.transact(always(...batch.map((key) => ({ kind: "put", key, value }) as const)));
    }
    const watch = new WatchRecord(etcd, { ...all(), startRevision: before + 1 });
    await until(() => watch.events.length === 100, "all events");
    const fragments = watch.messages.flatMap((m) => (m.kind === "events" ? [m.fragment] : []));
    expect(fragments).toContain(true);
    expect(fragments.at(-1)).toBe(false);
    expect(new Set(watch.events.map((e) => (e.kind === "put" ? e.kv.key : ""))).size).toBe(100);
  });

  test("from a compacted revision are cancelled with the revision that is left", async () => {
    const { header } = await put(etcd, `${prefix}a`, "1");
    const later = await put(etcd, `${prefix}a`, "2");
    await server.ctl("compact", String(later.header.revision));
    const watch = new WatchRecord(etcd, { ...all(), startRevision: header.revision });
    await until(() => watch.cause !== undefined, "the end");
    expect(watch.messages.at(-1)).toMatchObject({
      kind: "cancelled",
      compactRevision: later.header.revision,
    });
    expect(watch.cause?.details.reason).toBe("ETCD_COMPACTED");
    expect(watch.causes).toHaveLength(1);
  });

  test("say nothing after they were cancelled", async () => {
    const startRevision = (await etcd.status()).header.revision + 1;
    const watch = new WatchRecord(etcd, { ...all(), startRevision });
    const other = new WatchRecord(etcd, { ...all(), startRevision });
    watch.stream.cancel();
    await put(etcd, `${prefix}a`, "1");
    await until(() => other.events.some((e) => e.kind === "put"), "the other watch");
    watch.stream.cancel();
    expect([watch.events, watch.causes]).toEqual([[], []]);
  });

  test("end, and nothing else does, when their reader throws", async () => {
    const { header } = await put(etcd, `${prefix}a`, "1");
    const fault = await new Promise<Error>((resolve) => {
      const stream = etcd.watch(
        { ...all(), startRevision: header.revision },
        () => {
          throw new Error("a bug");
        },
        resolve,
      );
      onTestFinished(() => stream.cancel());
    });
    expect(fault.message).toBe("a bug");
  });
});

test("the status names version and revision", async () => {
  const { header } = await put(etcd, `${prefix}a`, "1");
  const status = await etcd.status();
  expect(status.version).toMatch(/^3\.\d+\.\d+/);
  expect(status.header).toEqual(header);
});
