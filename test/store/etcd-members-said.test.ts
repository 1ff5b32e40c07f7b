// Goal: what nodes report and ask arrives at the others, in few writes; what strangers write is passed over.
// Method: nodes over an etcd in memory, with a clock under the test's hand.

import { describe, expect, test } from "vitest";
import { parseRevision } from "../../src/model/revision.ts";
import type { Question } from "../../src/store/members.ts";
import { infoOf } from "../support/fake-members.ts";
import { MembersWorld, type WorldNode } from "../support/members-world.ts";
import { turns } from "../support/until.ts";

const r = parseRevision;
const served = (revision: number) => ({ servedRevision: r(revision), lag: undefined });
const names = (node: WorldNode): string[] => node.members.list().map(({ name }) => name);

async function announced(world: MembersWorld, ...all: string[]): Promise<WorldNode[]> {
  const nodes = all.map((name) => world.node(name));
  for (const node of nodes) await node.announce();
  return nodes;
}

describe("reports", () => {
  test("nothing is written when nobody asks", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    const { transactions } = a!.link;
    for (let i = 0; i < 50; i++) world.etcd.put(`/crosspoint/routes/r${i}`, "{}");
    await world.pass(60_000, 1_000);
    expect(a!.link.transactions).toBe(transactions);
  });

  test("the first one ends the start; each arrives at the others", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    const revision = world.etcd.revision;
    const lag = { revision: r(revision + 1), reason: "worker 1 refused it", refused: true };
    await a!.members.report({ servedRevision: r(revision), lag });
    await turns();
    expect(b!.members.list()[0]).toMatchObject({ starting: false, servedRevision: revision, lag });
    const { reportId } = b!.members.list()[0]!;
    await a!.members.report(served(revision));
    await turns();
    expect(b!.members.list()[0]).toMatchObject({ lag: undefined, servedRevision: revision });
    expect(b!.members.list()[0]?.reportId).not.toBe(reportId);
  });

  test("with what is not served although newer changes are", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    const servedRevision = r(world.etcd.revision);
    const unserved = [{ revision: servedRevision, reason: "port 3100 is in use" }];
    await a!.members.report({ servedRevision, lag: undefined, unserved });
    await turns();
    expect(b!.members.list()[0]).toMatchObject({ servedRevision, unserved });
    await a!.members.report({ servedRevision, lag: undefined });
    await turns();
    expect(b!.members.list()[0]).not.toHaveProperty("unserved");
  });

  test("the newest takes the place of those that wait: one on its way, one after it", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    const { transactions } = a!.link;
    const written = [1, 2, 3, 4, 5].map((revision) => a!.members.report(served(revision)));
    await Promise.all(written);
    expect(a!.link.transactions - transactions).toBe(2);
    expect(world.entry("a")?.value.report.servedRevision).toBe(5);
  });

  test("one whose answer was lost is written again, and what follows too", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    a!.link.answersLost = 2;
    const written = a!.members.report(served(1));
    await world.pass(1_000);
    await written;
    await a!.members.report(served(2));
    expect(world.entry("a")?.value.report.servedRevision).toBe(2);
    expect(a!.state).toBe("announced");
  });

  test("one that could not be written is in the next announcement", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    a!.link.cut();
    const written = a!.members.report(served(2));
    await world.pass(11_000);
    expect(names(b!)).toEqual(["b"]);
    a!.link.heal();
    await world.pass(1_200);
    await written;
    expect(b!.members.list()[0]).toMatchObject({ name: "a", servedRevision: 2, starting: false });
  });

  test("one of a revision that the store has not come to means nothing: it was put back since", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    await a!.members.report(served(1_000_000));
    await turns();
    expect(b!.members.list()[0]).toMatchObject({ name: "a", servedRevision: 0 });
  });
});

describe("questions", () => {
  const heardBy = (node: WorldNode): Question[] => {
    const heard: Question[] = [];
    node.members.onQuestion((question) => heard.push(question));
    return heard;
  };

  test("come with writes: of the write itself, or of the revision that they name", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    const heard = heardBy(a!);
    const revision = world.etcd.put("/crosspoint/writes/b", '{"write":"1","ask":{"waitMs":900}}');
    world.etcd.put("/crosspoint/writes/b", '{"write":"2"}');
    world.etcd.put("/crosspoint/writes/c", '{"write":"3","ask":{"revision":2,"waitMs":10}}');
    world.etcd.put("/crosspoint/writes/a", '{"write":"4","ask":{"waitMs":900}}');
    await turns();
    expect(heard).toEqual([
      { from: "b", revision, waitMs: 900 },
      { from: "c", revision: 2, waitMs: 10 },
    ]);
  });

  test("without a write go with the node's entry, are heard once, and take reports along", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    const heard = heardBy(a!);
    const own = heardBy(b!);
    await b!.members.ask(r(2), 500);
    await b!.members.report(served(2));
    await b!.members.ask(r(3), 500);
    await turns();
    expect(heard).toEqual([
      { from: "b", revision: 2, waitMs: 500 },
      { from: "b", revision: 3, waitMs: 500 },
    ]);
    expect(own).toEqual([]);
    await world.pass(600);
    await b!.members.report(served(3));
    expect(world.entry("b")?.value.ask).toBeUndefined();
  });

  test("many at once make two writes, for the newest revision and the longest wait", async () => {
    const world = new MembersWorld();
    const [a, b] = await announced(world, "a", "b");
    const heard = heardBy(a!);
    const { transactions } = b!.link;
    await Promise.all([
      b!.members.ask(r(5), 100),
      b!.members.ask(r(2), 900),
      b!.members.ask(r(3), 50),
    ]);
    await turns();
    expect(b!.link.transactions - transactions).toBe(2);
    expect(heard.at(-1)).toEqual({ from: "b", revision: 5, waitMs: 900 });
  });

  test("for what cannot be known yet are passed over: who waited for it would be in the way of others", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    const heard: Question[] = [];
    a!.members.onQuestion((question) => heard.push(question));
    const next = world.etcd.revision + 2;
    world.etcd.put("/crosspoint/writes/b", `{"ask":{"revision":${next},"waitMs":3600000}}`);
    await turns();
    expect(heard).toEqual([]);
    world.etcd.put("/crosspoint/writes/b", `{"ask":{"revision":${next},"waitMs":3600000}}`);
    await turns();
    expect(heard).toEqual([{ from: "b", revision: next, waitMs: 3_600_000 }]);
  });

  test("that nobody heard wait for a listener, until who asked waits no more", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    world.etcd.put("/crosspoint/writes/b", '{"ask":{"revision":2,"waitMs":900}}');
    world.etcd.put("/crosspoint/writes/c", '{"ask":{"revision":3,"waitMs":100}}');
    await turns();
    await world.pass(200);
    expect(heardBy(a!)).toEqual([{ from: "b", revision: 2, waitMs: 700 }]);
    expect(heardBy(a!)).toEqual([]);
  });

  test("of a node that is not announced are refused", async () => {
    const world = new MembersWorld();
    const node = world.node("a");
    await expect(node.members.ask(r(1), 100)).rejects.toMatchObject({
      code: "store-unavailable",
      details: { reason: "NOT_ANNOUNCED" },
    });
  });
});

describe("what strangers write", () => {
  const good = {
    nodeId: "0".repeat(32),
    run: "x",
    starting: false,
    info: infoOf("z"),
    report: { servedRevision: 1 },
    reports: 1,
  };

  test.for([
    ["no JSON", "{", "it is not JSON"],
    ["no text", undefined, "it is no text, or too long"],
    ["null", "null", "it is not an object"],
    ["a list", "[]", "it is not an object"],
    ["nothing", "{}", "info is not an object"],
    ["another name", { ...good, info: infoOf("y") }, 'it is the entry of "y"'],
    [
      "a revision that is a text",
      { ...good, report: { servedRevision: "1" } },
      "report.servedRevision is not a whole number",
    ],
    [
      "a negative revision",
      { ...good, report: { servedRevision: -1 } },
      "report.servedRevision is not a whole number",
    ],
    [
      "a lag without a reason",
      { ...good, report: { servedRevision: 1, lag: { revision: 2, refused: true } } },
      "report.lag.reason is not a text",
    ],
    [
      "addresses that are numbers",
      { ...good, info: { ...infoOf("z"), http: [1] } },
      "info.http is not a list of texts",
    ],
    [
      "a question without a time",
      { ...good, ask: { revision: 1, number: 1 } },
      "ask.waitMs is not a whole number",
    ],
  ] as const)("%s is passed over and told once", async ([, value, reason]) => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    const text = typeof value === "object" ? JSON.stringify(value) : value;
    for (let i = 0; i < 3; i++) world.etcd.put("/crosspoint/nodes/z", text, "77");
    await turns();
    expect(names(a!)).toEqual(["a"]);
    const told = a!.log.entries.filter(({ level }) => level === "warn");
    expect(told.map(({ fields }) => fields)).toEqual([{ key: "/crosspoint/nodes/z", reason }]);
    world.etcd.put("/crosspoint/nodes/z", JSON.stringify({ ...good, later: true }), "77");
    await turns();
    expect(names(a!)).toEqual(["a", "z"]);
    world.etcd.put("/crosspoint/nodes/z", text, "77");
    await turns();
    expect(names(a!)).toEqual(["a"]);
  });

  test("an entry without a lease would stay for ever, so it is no node", async () => {
    const world = new MembersWorld();
    const [a] = await announced(world, "a");
    world.etcd.put("/crosspoint/nodes/z", JSON.stringify(good));
    world.etcd.put("/crosspoint/writes/z", "poison");
    await turns();
    expect(names(a!)).toEqual(["a"]);
    expect(a!.log.entries.filter(({ level }) => level === "warn")).toHaveLength(2);
  });
});
