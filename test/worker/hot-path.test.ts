// Goal: in the steady state a request allocates nothing, and heads that come again are not read again.
// Method: the loop of bench/hot-path.ts in a thread of its own, whose heap nobody else uses.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import type { RequestKind } from "../../bench/support/hot-loop.ts";

/** What a few strings per second and per turn of the event loop come to. */
const bytesPerRequestMax = 16;
const requests = 200_000;

test.for<RequestKind>(["small", "small-tried", "browser", "small-new"])(
  "a request allocates nothing: %s",
  { timeout: 60_000 },
  async (kind) => {
    const url = new URL("../support/hot-loop-thread.ts", import.meta.url);
    const thread = new Worker(url, { workerData: { kind, requests } });
    const [{ bytes, made }] = (await once(thread, "message")) as [{ bytes: number; made: number }];
    expect(made).toBeGreaterThanOrEqual(requests);
    expect(bytes / made).toBeLessThan(bytesPerRequestMax);
  },
);
