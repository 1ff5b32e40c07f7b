// Goal: what the workers measured of a backend is added up, and what one of them leaves out is told as left out.

import { expect, test } from "vitest";
import { sumMeasures } from "../../src/control/measures.ts";
import { latencyBuckets } from "../../src/model/latency-buckets.ts";

const plain = {
  service: "web",
  address: "10.0.0.1:80",
  inFlight: 1,
  total: 10,
  failures: 2,
  lastFailure: "",
};

function latencies(count: number): Uint32Array {
  return new Uint32Array(latencyBuckets).fill(count, 7, 8);
}

test("figures are added, of ejections the longest is told", () => {
  const first = {
    ...plain,
    connectionsOpen: 3,
    ejections: 1,
    ejection: { forMs: 500, reason: "HTTP 500" },
    latencies: latencies(4),
  };
  const second = {
    ...plain,
    lastFailure: "timeout",
    connectionsOpen: 2,
    ejection: { forMs: 900, reason: "timeout" },
    latencies: latencies(5),
  };
  expect(sumMeasures([[first], [second], [plain]])).toEqual([
    {
      ...plain,
      inFlight: 3,
      total: 30,
      failures: 6,
      lastFailure: "timeout",
      connectionsOpen: 5,
      ejections: 1,
      ejection: { forMs: 900, reason: "timeout" },
      latencies: latencies(9),
    },
  ]);
});

test("what nobody has is not there", () => {
  expect(sumMeasures([[plain], [plain]])).toEqual([
    { ...plain, inFlight: 2, total: 20, failures: 4 },
  ]);
});
