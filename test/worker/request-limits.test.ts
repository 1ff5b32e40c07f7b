// Goal: what is beyond a limit gets its answer before a backend is bothered wherever that can be known,
// never reaches one as a whole message, and is named in the answer and in the count.

import { describe, expect, test } from "vitest";
import { Row } from "../../src/channel/connection-counts.ts";
import { recordedSession } from "../support/recorded-session.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a.test\r\n";
const noContent = "HTTP/1.1 204 No Content\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n";
const upgrade = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
const switching = "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";

describe("body-bytes", () => {
  test("is told by the length: no backend is bothered", () => {
    const { stream, dialled, told, limited } = recordedSession({ bodyBytesMax: 10 });
    stream.receive(`${post}Content-Length: 11\r\n\r\nhello world`);
    expect(told()).toBe("413 request-too-large");
    expect(stream.text).toContain("limit body-bytes");
    expect(stream.text).toContain("Connection: close");
    expect(dialled).toEqual([]);
    expect(limited("body-bytes")).toBe(1);
    expect(stream.calls).toEqual(["end"]);
  });

  test("is kept by a body of just as many", () => {
    const { stream, connect, upstream, limited } = recordedSession({ bodyBytesMax: 11 });
    stream.receive(`${post}Content-Length: 11\r\n\r\nhello world`);
    connect();
    upstream().receive(noContent);
    expect(stream.text).toBe(noContent);
    expect(limited("body-bytes")).toBe(0);
  });

  test.for([
    ["one byte at a time", 1],
    ["a chunk at a time", 6],
    ["whole", 1_000],
  ] as const)("cuts chunks that come to more, %s: no backend takes them for whole", ([, size]) => {
    const { stream, connect, upstream, told } = recordedSession({ bodyBytesMax: 4 });
    stream.receive(`${post}Transfer-Encoding: chunked\r\n\r\n`);
    connect();
    const body = "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n1\r\ne\r\n0\r\n\r\n";
    for (let at = 0; at < body.length; at += size) stream.receive(body.slice(at, at + size));
    expect(told()).toBe("413 request-too-large");
    expect(upstream().text).not.toContain("0\r\n\r\n");
    expect(upstream().text).not.toContain("\r\ne\r\n");
    expect(upstream().calls.length).toBeGreaterThan(0);
  });

  test("cuts a body that came whole as one that did not: no request behind it is read, and nobody waits for its answer", () => {
    const { stream, connect, upstream, told } = recordedSession({ bodyBytesMax: 4 });
    stream.receive(`${post}Transfer-Encoding: chunked\r\n\r\n`);
    connect();
    stream.receive(`5\r\nhello\r\n0\r\n\r\n${get}`);
    expect(told()).toBe("413 request-too-large");
    expect(stream.text).toContain("Connection: close");
    expect(stream.calls).toEqual(["end"]);
    expect(upstream().text).not.toContain("GET");
  });
});

describe("trailers", () => {
  test.for([
    ["trailer-fields", "X: y\r\n".repeat(65)],
    ["trailer-bytes", `X: ${"y".repeat(8_192)}\r\n`],
  ] as const)("beyond %s are 431", ([limit, trailers]) => {
    const { stream, connect, upstream, told, limited } = recordedSession();
    stream.receive(`${post}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n`);
    connect();
    stream.receive(`0\r\n${trailers}\r\n`);
    expect(told()).toBe("431 request-malformed");
    expect(stream.text).toContain(`, limit ${limit}`);
    expect(limited(limit)).toBe(1);
    expect(upstream().text).not.toContain("0\r\n\r\n");
  });

  test("have their settings", () => {
    const { stream, connect, told } = recordedSession({ trailerFieldsMax: 1, trailerBytesMax: 12 });
    stream.receive(`${post}Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n`);
    connect();
    expect(told()).toBe("");
    const other = recordedSession({ trailerFieldsMax: 1 });
    other.stream.receive(`${post}Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\nX: y\r\n\r\n`);
    other.connect();
    expect(other.told()).toBe("431 request-malformed");
  });
});

describe("a head", () => {
  test.for([
    ["head-bytes", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(20_000)}\r\n\r\n`, 431],
    ["head-fields", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(200)}\r\n`, 431],
    ["target-bytes", `GET /${"a".repeat(9_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
  ] as const)("beyond %s is told by that name", ([limit, bytes, status]) => {
    const { stream, told, limited } = recordedSession();
    stream.receive(bytes);
    expect(told()).toBe(`${status} request-malformed`);
    expect(stream.text).toContain(`, limit ${limit}`);
    expect(limited(limit)).toBe(1);
  });

  test("that is late, and a connection that is idle, are told apart", () => {
    const late = recordedSession();
    late.stream.receive("GET / HT");
    late.pass(11_000);
    expect(late.stream.text).toContain("limit head-time");
    expect([late.limited("head-time"), late.limited("idle-time")]).toEqual([1, 0]);
    const idle = recordedSession();
    idle.pass(61_000);
    expect(idle.stream.calls).toEqual(["end"]);
    expect([idle.limited("head-time"), idle.limited("idle-time")]).toEqual([0, 1]);
  });
});

describe("answer-time", () => {
  const limits = { responseHeadMsMax: 2_000, bodyRateMin: 0 };
  const chunk = "1\r\nx\r\n";

  test("is over once the answer has begun, though the request ends after that", () => {
    const { stream, connect, upstream, pass, limited } = recordedSession(limits);
    stream.receive(`${post}Content-Length: 4\r\n\r\nab`);
    connect();
    upstream().receive(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`);
    stream.receive("cd");
    pass(10_000);
    expect([...stream.calls, ...upstream().calls]).toEqual([]);
    upstream().receive(`${chunk}0\r\n\r\n`);
    expect(stream.text.endsWith("0\r\n\r\n")).toBe(true);
    expect([limited("answer-time"), limited("body-idle-time")]).toEqual([0, 0]);
  });
});

describe("request-time", () => {
  const limits = { requestMsMax: 3_000, bodyRateMin: 0 };

  test("ends a request whose backend has not answered: 504", () => {
    const { stream, connect, pass, told, limited } = recordedSession(limits);
    stream.receive(get);
    connect();
    pass(2_900);
    expect(told()).toBe("");
    pass(300);
    expect(told()).toBe("504 backend-slow");
    expect(stream.text).toContain("limit request-time");
    expect(limited("request-time")).toBe(1);
  });

  test("ends one whose client has not sent it: 408", () => {
    const { stream, connect, pass, told } = recordedSession(limits);
    stream.receive(`${post}Content-Length: 9000\r\n\r\n`);
    connect();
    for (let i = 0; i < 4; i++) {
      stream.receive("x".repeat(1_000));
      pass(1_000);
    }
    expect(told()).toBe("408 request-slow");
  });

  test("cuts an answer that goes on and on", () => {
    const { stream, connect, upstream, pass } = recordedSession(limits);
    stream.receive(get);
    connect();
    upstream().receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let i = 0; i < 4; i++) {
      upstream().receive("1\r\nx\r\n");
      pass(1_000);
    }
    expect(stream.calls).toEqual(["end"]);
    expect(stream.text.endsWith("0\r\n\r\n")).toBe(false);
  });

  test("begins anew with each request, and does not count between them", () => {
    const { stream, connect, upstream, pass, limited } = recordedSession(limits);
    for (let i = 0; i < 5; i++) {
      stream.receive(get);
      if (i === 0) connect();
      pass(2_000);
      upstream().receive(noContent);
      pass(2_000);
    }
    expect(stream.calls).toEqual([]);
    expect(limited("request-time")).toBe(0);
  });

  test("ends with the upgrade: a tunnel lasts", () => {
    const { stream, connect, upstream, pass } = recordedSession(limits);
    stream.receive(upgrade);
    connect();
    upstream().receive(switching);
    pass(10_000);
    expect([...stream.calls, ...upstream().calls]).toEqual([]);
  });
});

describe("requests-per-connection", () => {
  test("the last answer says that the connection ends", () => {
    const { stream, connect, upstream, limited } = recordedSession({ requestsPerConnectionMax: 3 });
    for (let i = 0; i < 3; i++) {
      expect(stream.text).not.toContain("Connection: close");
      stream.receive(get);
      if (i === 0) connect();
      upstream().receive(noContent);
    }
    expect(stream.text.match(/204/g)).toHaveLength(3);
    expect(stream.text.match(/Connection: close/g)).toHaveLength(1);
    expect(stream.calls).toEqual(["end"]);
    expect(limited("requests-per-connection")).toBe(1);
  });

  test("what was sent behind the last one is not answered", () => {
    const { stream, connect, upstream } = recordedSession({ requestsPerConnectionMax: 1 });
    stream.receive(get + get);
    connect();
    upstream().receive(noContent);
    expect(stream.text.match(/HTTP\/1.1/g)).toHaveLength(1);
    expect(upstream().text.match(/GET/g)).toHaveLength(1);
  });
});

describe("upgraded-connections", () => {
  test("over it the request is 503, and no backend hears of it", () => {
    const { stream, dialled, told, limited } = recordedSession({ upgradedConnectionsMax: 0 });
    stream.receive(upgrade);
    expect(told()).toBe("503 upgraded-limit");
    expect(stream.text).toContain("limit upgraded-connections");
    expect(dialled).toEqual([]);
    expect(limited("upgraded-connections")).toBe(1);
    expect(stream.calls).toEqual([]);
  });

  test("counts from the request on, until the tunnel ends", () => {
    const { stream, connect, upstream, context } = recordedSession({ upgradedConnectionsMax: 1 });
    const total = (): number => context.connections.total(Row.Upgraded);
    stream.receive(upgrade);
    expect(total()).toBe(1);
    connect();
    upstream().receive(switching);
    expect(total()).toBe(1);
    stream.events.onClose("reset", "");
    expect(total()).toBe(0);
  });

  test.for([
    [
      "the backend refuses",
      (all: ReturnType<typeof recordedSession>) => {
        all.connect();
        all.upstream().receive("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
      },
    ],
    [
      "the backend breaks off",
      (all: ReturnType<typeof recordedSession>) => {
        all.connect();
        all.upstream().events.onClose("reset", "");
      },
    ],
    [
      "the client leaves",
      (all: ReturnType<typeof recordedSession>) => {
        all.stream.events.onClose("reset", "");
      },
    ],
    [
      "it is too late",
      (all: ReturnType<typeof recordedSession>) => {
        all.connect();
        all.pass(61_000);
      },
    ],
  ] as const)("is free again when %s", ([, happens]) => {
    const all = recordedSession();
    all.stream.receive(upgrade);
    happens(all);
    expect(all.context.connections.total(Row.Upgraded)).toBe(0);
  });

  test("does not count requests that ask for no upgrade", () => {
    const { stream, connect, upstream, context } = recordedSession({ upgradedConnectionsMax: 0 });
    stream.receive(get);
    connect();
    expect(context.connections.total(Row.Upgraded)).toBe(0);
    upstream().receive(noContent);
    expect(stream.text).toBe(noContent);
  });
});
