// Goal: a route is served by every worker when AddRoute returns, and by none when RemoveRoute returns.
// Method: the soak program, small: a real node in a process of its own, fresh connections.

import { expect, test } from "vitest";
import {
  runServedAtOnce,
  type ServedAtOnceFigures,
  servedAtOnceFailures,
} from "../soak/served-at-once.ts";

test("a route is served when AddRoute returns, and gone when RemoveRoute returns", async () => {
  const figures = await runServedAtOnce(100, 2);
  expect(servedAtOnceFailures(figures), figures.complaints.join("\n")).toEqual([]);
  expect(figures.tcpRounds).toBe(5);
});

const good: ServedAtOnceFigures = {
  rounds: 1,
  tcpRounds: 0,
  misses: 0,
  stale: 0,
  lagging: 0,
  perWorker: [3, 4],
  addMs: [],
  removeMs: [],
  complaints: [],
};

test.for([
  { wrong: { misses: 1 }, says: "1 misses" },
  { wrong: { stale: 2 }, says: "2 stale" },
  { wrong: { lagging: 1 }, says: "1 lagging" },
  { wrong: { perWorker: [7, 0] }, says: "connections per worker: 7 / 0" },
])("the judge sees $says", ({ wrong, says }) => {
  expect(servedAtOnceFailures(good)).toEqual([]);
  expect(servedAtOnceFailures({ ...good, ...wrong })).toEqual([says]);
});
