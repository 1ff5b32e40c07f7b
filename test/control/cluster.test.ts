// Goal: WAIT_ALL answers with nobody lagging only when every live node serves the write, and otherwise says who does
// not, why, and as soon as that is known.
// Method: members under the test's hand. Through the service and its writes: wait-all.test.ts.

import { describe, expect, test } from "vitest";
import { Cluster } from "../../src/control/cluster.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { StoreCondition } from "../../src/store/store.ts";
import { FakeMembers } from "../support/fake-members.ts";
import { FakeServing } from "../support/fake-serving.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { turns } from "../support/until.ts";

const r = parseRevision;
const lagOf = (reason: string, at = 17, refused = true) => ({ at, reason, refused });

/** One wait for revision 17 on node-1. */
class Waiting {
  readonly system = new FakeSystem();
  readonly serving = new FakeServing();
  readonly members: FakeMembers;
  readonly cluster: Cluster;
  condition: StoreCondition = { kind: "current" };
  readonly #deadline = new AbortController();
  answer: readonly { node: string; reason: string }[] | undefined;
  #endMs = 0;

  constructor(...others: readonly string[]) {
    this.members = new FakeMembers("node-1", ...others);
    const store = {
      members: this.members,
      condition: { kind: "current" } as StoreCondition,
    };
    Object.defineProperty(store, "condition", { get: () => this.condition });
    this.cluster = new Cluster({ store, serving: this.serving, system: this.system });
  }

  /** `after`: the revision before the write, where that has several. */
  async begin({ asked = true, waitMs = 10_000, after = 16 } = {}): Promise<void> {
    this.#endMs = this.system.monotonicMs() + waitMs;
    const remainingMs = (): number => Math.max(0, this.#endMs - this.system.monotonicMs());
    this.system.after(waitMs, () => this.#deadline.abort());
    const patience = { signal: this.#deadline.signal, remainingMs };
    void this.cluster
      .whenServedByAll(r(17), patience, asked, after)
      .then((lags) => (this.answer = lags.map(({ node, reason }) => ({ node, reason }))));
    await turns();
  }

  async pass(ms: number): Promise<void> {
    this.system.advance(ms);
    await turns();
  }
}

describe("waiting for all", () => {
  test("ends when the last of them reports, and not before", async () => {
    const it = new Waiting("b", "c");
    await it.begin();
    it.members.says("b", 17);
    it.members.says("c", 16);
    await turns();
    expect(it.answer).toBeUndefined();
    it.members.says("c", 18);
    await turns();
    expect(it.answer).toEqual([]);
    expect([it.members.listeners, it.members.asked]).toEqual([0, []]);
  });

  test("a node that serves newer changes and not this one is told at once, with its reason", async () => {
    const it = new Waiting("b", "c");
    await it.begin();
    it.members.says("c", 20, undefined, [{ revision: r(16), reason: "an older one" }]);
    it.members.says("b", 19, undefined, [{ revision: r(17), reason: "port 3100 is in use" }]);
    await turns();
    expect(it.answer).toEqual([{ node: "b", reason: "port 3100 is in use" }]);
  });

  test("of a write of several revisions each counts, here and elsewhere", async () => {
    const earlier = { revision: r(14), reason: "not of this write" };
    const there = [{ revision: r(15), reason: "port 3100 is in use" }, earlier];
    const here = [
      { revision: r(15), reason: "port 3200 is in use" },
      { revision: r(16), reason: "port 3200 is in use" },
      earlier,
    ];
    const it = new Waiting("b");
    await it.begin({ after: 14 });
    it.members.says("b", 17, undefined, there);
    await turns();
    expect(it.answer).toEqual([{ node: "b", reason: "port 3100 is in use" }]);
    const other = new Waiting("b");
    other.serving.notServed = here;
    await other.begin({ after: 14 });
    other.members.says("b", 17);
    await turns();
    expect(other.answer).toEqual([{ node: "node-1", reason: "port 3200 is in use" }]);
    other.serving.notServed = [earlier];
    const { signal } = new AbortController();
    expect(await other.cluster.whenServedHere(r(17), signal, 14)).toEqual([]);
  });

  test("what a node did not serve before the question it may serve now", async () => {
    const it = new Waiting("b");
    const before = [{ revision: r(17), reason: "port 3100 is in use" }];
    it.members.says("b", 19, undefined, before);
    await it.begin({ asked: false });
    expect([it.answer, it.members.asked]).toEqual([undefined, [{ revision: 17, waitMs: 10_000 }]]);
    it.members.says("b", 19);
    await turns();
    expect(it.answer).toEqual([]);
  });

  test("waits for this node's own workers whatever the others say", async () => {
    const it = new Waiting("b");
    it.serving.serve(16);
    await it.begin();
    it.members.says("b", 17);
    await turns();
    expect(it.answer).toBeUndefined();
    it.serving.serve(17);
    await turns();
    expect(it.answer).toEqual([]);
  });

  test("looks at the list once more when its own workers serve: a node may have come before the write", async () => {
    const it = new Waiting("b");
    it.serving.serve(16);
    it.members.says("b", 17);
    await it.begin();
    it.members.says("c", 16);
    it.serving.serve(17);
    await turns();
    expect(it.answer).toBeUndefined();
    it.members.says("c", 17);
    await turns();
    expect(it.answer).toEqual([]);
  });

  test("waits for a node that comes meanwhile, until it serves or goes", async () => {
    const it = new Waiting("b");
    await it.begin();
    it.members.starts("c");
    it.members.says("b", 17);
    await turns();
    expect(it.answer).toBeUndefined();
    it.members.goes("c");
    await turns();
    expect(it.answer).toEqual([]);
  });

  test("does not wait for a node whose lease ran out", async () => {
    const it = new Waiting("b", "c");
    await it.begin();
    it.members.says("b", 17);
    it.members.goes("c");
    await turns();
    expect(it.answer).toEqual([]);
  });

  test("a refusal ends the wait for that node, not for the others", async () => {
    const it = new Waiting("b", "c");
    await it.begin();
    it.members.says("b", 15, lagOf("worker 1 refused revision 17: no"));
    await turns();
    expect(it.answer).toBeUndefined();
    it.members.says("c", 17);
    await turns();
    expect(it.answer).toEqual([{ node: "b", reason: "worker 1 refused revision 17: no" }]);
  });

  test("what is only late is waited for; its reason stands at the deadline", async () => {
    const it = new Waiting("b");
    await it.begin();
    it.members.says("b", 15, lagOf("worker 1 has not acknowledged revision 17", 17, false));
    await it.pass(9_999);
    expect(it.answer).toBeUndefined();
    await it.pass(1);
    expect(it.answer).toEqual([{ node: "b", reason: "worker 1 has not acknowledged revision 17" }]);
  });

  test("a refusal of an earlier revision says nothing of this one", async () => {
    const it = new Waiting("b");
    it.members.says("b", 15, lagOf("no", 16));
    await it.begin();
    expect(it.answer).toBeUndefined();
    it.members.says("b", 17);
    await turns();
    expect(it.answer).toEqual([]);
  });

  test("a refusal from before the question may be out of date: only a new one counts", async () => {
    const it = new Waiting("b");
    it.members.says("b", 15, lagOf("old", 18));
    await it.begin({ asked: false });
    expect([it.answer, it.members.asked]).toEqual([undefined, [{ revision: 17, waitMs: 10_000 }]]);
    it.members.says("b", 15, lagOf("still", 18));
    await turns();
    expect(it.answer).toEqual([{ node: "b", reason: "still" }]);
  });

  test("at the deadline everybody who lags is named, with what is known", async () => {
    const it = new Waiting("b", "c");
    it.members.starts("c");
    it.members.says("b", 15);
    it.serving.serve(16);
    await it.begin();
    await it.pass(10_000);
    expect(it.answer).toEqual([
      { node: "node-1", reason: "worker 2 has not acknowledged revision 17 (serves 16)" },
      { node: "b", reason: "has not reported revision 17 (reported 15 last)" },
      { node: "c", reason: "is starting" },
    ]);
    expect([it.members.listeners, it.system.timerCount]).toEqual([0, 0]);
  });

  test("with the store gone after the commit it says that it could not ask", async () => {
    const it = new Waiting("b");
    await it.begin();
    it.condition = { kind: "away", sinceMs: 0, cause: "connection refused", stale: false };
    await it.pass(10_000);
    expect(it.answer?.[0]?.reason).toBe(
      "has not reported revision 17 (reported 0 last); the store cannot be asked: connection refused",
    );
  });

  test("asks again every second, since a question may be lost", async () => {
    const it = new Waiting("b");
    await it.begin();
    await it.pass(999);
    expect(it.members.asked).toEqual([]);
    await it.pass(2_001);
    expect(it.members.asked).toEqual([
      { revision: 17, waitMs: 9_000 },
      { revision: 17, waitMs: 8_000 },
      { revision: 17, waitMs: 7_000 },
    ]);
    it.members.says("b", 17);
    await it.pass(5_000);
    expect(it.members.asked).toHaveLength(3);
  });

  test("what need not be asked is not: everybody has reported it already", async () => {
    const it = new Waiting("b");
    it.members.says("b", 20);
    await it.begin({ asked: false });
    expect([it.answer, it.members.asked]).toEqual([[], []]);
  });

  test("a fleet that fails is a lag of this node", async () => {
    const it = new Waiting("b");
    it.serving.whenServed = () => Promise.reject(new RouterError("unavailable", "draining"));
    it.members.says("b", 17);
    await it.begin();
    expect(it.answer).toEqual([{ node: "node-1", reason: "draining" }]);
  });
});

describe("a node that is not among the nodes promises nothing", () => {
  test("lost: it waits to be found again, and then promises", async () => {
    const it = new Waiting("b");
    it.members.says("b", 17);
    it.members.become({ kind: "lost", cause: "connection refused" });
    await it.begin();
    expect(it.answer).toBeUndefined();
    it.members.become({ kind: "announced" });
    await turns();
    expect(it.answer).toEqual([]);
  });

  test("lost until the deadline: it says so", async () => {
    const it = new Waiting("b");
    it.members.says("b", 17);
    it.members.goes("node-1");
    it.members.become({ kind: "lost", cause: "connection refused" });
    await it.begin();
    await it.pass(10_000);
    expect(it.answer).toEqual([
      {
        node: "node-1",
        reason:
          "this node lost its place among the nodes: connection refused; so nobody knows whether every node serves revision 17",
      },
    ]);
  });

  test.for([
    [{ kind: "none" }, "this node has not announced itself to the others yet; so nobody knows"],
    [
      { kind: "taken", cause: "b has it" },
      "this node has no place among the nodes: b has it; so nobody knows",
    ],
  ] as const)("$0.kind: it says so once the others have reported", async ([self, reason]) => {
    const it = new Waiting("b");
    it.members.goes("node-1");
    it.members.become(self);
    await it.begin();
    expect(it.answer).toBeUndefined();
    it.members.says("b", 17);
    await turns();
    expect(it.answer?.map(({ reason: text }) => text)).toEqual([expect.stringContaining(reason)]);
  });

  test("whoever has this node's name instead is another node, and is waited for", async () => {
    const it = new Waiting();
    it.members.become({ kind: "taken", cause: "the other has it" });
    await it.begin();
    await it.pass(10_000);
    expect(it.answer?.map(({ node }) => node)).toEqual(["node-1", "node-1"]);
  });
});

describe("what commits ask", () => {
  const patience = (remaining: number) => ({
    signal: new AbortController().signal,
    remainingMs: () => remaining,
  });

  test("nothing when nobody waits, or nobody else is there", () => {
    const { cluster } = new Waiting("b");
    expect(cluster.ask()).toBeUndefined();
    const alone = new Waiting();
    alone.cluster.expect(patience(100));
    expect(alone.cluster.ask()).toBeUndefined();
  });

  test("the longest time of all who wait, until they do no more", () => {
    const { cluster } = new Waiting("b");
    const ends = [100, 900.5, 300].map((ms) => cluster.expect(patience(ms)));
    expect(cluster.ask()).toEqual({ waitMs: 901 });
    ends[1]?.();
    expect(cluster.ask()).toEqual({ waitMs: 300 });
    for (const end of ends) end();
    expect(cluster.ask()).toBeUndefined();
  });
});
