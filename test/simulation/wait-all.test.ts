// Goal: whatever nodes do (come, go, stall, lose the store, stand still, see things late), an answer of WAIT_ALL that
// names nobody is true: every node that is listed then, and every live one that came before the write, serves it.
// Method: nodes with real EtcdMembers, Cluster and QuestionAnswers over an etcd in memory and a clock of the test;
// 250 random steps each, then quiet, in which every call must end. A failure prints its seed; SEED=n runs that one.

import { expect, test } from "vitest";
import { Cluster } from "../../src/control/cluster.ts";
import { QuestionAnswers } from "../../src/control/question-answers.ts";
import { nodeSeenMsMax } from "../../src/limits.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { infoOf } from "../support/fake-members.ts";
import { FakeServing } from "../support/fake-serving.ts";
import { MembersWorld, type WorldNode } from "../support/members-world.ts";
import { recordingLog } from "../support/recording-log.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { turns, until } from "../support/until.ts";

const steps = 250;
const only = process.env["SEED"];
const seeds = only === undefined ? Array.from({ length: 40 }, (_, n) => n + 1) : [Number(only)];
const guard = "/crosspoint/table";

/** A node with workers that serve what they are told, some time after the node saw it. */
class SimNode {
  readonly node: WorldNode;
  readonly serving: FakeServing;
  readonly cluster: Cluster;
  answers: QuestionAnswers | undefined;
  /** The newest revision of the table that the node has seen. */
  tableRevision = 0;
  stalled = false;
  dead = false;

  constructor(world: MembersWorld, name: string, directory?: string) {
    this.node = world.node(name, directory);
    this.serving = new FakeServing();
    Object.defineProperty(this.serving, "nodeName", { value: name });
    this.serving.servesUpTo = 0;
    const { system } = world;
    const store = { members: this.node.members, condition: { kind: "current" } as const };
    this.cluster = new Cluster({ store, serving: this.serving, system });
    this.tableRevision = this.node.link.tableRevision;
    // As the store: the table's log first, the members after it.
    this.node.link.onBatch = () => void (this.tableRevision = this.node.link.tableRevision);
  }

  get served(): number {
    return this.serving.servesUpTo ?? 0;
  }

  serveNow(): void {
    if (!this.stalled && this.served < this.tableRevision) this.serving.serve(this.tableRevision);
  }

  /** As main does: announced, then workers on a table that holds all before it, then answers. */
  async start(world: MembersWorld, onCurrent: (node: SimNode) => void): Promise<void> {
    await this.node.members.announce(infoOf(this.node.name));
    if (this.dead) return;
    this.serving.serve(this.tableRevision);
    // Unless its watch stood still, or the store was away: then it starts with what it has.
    const isCurrent = world.system.monotonicMs() - this.node.link.transactedMs < nodeSeenMsMax;
    if (isCurrent && this.node.state === "announced") {
      onCurrent(this);
    }
    const { serving } = this;
    this.answers = QuestionAnswers.start({
      members: this.node.members,
      serving,
      view: { table: { revision: parseRevision(this.tableRevision) } as never },
      system: world.system,
      log: recordingLog(),
    });
  }

  end(): void {
    this.dead = true;
    this.answers?.stop();
    this.node.link.cut();
    this.node.members.close();
  }
}

class Sim {
  readonly world: MembersWorld;
  readonly random: SeededRandom;
  nodes: SimNode[] = [];
  open = 0;
  /** What was claimed or begun and was not so. */
  readonly failures: string[] = [];
  confirmed = 0;
  #confirmedMax = 0;
  refused = 0;
  #names = 0;

  constructor(seed: number) {
    this.world = new MembersWorld(seed);
    this.random = new SeededRandom(seed);
  }

  get live(): SimNode[] {
    return this.nodes.filter(({ dead }) => !dead);
  }

  /** `isLate`: its watch is behind from the beginning, and etcd slow to answer it. */
  async join(isLate: boolean, directory?: string, name = `n${++this.#names}`): Promise<void> {
    const node = new SimNode(this.world, name, directory);
    this.nodes.push(node);
    node.node.link.slow = isLate;
    node.node.link.hangs = isLate;
    void node.start(this.world, (one) => this.#check(one, this.#confirmedMax, "starts after"));
    // The rest takes its own time; that of the disk has nothing to do with the clock here.
    await until(() => node.node.link.calls > 0, "the node id");
  }

  /** A commit of a node that sees the store, and its wait for all. */
  commit(): void {
    const able = this.live.filter(({ node, answers }) => !node.link.down && answers !== undefined);
    if (able.length === 0) return;
    const node = this.random.one(able);
    const { system, etcd } = this.world;
    const waitMs = this.random.one([200, 1_000, 5_000, 12_000]);
    const untilMs = system.monotonicMs() + waitMs;
    const over = new AbortController();
    system.after(waitMs, () => over.abort());
    const patience = {
      signal: over.signal,
      remainingMs: () => Math.max(0, untilMs - system.monotonicMs()),
    };
    const end = node.cluster.expect(patience);
    const ask = node.cluster.ask();
    const value = JSON.stringify({ write: "w", ...(ask && { ask }) });
    const before = this.live.filter((one) => listed(this.world, one));
    const revision = etcd.putAll({
      [guard]: "marker",
      ...(ask && { [`/crosspoint/writes/${node.node.name}`]: value }),
    });
    this.open++;
    void node.cluster
      .whenServedByAll(parseRevision(revision), patience, ask !== undefined)
      .then((lags) => this.#answered(node, revision, before, lags.length));
    end();
  }

  #answered(asker: SimNode, revision: number, before: readonly SimNode[], lags: number): void {
    this.open--;
    if (lags > 0) {
      this.refused++;
      return;
    }
    this.confirmed++;
    this.#confirmedMax = Math.max(this.#confirmedMax, revision);
    const byName = new Map(this.live.map((one) => [one.node.name, one]));
    for (const { name } of asker.node.members.list()) {
      const node = byName.get(name);
      // One that is dead, or has just begun again, serves nobody, although its lease is not over.
      if (node?.answers !== undefined) this.#check(node, revision, "is listed by who confirms");
    }
    for (const node of before) {
      if (!node.dead && listed(this.world, node)) this.#check(node, revision, "came before");
    }
  }

  #check({ node, served }: SimNode, revision: number, what: string): void {
    if (served >= revision) return;
    this.failures.push(`${node.name} serves ${served} and ${what} ${revision}`);
  }

  async step(): Promise<void> {
    const { random, world } = this;
    for (const one of this.live) if (random.chance(0.6)) one.serveNow();
    if (random.chance(0.5)) this.commit();
    if (random.chance(0.1)) await this.#fault(random.one(this.live));
    // What is wrong with a link is over sooner or later.
    for (const { node } of this.live) {
      if (random.chance(0.3)) node.link.deliver(random.below(3));
      if (random.chance(0.2)) node.link.heal();
      if (!random.chance(0.1)) continue;
      node.link.slow = false;
      node.link.deliver();
    }
    await world.pass(random.one([1, 1, 10, 100, 1_500]), 500);
  }

  async #fault(node: SimNode): Promise<void> {
    const { random, world } = this;
    const { link } = node.node;
    switch (random.below(9)) {
      case 0:
        // In its own time: others go on while it starts.
        if (this.live.length < 5) await this.join(random.chance(0.5));
        return;
      case 1:
        if (this.live.length > 2) node.end();
        return;
      case 2:
        node.end();
        return await this.join(random.chance(0.5), node.node.directory, node.node.name);
      case 3:
        node.stalled = !node.stalled;
        return;
      case 4:
        return link.cut();
      case 5:
        link.hangs = true;
        return;
      case 6:
        link.slow = true;
        return;
      case 7:
        link.answersLost = 1;
        return;
      default:
        world.system.jumpWall(random.below(1e9) - 5e8);
        return world.system.stall(random.one([0, 0, 3_000, 12_000]));
    }
  }

  /** Everything works again: nothing may stay open, and all agree. */
  async quiet(): Promise<void> {
    for (let round = 0; round < 40; round++) {
      for (const one of this.live) {
        one.stalled = false;
        one.node.link.slow = false;
        one.node.link.deliver();
        one.node.link.heal();
        one.serveNow();
      }
      await this.world.pass(1_000, 500);
    }
  }
}

function listed(world: MembersWorld, { node, answers }: SimNode): boolean {
  return (
    answers !== undefined && node.state === "announced" && world.entry(node.name) !== undefined
  );
}

test.for(seeds)("WAIT_ALL claims nothing that is not so, seed %i", async (seed) => {
  const sim = new Sim(seed);
  for (let i = 0; i < 3; i++) await sim.join(false);
  await until(() => sim.nodes.every(({ answers }) => answers !== undefined), "three nodes");
  for (let step = 0; step < steps; step++) await sim.step();
  await sim.quiet();
  expect(sim.open).toBe(0);
  expect(sim.failures).toEqual([]);
  const names = sim.live.map(({ node }) => node.name).toSorted();
  for (const { node } of sim.live) {
    expect(`${node.name} ${node.state} ${node.cause}`).toBe(`${node.name} announced `);
    expect(node.members.list().map(({ name }) => name)).toEqual(names);
  }
  // With nothing in the way a commit is confirmed.
  const { confirmed } = sim;
  sim.commit();
  await turns();
  await until(() => {
    for (const one of sim.live) one.serveNow();
    sim.world.system.advance(0);
    return sim.open === 0;
  }, "the last commit");
  expect(sim.confirmed).toBe(confirmed + 1);
  sim.live.forEach((one) => one.end());
});
