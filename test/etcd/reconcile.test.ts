// Goal: what the watch does not tell is found and repaired within half a minute, and nothing else counts as lost.
// Method: a fake etcd that changes keys without events, stalls its watches and changes while it is listed.

import { describe, expect, test } from "vitest";
import { FakeEtcd, storeUnavailable } from "../support/fake-etcd.ts";
import { follow } from "./followed-fixture.ts";

function etcdWith(values: Readonly<Record<string, string>>): FakeEtcd {
  const etcd = new FakeEtcd();
  for (const [key, text] of Object.entries(values)) etcd.put(key, text);
  return etcd;
}

describe("the comparison", () => {
  test("repairs what the watch did not tell, and counts it", async () => {
    const { etcd, followed, log, pass, equal } = follow({
      etcd: etcdWith({ "/p/a": "1", "/p/b": "1", "/p/c": "1" }),
    });
    await pass(50);
    etcd.putSilently("/p/a", "2");
    etcd.putSilently("/p/b", undefined);
    etcd.putSilently("/p/d", "2");
    etcd.put("/p/c", "3");
    await pass(1_000);
    expect(equal()).toBe(false);
    await pass(32_000);
    expect(equal()).toBe(true);
    expect(followed.repairsTotal).toBe(3);
    expect(followed.condition.kind).toBe("current");
    expect(log.messages()).toEqual(["the watch missed something: all is listed again"]);
    await pass(120_000);
    expect(followed).toMatchObject({ repairsTotal: 3, listsTotal: 2 });
  });

  test("finds a watch that fell silent", async () => {
    const { etcd, followed, pass, equal } = follow();
    await pass(50);
    etcd.faults.watchesStall = true;
    etcd.put("/p/a", "1");
    await pass(32_500);
    expect(equal()).toBe(true); // by the list: the new watch stalls too
    etcd.resume();
    await pass(5_000);
    expect(followed.condition.kind).toBe("current");
  });

  test("waits for what the watch is about to bring", async () => {
    const { etcd, system, followed, pass, equal } = follow();
    await pass(50);
    await pass(26_900);
    etcd.faults.watchesStall = true;
    etcd.beforeRange = ({ keysOnly, limit }) => {
      if (keysOnly !== true || limit === 1) return;
      etcd.beforeRange = () => {};
      etcd.put("/p/a", "1");
      system.after(1_500, () => etcd.resume());
    };
    await pass(6_000);
    expect(equal()).toBe(true);
    expect(followed).toMatchObject({ repairsTotal: 0, listsTotal: 1 });
  });

  test("does not count what changes while it lists", async () => {
    const { etcd, followed, pass, equal } = follow({ etcd: etcdWith({ "/p/a": "1" }) });
    await pass(50);
    let writes = 0;
    etcd.beforeRange = ({ keysOnly }) => {
      if (keysOnly !== true) return;
      queueMicrotask(() => {
        etcd.put("/p/a", String(++writes));
        etcd.delete("/p/b");
        etcd.put(`/p/c${writes}`, "x");
      });
    };
    await pass(125_000);
    expect(writes).toBeGreaterThan(3);
    expect(equal()).toBe(true);
    expect(followed).toMatchObject({ repairsTotal: 0, listsTotal: 1 });
  });

  test.for([
    { name: "another cluster", header: { clusterId: "77", revision: 99 } },
    { name: "an older revision", header: { clusterId: "1001", revision: 1 } },
  ])("that is answered by $name leads to a list, although nothing differs", async ({ header }) => {
    const { etcd, followed, pass } = follow({ etcd: etcdWith({ "/p/a": "1" }) });
    await pass(50);
    const honest = etcd.range.bind(etcd);
    etcd.range = async (request) => {
      etcd.range = honest;
      return { ...(await honest(request)), header };
    };
    await pass(35_000);
    expect(followed).toMatchObject({ listsTotal: 2, repairsTotal: 0 });
  });

  test("that fails ends the watch", async () => {
    const { etcd, owner, pass } = follow();
    await pass(50);
    etcd.faults.down = storeUnavailable("ETCD_TIMEOUT", "no answer in time");
    await pass(32_000);
    expect(owner.conditions.at(-1)).toMatchObject({ kind: "away", cause: "no answer in time" });
    etcd.faults.down = undefined;
    await pass(4_000);
    expect(owner.kinds).toEqual(["current", "away", "current"]);
  });
});
