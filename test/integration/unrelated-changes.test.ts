// Goal: open connections and requests do not notice changes that do not name them.
// Method: the soak program, small: a real node in a process of its own, every echo checked.

import { expect, test } from "vitest";
import {
  runUnrelatedChanges,
  type UnrelatedChangesFigures,
  unrelatedChangesFailures,
} from "../soak/unrelated-changes.ts";

test("upgraded, TCP and keep-alive connections live through changes of others", async () => {
  const figures = await runUnrelatedChanges({
    warmUpWrites: 50,
    writes: 150,
    connections: 8,
    seed: 7,
  });
  expect(unrelatedChangesFailures(figures)).toEqual([]);
});

const good: UnrelatedChangesFigures = {
  writes: 4,
  changes: 9,
  upgraded: 1,
  tcp: 1,
  cut: [],
  echoes: 5,
  requests: 5,
  failedRequests: [],
  requestMs: [],
  workersSeen: 2,
  residentBytes: [1e8, 1e8, 1e8, 1e8, 1e8],
};

test.for<{ wrong: Partial<UnrelatedChangesFigures>; says: string }>([
  { wrong: { cut: ["a TCP connection"] }, says: "a TCP connection" },
  { wrong: { failedRequests: ["a 503"] }, says: "a 503" },
  { wrong: { workersSeen: 1 }, says: "only one worker had connections" },
  { wrong: { echoes: 1 }, says: "nothing flowed" },
  {
    wrong: { residentBytes: [1e8, 1e8, 2e8] },
    says: "memory grew by 95 MiB",
  },
])("the judge sees $says", ({ wrong, says }) => {
  expect(unrelatedChangesFailures(good)).toEqual([]);
  expect(unrelatedChangesFailures({ ...good, ...wrong })).toEqual([says]);
});
