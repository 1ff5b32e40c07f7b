// Goal: every kind of probe tells the truth about its backend, and a backend that lies is contained and named.
// Method: real sockets over every adapter; backends of a few lines each that misbehave in one way.

import { connect as connectSocket } from "node:net";
import { describe, expect, test } from "vitest";
import {
  type FromProber,
  ProbeCounter,
  type ProbeTarget,
  probeCountersByteLength,
} from "../../src/channel/prober-messages.ts";
import { Prober } from "../../src/health/prober.ts";
import type { Stream, StreamEvents } from "../../src/io/stream.ts";
import { parseAddress } from "../../src/model/address.ts";
import type { HealthCheck, Probe } from "../../src/model/service-options.ts";
import { adapters } from "../support/adapters.ts";
import { FakeSystem } from "../support/fake-system.ts";
import {
  answering,
  flooding,
  type ProbedBackend,
  probedBackend,
} from "../support/probed-backend.ts";
import { grpc, http, proberWorld, timeOf, verdictOf } from "../support/prober-world.ts";
import { freePort } from "../support/stub-fleet.ts";
import { until } from "../support/until.ts";

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nis up";

const overHttp: readonly {
  readonly name: string;
  readonly behave: Parameters<typeof probedBackend>[0];
  readonly says: string;
  readonly probe?: Probe;
  readonly end?: string;
}[] = [
  { name: "answers 200", behave: answering(ok), says: "healthy: HTTP 200", end: "end" },
  {
    name: "answers 200 and keeps the connection",
    behave: answering(ok, false),
    says: "healthy: HTTP 200",
    end: "end",
  },
  {
    name: "answers 404",
    behave: answering("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
    says: "unhealthy: HTTP 404",
  },
  {
    name: "sends elsewhere",
    behave: answering("HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"),
    says: "healthy: HTTP 302",
  },
  {
    name: "has the body",
    behave: answering(ok),
    probe: http({ body: "up" }),
    says: "healthy: HTTP 200, its body as expected",
  },
  {
    name: "has another body",
    behave: answering(ok),
    probe: http({ body: "down" }),
    says: 'unhealthy: HTTP 200, but its body does not hold "down"',
  },
  {
    name: "accepts and never answers",
    behave: () => {},
    says: "unhealthy: no answer within 250 ms",
    end: "reset",
  },
  {
    name: "answers octet by octet and is not done in time",
    behave: (socket) => {
      const text = "HTTP/1.1 200 OK\r\nX-Slow: as can be";
      let at = 0;
      const timer = setInterval(() => socket.write(text.charAt(at++ % text.length)), 15);
      socket.on("close", () => clearInterval(timer));
    },
    says: "unhealthy: no end of its head within 250 ms",
    end: "reset",
  },
  {
    name: "floods its head",
    behave: flooding("HTTP/1.1 200 OK\r\n", "X: yyyyyyyyy"),
    says: "unhealthy: more than 64 KiB without an end",
    end: "reset",
  },
  {
    name: "floods with fields",
    behave: flooding("HTTP/1.1 200 OK\r\n", "X: y\r\n"),
    says: "unhealthy: more than 128 fields",
    end: "reset",
  },
  {
    name: "floods its body, of which something is expected",
    behave: flooding("HTTP/1.1 200 OK\r\n\r\n", "all is well "),
    probe: http({ body: "is up" }),
    says: 'unhealthy: HTTP 200, but the first 64 KiB of its body do not hold "is up"',
    end: "reset",
  },
  {
    name: "floods its body, of which nothing is expected",
    behave: flooding("HTTP/1.1 200 OK\r\n\r\n", "all is well "),
    says: "healthy: HTTP 200",
    end: "reset",
  },
  {
    name: "answers garbage",
    behave: answering("\u0007\u0003 what? \r\n\r\n", false),
    says: "unhealthy: not HTTP: bad-status-line",
    end: "reset",
  },
  {
    name: "speaks first, in another protocol",
    behave: (socket) => void socket.write("220 mail.test ESMTP\r\n"),
    says: "unhealthy: not HTTP: bad-status-line",
  },
  {
    name: "ends its side at once",
    behave: (socket) => void socket.end(),
    says: "unhealthy: closed without an answer",
  },
  {
    name: "ends its side in the middle of its head",
    behave: answering("HTTP/1.1 200 OK\r\nCont"),
    says: "unhealthy: closed in the middle of its answer",
  },
  {
    name: "resets the connection instead of answering",
    behave: (socket) => void socket.once("data", () => socket.resetAndDestroy()),
    says: "unhealthy: connection reset before its answer",
  },
];

describe.for(adapters)("over $name,", (adapter) => {
  test.for(overHttp)("an HTTP backend that $name", async ({ behave, says, probe, end }) => {
    const backend = await probedBackend(behave);
    expect(await verdictOf(adapter, backend.address, probe ?? http(), timeOf(says))).toBe(says);
    if (end !== undefined) {
      await until(() => backend.ends[0] !== "", "the probe's connection to end");
      expect(backend.ends[0]).toBe(end);
    }
  });

  test("the request is a GET that names host, probe and that it is the last", async () => {
    const backend = await probedBackend(answering(ok));
    await verdictOf(adapter, backend.address, http({ path: "/a?b=c", host: "shop.test" }));
    expect(backend.received[0]).toBe(
      "GET /a?b=c HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: crosspoint/1.2.3\r\nAccept: */*\r\nConnection: close\r\n\r\n",
    );
    const other = await probedBackend(answering(ok));
    await verdictOf(adapter, other.address, http());
    expect(other.received[0]).toContain(`\r\nHost: ${other.address}\r\n`);
  });

  test.for([http(), { kind: "tcp" }, grpc()] as const)(
    "a backend that refuses is named as such, probed by $kind",
    async (probe) => {
      const address = parseAddress(`127.0.0.1:${await freePort()}`);
      expect(await verdictOf(adapter, address, probe)).toBe("unhealthy: connect refused");
    },
  );

  test("a name that does not resolve is named as such", async () => {
    const address = parseAddress("nobody.invalid:80");
    expect(await verdictOf(adapter, address, { kind: "tcp" })).toMatch(
      /^unhealthy: (connect.*(ENOTFOUND|EAI_AGAIN)|no connection within)/,
    );
  });

  test("a TCP backend is healthy when it accepts, though it says nothing, and is left in order", async () => {
    const backend = await probedBackend(() => {});
    expect(await verdictOf(adapter, backend.address, { kind: "tcp" })).toBe("healthy: connects");
    await until(() => backend.ends[0] !== "", "the probe's connection to end");
    expect(backend.ends[0]).toBe("end");
  });

  test("what changes is told, and nothing else: fails, comes back, goes on", async () => {
    let status = "200 OK";
    const backend = await probedBackend(
      answering(() => `HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`),
    );
    const { check, told } = proberWorld(adapter);
    check(backend.address, http(), { intervalMs: 100, timeoutMs: 100, unhealthyThreshold: 2 });
    await until(() => backend.connections >= 3, "three probes");
    status = "503 No";
    await until(() => told.length === 2, "a second verdict");
    await until(() => backend.connections >= 9, "more probes");
    status = "200 OK";
    await until(() => told.length === 3, "a third verdict");
    expect(told).toEqual([
      "1 healthy: HTTP 200",
      "1 unhealthy: HTTP 503 (2 times)",
      "1 healthy: HTTP 200",
    ]);
  });

  test("what is removed is probed no more, and its probe under way is reset", async () => {
    const stuck = await probedBackend(() => {});
    const fine = await probedBackend(answering(ok));
    const { prober, check, told, counters } = proberWorld(adapter);
    const removed = [
      check(stuck.address, http(), { intervalMs: 10_000, timeoutMs: 10_000 }),
      check(fine.address, http(), { intervalMs: 100, timeoutMs: 100 }),
    ];
    await until(() => stuck.received[0] !== undefined && told.length === 1, "both to be probed");
    prober.change({ kind: "targets", added: [], removed });
    await until(() => stuck.ends[0] !== "", "the probe under way to end");
    expect(stuck.ends[0]).toBe("reset");
    expect(counters[ProbeCounter.inFlight]).toBe(0);
    const { connections } = fine;
    // Three intervals later, as another one that is probed all the while tells.
    const clock = await probedBackend(answering(ok));
    check(clock.address, http(), { intervalMs: 100, timeoutMs: 100 });
    await until(() => clock.connections >= 4, "time to pass");
    expect([fine.connections, stuck.connections]).toEqual([connections, 1]);
  });

  test("probes under way are bounded; those of stuck backends end, and the others have their turn", async () => {
    const stuck = await Promise.all(Array.from({ length: 6 }, () => probedBackend(() => {})));
    const fine = await probedBackend(answering(ok));
    const { check, told, counters } = proberWorld(adapter, 3);
    let most = 0;
    for (const { address } of stuck) check(address, http());
    check(fine.address, http());
    await until(() => {
      most = Math.max(most, counters[ProbeCounter.inFlight]!);
      return told.length === 7;
    }, "every verdict");
    expect(most).toBe(3);
    expect(told).toContain("7 healthy: HTTP 200");
    expect(counters[ProbeCounter.timedOut]).toBeGreaterThanOrEqual(6);
    expect(counters[ProbeCounter.succeeded]).toBeGreaterThanOrEqual(1);
  });
});

test("the backends of these tests tell a reset from an end", async () => {
  const backend: ProbedBackend = await probedBackend(() => {});
  const [host = "", port] = backend.address.split(":");
  for (const end of ["reset", "end"] as const) {
    const socket = connectSocket(Number(port), host);
    const number = backend.connections;
    await until(() => backend.connections > number, "a connection");
    if (end === "reset") socket.resetAndDestroy();
    else socket.end();
    await until(() => backend.ends[number] !== "", "its end");
    expect(backend.ends[number]).toBe(end);
  }
});

test("what could not be asked says nothing of the backend, and is told to people now and then", () => {
  const system = new FakeSystem();
  const counters = new Float64Array(new SharedArrayBuffer(probeCountersByteLength));
  const told: FromProber[] = [];
  let dialled: StreamEvents | undefined;
  const io = {
    name: "fake",
    listen: () => Promise.reject(new Error("nobody listens")),
    dial: (_host: string, _port: number, given: StreamEvents) => {
      dialled = given;
      return { destroy() {} } as unknown as Stream;
    },
  };
  const tell = (message: FromProber): void => void told.push(message);
  const prober = new Prober({ io, system, counters, userAgent: "", inFlightMax: 1, tell });
  const check: HealthCheck = {
    probe: http(),
    intervalMs: 1_000,
    timeoutMs: 1_000,
    healthyThreshold: 1,
    unhealthyThreshold: 1,
  };
  const address = parseAddress("10.0.0.1:1");
  prober.change({
    kind: "targets",
    added: [{ id: 1, address, check, state: "healthy" }],
    removed: [],
  });
  for (let i = 0; i < 5; i++) {
    dialled?.onClose("exhausted", "connect: EADDRNOTAVAIL");
    dialled = undefined;
    system.advance(1_100);
    expect(dialled).toBeDefined();
  }
  const reason = "connect EADDRNOTAVAIL: backends are not asked";
  expect(told).toEqual([{ kind: "trouble", reason }]);
  expect(counters[ProbeCounter.failed]).toBe(0);
  dialled!.onClose("refused", "");
  system.advance(100);
  expect(told[1]).toEqual({
    kind: "verdicts",
    verdicts: [{ id: 1, state: "unhealthy", reason: "connect refused" }],
  });
  prober.close();
});

test("what a probe says after it was given up counts for nothing", () => {
  const system = new FakeSystem();
  const counters = new Float64Array(new SharedArrayBuffer(probeCountersByteLength));
  let events: StreamEvents | undefined;
  // An adapter that goes on talking.
  const io = {
    name: "fake",
    listen: () => Promise.reject(new Error("nobody listens")),
    dial: (_host: string, _port: number, given: StreamEvents) => {
      events = given;
      return { destroy() {} } as unknown as Stream;
    },
  };
  const tell = (): void => {};
  const prober = new Prober({ io, system, counters, userAgent: "", inFlightMax: 1, tell });
  const check: HealthCheck = {
    probe: { kind: "tcp" },
    intervalMs: 10_000,
    timeoutMs: 100,
    healthyThreshold: 1,
    unhealthyThreshold: 1,
  };
  const target: ProbeTarget = {
    id: 1,
    address: parseAddress("10.0.0.1:1"),
    check,
    state: "unknown",
  };
  prober.change({ kind: "targets", added: [target], removed: [] });
  system.advance(150);
  events?.onConnect();
  events?.onClose("refused", "");
  const { failed, succeeded, timedOut, inFlight } = ProbeCounter;
  expect([failed, succeeded, timedOut, inFlight].map((at) => counters[at])).toEqual([1, 0, 1, 0]);
  prober.close();
});
