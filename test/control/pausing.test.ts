// Goal: whoever pauses a service hears that nothing is in flight, or what is, or which node has not said.
// Method: the call itself, on a table that takes every write and nodes that tell what the test says.

import { expect, test } from "vitest";
import type { Patience } from "../../src/control/deadline.ts";
import type { StillOpen } from "../../src/control/open-everywhere.ts";
import { pauseService } from "../../src/control/pausing.ts";
import type { NodeLag } from "../../src/control/serving.ts";
import { parseRevision, revisionZero } from "../../src/model/revision.ts";

const late = new AbortController();
late.abort();
const revision = parseRevision(7);

function pausedWith(open: StillOpen, lagging: readonly NodeLag[]) {
  const patience: Patience = {
    signal: late.signal,
    remainingMs: () => 0,
    check: () => {},
    during: (work) => work,
  };
  const parts = {
    writer: { write: async () => ({ revision, results: [], lagging }) },
    open: { at: () => open, subscribe: () => () => {} },
  };
  return pauseService(parts, { service: "web", queue: 0, queueTime: undefined }, patience);
}

test("a node that has not told what is open there is named, once", async () => {
  const lag = { node: "b", servedRevision: parseRevision(3), reason: "slow" };
  const open = { inFlight: 2, untold: ["b", "c"] };
  expect(await pausedWith(open, [lag])).toEqual({
    revision: 7n,
    inFlight: 2,
    lagging: [
      { ...lag, servedRevision: 3n },
      { node: "c", servedRevision: BigInt(revisionZero), reason: "has not told what is open" },
    ],
  });
});

test("when all have told, nobody is named", async () => {
  const answer = await pausedWith({ inFlight: 0, untold: [] }, []);
  expect(answer).toEqual({ revision: 7n, inFlight: 0, lagging: [] });
});
