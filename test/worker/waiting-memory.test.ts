// Goal: a connection that waits holds no more of the worker's memory than docs/LIFE_OF_A_REQUEST.md says, whatever it waits for.
// Method: the soak program with fewer connections; both ends of them in another thread.

import { expect, test } from "vitest";
import { waitingBytes, waitingBytesMax } from "../soak/waiting-memory.ts";

test.for([
  ["idle", 1_000],
  ["reader", 25],
  ["uploader", 25],
] as const)("%s: %i connections", { timeout: 120_000 }, async ([waiting, count]) => {
  const bytes = await waitingBytes(waiting, count);
  expect(bytes).toBeGreaterThan(500);
  expect(bytes).toBeLessThanOrEqual(waitingBytesMax[waiting]);
});
