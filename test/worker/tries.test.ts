// Goal: what a route says of tries holds in every order of events: each try has its time, the request has one, and
// nothing is sent again that must not be.
// Method: recorded streams and a clock in the test's hand. Statuses: tries-statuses.test.ts; second backends: hedge.test.ts.

import { describe, expect, test } from "vitest";
import { okAnswer } from "../support/peer.ts";
import { triedSession } from "../support/tried-session.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody";
const put = (body: string): string =>
  `PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const statusesOf = (text: string): string[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status = ""]) => status);

describe("the time for one try", () => {
  test.for([
    ["GET", get],
    ["POST", post],
  ] as const)("is over while dialling: %s goes to another backend", ([, request]) => {
    const { stream, dialled, wait, backendOf, counter, inFlight } = triedSession({
      retry: { perTryMs: 50 },
    });
    stream.receive(request);
    wait(49);
    expect(dialled.length).toBe(1);
    wait(11);
    expect(dialled[0]!.calls).toEqual(["reset"]);
    expect(dialled.length).toBe(2);
    expect(dialled[1]!.to).not.toBe(dialled[0]!.to);
    expect(backendOf(dialled[0]!)).toMatchObject({ lastFailure: "timeout", inFlight: 0 });
    dialled[1]!.events.onConnect();
    dialled[1]!.receive(okAnswer("ok"));
    expect(stream.text).toContain("200 OK");
    expect([counter("tryTimeouts"), counter("retriesTimeout"), inFlight()]).toEqual([1, 1, 0]);
  });

  test("is over after it was sent: GET goes to another backend", () => {
    const { stream, dialled, connect, wait, backendOf, counter } = triedSession({
      retry: { perTryMs: 50 },
    });
    stream.receive(get);
    connect();
    wait(60);
    expect(dialled[0]!.calls).toEqual(["reset"]);
    connect();
    expect(dialled[1]!.text).toBe(dialled[0]!.text);
    dialled[1]!.receive(okAnswer("ok"));
    expect(statusesOf(stream.text)).toEqual(["200"]);
    expect(backendOf(dialled[0]!).lastFailure).toBe("timeout");
    expect(backendOf(dialled[1]!).failuresTotal).toBe(0);
    expect(counter("upstreamRetries")).toBe(1);
  });

  test.for([
    ["POST", post, {}],
    ["one that is not to be tried again", get, { on: ["reset" as const] }],
    ["one whose tries are used up", get, { tries: 1 }],
  ] as const)("is over for %s: 504", ([, request, own]) => {
    const session = triedSession({ retry: { perTryMs: 50, ...own } });
    const { stream, dialled, connect, wait, told, counter, inFlight } = session;
    stream.receive(request);
    connect();
    wait(60);
    expect(told()).toBe("504 try-time");
    expect(dialled.map(({ calls }) => calls)).toEqual([["reset"]]);
    expect([counter("upstreamTimeouts"), inFlight()]).toEqual([1, 0]);
    wait(500);
    expect(statusesOf(stream.text)).toEqual(["504"]);
  });

  test("is that of each try: the last one ends in 504", () => {
    const { stream, dialled, connect, wait, told, inFlight } = triedSession({
      retry: { perTryMs: 200, tries: 3 },
      count: 4,
    });
    stream.receive(get);
    for (let tries = 1; tries <= 3; tries++) {
      expect(dialled.length).toBe(tries);
      connect();
      expect(told()).toBe("");
      const { calls } = dialled[tries - 1]!;
      let waited = 0;
      for (; calls.length === 0 && waited < 1_000; waited++) wait(1);
      expect(waited).toBeGreaterThanOrEqual(200);
      expect(waited).toBeLessThanOrEqual(210);
    }
    expect(told()).toBe("504 try-time");
    expect(new Set(dialled.map(({ to }) => to)).size).toBe(3);
    expect(inFlight()).toBe(0);
  });

  test("goes on through half a head, which is then no part of the answer", () => {
    const { stream, connect, dialled, wait } = triedSession({ retry: { perTryMs: 50 } });
    stream.receive(get);
    connect();
    dialled[0]!.receive("HTTP/1.1 200 OK\r\nContent-");
    wait(60);
    connect();
    dialled[1]!.receive(okAnswer("whole"));
    expect(stream.text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nwhole$/);
  });

  test("ends with the head: a body may take longer", () => {
    const { stream, connect, dialled, wait } = triedSession({ retry: { perTryMs: 50 } });
    stream.receive(get);
    connect();
    dialled[0]!.receive("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo");
    wait(500);
    dialled[0]!.receive("dy");
    expect(stream.text.endsWith("\r\n\r\nbody")).toBe(true);
    expect(dialled.length).toBe(1);
  });

  test("does not run for a client that has not sent its request", () => {
    const { stream, connect, dialled, wait, told } = triedSession({ retry: { perTryMs: 50 } });
    const request = put("a body");
    stream.receive(request.slice(0, -3));
    connect();
    wait(200);
    expect([dialled.length, told()]).toEqual([1, ""]);
    stream.receive(request.slice(-3));
    wait(70);
    expect(dialled.length).toBe(2);
    connect();
    expect(dialled[1]!.text.endsWith("a body")).toBe(true);
  });

  test("after an interim answer there is no other try", () => {
    const { stream, connect, dialled, wait } = triedSession({ retry: { perTryMs: 50 } });
    stream.receive(get);
    connect();
    dialled[0]!.receive("HTTP/1.1 103 Early Hints\r\n\r\n");
    wait(60);
    expect(statusesOf(stream.text)).toEqual(["103", "504"]);
    expect(dialled.length).toBe(1);
  });

  test("is nobody's when the client has left", () => {
    const { stream, connect, dialled, wait, inFlight } = triedSession({ retry: { perTryMs: 50 } });
    stream.receive(get);
    connect();
    stream.events.onClose("reset", "ECONNRESET");
    wait(500);
    expect([dialled.length, inFlight()]).toEqual([1, 0]);
  });
});

describe("how many tries, and after what", () => {
  test.for([
    ["connect", { on: ["reset" as const] }, "503 no-backend-reachable"],
    ["connect", { tries: 1 }, "503 no-backend-reachable"],
    ["reset", { on: ["connect" as const] }, "502 backend-closed"],
    ["reset", { tries: 1 }, "502 backend-closed"],
  ] as const)("%s, with %j: %s", ([what, retry, words]) => {
    const { stream, dialled, connect, told } = triedSession({ retry, count: 4 });
    stream.receive(get);
    if (what === "reset") connect();
    dialled[0]!.events.onClose(what === "reset" ? "reset" : "refused", "broken");
    expect(told()).toBe(words);
    expect(dialled.length).toBe(1);
  });

  test("connects and retries count together", () => {
    const { stream, dialled, connect, told, counter } = triedSession({
      retry: { tries: 6 },
      count: 9,
    });
    stream.receive(get);
    for (let i = 0; i < 6; i++) {
      expect(dialled.length).toBe(i + 1);
      const isDial = i % 2 === 0;
      if (!isDial) connect();
      dialled[i]!.events.onClose(isDial ? "refused" : "reset", "broken");
    }
    expect(told()).toBe("502 backend-closed");
    expect(dialled.length).toBe(6);
    expect([counter("retriesConnect"), counter("retriesReset")]).toEqual([3, 2]);
  });

  test("a byte of the answer ends it for a broken connection, as without a rule", () => {
    const { stream, dialled, connect, told } = triedSession({ retry: { statuses: [503] } });
    stream.receive(get);
    connect();
    dialled[0]!.receive("H");
    dialled[0]!.events.onClose("reset", "ECONNRESET");
    expect(told()).toBe("502 backend-closed");
    expect(dialled.length).toBe(1);
  });

  test("nothing of it is kept for the next request of the connection", () => {
    const { stream, dialled, connect, wait, inFlight } = triedSession({
      retry: { perTryMs: 50, hedgeMs: 20, statuses: [503] },
    });
    for (let i = 0; i < 5; i++) {
      stream.receive(get);
      if (dialled.at(-1)!.text === "") connect();
      dialled.at(-1)!.receive(okAnswer("ok"));
      wait(200);
    }
    expect(statusesOf(stream.text)).toEqual(["200", "200", "200", "200", "200"]);
    expect(inFlight()).toBe(0);
  });
});

describe("the time for a whole request", () => {
  test("is over in the second try: 504, which is not the fault of who had little time", () => {
    const session = triedSession({ timeoutMs: 80, retry: { perTryMs: 50 } });
    const { stream, dialled, connect, wait, told, inFlight, backendOf } = session;
    stream.receive(get);
    connect();
    wait(60);
    connect();
    expect(dialled.length).toBe(2);
    wait(15);
    expect(told()).toBe("");
    wait(20);
    expect(told()).toBe("504 request-time");
    expect(dialled.map(({ calls }) => calls.length)).toEqual([1, 1]);
    expect(dialled.map((one) => backendOf(one).failuresTotal)).toEqual([1, 0]);
    expect(inFlight()).toBe(0);
    wait(500);
    expect(statusesOf(stream.text)).toEqual(["504"]);
    // The connection goes on.
    stream.receive(get);
    expect(dialled.length).toBe(3);
  });

  test("is over in the only try: its backend has failed", () => {
    const { stream, connect, dialled, wait, told, backendOf } = triedSession({ timeoutMs: 80 });
    stream.receive(get);
    connect();
    wait(100);
    expect(told()).toBe("504 request-time");
    expect(backendOf(dialled[0]!).lastFailure).toBe("timeout");
  });

  test("is over in the middle of the answer, which is cut", () => {
    const { stream, connect, dialled, wait, backendOf } = triedSession({ timeoutMs: 80 });
    stream.receive(get);
    connect();
    dialled[0]!.receive("HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\na part");
    wait(100);
    expect(statusesOf(stream.text)).toEqual(["200"]);
    expect(stream.calls).toEqual(["end"]);
    expect(dialled[0]!.calls.length).toBe(1);
    expect(backendOf(dialled[0]!).failuresTotal).toBe(0);
  });

  test.for([
    [80, 200, "504 request-time", 100],
    [200, 80, "504 backend-slow", 100],
  ] as const)("of route %i ms and node %i ms: %s", ([timeoutMs, requestMsMax, words, ms]) => {
    const { stream, connect, wait, told } = triedSession({ timeoutMs, limits: { requestMsMax } });
    stream.receive(get);
    connect();
    wait(70);
    expect(told()).toBe("");
    wait(ms - 70);
    expect(told()).toBe(words);
  });

  test("is the client's fault while its request has not come", () => {
    const { stream, connect, wait, told, backendOf, dialled } = triedSession({ timeoutMs: 80 });
    stream.receive(put("a body").slice(0, -3));
    connect();
    wait(100);
    expect(told()).toBe("408 request-slow");
    expect(backendOf(dialled[0]!).failuresTotal).toBe(0);
  });

  test("does not bind an upgraded connection", () => {
    const { stream, connect, dialled, wait } = triedSession({
      timeoutMs: 80,
      retry: { perTryMs: 50 },
    });
    stream.receive(
      "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n",
    );
    connect();
    dialled[0]!.receive("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
    wait(1_000);
    dialled[0]!.receive("hello");
    expect(stream.text.endsWith("hello")).toBe(true);
    expect([stream.calls, dialled[0]!.calls]).toEqual([[], []]);
  });
});
