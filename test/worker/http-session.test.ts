// Goal: every wait of a session ends at its time and not before, with the answer that says whose fault
// it was; and what a slow reader has not got yet is not thrown away.
// Method: recorded streams and a clock in the test's hand: no sockets, so no doubt about the time.

import { describe, expect, test, vi } from "vitest";
import {
  bodyIdleMsMax,
  bodyRateMin,
  downstreamIdleMsMax,
  firstRequestMsMax,
  lingerMsMax,
  requestHeadMsMax,
  responseHeadMsMax,
  timerTickMs,
} from "../../src/limits.ts";
import type { WorkerLimits } from "../../src/worker/make-context.ts";
import { TcpSession } from "../../src/worker/tcp-session.ts";
import { type RecordedSession, recordedSession } from "../support/recorded-session.ts";
import { RecordingStream } from "../support/recording-stream.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\n";

interface Wait {
  readonly name: string;
  readonly ms: number;
  readonly limits?: Partial<WorkerLimits>;
  readonly before: (made: RecordedSession) => void;
  /** What the client has been told when the time is over. */
  readonly status: number | undefined;
  /** The connection goes on. */
  readonly stays?: boolean;
}

const waits: readonly Wait[] = [
  { name: "for a first request", ms: downstreamIdleMsMax, before: () => {}, status: undefined },
  {
    name: "for the rest of a head",
    ms: requestHeadMsMax,
    before: ({ stream }) => stream.receive("GET / HT"),
    status: 408,
  },
  {
    name: "for the rest of a head that is wrong already",
    ms: requestHeadMsMax,
    before: ({ stream }) => {
      stream.receive("G");
      stream.receive("ET  / HT");
    },
    status: 400,
  },
  {
    name: "for an answer (L4-05)",
    ms: responseHeadMsMax,
    before: ({ stream, connect }) => {
      stream.receive(get);
      connect();
    },
    status: 504,
    stays: true,
  },
  {
    name: "for a body",
    ms: bodyIdleMsMax,
    // Or the client would be too slow long before.
    limits: { bodyRateMin: 0 },
    before: ({ stream, connect }) => {
      stream.receive(`${post}ab`);
      connect();
    },
    status: 408,
  },
  {
    name: "for a backend that takes the body slowly",
    ms: bodyIdleMsMax,
    before: ({ stream, connect, upstream }) => {
      stream.receive(post);
      connect();
      upstream().stuck = true;
      stream.receive("ab");
    },
    status: 504,
  },
];

describe("a wait", () => {
  test.for(waits)("$name ends after $ms ms", ({ ms, limits, before, status, stays }) => {
    const all = recordedSession(limits);
    before(all);
    const { stream, pass, counter } = all;
    pass(ms - timerTickMs);
    expect(stream.text).toBe("");
    expect(stream.calls).toEqual([]);
    pass(3 * timerTickMs);
    expect(stream.text.slice(9, 12)).toBe(status === undefined ? "" : String(status));
    expect(stream.calls).toEqual(stays === true ? [] : ["end"]);
    expect(counter("requestsInFlight")).toBe(0);
    expect(counter("upstreamOpen")).toBe(0);
    expect(counter("upstreamTimeouts")).toBe(status === 504 ? 1 : 0);
    // The client does not leave: it is given its time to read, and no more.
    pass((stays === true ? downstreamIdleMsMax : 0) + lingerMsMax + 6 * timerTickMs);
    expect(stream.calls.at(-1)).toBe("destroy");
    expect(counter("connectionsOpen")).toBe(0);
  });

  test("for the next piece of an answer begins anew with every piece", () => {
    const { stream, connect, upstream, pass } = recordedSession();
    stream.receive(get);
    connect();
    upstream().receive("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    for (let i = 0; i < 10; i++) {
      pass(bodyIdleMsMax - 2 * timerTickMs);
      upstream().receive("x");
    }
    expect(stream.calls).toEqual([]);
    pass(bodyIdleMsMax + 3 * timerTickMs);
    expect(stream.calls).toEqual(["end"]);
    expect(stream.text.endsWith("x".repeat(10))).toBe(true);
  });

  test("for a client that does not take its answer is not held against the backend", () => {
    const { context, stream, connect, upstream, pass, counter } = recordedSession();
    stream.receive(get);
    connect();
    stream.stuck = true;
    upstream().receive(`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(70_000)}`);
    expect(upstream().paused).toBe(true);
    pass(bodyIdleMsMax + 3 * timerTickMs);
    expect(counter("upstreamTimeouts")).toBe(0);
    expect(counter("upstreamOpen")).toBe(0);
    const backend = context.table.service("web")!.backends[0]!;
    expect(backend.failuresTotal).toBe(0);
  });
});

describe("a slow reader of its last answer", () => {
  function answered() {
    const all = recordedSession();
    all.stream.receive("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    all.connect();
    all.stream.stuck = true;
    all.upstream().receive("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    expect(all.stream.calls).toEqual(["end"]);
    return all;
  }

  test.for([
    ["in our queue", "queuedBytes"],
    ["in the kernel's, before it asks for more of ours", "kernelBytes"],
  ] as const)("keeps its connection as long as it keeps the pace: $0", ([, where]) => {
    const { stream, pass, limited } = answered();
    const pace = (bodyRateMin * lingerMsMax) / 1_000;
    stream.kernelBytes = 100_000;
    stream.queuedBytes = 100_000;
    for (let i = 0; i < 10; i++) {
      stream[where] -= 2 * pace;
      pass(lingerMsMax);
    }
    expect(stream.calls).toEqual(["end"]);
    stream[where] -= pace - 1;
    pass(2 * lingerMsMax + 6 * timerTickMs);
    expect(stream.calls).toEqual(["end", "destroy"]);
    expect(limited("body-rate")).toBe(1);
  });

  test("that takes less than the pace is not waited for, though it takes some all the time", () => {
    const { stream, pass } = answered();
    stream.queuedBytes = 100_000;
    for (let i = 0; i < 4; i++) {
      stream.queuedBytes -= (bodyRateMin * lingerMsMax) / 4_000;
      pass(lingerMsMax);
    }
    expect(stream.calls).toEqual(["end", "destroy"]);
  });

  test("is not waited for once everything is in the kernel", () => {
    const { stream, pass, counter } = answered();
    stream.drain();
    pass(lingerMsMax + 3 * timerTickMs);
    // Without a reset: the kernel still sends what it has.
    expect(stream.calls).toEqual(["end", "destroy"]);
    expect(counter("connectionsOpen")).toBe(0);
  });
});

describe("drain", () => {
  test("gives a new connection time for its first request, a used one a tick", () => {
    const fresh = recordedSession();
    fresh.session.drain();
    fresh.pass(firstRequestMsMax - timerTickMs);
    expect(fresh.stream.calls).toEqual([]);
    fresh.pass(3 * timerTickMs);
    expect(fresh.stream.calls).toEqual(["end"]);
    const used = recordedSession();
    used.stream.receive(get);
    used.connect();
    used.upstream().receive("HTTP/1.1 204 X\r\n\r\n");
    used.session.drain();
    expect(used.stream.calls).toEqual([]);
    used.pass(3 * timerTickMs);
    expect(used.stream.calls).toEqual(["end"]);
  });
});

describe("reading", () => {
  test("stops while a body waits for its backend, and goes on with it", () => {
    const { stream, connect, upstream } = recordedSession();
    stream.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    for (let i = 0; i < 4; i++) stream.receive("x".repeat(5_000));
    expect(stream.paused).toBe(true);
    connect();
    expect(stream.paused).toBe(false);
    expect(upstream().text.endsWith("x".repeat(20_000))).toBe(true);
  });

  test("stops while the backend takes no more of a body, and goes on when it does", () => {
    const { stream, connect, upstream } = recordedSession();
    stream.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    connect();
    upstream().stuck = true;
    stream.receive("x".repeat(70_000));
    expect(stream.paused).toBe(true);
    upstream().drain();
    expect(stream.paused).toBe(false);
  });

  test("stops while requests pile up behind one that is not answered, at one more than fits", () => {
    const { stream, connect, upstream } = recordedSession();
    stream.receive(get);
    connect();
    let received = 0;
    while (!stream.paused) {
      stream.receive(get.repeat(100));
      received += 100;
    }
    expect(received * get.length).toBeLessThan(40_000);
    // Each answer lets one more request go; reading goes on when little is held.
    for (let i = 0; i < received; i++) {
      upstream().receive("HTTP/1.1 204 No Content\r\n\r\n");
    }
    expect(stream.paused).toBe(false);
    expect(stream.text.split("HTTP/1.1 204").length - 1).toBe(received);
  });
});

describe("pausing", () => {
  test("ends with the exchange: a client that was stopped is read again when it is refused", () => {
    const { stream, upstream } = recordedSession();
    stream.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    for (let i = 0; i < 4; i++) stream.receive("x".repeat(5_000));
    expect(stream.paused).toBe(true);
    upstream().events.onClose("refused", "ECONNREFUSED");
    expect(stream.text).toContain(" 503 ");
    expect(stream.paused).toBe(false);
  });

  test("ends with the exchange: a backend's connection is not idle and deaf", () => {
    const { stream, connect, upstream, counter } = recordedSession();
    stream.receive(get);
    connect();
    stream.stuck = true;
    upstream().receive(`HTTP/1.1 200 OK\r\nContent-Length: 70001\r\n\r\n${"x".repeat(70_000)}`);
    expect(upstream().paused).toBe(true);
    // An adapter may have read the rest before it was told to stop.
    upstream().receive("x");
    expect(counter("upstreamIdle")).toBe(1);
    expect(upstream().paused).toBe(false);
  });
});

describe("a head in many pieces", () => {
  test("is parsed when it is whole, not at every piece", () => {
    const { context, stream, connect, upstream } = recordedSession();
    const requests = vi.spyOn(context.requestHead, "parse");
    for (const byte of get.split("")) stream.receive(byte);
    expect(requests.mock.calls.length).toBeLessThanOrEqual(2);
    connect();
    const answers = vi.spyOn(context.responseHead, "parse");
    for (const byte of "HTTP/1.1 204 No Content\r\nDate: b\r\n\r\n".split(""))
      upstream().receive(byte);
    expect(answers.mock.calls.length).toBeLessThanOrEqual(2);
    expect(stream.text).toBe("HTTP/1.1 204 No Content\r\nDate: b\r\n\r\n");
  });
});

describe("a TCP session", () => {
  test("hands on what came before its backend was connected: bytes, then the end", () => {
    const { context, dialled, sessions } = recordedSession();
    const stream = new RecordingStream();
    void new TcpSession(context, sessions, stream);
    expect(stream.paused).toBe(true);
    // An adapter may have read before it was told not to.
    stream.receive("early");
    stream.events.onEnd();
    const upstream = dialled.at(-1)!;
    upstream.events.onConnect();
    expect(upstream.text).toBe("early");
    expect(upstream.calls).toEqual(["end"]);
    expect(stream.paused).toBe(false);
  });
});
