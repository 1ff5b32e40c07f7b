// Goal: what a route says of tries holds in every order of events: each try has its time, an answer with one of the
// statuses is none while there is another try, and nothing is sent again that must not be.
// Method: recorded streams and a clock in the test's hand. Second backends: hedge.test.ts.

import { describe, expect, test } from "vitest";
import { retryReserveAnswers } from "../../src/limits.ts";
import { okAnswer } from "../support/peer.ts";
import { triedSession } from "../support/tried-session.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody";
const put = (body: string): string =>
  `PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const busy = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
const lastBusy = busy.replace("\r\n", "\r\nConnection: close\r\n");
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

describe("an answer with one of the statuses", () => {
  const retry = { statuses: [503] };

  test.for([
    ["whole: kept", busy, "kept"],
    ["in part: closed", busy.slice(0, -1), "closed"],
    [
      "in chunks: closed",
      "HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "closed",
    ],
    ["as the last one: closed", lastBusy, "closed"],
  ] as const)("is none; when it came, for its connection, %s", ([, answer, fate]) => {
    const { stream, connect, dialled, counter, backendOf, inFlight } = triedSession({ retry });
    stream.receive(get);
    connect();
    dialled[0]!.receive(answer);
    expect(stream.text).toBe("");
    expect(dialled[0]!.calls.length).toBe(fate === "kept" ? 0 : 1);
    expect(counter("upstreamIdle")).toBe(fate === "kept" ? 1 : 0);
    connect();
    dialled[1]!.receive(okAnswer("ok"));
    expect(statusesOf(stream.text)).toEqual(["200"]);
    expect(backendOf(dialled[0]!).lastFailure).toBe("HTTP 503");
    expect([counter("retriesStatus"), inFlight()]).toEqual([1, 0]);
  });

  test("whose body comes later goes nowhere", () => {
    const { stream, connect, dialled } = triedSession({ retry });
    stream.receive(get);
    connect();
    dialled[0]!.receive("HTTP/1.1 503 X\r\nContent-Length: 90\r\n\r\n");
    dialled[0]!.receive("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    connect();
    dialled[1]!.receive(okAnswer("ok"));
    expect(stream.text).not.toContain("poison");
    expect(statusesOf(stream.text)).toEqual(["200"]);
  });

  test("in pieces is none, too", () => {
    const { stream, connect, dialled } = triedSession({ retry });
    stream.receive(get);
    connect();
    for (const octet of busy) if (dialled[0]!.calls.length === 0) dialled[0]!.receive(octet);
    connect();
    for (const octet of okAnswer("ok")) dialled[1]!.receive(octet);
    expect(statusesOf(stream.text)).toEqual(["200"]);
    expect(stream.text.endsWith("\r\n\r\nok")).toBe(true);
  });

  test("everywhere: the last one is relayed as it is", () => {
    const { stream, connect, dialled, counter, inFlight } = triedSession({
      retry: { ...retry, tries: 3 },
      count: 3,
    });
    stream.receive(get);
    for (let i = 0; i < 3; i++) {
      connect();
      dialled[i]!.receive(busy.replaceAll("busy", `bus${i}`));
    }
    expect(dialled.length).toBe(3);
    expect(new Set(dialled.map(({ to }) => to)).size).toBe(3);
    expect(statusesOf(stream.text)).toEqual(["503"]);
    expect(stream.text.endsWith("bus2")).toBe(true);
    expect(stream.text).not.toContain("X-Crosspoint-Reason");
    expect([counter("upstreamTries"), inFlight()]).toEqual([3, 0]);
  });

  test("of the only backend: it is asked again, as often as there are tries", () => {
    const { stream, connect, dialled } = triedSession({ retry: { ...retry, tries: 3 }, count: 1 });
    stream.receive(get);
    for (let i = 0; i < 3; i++) {
      connect();
      dialled[i]!.receive(lastBusy);
    }
    expect(dialled.length).toBe(3);
    expect(statusesOf(stream.text)).toEqual(["503"]);
  });

  test("of two backends, with more tries: both are asked again, in turns", () => {
    const { stream, connect, dialled } = triedSession({ retry: { ...retry, tries: 5 } });
    stream.receive(get);
    for (let i = 0; i < 5; i++) {
      connect();
      dialled[i]!.receive(lastBusy);
      if (i > 0) expect(dialled[i]!.to).not.toBe(dialled[i - 1]!.to);
    }
    expect(statusesOf(stream.text)).toEqual(["503"]);
  });

  test.for([
    ["to a POST", post, {}],
    ["when on does not name it", get, { on: ["connect" as const, "reset" as const] }],
    ["of another number", get, { statuses: [502] }],
  ] as const)("is relayed %s", ([, request, own]) => {
    const { stream, connect, dialled, backendOf } = triedSession({ retry: { ...retry, ...own } });
    stream.receive(request);
    connect();
    dialled[0]!.receive(busy);
    expect(dialled.length).toBe(1);
    expect(stream.text.endsWith("\r\n\r\nbusy")).toBe(true);
    expect(backendOf(dialled[0]!).inFlight).toBe(0);
  });

  test("to HEAD has no body to wait for", () => {
    const { stream, connect, dialled, counter } = triedSession({ retry });
    stream.receive(get.replace("GET", "HEAD"));
    connect();
    dialled[0]!.receive("HTTP/1.1 503 X\r\nContent-Length: 90\r\n\r\n");
    expect(counter("upstreamIdle")).toBe(1);
    connect();
    dialled[1]!.receive("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n");
    expect(statusesOf(stream.text)).toEqual(["200"]);
    expect(counter("upstreamIdle")).toBe(2);
  });

  test("while the request's body still comes: what was sent is sent again, the rest follows", () => {
    const { stream, connect, dialled } = triedSession({ retry });
    const request = put("one two three");
    stream.receive(request.slice(0, -5));
    connect();
    dialled[0]!.receive(busy);
    expect(dialled[0]!.calls.length).toBe(1);
    connect();
    stream.receive("three");
    expect(dialled[1]!.text.endsWith("\r\n\r\none two three")).toBe(true);
    dialled[1]!.receive(okAnswer("ok"));
    expect(statusesOf(stream.text)).toEqual(["200"]);
  });

  test("behind an interim one is relayed: the client has had a part of it", () => {
    const { stream, connect, dialled } = triedSession({ retry });
    stream.receive(get);
    connect();
    dialled[0]!.receive(`HTTP/1.1 103 Early Hints\r\n\r\n${busy}`);
    expect(statusesOf(stream.text)).toEqual(["103", "503"]);
  });

  test("is relayed when the service cannot pay: retries stay under a fifth of the requests", () => {
    const { stream, dialled, counter } = triedSession({ retry, count: 3 });
    const requests = 400;
    for (let i = 0; i < requests; i++) {
      stream.receive(get);
      for (let at = 0; at < dialled.length; at++) {
        const upstream = dialled[at]!;
        if (upstream.calls.length > 0) continue;
        if (upstream.text === "") upstream.events.onConnect();
      }
      // Whoever has a request answers it.
      for (let k = 0; k < 4; k++) {
        const asked = dialled.find(
          (one) => one.text.split("GET /").length - 1 > answered(one) && one.calls.length === 0,
        );
        if (asked === undefined) break;
        answers.set(asked, answered(asked) + 1);
        asked.receive(busy);
        for (const one of dialled) if (one.text === "") one.events.onConnect();
      }
    }
    expect(statusesOf(stream.text).length).toBe(requests);
    const tries = counter("upstreamTries");
    expect(counter("retriesRefused")).toBeGreaterThan(0);
    expect(tries - requests).toBeLessThanOrEqual((requests + retryReserveAnswers) / 5);
  });

  const answers = new Map<object, number>();
  const answered = (one: object): number => answers.get(one) ?? 0;

  test("costs the requests behind it nothing: each gets its own answer, in order", () => {
    const { stream, dialled, backendOf, inFlight } = triedSession({ retry });
    stream.receive(get + get.replace("/ ", "/two ") + get.replace("/ ", "/three "));
    const first = dialled[0]!;
    first.events.onConnect();
    first.receive(busy);
    const second = dialled[1]!;
    second.events.onConnect();
    second.receive(okAnswer("one"));
    for (const word of ["two", "three"]) {
      const asked = [first, second].find(({ text }) => text.includes(`/${word} `))!;
      asked.receive(okAnswer(word));
    }
    expect(stream.text.match(/\r\n\r\n(one|two|three)/g)?.map((each) => each.trim())).toEqual([
      "one",
      "two",
      "three",
    ]);
    expect([dialled.length, inFlight()]).toEqual([2, 0]);
    expect(backendOf(second).failuresTotal).toBe(0);
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
  test("is over in the second try: 504, and the backend is told", () => {
    const session = triedSession({ timeoutMs: 80, retry: { perTryMs: 50 } });
    const { stream, dialled, connect, wait, told, inFlight } = session;
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
    expect(inFlight()).toBe(0);
    wait(500);
    expect(statusesOf(stream.text)).toEqual(["504"]);
    // The connection goes on.
    stream.receive(get);
    expect(dialled.length).toBe(3);
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
