// Goal: the rate of a route is that of its node, however many workers it has and whichever of them dies.
// Method: a whole node of two workers, real sockets.

import { expect, test } from "vitest";
import { answering, okAnswer, RawBackend } from "../support/peer.ts";
import { until } from "../support/until.ts";
import { httpMatch, startWholeNode } from "../support/whole-node.ts";

test("requests over the rate of a route get 429, also after a worker was replaced", async () => {
  const backend = await RawBackend.start(answering(() => okAnswer("fine")));
  const node = await startWholeNode();
  await node.client.call("registerBackend", {
    backend: { service: "web", address: backend.address },
  });
  const rateLimit = { requests: 10, per: { seconds: 3_600, nanos: 0 } };
  await node.client.call("addRoute", {
    route: { match: httpMatch("a.test"), service: "web", rateLimit },
  });
  const statuses: number[] = [];
  const ask = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) statuses.push((await node.get("a.test")).status);
  };
  await ask(6);
  node.node.fleet.crashWorker(0);
  const { fleet } = node.node;
  await until(
    () => fleet.status().every(({ workerId, state }) => workerId !== 1 && state === "serving"),
    "another worker in place of the first",
  );
  await ask(14);
  expect(statuses.filter((status) => status === 200)).toHaveLength(10);
  expect(statuses.slice(10)).toEqual(Array.from({ length: 10 }, () => 429));
  await backend.close();
});
