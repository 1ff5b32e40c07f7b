// Goal: nodes that share a store come to one sealing key, by whatever way it came there, and a store that lost or
// spoiled it costs no node the key that it has.
// Method: stores on an etcd in memory that goes, lies, is wiped; time is the test's.

import { describe, expect, onTestFinished, test } from "vitest";
import type { Transaction } from "../../src/etcd/etcd.ts";
import { RouterError } from "../../src/model/errors.ts";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import { encodeSealingKey, type SealingKey } from "../../src/store/sealing-key.ts";
import { FakeEtcd, unreachable } from "../support/fake-etcd.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { turns, until } from "../support/until.ts";
import { put, putRoute } from "./samples.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const path = "/x/sealing-key";
const [one, two, three] = [1, 2, 3].map((n) => new Uint8Array(32).fill(n)) as [
  SealingKey,
  SealingKey,
  SealingKey,
];

async function opened(etcd: FakeEtcd, directory = temporaryDirectory()) {
  const system = new FakeSystem();
  const log = recordingLog();
  const parts = { etcd, system, prefix: "/x", nodeName: "n1", directory, log };
  const store = await EtcdStore.open(parts);
  onTestFinished(() => store.close());
  const heard: SealingKey[] = [];
  store.sealingKey.subscribe((key) => heard.push(key));
  const passing = (holds: () => boolean, what: string): Promise<void> =>
    until(() => {
      if (holds()) return true;
      system.advance(50);
      return false;
    }, what);
  return { store, shared: store.sealingKey, log, heard, passing, system };
}

/** As `opened`, and what etcd holds is known. */
async function current(etcd: FakeEtcd, directory?: string) {
  const node = await opened(etcd, directory);
  await node.store.read();
  await node.passing(() => node.store.condition.kind === "current", "it is followed");
  return node;
}

const inEtcd = (etcd: FakeEtcd): string | undefined => etcd.kvs.get(path)?.text;

describe("the first key", () => {
  test("is that of the node that offers first; the others take it", async () => {
    const etcd = new FakeEtcd();
    const first = await current(etcd);
    await first.shared.offer(one);
    expect(inEtcd(etcd)).toBe(Buffer.from(one).toString("base64"));
    expect(first.shared.current).toEqual(one);
    const second = await current(etcd);
    expect(second.shared.current).toEqual(one);
    await second.shared.offer(two);
    expect(second.shared.current).toEqual(one);
    expect(inEtcd(etcd)).toBe(encodeSealingKey(one));
  });

  test("is one, when many offer at once, and each knows it when its offer is over", async () => {
    const etcd = new FakeEtcd();
    const nodes = await Promise.all([one, two, three].map(() => current(etcd)));
    const offers = [one, two, three].map((key, n) => nodes[n]!.shared.offer(key));
    await Promise.all(offers);
    const chosen = nodes.map(({ shared }) => encodeSealingKey(shared.current!));
    expect(chosen).toEqual([inEtcd(etcd), inEtcd(etcd), inEtcd(etcd)]);
    const { createRevision, modRevision } = etcd.kvs.get(path)!;
    expect(modRevision, "it was put once").toBe(createRevision);
    await turns();
    expect(nodes.map(({ heard }) => heard.length)).toEqual([1, 1, 1]);
  });

  test("is no part of the table: no revision, no entry, nothing rejected", async () => {
    const etcd = new FakeEtcd();
    const { store, shared } = await current(etcd);
    const revision = await put(store, putRoute("a"));
    await shared.offer(one);
    etcd.put(path, encodeSealingKey(two));
    etcd.elsewhere();
    await until(() => shared.current?.[0] === 2, "the other key");
    const { routes, services, backends, ...table } = await store.read();
    expect([table.revision, routes.length, services, backends]).toEqual([revision, 1, [], []]);
    expect(store.rejected).toEqual([]);
    const another = await current(etcd);
    expect((await another.store.read()).revision).toBe(revision);
  });

  test("is put by nobody who was not asked to share one", async () => {
    const etcd = new FakeEtcd();
    const { store, shared } = await current(etcd);
    await put(store, putRoute("a"));
    await turns(20);
    expect(inEtcd(etcd)).toBeUndefined();
    expect(shared.current).toBeUndefined();
    etcd.put(path, encodeSealingKey(one));
    await until(() => shared.current !== undefined, "it is seen");
    etcd.delete(path);
    await put(store, putRoute("b"));
    await turns(20);
    expect(inEtcd(etcd)).toBeUndefined();
  });

  test("costs etcd nothing more once it is there", async () => {
    const etcd = new FakeEtcd();
    const { store, shared } = await current(etcd);
    await shared.offer(one);
    await turns(20);
    const transact = etcd.transact.bind(etcd);
    let transactions = 0;
    etcd.transact = (transaction: Transaction) => (transactions++, transact(transaction));
    for (const name of ["a", "b", "c"]) await put(store, putRoute(name));
    await turns(20);
    expect(transactions).toBe(3);
  });
});

describe("a key that changes in the store", () => {
  test.for([
    ["as base64", encodeSealingKey(two)],
    ["with a line end, as a file has it", `${encodeSealingKey(two)}\n`],
    ["as hexadecimal", Buffer.from(two).toString("hex").toUpperCase()],
  ])("is taken %s, once", async ([, text]) => {
    const etcd = new FakeEtcd();
    const { shared, heard } = await current(etcd);
    await shared.offer(one);
    etcd.put(path, text ?? "");
    await until(() => heard.length > 1, "it is heard of");
    etcd.put(path, encodeSealingKey(two));
    etcd.put(path, encodeSealingKey(three));
    await until(() => heard.length > 2, "the next is heard of");
    expect(heard).toEqual([one, two, three]);
    expect(shared.current).toEqual(three);
  });

  test("that is deleted is put again by whoever knows it, as it was last", async () => {
    const etcd = new FakeEtcd();
    const { shared, heard } = await current(etcd);
    await shared.offer(one);
    etcd.put(path, encodeSealingKey(two));
    await until(() => shared.current?.[0] === 2, "the other key");
    etcd.delete(path);
    await until(() => inEtcd(etcd) !== undefined, "it is put again");
    expect(inEtcd(etcd)).toBe(encodeSealingKey(two));
    expect(heard).toEqual([one, two]);
  });

  test("after `subscribe` was ended is not told, and known all the same", async () => {
    const etcd = new FakeEtcd();
    const { shared } = await current(etcd);
    const heard: SealingKey[] = [];
    const end = shared.subscribe((key) => heard.push(key));
    end();
    await shared.offer(one);
    expect(heard).toEqual([]);
    expect(shared.current).toEqual(one);
  });
});

describe("garbage in its place", () => {
  const garbage = "c2VjcmV0IGdhcmJhZ2U=";
  test.for([
    ["a text", garbage],
    ["nothing", ""],
    ["a byte less", Buffer.alloc(31, 7).toString("base64")],
    ["a byte more", Buffer.alloc(33, 7).toString("base64")],
    ["44 characters that are no base64", "*".repeat(44)],
    ["base64 with something in between", encodeSealingKey(three).replace("D", "*D")],
    ["hexadecimal with a digit less", Buffer.from(three).toString("hex").slice(1)],
    ["not UTF-8", undefined],
  ])("is set aside: %s", async ([, text]) => {
    const etcd = new FakeEtcd();
    const { store, shared, heard, log } = await current(etcd);
    await shared.offer(one);
    etcd.put(path, text);
    await until(() => store.rejected.length > 0, "it is told");
    expect(store.rejected).toMatchObject([{ key: path }]);
    expect(store.rejected[0]?.reason).toMatch(/is no sealing key: 32 bytes as base64|is not UTF-8/);
    if (text !== undefined && text !== "") {
      expect(JSON.stringify([store.rejected, log.entries])).not.toContain(text);
    }
    expect(shared.current).toEqual(one);
    expect(etcd.kvs.get(path)?.text, "it is not written over").toBe(text);
    etcd.put(path, encodeSealingKey(two));
    await until(() => store.rejected.length === 0, "it is mended");
    expect(heard).toEqual([one, two]);
  });

  test("is not written over by a node that knows no other, which takes what is put there later", async () => {
    const etcd = new FakeEtcd();
    etcd.put(path, garbage);
    const { shared } = await current(etcd);
    await shared.offer(one);
    expect([shared.current, inEtcd(etcd)]).toEqual([undefined, garbage]);
    etcd.put(path, encodeSealingKey(two));
    await until(() => shared.current !== undefined, "the key");
    expect(shared.current).toEqual(two);
  });
});

describe("an etcd that is away", () => {
  test("when a key is offered holds nobody up; it is put once etcd is followed", async () => {
    const etcd = new FakeEtcd();
    const { store, shared, passing } = await current(etcd);
    etcd.faults.down = unreachable();
    etcd.cut();
    await passing(() => store.condition.kind === "away", "it is noticed");
    await shared.offer(one);
    expect([shared.current, inEtcd(etcd)]).toEqual([undefined, undefined]);
    etcd.faults.down = undefined;
    await passing(() => inEtcd(etcd) !== undefined, "it is put");
    await until(() => shared.current !== undefined, "it is known");
    expect(shared.current).toEqual(one);
  });

  test("is tried again when the put alone fails, and told once", async () => {
    const etcd = new FakeEtcd();
    const { shared, log, passing } = await current(etcd);
    const transact = etcd.transact.bind(etcd);
    let failures = 3;
    etcd.transact = (transaction: Transaction) => {
      if (failures-- > 0) return Promise.reject(new RouterError("store-unavailable", "not now"));
      return transact(transaction);
    };
    await shared.offer(one);
    expect(shared.current).toBeUndefined();
    await passing(() => shared.current !== undefined, "it is put");
    expect(inEtcd(etcd)).toBe(encodeSealingKey(one));
    const told = log.messages().filter((text) => text.includes("sealing key"));
    expect(told).toEqual(["the sealing key is not in the store yet; it is tried again"]);
  });

  test("at a start: the key comes from the copy, the last good one, and nothing is put", async () => {
    const etcd = new FakeEtcd();
    const directory = temporaryDirectory();
    const first = await current(etcd, directory);
    await put(first.store, putRoute("a"));
    await first.shared.offer(one);
    etcd.put(path, "garbage");
    await until(() => first.store.rejected.length > 0, "it is set aside");
    await first.store.close();
    etcd.faults.down = unreachable();
    const again = await opened(etcd, directory);
    await again.passing(() => again.shared.current !== undefined, "the copy is read");
    await again.shared.offer(two);
    expect(again.store.condition).toMatchObject({ kind: "away", stale: true });
    expect(again.shared.current).toEqual(one);
    expect(again.store.rejected).toMatchObject([{ key: path }]);
    expect(inEtcd(etcd)).toBe("garbage");
  });

  test("for ever: nothing is tried after the store is closed", async () => {
    const etcd = new FakeEtcd();
    const { store, shared, system } = await current(etcd);
    let tries = 0;
    etcd.transact = () => {
      tries++;
      return Promise.reject(new RouterError("store-unavailable", "not now"));
    };
    await shared.offer(one);
    await store.close();
    expect(system.timerCount).toBe(0);
    system.advance(60_000);
    await shared.offer(one);
    expect(tries).toBe(1);
  });

  test("that was closed gets no offer", async () => {
    const etcd = new FakeEtcd();
    const { store, shared } = await current(etcd);
    await store.close();
    await shared.offer(one);
    expect([shared.current, inEtcd(etcd)]).toEqual([undefined, undefined]);
  });
});

describe("an etcd that lost its past", () => {
  test("gets no key while it is held, and the one of before once it is accepted", async () => {
    const etcd = new FakeEtcd();
    const { store, shared, heard, passing } = await current(etcd);
    await put(store, putRoute("a"));
    await shared.offer(one);
    await until(() => etcd.kvs.get(path) !== undefined, "it is there");
    etcd.wipe();
    await passing(() => store.condition.kind === "held", "it is held");
    await passing(() => etcd.ranges.length > 30, "it is looked at again and again");
    expect([shared.current, inEtcd(etcd)]).toEqual([one, undefined]);
    expect(await store.accept()).toBe(true);
    await passing(() => inEtcd(etcd) !== undefined, "it is put again");
    expect(inEtcd(etcd)).toBe(encodeSealingKey(one));
    expect(heard).toEqual([one]);
  });

  test("gets none either that is offered while it is held", async () => {
    const etcd = new FakeEtcd();
    const { store, shared, passing } = await current(etcd);
    await put(store, putRoute("a"));
    etcd.wipe();
    await passing(() => store.condition.kind === "held", "it is held");
    await shared.offer(one);
    expect([shared.current, inEtcd(etcd)]).toEqual([undefined, undefined]);
    expect(await store.accept()).toBe(true);
    await passing(() => shared.current !== undefined, "it is put");
    expect(inEtcd(etcd)).toBe(encodeSealingKey(one));
  });

  test("and has another key: that counts once it is accepted, and not before", async () => {
    const etcd = new FakeEtcd();
    const { store, shared, passing } = await current(etcd);
    await put(store, putRoute("a"));
    await shared.offer(one);
    etcd.wipe();
    etcd.put(path, encodeSealingKey(two));
    await passing(() => store.condition.kind === "held", "it is held");
    expect(shared.current).toEqual(one);
    expect(await store.accept()).toBe(true);
    await passing(() => shared.current?.[0] === 2, "it is taken");
    expect(inEtcd(etcd)).toBe(encodeSealingKey(two));
  });

  test("and is believed, as nothing serves: the key is put again", async () => {
    const etcd = new FakeEtcd();
    const { shared, passing } = await current(etcd);
    await shared.offer(one);
    etcd.wipe();
    await passing(() => inEtcd(etcd) !== undefined, "it is put again");
    expect(inEtcd(etcd)).toBe(encodeSealingKey(one));
  });
});
