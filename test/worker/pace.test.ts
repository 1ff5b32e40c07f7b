// Goal: a client that is too slow is cut once its grace is over, on average and not for a pause; and nobody
// is cut for what the backend, the kernel or a conversation does.
// Method: recorded streams and a clock under the test's hand; sockets in test/integration/connection-limits.test.ts.

import { describe, expect, test } from "vitest";
import { bodyIdleMsMax, bodyRateGraceMs, bodyRateMin } from "../../src/limits.ts";
import { type RecordedSession, recordedSession } from "../support/recorded-session.ts";

const second = 1_000;
/** The looks drift by a tick each. */
const slackMs = 2 * second;
const head = "POST / HTTP/1.1\r\nHost: a.test\r\n";
const length = `${head}Content-Length: 1000000\r\n\r\n`;
const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n`;
const noContent = "HTTP/1.1 204 No Content\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n";
const answerHead = "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n";

function uploading(first = ""): RecordedSession {
  const all = recordedSession();
  all.stream.receive(length + first);
  all.connect();
  return all;
}

describe("a request's body", () => {
  test("that does not come is cut when the grace is over, not before", () => {
    const { pass, told, limited, stream } = uploading();
    pass(bodyRateGraceMs - second);
    expect(told()).toBe("");
    pass(slackMs);
    expect(told()).toBe("408 request-slow");
    expect(stream.text).toContain("limit body-rate");
    expect(limited("body-rate")).toBe(1);
    expect(stream.calls).toEqual(["end"]);
  });

  test("that trickles is cut as well: a byte now and then is no pace", () => {
    const { pass, told, stream } = uploading();
    for (let i = 0; i < 12; i++) {
      stream.receive("x");
      pass(second / 2);
    }
    pass(second);
    expect(told()).toBe("408 request-slow");
  });

  test("that comes in chunks as small as may be is cut by its bytes, not by their framing", () => {
    const all = recordedSession();
    all.stream.receive(chunked);
    all.connect();
    for (let i = 0; i < 6; i++) {
      // 50 bytes of body in 450 on the wire.
      all.stream.receive(`1;${"e".repeat(3)}\r\nx\r\n`.repeat(50));
      all.pass(second);
    }
    all.pass(second);
    expect(all.told()).toBe("408 request-slow");
  });

  test("at the pace goes on for as long as it likes", () => {
    const { pass, told, stream } = uploading();
    for (let i = 0; i < 120; i++) {
      stream.receive("x".repeat(bodyRateMin * 1.2));
      pass(second);
    }
    expect(told()).toBe("");
    expect(stream.calls).toEqual([]);
  });

  test("may pause after it was fast: the average counts", () => {
    const { pass, told, stream } = uploading("x".repeat(bodyRateMin * 40));
    pass(40 * second);
    expect(told()).toBe("");
    pass(8 * second);
    expect(told()).toBe("408 request-slow");
    expect(stream.calls).toEqual(["end"]);
  });

  test("has credit for a minute, not for hours", () => {
    const { pass, told, stream, limited } = uploading("x".repeat(500_000));
    for (let i = 0; i < 6; i++) {
      pass(10 * second);
      expect(told()).toBe("");
      stream.receive("x");
    }
    pass(10 * second);
    expect(told()).toBe("408 request-slow");
    expect(limited("body-rate")).toBe(1);
  });

  test("that waits for its backend to be dialled has not begun", () => {
    const all = recordedSession({ connectMsMax: 60_000 });
    all.stream.receive(length);
    all.pass(bodyRateGraceMs * 3);
    all.connect();
    all.pass(bodyRateGraceMs - second);
    expect(all.told()).toBe("");
  });

  test("that the backend does not take is not the client's fault", () => {
    const { pass, told, stream, upstream } = uploading();
    upstream().stuck = true;
    stream.receive("x".repeat(100));
    pass(bodyRateGraceMs + slackMs);
    expect(told()).toBe("");
    upstream().drain();
    upstream().stuck = false;
    pass(bodyRateGraceMs + slackMs);
    expect(told()).toBe("408 request-slow");
  });

  test("that is held back until somebody says 100 has its time from then on", () => {
    const all = recordedSession();
    all.stream.receive(`${head}Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n`);
    all.connect();
    all.pass(bodyRateGraceMs * 4);
    expect(all.told()).toBe("");
    all.upstream().receive("HTTP/1.1 100 Continue\r\n\r\n");
    all.pass(bodyRateGraceMs + slackMs);
    expect(all.stream.text).toContain("HTTP/1.1 408 ");
  });

  test("whose answer has begun is half of a conversation, which has no pace", () => {
    const all = recordedSession();
    all.stream.receive(chunked);
    all.connect();
    all.upstream().receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    for (let i = 0; i < 10; i++) {
      all.stream.receive("2\r\nhi\r\n");
      all.pass(20 * second);
      all.upstream().receive("2\r\nho\r\n");
    }
    expect(all.stream.calls).toEqual([]);
    expect(all.limited("body-rate")).toBe(0);
  });

  test("does not have to keep any pace with body-rate=none", () => {
    const all = recordedSession({ bodyRateMin: 0 });
    all.stream.receive(length);
    all.connect();
    all.pass(bodyIdleMsMax - second);
    expect(all.told()).toBe("");
    all.pass(slackMs);
    expect(all.told()).toBe("408 request-slow");
    expect(all.limited("body-idle-time")).toBe(1);
  });

  test("that is whole at once is never looked at", () => {
    const all = recordedSession();
    all.stream.receive(`${head}Content-Length: 2\r\n\r\nok`);
    all.connect();
    all.pass(bodyRateGraceMs + slackMs);
    expect(all.told()).toBe("");
    all.upstream().receive(noContent);
    // The exchange was lent to that one; the next request that it is lent to begins anew.
    all.stream.receive(length);
    all.pass(bodyRateGraceMs - second);
    expect(all.told()).toBe("");
  });

  test("of the request before is not held against the next one", () => {
    const all = recordedSession();
    all.stream.receive(`${head}Content-Length: 1000\r\n\r\n`);
    all.connect();
    all.pass(bodyRateGraceMs - second);
    all.stream.receive("x".repeat(1_000));
    all.upstream().receive(noContent);
    all.stream.receive(length);
    all.pass(bodyRateGraceMs - second);
    expect(all.stream.text).toBe(noContent);
    all.pass(slackMs);
    expect(all.stream.text).toContain("HTTP/1.1 408 ");
  });
});

function reading(): RecordedSession {
  const all = recordedSession();
  all.stream.receive("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  all.connect();
  all.stream.stuck = true;
  all.upstream().receive(`${answerHead}${"x".repeat(100_000)}`);
  expect(all.upstream().paused).toBe(true);
  return all;
}

describe("an answer", () => {
  test("that is not read is cut, with a reset, when the grace is over", () => {
    const { pass, stream, limited, counter } = reading();
    pass(bodyRateGraceMs - second);
    expect(stream.calls).toEqual([]);
    pass(slackMs);
    expect(stream.calls).toEqual(["reset"]);
    expect(limited("body-rate")).toBe(1);
    expect([counter("requestsInFlight"), counter("upstreamOpen")]).toEqual([0, 0]);
  });

  test("that is read at half the pace is cut when it is a grace behind", () => {
    const { pass, stream } = reading();
    for (let i = 0; i < 9; i++) {
      stream.queuedBytes -= bodyRateMin / 2;
      pass(second);
      expect(stream.calls).toEqual([]);
    }
    pass(slackMs);
    expect(stream.calls).toEqual(["reset"]);
  });

  test("that was read fast at first is cut no later than a minute after that", () => {
    const { pass, stream, limited } = reading();
    stream.queuedBytes -= 90_000;
    for (let i = 0; i < 6; i++) {
      pass(10 * second);
      expect(stream.calls).toEqual([]);
      // A sip now and then: no silence, and no pace.
      stream.queuedBytes -= 1;
    }
    pass(10 * second);
    expect(stream.calls).toEqual(["reset"]);
    expect(limited("body-rate")).toBe(1);
  });

  test("that is read at the pace goes on, and a minute of it is not silence", () => {
    const { pass, stream } = reading();
    for (let i = 0; i < 150; i++) {
      stream.queuedBytes -= bodyRateMin * 1.2;
      pass(second);
    }
    expect(stream.calls).toEqual([]);
  });

  test("that the client acknowledges, while the kernel takes nothing from us, goes on", () => {
    const { pass, stream } = reading();
    stream.kernelBytes = 0;
    for (let i = 0; i < 150; i++) {
      // What was acknowledged in between, against what it was at the beginning.
      stream.kernelBytes -= bodyRateMin * 1.2;
      pass(second);
    }
    expect(stream.calls).toEqual([]);
  });

  test("with nothing to say is not the client's fault: server-sent events", () => {
    const all = recordedSession();
    all.stream.receive("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    all.connect();
    all.upstream().receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let i = 0; i < 20; i++) {
      all.upstream().receive("2\r\nhi\r\n");
      all.pass(bodyIdleMsMax / 2);
    }
    expect(all.stream.calls).toEqual([]);
  });

  test("of which the client has taken everything has no pace any more, until it lags again", () => {
    const { pass, stream, upstream } = reading();
    pass(2 * second);
    stream.drain();
    pass(30 * second);
    expect(stream.calls).toEqual([]);
    upstream().receive("x".repeat(100_000));
    pass(bodyRateGraceMs - second);
    expect(stream.calls).toEqual([]);
    pass(slackMs);
    expect(stream.calls).toEqual(["reset"]);
  });
});
