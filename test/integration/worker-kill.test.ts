// Goal: a worker that dies costs nobody but those whose connections it held, and the process nothing.
// Method: the soak program, small: node and clients in processes of their own, counters that survive the worker.

import { expect, test } from "vitest";
import { runWorkerKill, type WorkerKillFigures, workerKillFailures } from "../soak/worker-kill.ts";

test("new connections wait for the replacement; only what the dead worker held is cut, and nothing of it stays", async () => {
  const figures = await runWorkerKill(4, { seed: 3 });
  expect(workerKillFailures(figures)).toEqual([]);
  expect(figures.keptCut).toBeGreaterThan(0);
}, 60_000);

const fresh = { opened: 5, connected: 5, answered: 5, cut: 0, failures: [], ms: [] };
const good: WorkerKillFigures = {
  io: "net",
  kills: 1,
  fresh,
  connected: 9,
  accepted: 8,
  uncounted: 1,
  keptCut: 2,
  keptAnswers: 50,
  replacedMs: [300],
  pausedMs: [0],
  broken: [],
  descriptors: [40, 40],
  mappings: [6, 6],
  descriptorsLeft: 4,
  sessions: 0,
};

test.for<{ wrong: Partial<WorkerKillFigures>; says: string }>([
  { wrong: { broken: ["one lingers"] }, says: "one lingers" },
  { wrong: { fresh: { ...fresh, failures: ["refused"] } }, says: "refused" },
  { wrong: { accepted: 7 }, says: "clients connected 9 times, workers accepted 7" },
  { wrong: { fresh: { ...fresh, answered: 0 } }, says: "nothing was shown" },
  { wrong: { replacedMs: [] }, says: "nothing was shown" },
  { wrong: { descriptors: [40, 41] }, says: "40 descriptors became 41" },
  { wrong: { mappings: [6, 8] }, says: "6 mappings became 8" },
  { wrong: { sessions: 3 }, says: "3 sessions are left" },
])("the judge sees $says", ({ wrong, says }) => {
  expect(workerKillFailures(good)).toEqual([]);
  expect(workerKillFailures({ ...good, ...wrong })).toEqual([says]);
});
