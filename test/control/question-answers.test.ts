// Goal: who asks hears once this node serves the revision, or why not before it stops waiting; many questions make
// few reports.

import { describe, expect, onTestFinished, test } from "vitest";
import { QuestionAnswers } from "../../src/control/question-answers.ts";
import type { NodeLag } from "../../src/control/serving.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import { FakeMembers } from "../support/fake-members.ts";
import { FakeServing } from "../support/fake-serving.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { turns } from "../support/until.ts";

class Answering {
  readonly system = new FakeSystem();
  readonly serving = new FakeServing();
  readonly members = new FakeMembers("node-1");
  readonly table = new Table();
  readonly log = recordingLog();
  answers!: QuestionAnswers;

  /** The node's table is at revision 15, and served. */
  async start(served = 15): Promise<void> {
    this.table.apply({ revision: parseRevision(15), changes: [] });
    this.serving.servesUpTo = served;
    const { members, serving, system, log, table } = this;
    this.answers = QuestionAnswers.start({ members, serving, system, log, view: { table } });
    onTestFinished(() => this.answers.stop());
    await this.run();
  }

  /** The store's table goes on, and is served up to `served`. */
  async serve(served: number): Promise<void> {
    if (served > this.table.revision) {
      this.table.apply({ revision: parseRevision(served), changes: [] });
    }
    this.serving.serve(served);
    await this.run();
  }

  async run(ms = 0): Promise<void> {
    await turns();
    this.system.advance(ms);
    await turns();
    this.system.advance(0);
  }

  get said(): string[] {
    return this.members.reports.map(({ servedRevision, lag }) =>
      lag === undefined
        ? `${servedRevision}`
        : `${servedRevision} not ${lag.revision}: ${lag.reason}${lag.refused ? " (refused)" : ""}`,
    );
  }
}

describe("answers", () => {
  test("the first report comes by itself: the node has started", async () => {
    const it = new Answering();
    await it.start();
    expect(it.said).toEqual(["15"]);
  });

  test("once the workers serve what was asked for, and no earlier", async () => {
    const it = new Answering();
    await it.start();
    it.members.question("b", 17, 1_000);
    await it.run();
    expect(it.said).toEqual(["15"]);
    await it.serve(17);
    expect(it.said).toEqual(["15", "17"]);
  });

  test("what is served already, at once, and again for who asks again", async () => {
    const it = new Answering();
    await it.start();
    for (let i = 0; i < 2; i++) {
      it.members.question("b", 12, 1_000);
      await it.run();
    }
    expect(it.said).toEqual(["15", "15", "15"]);
  });

  test("17 and 18 are asked by many, 18 is served: one report", async () => {
    const it = new Answering();
    await it.start();
    for (const from of ["b", "c", "d"]) {
      for (const revision of [17, 18]) it.members.question(from, revision, 1_000);
    }
    expect(it.serving.waitedFor).toEqual([15, 17, 18]);
    await it.serve(18);
    expect(it.said).toEqual(["15", "18"]);
  });

  test("an older question does not take back a newer answer", async () => {
    const it = new Answering();
    await it.start();
    await it.serve(18);
    it.members.question("b", 18, 1_000);
    await it.run();
    it.members.question("c", 17, 1_000);
    await it.run();
    expect(it.said).toEqual(["15", "18", "18"]);
  });

  test.for([
    [10_000, 9_750],
    [1_000, 750],
    [100, 75],
  ] as const)("who waits %i ms hears after %i why not", async ([waitMs, toldMs]) => {
    const it = new Answering();
    await it.start();
    it.members.question("b", 17, waitMs);
    await it.run(toldMs - 1);
    expect(it.said).toHaveLength(1);
    await it.run(1);
    expect(it.said).toEqual([
      "15",
      "15 not 17: worker 2 has not acknowledged revision 17 (serves 15)",
    ]);
    expect(it.system.timerCount).toBe(0);
  });

  test("asked again, it waits as long as the last one who asks", async () => {
    const it = new Answering();
    await it.start();
    it.members.question("b", 17, 1_000);
    await it.run(500);
    it.members.question("b", 17, 1_000);
    it.members.question("c", 17, 100);
    await it.run(700);
    expect(it.said).toHaveLength(1);
    await it.run(50);
    expect(it.said).toHaveLength(2);
    expect(it.serving.waitedFor).toEqual([15, 17]);
  });

  test("a refusal is told at once, as one", async () => {
    const it = new Answering();
    await it.start();
    const lag: NodeLag = { node: "node-1", servedRevision: parseRevision(16), reason: "no" };
    it.serving.whenServed = async (revision) => (revision > 16 ? [lag] : []);
    it.members.question("b", 17, 1_000);
    it.members.question("b", 18, 1_000);
    it.members.question("b", 16, 1_000);
    await it.run();
    expect(it.said).toEqual(["15", "16 not 18: no (refused)"]);
    // It is over once something newer serves.
    it.serving.whenServed = async () => [];
    it.members.question("b", 19, 1_000);
    await it.run();
    expect(it.said.at(-1)).not.toContain("not");
  });

  test("what is not served though newer changes are goes with every report, whoever asked for what", async () => {
    const it = new Answering();
    await it.start();
    const unserved = [{ revision: parseRevision(17), reason: "port 3100 is in use" }];
    it.serving.notServed = unserved;
    it.members.question("b", 17, 1_000);
    it.members.question("c", 18, 1_000);
    await it.serve(18);
    it.members.question("d", 18, 1_000);
    await it.run();
    const report = { servedRevision: 18, lag: undefined, unserved };
    expect(it.members.reports.slice(1)).toEqual([report, report]);
    it.serving.notServed = [];
    it.members.question("b", 17, 1_000);
    await it.run();
    expect(it.members.reports.at(-1)).toEqual({ servedRevision: 18, lag: undefined });
  });

  test("a fleet that fails is a reason too", async () => {
    const it = new Answering();
    await it.start();
    it.serving.whenServed = () => Promise.reject(new RouterError("unavailable", "draining"));
    it.members.question("b", 17, 1_000);
    await it.run();
    expect(it.said.at(-1)).toBe("15 not 17: draining (refused)");
  });

  test("a table that moves on during the start holds the first report up for nothing", async () => {
    const it = new Answering();
    await it.start(14);
    expect(it.said).toEqual(["14 not 15: worker 2 has not acknowledged revision 15 (serves 14)"]);
  });

  test("what was served of a store that was put back since is not told again", async () => {
    const it = new Answering();
    await it.start();
    it.table.apply({ revision: parseRevision(16), changes: [] });
    const older = new Table();
    older.apply({ revision: parseRevision(9), changes: [] });
    Object.defineProperty(it.table, "revision", { get: () => older.revision });
    it.members.question("b", 9, 1_000);
    await it.run();
    expect(it.said).toEqual(["15", "9"]);
  });

  test("more questions than it keeps are dropped; who asks again is heard", async () => {
    const it = new Answering();
    await it.start();
    for (let revision = 100; revision < 1_200; revision++) {
      it.members.question("b", revision, 10_000);
    }
    expect(it.serving.waitedFor).toHaveLength(1 + 1_000);
    await it.serve(1_099);
    it.members.question("b", 1_199, 10_000);
    await it.serve(1_199);
    expect(it.said).toEqual(["15", "1099", "1199"]);
  });

  test("what cannot be told is logged", async () => {
    const it = new Answering();
    it.members.report = () => Promise.reject(new RouterError("store-unavailable", "gone"));
    await it.start();
    expect(it.log.entries.map(({ fields }) => fields)).toEqual([{ cause: "gone" }]);
  });

  test("once stopped it says nothing", async () => {
    const it = new Answering();
    await it.start();
    it.members.question("b", 17, 1_000);
    it.answers.stop();
    it.members.question("b", 18, 1_000);
    await it.serve(18);
    await it.run(1_000);
    expect([it.said, it.members.listeners, it.system.timerCount]).toEqual([["15"], 0, 0]);
  });
});
