// Goal: whoever pauses a service hears that nothing is in flight, or what is, or which node has not said.
// Method: the call itself, on a table that takes every write and nodes that tell what the test says.

import { expect, test } from "vitest";
import type { Patience } from "../../src/control/deadline.ts";
import type { StillOpen } from "../../src/control/open-everywhere.ts";
import { pauseService } from "../../src/control/pausing.ts";
import type { NodeLag } from "../../src/control/serving.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision, revisionZero } from "../../src/model/revision.ts";
import type { Service } from "../../src/model/service.ts";
import { Table } from "../../src/model/table.ts";

const late = new AbortController();
late.abort();
const revision = parseRevision(7);

const name = parseServiceName("web");
const pause = { queue: 1_000, queueMs: 30_000, sinceMs: 0 };
const paused: Service = { name, policy: undefined, options: { pause } };

function pausedWith(open: StillOpen, lagging: readonly NodeLag[], settings = paused) {
  const table = Table.of({ revision, routes: [], services: [settings], backends: [] });
  const patience: Patience = {
    signal: late.signal,
    remainingMs: () => 0,
    check: () => {},
    during: (work) => work,
  };
  const parts = {
    writer: { write: async () => ({ revision, results: [], lagging }) },
    open: { at: () => open, subscribe: () => () => {} },
    source: { table, subscribe: () => () => {} },
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

test("a service that another call has resumed meanwhile is not quiet", async () => {
  const answer = pausedWith({ inFlight: 0, untold: [] }, [], { name, policy: undefined });
  await expect(answer).rejects.toMatchObject({ code: "failed-precondition" });
});

test("when all have told, nobody is named", async () => {
  const answer = await pausedWith({ inFlight: 0, untold: [] }, []);
  expect(answer).toEqual({ revision: 7n, inFlight: 0, lagging: [] });
});
