// Goal: an answer with one of the route's statuses is none while there is another try: nothing of it reaches the client,
// and when there is none it is relayed as it is.
// Method: recorded streams and a clock in the test's hand.

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

  test("of a backend that drains: its connection is not kept", () => {
    const { stream, connect, dialled, counter, backendOf } = triedSession({ retry });
    stream.receive(get);
    connect();
    backendOf(dialled[0]!).stand({ draining: true });
    dialled[0]!.receive(busy);
    expect([dialled[0]!.calls.length, counter("upstreamIdle")]).toEqual([1, 0]);
    connect();
    dialled[1]!.receive(okAnswer("ok"));
    expect(statusesOf(stream.text)).toEqual(["200"]);
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
    const { stream, connect, dialled, counter, inFlight, backends } = triedSession({
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
    expect(backends.map(({ failuresTotal }) => failuresTotal)).toEqual([1, 1, 1]);
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
