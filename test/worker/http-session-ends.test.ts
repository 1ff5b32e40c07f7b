// Goal: a client that has ended its side gets what is on its way, and one that has left keeps no backend
// busy (decision 0024); an empty line between requests is nothing, neither a request nor a slow one.
// Method: recorded streams and a clock in the test's hand.

import { describe, expect, test } from "vitest";
import {
  bodyIdleMsMax,
  clientEndedMsMax,
  downstreamIdleMsMax,
  requestHeadMsMax,
  responseHeadMsMax,
  timerTickMs,
} from "../../src/limits.ts";
import { type RecordedSession, recordedSession } from "../support/recorded-session.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const lengthHead = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 10\r\n\r\n";

/** A request is with the backend. */
function asked(request = get, own: Parameters<typeof recordedSession>[0] = {}): RecordedSession {
  const all = recordedSession(own);
  all.stream.receive(request);
  all.connect();
  return all;
}

/** A client that may have left has been found to have. */
function expectGone({ stream, upstream, counter }: RecordedSession, how: string): void {
  expect(stream.calls).toEqual([how]);
  expect(upstream().calls.length).toBe(1);
  expect(counter("clientAborts")).toBe(1);
  expect(counter("upstreamTimeouts")).toBe(0);
  for (const name of ["requestsInFlight", "upstreamOpen", "connectionsOpen"] as const) {
    expect(counter(name), name).toBe(0);
  }
}

describe("a client that ends its side", () => {
  test("before its answer begins is waited for no longer than its time, then the backend hears of it", () => {
    const all = asked();
    all.stream.events.onEnd();
    all.pass(clientEndedMsMax - timerTickMs);
    expect([all.stream.calls, all.upstream().calls]).toEqual([[], []]);
    all.pass(3 * timerTickMs);
    expectGone(all, "reset");
    expect(all.stream.text).toBe("");
  });

  test("gets an answer that comes in time, whole, and then the end", () => {
    const { stream, upstream, pass, counter } = asked();
    stream.events.onEnd();
    pass(clientEndedMsMax - 2 * timerTickMs);
    upstream().receive(`${lengthHead}0123456789`);
    expect(stream.text).toBe(`${lengthHead}0123456789`);
    expect(stream.calls).toEqual(["end"]);
    expect(counter("clientAborts")).toBe(0);
  });

  test("gets an answer however long it takes, as long as it goes on", () => {
    const { stream, upstream, pass } = asked();
    stream.events.onEnd();
    pass(clientEndedMsMax - 2 * timerTickMs);
    upstream().receive("HTTP/1.1 102 Processing\r\n\r\n");
    for (const piece of [lengthHead, ..."0123456789".split("")]) {
      pass(clientEndedMsMax - 2 * timerTickMs);
      upstream().receive(piece);
    }
    expect(stream.text.endsWith("0123456789")).toBe(true);
    expect(stream.calls).toEqual(["end"]);
  });

  test.for([
    ["whose length it knows: it sees by that what is missing", get, lengthHead, "destroy"],
    [
      "that ends with the connection: a reset, or it would look whole",
      "GET / HTTP/1.0\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\n",
      "reset",
    ],
  ] as const)("in the middle of an answer %s", ([, request, head, how]) => {
    const all = asked(request);
    all.upstream().receive(`${head}01234`);
    all.stream.events.onEnd();
    all.pass(clientEndedMsMax - 2 * timerTickMs);
    all.upstream().receive("5");
    all.pass(clientEndedMsMax - 2 * timerTickMs);
    expect(all.stream.calls).toEqual([]);
    all.pass(5 * timerTickMs);
    expectGone(all, how);
  });

  test("and reads slowly is there: it has the time of any reader", () => {
    const { stream, upstream, pass } = asked();
    stream.stuck = true;
    upstream().receive(`${lengthHead}01234`);
    stream.events.onEnd();
    pass(bodyIdleMsMax - 3 * timerTickMs);
    expect(stream.calls).toEqual([]);
    pass(6 * timerTickMs);
    expect(stream.calls).toEqual(["end"]);
  });

  test("behind several requests: each answer has its time", () => {
    const { stream, upstream, pass } = asked(get.repeat(2));
    stream.events.onEnd();
    for (let answer = 0; answer < 2; answer++) {
      pass(clientEndedMsMax - 2 * timerTickMs);
      upstream().receive(`${lengthHead}0123456789`);
    }
    expect(stream.text).toBe(`${lengthHead}0123456789`.repeat(2));
    expect(stream.calls).toEqual(["end"]);
  });

  test("behind a body that its backend takes slowly is not in doubt: what it sent is still on its way", () => {
    const { stream, upstream, pass } = recordedSession();
    stream.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo");
    stream.receive("dy");
    stream.events.onEnd();
    upstream().stuck = true;
    upstream().events.onConnect();
    pass(clientEndedMsMax - 2 * timerTickMs);
    expect(stream.calls).toEqual([]);
    expect(upstream().text.endsWith("body")).toBe(true);
  });

  test("is told 504 where its time was set longer than an answer's", () => {
    const { stream, pass } = asked(get, { clientEndedMsMax: responseHeadMsMax });
    stream.events.onEnd();
    pass(responseHeadMsMax + 3 * timerTickMs);
    expect(stream.text.slice(9, 12)).toBe("504");
    expect(stream.calls).toEqual(["end"]);
  });
});

describe("an empty line", () => {
  test.for([{ pieces: ["\r\n"] }, { pieces: ["\r", "\n"] }, { pieces: ["\r"] }])(
    "alone, %j, makes no request: the connection is idle, and ends so",
    ({ pieces }) => {
      const { stream, pass, counter } = recordedSession();
      pass(requestHeadMsMax);
      for (const piece of pieces) stream.receive(piece);
      // It is no reason to stay longer either.
      pass(downstreamIdleMsMax - requestHeadMsMax - 2 * timerTickMs);
      expect(stream.calls).toEqual([]);
      pass(5 * timerTickMs);
      expect([stream.text, stream.calls]).toEqual(["", ["end"]]);
      expect(counter("requestsTotal")).toBe(0);
    },
  );

  test("behind a body, then silence: the same", () => {
    const { stream, upstream, pass } = asked(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody\r\n",
    );
    upstream().receive(`${lengthHead}0123456789`);
    const { text } = stream;
    pass(downstreamIdleMsMax - 2 * timerTickMs);
    expect(stream.calls).toEqual([]);
    pass(5 * timerTickMs);
    expect([stream.text, stream.calls]).toEqual([text, ["end"]]);
  });

  test("is forgotten before a request; a head's time begins with its first byte", () => {
    const { stream, upstream, connect, pass } = recordedSession();
    stream.receive("\r\n");
    pass(downstreamIdleMsMax / 2);
    stream.receive("GET /");
    pass(requestHeadMsMax - 2 * timerTickMs);
    stream.receive(" HTTP/1.1\r\nHost: a\r\n\r\n");
    connect();
    expect(upstream().text.startsWith("GET / HTTP/1.1\r\n")).toBe(true);
  });

  test("and half a head: 408 in the time of a head", () => {
    const { stream, pass } = recordedSession();
    stream.receive("\r\n");
    stream.receive("GET /");
    pass(requestHeadMsMax + 3 * timerTickMs);
    expect(stream.text.slice(9, 12)).toBe("408");
  });

  test.for([
    { pieces: ["\r\n\r\n"] },
    { pieces: ["\r\n", "\r", "\n"] },
    { pieces: ["\r", "\n", "\r", "\n"] },
  ])("twice, %j, is no request", ({ pieces }) => {
    const { stream } = recordedSession();
    for (const piece of pieces) stream.receive(piece);
    expect(stream.text.slice(9, 12)).toBe("400");
  });

  test("then the end, or a drain: the connection is idle", () => {
    const ended = recordedSession();
    ended.stream.receive("\r\n");
    ended.stream.events.onEnd();
    expect([ended.stream.text, ended.stream.calls]).toEqual(["", ["end"]]);
    const { stream, upstream, session, pass } = asked();
    upstream().receive(`${lengthHead}0123456789`);
    stream.receive("\r\n");
    session.drain();
    pass(3 * timerTickMs);
    expect(stream.calls).toEqual(["end"]);
  });
});
