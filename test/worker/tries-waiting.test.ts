// Goal: to wait for room in a service counts into the time for the whole request, and into no try; a try that is over
// gives its place to whoever waits.
// Method: real sockets; the backends answer when the test says so.

import { expect, test } from "vitest";
import { get, limited, nextRequest, waiting } from "../support/limited-service.ts";
import { okAnswer } from "../support/peer.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";

const limits = { requests: 1, queue: 10, queueMs: 10_000 };

test("who waits for longer than the whole request may take gets 504, and no backend is to blame", async () => {
  const served = await limited(limits, { route: { timeoutMs: 300 } });
  const [first, second] = [await served.client(), await served.client()];
  first.send(get(1));
  const { peer } = await nextRequest(served);
  second.send(get(2));
  await waiting(served, 1);
  peer.send(okAnswer("1").slice(0, -1));
  const late = await second.takeAnswer();
  expect([statusOf(late), valuesOf(late, "x-crosspoint-reason")]).toEqual([504, ["request-time"]]);
  await served.worker.reaches("waiting", 0);
  expect((await served.worker.measures()).map(({ failures }) => failures)).toEqual([0]);
});

test("the time for a try begins when the wait is over", async () => {
  const served = await limited(limits, { route: { retry: { perTryMs: 250, tries: 1 } } });
  const [first, second] = [await served.client(), await served.client()];
  first.send(get(1));
  const one = await nextRequest(served);
  one.peer.send(okAnswer("1").slice(0, -1));
  second.send(get(2));
  await waiting(served, 1);
  const began = performance.now();
  // A try would be over by now.
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(served.worker.counter("tryTimeouts")).toBe(0);
  one.peer.send("1");
  const two = await nextRequest(served);
  two.peer.send(okAnswer("2"));
  expect((await second.takeAnswer()).body).toBe("2");
  expect(performance.now() - began).toBeGreaterThan(390);
  expect(served.worker.counter("tryTimeouts")).toBe(0);
});

test("a second backend is not asked while it has no room", async () => {
  const served = await limited(
    { requestsPerBackend: 1, queue: 10, queueMs: 10_000 },
    { scripts: [undefined, undefined], route: { retry: { hedgeMs: 100 } } },
  );
  const [first, second] = [await served.client(), await served.client()];
  first.send(get(1));
  const one = await nextRequest(served);
  second.send(get(2));
  const two = await nextRequest(served, [one.peer]);
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(served.worker.counter("hedges")).toBe(0);
  one.peer.send(okAnswer("1"));
  two.peer.send(okAnswer("2"));
  expect((await first.takeAnswer()).body).toBe("1");
  expect((await second.takeAnswer()).body).toBe("2");
});

test("a try whose time is over gives its place away, and is made again in it", async () => {
  const served = await limited(limits, {
    scripts: [undefined, undefined],
    route: { retry: { perTryMs: 100, tries: 3 } },
  });
  const client = await served.client();
  client.send(get(1));
  const one = await nextRequest(served);
  const two = await nextRequest(served, [one.peer]);
  expect(two.path).toBe("/1");
  two.peer.send(okAnswer("1"));
  expect(statusOf(await client.takeAnswer())).toBe(200);
  client.send(get(2));
  (await nextRequest(served, [one.peer])).peer.send(okAnswer("2"));
  expect((await client.takeAnswer()).body).toBe("2");
});
