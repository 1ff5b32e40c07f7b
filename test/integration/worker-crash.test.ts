// Goal: a crashed worker costs nobody but those whose connections it held.
// Method: the soak program, small: clients in a process of their own, counters that survive the crash.

import { expect, test } from "vitest";
import {
  runWorkerCrash,
  type WorkerCrashFigures,
  workerCrashFailures,
} from "../soak/worker-crash.ts";

test("new connections wait for the replacement; only what the dead worker held is cut", async () => {
  const figures = await runWorkerCrash(4, 3);
  expect(workerCrashFailures(figures)).toEqual([]);
  expect(figures.keptCut).toBeGreaterThan(0);
});

const fresh = { opened: 5, connected: 5, answered: 5, cut: 0, failures: [], ms: [] };
const good: WorkerCrashFigures = {
  crashes: 1,
  fresh,
  connected: 9,
  accepted: 9,
  keptCut: 2,
  keptAnswers: 50,
  replacedMs: [300],
  pausedMs: [0],
  broken: [],
};

test.for<{ wrong: Partial<WorkerCrashFigures>; says: string }>([
  { wrong: { broken: ["one lingers"] }, says: "one lingers" },
  { wrong: { fresh: { ...fresh, failures: ["refused"] } }, says: "refused" },
  { wrong: { accepted: 8 }, says: "clients connected 9 times, workers accepted 8" },
  { wrong: { fresh: { ...fresh, answered: 0 } }, says: "nothing was shown" },
  { wrong: { replacedMs: [] }, says: "nothing was shown" },
])("the judge sees $says", ({ wrong, says }) => {
  expect(workerCrashFailures(good)).toEqual([]);
  expect(workerCrashFailures({ ...good, ...wrong })).toEqual([says]);
});
