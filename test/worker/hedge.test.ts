// Goal: a request that is asked of two backends is answered once, by whoever has an answer first; the other is let go
// and counted for what it did, which is nothing; and nothing is asked twice that must not be.
// Method: recorded streams and a clock in the test's hand: every order of events.

import { describe, expect, test } from "vitest";
import { okAnswer } from "../support/peer.ts";
import { type TriedOptions, type TriedSession, triedSession } from "../support/tried-session.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const busy = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
const statusesOf = (text: string): string[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status = ""]) => status);

/** A request that was sent to a first backend, and then to a second one. */
function hedged(options: TriedOptions = {}, request = get) {
  const session = triedSession({ ...options, retry: { hedgeMs: 20, ...options.retry } });
  session.stream.receive(request);
  const first = session.dialled[0]!;
  first.events.onConnect();
  session.wait(30);
  const second = session.dialled[1]!;
  expect(second.to).not.toBe(first.to);
  expect(session.inFlight()).toBe(2);
  return { ...session, first, second };
}

/** All that must hold when a request is over, however it ended. */
function isOver({ inFlight, backends, wait, stream }: TriedSession): void {
  expect(inFlight()).toBe(0);
  for (const { endpoint } of backends) expect(endpoint.inFlight).toBe(0);
  const before = stream.text;
  wait(2_000);
  expect(stream.text).toBe(before);
}

describe("a second backend", () => {
  test("is not asked when the first answers in time", () => {
    const session = triedSession({ retry: { hedgeMs: 20 } });
    const { stream, dialled, connect, wait, counter } = session;
    stream.receive(get);
    connect();
    wait(19);
    dialled[0]!.receive(okAnswer("ok"));
    wait(500);
    expect([dialled.length, counter("hedges"), counter("upstreamTries")]).toEqual([1, 0, 1]);
    isOver(session);
  });

  test("answers first: the first is reset, and has failed in nothing", () => {
    const session = hedged();
    const { first, second, stream, backends, counter } = session;
    second.events.onConnect();
    expect(second.text).toBe(first.text);
    second.receive(okAnswer("second"));
    expect(stream.text.endsWith("\r\n\r\nsecond")).toBe(true);
    expect([first.calls, second.calls]).toEqual([["reset"], []]);
    expect(backends.map(({ failuresTotal }) => failuresTotal)).toEqual([0, 0]);
    expect([counter("hedges"), counter("hedgesWon"), counter("upstreamIdle")]).toEqual([1, 1, 1]);
    first.receive(okAnswer("late"));
    isOver(session);
  });

  test.for([
    ["while it is dialled", false],
    ["while it is silent", true],
  ] as const)("loses %s: it is reset, and has failed in nothing", ([, connects]) => {
    const session = hedged();
    const { first, second, stream, backends, counter } = session;
    if (connects) second.events.onConnect();
    first.receive(okAnswer("first"));
    expect(stream.text.endsWith("\r\n\r\nfirst")).toBe(true);
    expect([first.calls, second.calls]).toEqual([[], ["reset"]]);
    expect(backends.map(({ failuresTotal }) => failuresTotal)).toEqual([0, 0]);
    expect([counter("hedges"), counter("hedgesWon")]).toEqual([1, 0]);
    isOver(session);
  });

  test.for([
    ["reset", (one: TriedSession["dialled"][0]) => one.events.onClose("reset", "ECONNRESET")],
    ["end", (one: TriedSession["dialled"][0]) => one.events.onEnd()],
    ["malformed", (one: TriedSession["dialled"][0]) => one.receive("nonsense\r\n\r\n")],
    ["503", (one: TriedSession["dialled"][0]) => one.receive(busy)],
  ] as const)("goes on alone when the first fails: %s", ([, fail]) => {
    const session = hedged({ retry: { statuses: [503] } });
    const { first, second, stream, dialled, backendOf, counter } = session;
    second.events.onConnect();
    fail(first);
    expect(stream.text).toBe("");
    expect(session.inFlight()).toBe(1);
    second.receive(okAnswer("second"));
    expect(stream.text.endsWith("\r\n\r\nsecond")).toBe(true);
    expect([dialled.length, backendOf(first).failuresTotal]).toEqual([2, 1]);
    expect([backendOf(second).failuresTotal, counter("hedgesWon")]).toEqual([0, 1]);
    isOver(session);
  });

  test.for([
    ["reset", (one: TriedSession["dialled"][0]) => one.events.onClose("reset", "ECONNRESET")],
    ["end", (one: TriedSession["dialled"][0]) => one.events.onEnd()],
    ["malformed", (one: TriedSession["dialled"][0]) => one.receive("nonsense\r\n\r\n")],
    ["503", (one: TriedSession["dialled"][0]) => one.receive(busy)],
  ] as const)("fails: the first goes on alone: %s", ([, fail]) => {
    const session = hedged({ retry: { statuses: [503] } });
    const { first, second, stream, dialled, wait, backendOf } = session;
    second.events.onConnect();
    fail(second);
    expect(session.inFlight()).toBe(1);
    wait(300);
    first.receive(okAnswer("first"));
    expect(stream.text.endsWith("\r\n\r\nfirst")).toBe(true);
    expect([dialled.length, backendOf(second).failuresTotal]).toEqual([2, 1]);
    expect(backendOf(first).failuresTotal).toBe(0);
    isOver(session);
  });

  test("refuses its connection: the first goes on alone", () => {
    const session = hedged();
    const { first, second, stream, backendOf } = session;
    second.events.onClose("refused", "ECONNREFUSED");
    first.receive(okAnswer("first"));
    expect(stream.text.endsWith("\r\n\r\nfirst")).toBe(true);
    expect(backendOf(second).lastFailure).toBe("connect refused");
    isOver(session);
  });

  test.for([
    ["the first refuses", (one: TriedSession["dialled"][0]) => one.events.onClose("refused", "")],
    ["the second answers", undefined],
  ] as const)("is asked while the first is still being dialled; %s", ([, fail]) => {
    const session = triedSession({ retry: { hedgeMs: 20 } });
    const { stream, dialled, wait } = session;
    stream.receive(get);
    wait(30);
    fail?.(dialled[0]!);
    dialled[1]!.events.onConnect();
    dialled[1]!.receive(okAnswer("second"));
    expect(stream.text.endsWith("\r\n\r\nsecond")).toBe(true);
    isOver(session);
  });

  test("is still being dialled when the first fails", () => {
    const session = hedged();
    const { first, second, stream, told } = session;
    first.events.onClose("reset", "ECONNRESET");
    second.events.onConnect();
    expect(second.text).toBe(first.text);
    expect(told()).toBe("");
    second.receive(okAnswer("second"));
    expect(stream.text.endsWith("\r\n\r\nsecond")).toBe(true);
    isOver(session);
  });

  test("fails after the first: both have failed, a third is tried", () => {
    const session = hedged({ count: 3 });
    const { first, second, stream, dialled, backends } = session;
    second.events.onConnect();
    first.events.onClose("reset", "ECONNRESET");
    second.events.onClose("reset", "ECONNRESET");
    const third = dialled[2]!;
    third.events.onConnect();
    third.receive(okAnswer("third"));
    expect(stream.text.endsWith("\r\n\r\nthird")).toBe(true);
    expect(backends.map(({ failuresTotal }) => failuresTotal).toSorted((a, b) => a - b)).toEqual([
      0, 1, 1,
    ]);
    isOver(session);
  });

  test("and the first say 503: the last one is relayed when the tries are used up", () => {
    const session = hedged({ retry: { statuses: [503], tries: 2 } });
    const { first, second, stream, dialled, counter } = session;
    second.events.onConnect();
    second.receive(busy);
    first.receive(busy);
    expect(dialled.length).toBe(2);
    expect(statusesOf(stream.text)).toEqual(["503"]);
    expect(counter("hedgesWon")).toBe(0);
    isOver(session);
  });

  test("and its half a head lose to a whole one; the other's half is forgotten", () => {
    const session = hedged();
    const { first, second, stream } = session;
    second.events.onConnect();
    first.receive("HTTP/1.1 200 OK\r\nX-From: fir");
    second.receive("HTTP/1.1 200 OK\r\nX-From: sec");
    expect(stream.text).toBe("");
    second.receive("ond\r\nContent-Length: 2\r\n\r\nok");
    expect(stream.text).toContain("X-From: second\r\n");
    expect(stream.text).not.toContain("fir");
    isOver(session);
  });

  test("brings half a head, then is alone: the other half completes it", () => {
    const session = hedged();
    const { first, second, stream } = session;
    second.events.onConnect();
    second.receive("HTTP/1.1 200 OK\r\nX-From: sec");
    first.events.onClose("reset", "ECONNRESET");
    second.receive("ond\r\nContent-Length: 2\r\n\r\nok");
    expect(stream.text).toContain("X-From: second\r\n");
    isOver(session);
  });

  test.for(["first", "second"] as const)("interim answers count: of the %s", (who) => {
    const session = hedged();
    const { first, second, stream } = session;
    second.events.onConnect();
    session[who].receive("HTTP/1.1 103 Early Hints\r\n\r\n");
    expect((who === "first" ? second : first).calls).toEqual(["reset"]);
    session[who].receive(okAnswer("ok"));
    expect(statusesOf(stream.text)).toEqual(["103", "200"]);
    isOver(session);
  });

  test("and the first are both let go when the client leaves", () => {
    const session = hedged();
    const { first, second, stream } = session;
    stream.events.onClose("reset", "ECONNRESET");
    expect([first.calls.length, second.calls.length]).toEqual([1, 1]);
    isOver(session);
  });

  test.for([
    ["a try", { retry: { perTryMs: 100, tries: 2 } }, "504 try-time"],
    ["the request", { timeoutMs: 150 }, "504 request-time"],
  ] as const)("does not outlast the time of %s", ([, options, words]) => {
    const session = hedged(options);
    const { first, second, told, wait } = session;
    second.events.onConnect();
    wait(80);
    expect(second.calls).toEqual([]);
    wait(60);
    expect(told()).toBe(words);
    expect([first.calls.length, second.calls.length]).toEqual([1, 1]);
    isOver(session);
  });

  test("is asked once, however long both are silent", () => {
    const session = hedged({ count: 4 });
    const { second, dialled, wait, first } = session;
    second.events.onClose("refused", "ECONNREFUSED");
    wait(1_000);
    expect(dialled.length).toBe(2);
    first.receive(okAnswer("first"));
    isOver(session);
  });

  test("is asked with the body, when all of it has come", () => {
    const session = triedSession({ retry: { hedgeMs: 20 } });
    const { stream, dialled, connect, wait } = session;
    stream.receive("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\na b");
    connect();
    wait(300);
    expect(dialled.length).toBe(1);
    stream.receive("ody");
    wait(40);
    connect();
    expect(dialled.length).toBe(2);
    expect(dialled[1]!.text).toBe(dialled[0]!.text);
    dialled[1]!.receive(okAnswer("ok"));
    expect(statusesOf(stream.text)).toEqual(["200"]);
    isOver(session);
  });

  /** A request that was sent to a first backend over an idle connection, and then so to a second one. */
  function hedgedIdle() {
    const session = triedSession({ retry: { hedgeMs: 20 } });
    const { stream, dialled, wait } = session;
    const asked = (): readonly number[] => dialled.map(({ text }) => text.split("GET ").length);
    while (dialled.length < 2) {
      const before = asked();
      stream.receive(get);
      if (dialled.length > before.length) dialled.at(-1)!.events.onConnect();
      dialled.find((_, i) => asked()[i] !== before[i])!.receive(okAnswer("ok"));
    }
    const before = asked();
    stream.receive(get);
    const at = asked()[0] === before[0] ? 1 : 0;
    wait(30);
    expect(asked()).toEqual(before.map((count) => count + 1));
    return { ...session, first: dialled[at]!, second: dialled[1 - at]! };
  }

  test("gets the request over an idle connection, if there is one", () => {
    const session = hedgedIdle();
    const { second, first, stream, dialled, counter } = session;
    second.receive(okAnswer("second"));
    expect(stream.text.endsWith("\r\n\r\nsecond")).toBe(true);
    expect([first.calls, dialled.length, counter("hedgesWon")]).toEqual([["reset"], 2, 1]);
    isOver(session);
  });

  test("has not failed when its idle connection was closed", () => {
    const session = hedgedIdle();
    const { second, first, stream, backends } = session;
    second.events.onClose("reset", "ECONNRESET");
    expect(backends.map(({ failuresTotal }) => failuresTotal)).toEqual([0, 0]);
    first.receive(okAnswer("first"));
    expect(stream.text.endsWith("\r\n\r\nfirst")).toBe(true);
    isOver(session);
  });
});

describe("nobody else is asked", () => {
  test.for([
    ["for a POST", get.replace("GET", "POST"), {}],
    [
      "for a body that is not kept",
      "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      {},
    ],
    [
      "for an upgrade",
      get.replace("\r\n\r\n", "\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
      {},
    ],
    ["when there is no other", get, { count: 1 }],
    ["when there is one try", get, { retry: { tries: 1 } }],
    ["when nobody can pay", get, { limits: { retryReserveAnswers: 0 } }],
  ] as const)("%s", ([, request, own]) => {
    const session = triedSession({
      ...own,
      retry: { hedgeMs: 20, ...("retry" in own ? own.retry : {}) },
    });
    const { stream, dialled, connect, wait, counter } = session;
    stream.receive(request);
    connect();
    wait(500);
    expect([dialled.length, counter("hedges")]).toEqual([1, 0]);
    dialled[0]!.receive(okAnswer("ok"));
    expect(statusesOf(stream.text)).toEqual(["200"]);
    isOver(session);
  });

  test("for a client that sticks to its backend", () => {
    const session = triedSession({ sticky: true, retry: { hedgeMs: 20 } });
    const { stream, dialled, connect, wait, counter } = session;
    stream.receive(get);
    connect();
    dialled[0]!.receive(okAnswer("ok"));
    const [, cookie] = /^Set-Cookie: ([^;]*)/im.exec(stream.text) ?? [];
    stream.receive(get.replace("\r\n\r\n", `\r\nCookie: ${cookie}\r\n\r\n`));
    wait(500);
    expect([dialled.length, counter("hedges")]).toEqual([1, 0]);
    dialled[0]!.receive(okAnswer("ok"));
    isOver(session);
  });
});
