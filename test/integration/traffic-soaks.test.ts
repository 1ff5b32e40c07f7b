// Goal: WebSockets outlive changes, dying backends cost no POST a second execution, slow and stalled clients cost
// others nothing and the node little.
// Method: the soak programs, small; and their judges, each shown what it must not overlook.

import { describe, expect, test } from "vitest";
import {
  type BackendChurnFigures,
  backendChurnFailures,
  runBackendChurn,
} from "../soak/backend-churn.ts";
import {
  runSlowClients,
  type SlowClientsFigures,
  slowClientsFailures,
} from "../soak/slow-clients.ts";
import {
  runStalledReaders,
  type StalledReadersFigures,
  stalledReadersFailures,
} from "../soak/stalled-readers.ts";
import { runWsEcho, type WsEchoFigures, wsEchoFailures } from "../soak/ws-echo.ts";

describe("in small", () => {
  test("WebSockets echo while routes change", async () => {
    const figures = await runWsEcho({ connections: 20, seconds: 1, seed: 3 });
    expect(wsEchoFailures(figures)).toEqual([]);
    expect(figures.connections).toBe(20);
  });

  test("backends die and come back: no GET fails, no POST is executed twice or answered unexecuted", async () => {
    const figures = await runBackendChurn(12, 3);
    expect(backendChurnFailures(figures)).toEqual([]);
    expect(figures.retries).toBeGreaterThan(0);
  });

  test("good clients do not notice slow ones", async () => {
    const figures = await runSlowClients(2, 20);
    // How fast, a machine that runs other tests beside cannot tell.
    expect(figures.failures).toEqual([]);
    expect(figures.slow).toBe(60);
    expect(figures.besideMs.length).toBeGreaterThan(20);
  });

  test("stalled readers cost what is bounded", async () => {
    // Few: here the kernel's buffers have their full size.
    const figures = await runStalledReaders(20, 1);
    expect(stalledReadersFailures(figures)).toEqual([]);
    expect(figures.readers).toBe(20);
  });
});

const ws: WsEchoFigures = {
  connections: 1,
  cut: [],
  echoesMin: 1,
  echoes: 2,
  writes: 1,
  ownWrites: 1,
  renewed: 1,
};

test.for<[Partial<WsEchoFigures>, string]>([
  [{ cut: ["closed with 1006"] }, "closed with 1006"],
  [{ echoesMin: 0 }, "a connection did not echo"],
  [{ writes: 0 }, "nothing changed"],
  [{ ownWrites: 0 }, "nothing changed"],
  [{ renewed: 0 }, "nobody came amid the changes"],
])("ws-echo's judge sees %j", ([wrong, says]) => {
  expect(wsEchoFailures(ws)).toEqual([]);
  expect(wsEchoFailures({ ...ws, ...wrong })).toEqual([says]);
});

const churn: BackendChurnFigures = {
  kills: 1,
  gets: 9,
  failedGets: [],
  repeatedGets: 1,
  posts: 9,
  failedPosts: 1,
  failedAndExecuted: 1,
  executedTwice: [],
  notExecuted: 0,
  getMs: [],
  postMs: [],
  retries: 1,
  retriesRefused: 0,
};

test.for<[Partial<BackendChurnFigures>, string]>([
  [{ failedGets: ["502"] }, "a GET failed: 502"],
  [{ executedTwice: ["POST-1: 2"] }, "executed twice: POST-1: 2"],
  [{ notExecuted: 1 }, "1 POSTs were answered and not executed"],
  [{ gets: 0 }, "too little load to show anything"],
])("backend-churn's judge sees %j", ([wrong, says]) => {
  expect(backendChurnFailures(churn)).toEqual([]);
  expect(backendChurnFailures({ ...churn, ...wrong })).toEqual([says]);
});

const quick = Array.from({ length: 30 }, () => 1);
const slow: SlowClientsFigures = {
  slow: 3,
  ended: 0,
  quietMs: quick,
  besideMs: quick,
  failures: [],
};

test.for<[Partial<SlowClientsFigures>, string]>([
  [{ failures: ["502"] }, "1 of 60 failed: 502"],
  [{ besideMs: quick.map(() => 9) }, "p99 was 1.0 ms and became 9.0 ms"],
  [{ slow: 0 }, "nothing was shown"],
])("slow-clients' judge sees %j", ([wrong, says]) => {
  expect(slowClientsFailures(slow)).toEqual([]);
  expect(slowClientsFailures({ ...slow, ...wrong })).toEqual([says]);
});

const stalled: StalledReadersFigures = {
  readers: 100,
  stalled: 90,
  ended: 0,
  emptyBytes: 1e8,
  residentBytes: [1.01e8, 1.01e8, 1.01e8],
  asked: 5,
  failures: [],
};

test.for<[Partial<StalledReadersFigures>, string]>([
  [{ failures: ["502"] }, "a good client got 502"],
  [{ residentBytes: [3e8, 3e8, 3e8] }, "191 MiB for 100 readers"],
  [{ residentBytes: [1e8, 1e8, 1.4e8] }, "memory grew by 38 MiB"],
  [{ stalled: 89 }, "the node had to wait for only 89 of 100 readers"],
  [{ asked: 0 }, "nothing was shown"],
])("stalled-readers' judge sees %j", ([wrong, says]) => {
  expect(stalledReadersFailures(stalled)).toEqual([]);
  expect(stalledReadersFailures({ ...stalled, ...wrong })).toEqual([says]);
});
