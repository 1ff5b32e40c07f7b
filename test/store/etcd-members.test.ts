// Goal: a node is listed while it lives and no longer, under a name that is its own, and hears every question.
// Method: nodes over an etcd in memory, with a clock under the test's hand: links that are cut, hang, lose answers
// and lie. What real etcd does instead is in etcd-members-real.test.ts.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseRevision } from "../../src/model/revision.ts";
import { infoOf } from "../support/fake-members.ts";
import { MembersWorld, type WorldNode } from "../support/members-world.ts";
import { turns, until } from "../support/until.ts";

const r = parseRevision;
const served = (revision: number) => ({ servedRevision: r(revision), lag: undefined });
const names = (node: WorldNode): string[] => node.members.list().map(({ name }) => name);

async function announced(world: MembersWorld, ...all: string[]): Promise<WorldNode[]> {
  const nodes = all.map((name) => world.node(name));
  for (const node of nodes) await node.announce();
  return nodes;
}

describe("announcing", () => {
  test("every node lists every node, by name, with what it says of itself", async () => {
    const world = new MembersWorld();
    const [b, a] = await announced(world, "b", "a");
    await turns();
    for (const node of [a!, b!]) expect(names(node)).toEqual(["a", "b"]);
    expect(b!.members.list()[0]).toMatchObject({
      ...infoOf("a"),
      starting: true,
      servedRevision: 0,
    });
    expect(world.entry("a")?.kv.lease).not.toBe("0");
  });

  test("it stands once the node has seen everything that was stored before it, and no earlier", async () => {
    const world = new MembersWorld();
    const node = world.node("a");
    node.link.slow = true;
    world.etcd.put("/crosspoint/routes/web", "{}");
    const before = world.etcd.revision;
    let stands = false;
    const announcing = node.members.announce(infoOf("a")).then(() => (stands = true));
    await until(() => world.entry("a") !== undefined, "the entry");
    await world.pass(1_900);
    expect([world.entry("a") !== undefined, stands]).toEqual([true, false]);
    node.link.deliver();
    await announcing;
    expect(node.link.revision).toBeGreaterThan(before);
  });

  test("a watch that stands still holds it up for two seconds and no longer", async () => {
    const world = new MembersWorld();
    const node = world.node("a");
    node.link.slow = true;
    const announcing = node.members.announce(infoOf("a"));
    await until(() => world.entry("a") !== undefined, "the entry");
    await world.pass(2_100);
    await announcing;
    expect(node.state).toBe("announced");
  });

  test("what is said again takes the place of what was said", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    await a!.members.announce({ ...infoOf("a"), rpc: "127.0.0.1:1" });
    await turns();
    expect(b!.members.list()[0]?.rpc).toBe("127.0.0.1:1");
    expect(a!.members.list()[0]?.rpc).toBe("127.0.0.1:1");
  });

  test("with the store away it says so at once, and stands once the store is back", async () => {
    const world = new MembersWorld();
    const node = world.node("a");
    node.link.cut();
    await node.announce();
    expect([node.state, node.cause]).toEqual(["lost", "fake etcd: connection refused"]);
    await world.pass(30_000);
    expect(node.log.messages()).toEqual([
      "this node is not among the nodes of its store; it is tried again",
    ]);
    node.link.heal();
    await world.pass(1_100);
    expect(node.state).toBe("announced");
  });

  test("a claim whose answer was lost is found again as ours", async () => {
    const world = new MembersWorld();
    const node = world.node("a");
    node.link.answersLost = 1;
    await node.announce();
    await world.pass(500);
    expect([node.state, names(node)]).toEqual(["announced", ["a"]]);
  });

  test("an unusable state directory is named", async () => {
    const world = new MembersWorld();
    const directory = world.directory();
    writeFileSync(join(directory, "node.id"), "garbage\n");
    const answer = world.node("a", directory).members.announce(infoOf("a"));
    await expect(answer).rejects.toThrow(/node\.id holds no node id/);
  });
});

describe("one name, two nodes", () => {
  test("the same node started again takes its entry over at once", async () => {
    const world = new MembersWorld();
    const first = world.node("a");
    await first.announce();
    void first.members.report(served(1));
    await turns();
    first.members.close(); // as a kill
    const again = world.node("a", first.directory);
    await again.announce();
    expect(again.state).toBe("announced");
    expect(world.entry("a")?.value).toMatchObject({
      starting: true,
      report: { servedRevision: 0 },
    });
    await world.pass(15_000); // the old lease ends
    expect([again.state, names(again)]).toEqual(["announced", ["a"]]);
    expect(again.log.entries).toHaveLength(1);
  });

  test("started again without the store, it is not listed by what it left behind", async () => {
    const world = new MembersWorld();
    const [first, other] = [world.node("a"), world.node("b")];
    for (const node of [first, other]) await node.announce();
    first.members.close(); // as a kill
    const again = world.node("a", first.directory);
    again.link.cut();
    await again.announce();
    expect([again.state, names(again)]).toEqual(["lost", ["b"]]);
  });

  test("another node finds it taken, names the other, and gets it when the other is gone", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    const other = world.node("a");
    await other.announce();
    expect(other.state).toBe("taken");
    expect(other.cause).toBe(
      'the node at a.internal:7070 is called "a" too, since 2026-09-21T14:13:20.000Z: start one of them with another --node-name',
    );
    expect(names(other)).toEqual(["a"]);
    await world.pass(60_000, 500);
    expect([a!.state, other.state]).toEqual(["announced", "taken"]);
    const { transactions } = other.link;
    expect(transactions).toBeLessThan(10);
    await a!.members.leave();
    await world.pass(200);
    expect(other.state).toBe("announced");
  });

  test("a node that lost its name writes nothing under the other's entry", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    a!.link.cut();
    const lease = world.entry("a")!.kv.lease;
    world.forget(lease);
    world.etcd.expireLease(lease);
    const other = world.node("a");
    await other.announce();
    expect(other.state).toBe("announced");
    // Its watch is still away when it speaks: only the fence is between it and the other's entry.
    a!.link.down = false;
    world.renew(lease, 60);
    void a!.members.report(served(1));
    await world.pass(1_000);
    expect(world.entry("a")?.value.report.servedRevision).toBe(0);
    expect(world.entry("a")?.value.nodeId).toBe(idIn(other));
    expect(a!.state).toBe("taken");
  });

  test("two processes of one state directory do not take the name from each other for ever", async () => {
    const world = new MembersWorld();
    const [first] = await announced(world, "a");
    const second = world.node("a", first!.directory);
    await second.announce();
    await world.pass(500);
    expect([first!.state, second.state]).toEqual(["taken", "announced"]);
    expect(first!.cause).toContain("another process with the same state directory");
    await world.pass(60_000, 500);
    expect([first!.state, second.state]).toEqual(["taken", "announced"]);
  });

  test("what is no entry of a node is never overwritten", async () => {
    const world = new MembersWorld();
    world.etcd.put("/crosspoint/nodes/a", "mine");
    const node = world.node("a");
    await node.announce();
    expect([node.state, node.cause]).toEqual([
      "taken",
      "/crosspoint/nodes/a holds what is no entry of a node: remove it (etcdctl del /crosspoint/nodes/a), or start this node with another --node-name",
    ]);
    expect(world.etcd.kvs.get("/crosspoint/nodes/a")?.text).toBe("mine");
    world.etcd.delete("/crosspoint/nodes/a");
    await world.pass(200);
    expect(node.state).toBe("announced");
  });
});

function idIn(node: WorldNode): string {
  return readFileSync(join(node.directory, "node.id"), "utf8").trim();
}

describe("the lease", () => {
  test("stands for days", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    await world.pass(600_000, 3_000);
    expect(names(a!)).toEqual(["a", "b"]);
    expect(b!.log.entries).toHaveLength(1);
  });

  test("a node that is cut off is gone for the others and for itself within its time, and comes back", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    a!.link.cut();
    await world.pass(9_900);
    expect(a!.state).toBe("announced");
    await world.pass(200);
    expect(a!.state).toBe("lost");
    expect(a!.cause).toMatch(
      /did not renew its lease of 10 s in time: fake etcd: connection refused|connection refused/,
    );
    expect([names(b!), names(a!)]).toEqual([["b"], ["b"]]);
    a!.link.heal();
    await world.pass(1_200);
    expect([a!.state, names(a!), names(b!)]).toEqual(["announced", ["a", "b"], ["a", "b"]]);
  });

  test.for([3_000, 9_000, 10_500, 60_000])(
    "calls that hang for %i ms: it never thinks longer than etcd that it is announced",
    async (hangMs) => {
      const world = new MembersWorld();
      const [a, b] = await announced(world, "a", "b");
      a!.link.hangs = true;
      for (let passed = 0; passed < hangMs; passed += 100) {
        await world.pass(100);
        if (a!.state === "announced") expect(world.entry("a")).toBeDefined();
      }
      a!.link.heal();
      await world.pass(12_000);
      expect([a!.state, names(b!)]).toEqual(["announced", ["a", "b"]]);
    },
  );

  test("a late answer renews from when it was asked for, not from when it came", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    a!.link.renewsLate = true;
    await world.pass(9_900); // asked for after 3.3 s
    a!.link.heal();
    a!.link.hangs = true;
    await turns();
    await world.pass(3_400);
    expect([a!.state, names(b!)]).toEqual(["announced", ["a", "b"]]);
    await world.pass(200);
    expect([a!.state, names(b!)]).toEqual(["lost", ["b"]]);
  });

  test("a process that stood still knows at its first step that it lost its place", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    world.system.stall(10_001);
    expect(a!.state).toBe("lost"); // no timer has fired yet
    expect(a!.members.list()).toEqual([]);
    await expect(a!.members.ask(r(1), 1_000)).rejects.toThrow(/not among the nodes/);
    await world.pass(1_000);
    expect(a!.state).toBe("announced");
  });

  test("a wall clock that jumps ends nothing", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    for (const ms of [86_400_000, -7 * 86_400_000]) {
      world.system.jumpWall(ms);
      await world.pass(5_000);
      expect([a!.state, names(b!)]).toEqual(["announced", ["a", "b"]]);
    }
    expect(a!.log.entries).toHaveLength(1);
  });

  test("a lease that was revoked is noticed in the watch, and the node announced anew", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    const { lease } = world.entry("a")!.kv;
    world.forget(lease);
    world.etcd.expireLease(lease);
    await world.pass(100);
    expect([a!.state, names(b!)]).toEqual(["announced", ["a", "b"]]);
    expect(world.entry("a")?.kv.lease).not.toBe(lease);
  });

  test("a lease that etcd says it renewed although it was revoked is found out without the watch, within its time", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    a!.link.slow = true;
    a!.link.renewsLie = true;
    const { lease } = world.entry("a")!.kv;
    world.forget(lease);
    world.etcd.expireLease(lease);
    await world.pass(4_000);
    expect(world.entry("a")).toBeDefined();
    expect(a!.state).toBe("announced");
  });

  test("an entry that was deleted by hand is announced anew", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    world.etcd.delete("/crosspoint/nodes/a");
    await world.pass(100);
    expect([a!.state, names(a!)]).toEqual(["announced", ["a"]]);
  });

  test("an old delete of the same name, told late, takes nothing away", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    a!.members.observe([], ["/crosspoint/nodes/a"]);
    await world.pass(100);
    expect([a!.state, names(a!)]).toEqual(["announced", ["a"]]);
    expect(a!.log.entries).toHaveLength(1);
  });
});

describe("leaving", () => {
  test("takes the entry away at once", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    await a!.members.leave();
    await turns();
    expect([names(b!), a!.state, names(a!)]).toEqual([["b"], "none", ["b"]]);
    await world.pass(30_000, 500);
    expect(names(b!)).toEqual(["b"]);
    await a!.members.report(served(1));
  });

  test("with the store away it ends all the same, and says what stays", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    a!.link.cut();
    await a!.members.leave();
    expect(a!.log.messages().at(-1)).toBe(
      "the store still lists this node until its lease is over",
    );
    await world.pass(10_100);
    expect(names(b!)).toEqual(["b"]);
  });

  test("with a store that hangs it ends after half a second, and says what stays", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    a!.link.hangs = true;
    let left = false;
    const leaving = a!.members.leave().then(() => (left = true));
    await world.pass(400);
    expect(left).toBe(false);
    await world.pass(200);
    await leaving;
    expect(a!.log.entries.at(-1)).toMatchObject({
      level: "warn",
      message: "the store still lists this node until its lease is over",
      fields: { cause: "it gave no answer within 500 ms" },
    });
    expect(names(b!)).toEqual(["a", "b"]);
    a!.link.heal(); // the answer comes late, and does no harm
    await turns();
    expect(names(b!)).toEqual(["b"]);
    expect(world.system.timerCount).toBe(2); // the lease of b alone
  });

  test("while it is being announced, it leaves nothing behind", async () => {
    const world = new MembersWorld();
    const node = world.node("a");
    node.link.hangs = true;
    const announcing = node.members.announce(infoOf("a"));
    await until(() => node.link.calls > 0, "the claim");
    const left = node.members.leave();
    await turns();
    node.link.heal();
    await Promise.all([announcing, left]);
    await turns();
    expect([world.entry("a"), node.state, world.system.timerCount]).toEqual([undefined, "none", 0]);
  });
});
