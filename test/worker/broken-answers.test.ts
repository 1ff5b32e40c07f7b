// Goal: a head of a backend that is wrong gets one reason, however it was cut and whatever comes instead of its
// rest: nothing, an end, a reset.
// Method: every single cut of each head, on recorded streams.

import { describe, expect, test } from "vitest";
import { type RecordedSession, recordedSession } from "../support/recorded-session.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const interim = "HTTP/1.1 103 Early Hints\r\n\r\n";

const wrong = [
  "HTTP/1.1 200 OK\r\nBad Field: x\r\n",
  "HTTP/1.1 200 OK\r\n folded\r\nX: y",
  "HTTP/1.1 200 OK\r\n: x",
  "HTTP/1.1 999 X\r\n",
  "HTTP/2.0 200 OK\r\n",
  "HTTP/1.7 200 OK\r\nX",
  "SSH-2.0-OpenSSH_9.2\r\n",
  `${interim}HTTP/1.1 2O0 OK\r\n`,
] as const;

const ends: readonly (readonly [string, (session: RecordedSession) => void])[] = [
  ["silence", ({ pass }) => pass(61_000)],
  ["an end", ({ upstream }) => upstream().events.onEnd()],
  ["a close", ({ upstream }) => upstream().events.onClose("finished", "")],
  ["a reset", ({ upstream }) => upstream().events.onClose("reset", "read ECONNRESET")],
];

/** What a client is told of an answer that comes in these pieces, and then no more. */
function toldOf(pieces: readonly string[], end: (session: RecordedSession) => void): string {
  const session = recordedSession();
  const { stream, connect, upstream, counter } = session;
  stream.receive(get);
  connect();
  for (const piece of pieces) upstream().receive(piece);
  // What is wrong at once has ended the connection.
  if (upstream().calls.length === 0) end(session);
  expect(counter("requestsInFlight")).toBe(0);
  expect(counter("upstreamOpen")).toBe(0);
  expect(counter("malformedResponses")).toBe(1);
  expect([...session.context.table.services()][0]!.backends[0]!.failuresTotal).toBe(1);
  const told = stream.text.replace(interim, "");
  const [, status, reason] =
    /^HTTP\/1\.1 (\d{3}).*?^X-Crosspoint-Reason: (\S+)\r$/ms.exec(told) ?? [];
  return `${status} ${reason}`;
}

describe.for(ends)("an answer whose head is wrong, and then %s", ([, end]) => {
  test.for(wrong)("%j is malformed at every cut", (head) => {
    for (let cut = 0; cut < head.length; cut++) {
      const pieces = [head.slice(0, cut), head.slice(cut)].filter((piece) => piece !== "");
      expect(toldOf(pieces, end), `cut at ${cut}`).toBe("502 backend-malformed");
    }
    expect(toldOf(head.split(""), end)).toBe("502 backend-malformed");
  });
});

test("an answer whose head is right so far, and then an end: the backend broke off", () => {
  const { stream, connect, upstream, told, counter } = recordedSession();
  stream.receive(get);
  connect();
  upstream().receive("HTTP/1.1 200 OK\r\n");
  upstream().receive("Content-Le");
  upstream().events.onEnd();
  expect(told()).toBe("502 backend-closed");
  expect(counter("malformedResponses")).toBe(0);
});
