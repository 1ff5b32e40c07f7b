// Goal: kill -9 of a node loses nothing that was acknowledged and leaves nothing half done.
// Method: the soak program, small. What its ledger would find is shown in test/soak/write-ledger.test.ts.

import { expect, test } from "vitest";
import { type NodeKillFigures, nodeKillFailures, runNodeKill } from "../soak/node-kill.ts";

test("a killed node comes back with every acknowledged write, whole, and served", async () => {
  const seed = Number(process.env["SEED"] ?? 11);
  const figures = await runNodeKill(2, seed);
  expect(nodeKillFailures(figures), `SEED=${seed}`).toEqual([]);
});

const good: NodeKillFigures = {
  rounds: 1,
  killedWhileStarting: 0,
  acknowledged: 3,
  unanswered: 1,
  unansweredStored: 0,
  applied: 1,
  repeated: 1,
  asked: 3,
  routes: 3,
  revision: 3,
  broken: [],
};

test.for<{ wrong: Partial<NodeKillFigures>; says: string }>([
  { wrong: { broken: ["revision 2 is lost"] }, says: "revision 2 is lost" },
  { wrong: { acknowledged: 0 }, says: "nothing was written or repeated" },
  { wrong: { repeated: 0 }, says: "nothing was written or repeated" },
])("the judge sees $wrong", ({ wrong, says }) => {
  expect(nodeKillFailures(good)).toEqual([]);
  expect(nodeKillFailures({ ...good, ...wrong })).toEqual([says]);
});
