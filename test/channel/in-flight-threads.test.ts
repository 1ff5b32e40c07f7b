// Goal: a limit holds when threads really claim at the same time. Method: two threads on one row; a counter of its own,
// one atomic word, says how many are inside.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { inFlightMemory } from "../../src/channel/in-flight.ts";
import type { Claimed, Claiming } from "../support/claiming-thread.ts";

test.for([1, 2, 4])("two threads are never inside with more than %i", async (max) => {
  const threads = 2;
  const memory = inFlightMemory(threads, 4);
  const gate = new SharedArrayBuffer(4 * (2 + threads));
  const file = new URL("../support/claiming-thread.ts", import.meta.url);
  const all = await Promise.all(
    Array.from({ length: threads }, async (_, slot) => {
      const workerData: Claiming = { memory, slot, max, grants: 30_000, gate, threads };
      const [claimed] = (await once(new Worker(file, { workerData }), "message")) as [Claimed];
      return claimed;
    }),
  );
  expect(Math.max(...all.map(({ insideMax }) => insideMax))).toBe(max);
  for (const { granted } of all) expect(granted).toBeGreaterThanOrEqual(30_000);
});
