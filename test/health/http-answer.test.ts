// Goal: an answer is judged by its status and its body, whatever garbage it is and however it was cut.
// Method: each case is given whole, then octet by octet, then with the end of the connection behind it.

import { describe, expect, test } from "vitest";
import { HttpAnswer, type HttpProbeSettings } from "../../src/health/http-answer.ts";

interface Case {
  readonly name: string;
  readonly answer: string;
  readonly says: string;
  readonly settings?: Partial<HttpProbeSettings>;
  /** The connection is to end before it is judged. */
  readonly ends?: true;
}

const page = (length: number): string => "x".repeat(length);
const withLength = (body: string, status = "200 OK"): string =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunked = (...chunks: readonly string[]): string =>
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${[...chunks, ""]
    .map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`)
    .join("")}`;

const cases: readonly Case[] = [
  { name: "200", answer: withLength("ok"), says: "healthy: HTTP 200" },
  { name: "204 without a body", answer: "HTTP/1.1 204 No\r\n\r\n", says: "healthy: HTTP 204" },
  {
    name: "a redirect, which is not followed",
    answer: withLength("", "302 Found\r\nLocation: http://elsewhere.test/"),
    says: "healthy: HTTP 302",
  },
  { name: "404", answer: withLength("no", "404 Not Found"), says: "failed: HTTP 404" },
  { name: "500", answer: withLength("", "500 Oops"), says: "failed: HTTP 500" },
  {
    name: "a status that is asked for",
    answer: withLength("", "401 Who"),
    says: "healthy: HTTP 401",
    settings: { statuses: [200, 401] },
  },
  {
    name: "a status that is not among those asked for",
    answer: withLength(""),
    says: "failed: HTTP 200",
    settings: { statuses: [204] },
  },
  {
    name: "an answer behind interim ones",
    answer: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n${withLength("ok")}`,
    says: "healthy: HTTP 200",
  },
  { name: "101", answer: "HTTP/1.1 101 Switching\r\n\r\n", says: "failed: HTTP 101" },
  {
    name: "nothing but interim answers",
    answer: "HTTP/1.1 100 Continue\r\n\r\n".repeat(20),
    says: "failed: more than 10 interim answers",
  },
  {
    name: "a body as expected",
    answer: withLength("all is up."),
    says: "healthy: HTTP 200, its body as expected",
    settings: { body: "is up" },
  },
  {
    name: "a body as expected, cut by chunks",
    answer: chunked("all i", "s u", "p."),
    says: "healthy: HTTP 200, its body as expected",
    settings: { body: "is up" },
  },
  {
    name: "a body as expected until the connection ends",
    answer: "HTTP/1.0 200 OK\r\n\r\nall is up",
    says: "healthy: HTTP 200, its body as expected",
    settings: { body: "is up" },
    ends: true,
  },
  {
    name: "another body",
    answer: withLength("all is down"),
    says: 'failed: HTTP 200, but its body does not hold "is up"',
    settings: { body: "is up" },
  },
  {
    name: "a status that is not expected, with the body that is",
    answer: withLength("is up", "503 No"),
    says: "failed: HTTP 503",
    settings: { body: "is up" },
  },
  {
    name: "what is expected behind the first 64 KiB",
    answer: withLength(`${page(64 * 1024)}is up`),
    says: 'failed: HTTP 200, but the first 64 KiB of its body do not hold "is up"',
    settings: { body: "is up" },
  },
  {
    name: "what is expected at the end of the first 64 KiB",
    answer: withLength(`${page(64 * 1024 - 5)}is up and more`),
    says: "healthy: HTTP 200, its body as expected",
    settings: { body: "is up" },
  },
  {
    name: "a large page of which nothing is expected",
    answer: withLength(page(100_000)),
    says: "healthy: HTTP 200",
  },
  {
    name: "chunks that are none",
    answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    says: "failed: HTTP 200, but not HTTP: bad-chunk-size",
    settings: { body: "is up" },
  },
  { name: "SSH", answer: "SSH-2.0-OpenSSH_9.6\r\n", says: "failed: not HTTP: bad-status-line" },
  { name: "zeros", answer: "\0".repeat(200), says: "failed: not HTTP: bad-status-line" },
  { name: "HTTP/2", answer: "HTTP/2.0 200 OK\r\n\r\n", says: "failed: not HTTP: bad-status-line" },
  {
    name: "status 999",
    answer: "HTTP/1.1 999 Odd\r\n\r\n",
    says: "failed: not HTTP: bad-status-line",
  },
  {
    name: "two lengths",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    says: "failed: not HTTP: two-content-lengths",
  },
  {
    name: "a head without an end",
    answer: `HTTP/1.1 200 OK\r\nX: ${page(70_000)}`,
    says: "failed: more than 64 KiB without an end",
  },
  { name: "nothing", answer: "", says: "failed: closed without an answer", ends: true },
  {
    name: "half a head",
    answer: "HTTP/1.1 200 OK\r\nConte",
    says: "failed: closed in the middle of its answer",
    ends: true,
  },
  {
    name: "half a body of which something is expected",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nis",
    says: "failed: HTTP 200, but closed in the middle of its body",
    settings: { body: "is up" },
    ends: true,
  },
  {
    name: "half a body of which nothing is expected",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nis",
    says: "failed: HTTP 200, but closed in the middle of its body",
    ends: true,
  },
  {
    name: "half a body with a status that is not expected",
    answer: "HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nis",
    says: "failed: HTTP 503",
    ends: true,
  },
  {
    name: "chunks that are none, of which nothing is expected",
    answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    says: "failed: HTTP 200, but not HTTP: bad-chunk-size",
  },
  {
    name: "what is expected, of a body that breaks off",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nis up",
    says: "failed: HTTP 200, but closed in the middle of its body",
    settings: { body: "is up" },
    ends: true,
  },
];

function begun(settings: Partial<HttpProbeSettings> = {}): HttpAnswer {
  return new HttpAnswer({ kind: "http", path: "/", ...settings });
}

function said({ result }: HttpAnswer): string {
  if (result === undefined) return "nothing yet";
  return `${result.healthy ? "healthy" : "failed"}: ${result.said}`;
}

describe("an answer to a probe", () => {
  test.for(cases)("is judged when it is $name, whole", ({ answer, says, settings, ends }) => {
    const reader = begun(settings);
    const bytes = Buffer.from(answer);
    reader.feed(bytes, 0, bytes.length);
    if (ends === true) {
      expect(said(reader)).toBe("nothing yet");
      reader.end();
    }
    expect(said(reader)).toBe(says);
  });

  test.for(cases)("is judged when it is $name, octet by octet", ({ answer, says, settings }) => {
    const reader = begun(settings);
    const bytes = Buffer.from(answer);
    // In a buffer that is used again for each of them.
    const one = Buffer.alloc(3);
    for (const octet of bytes) {
      one[1] = octet;
      reader.feed(one, 1, 2);
      one.fill(0x2a);
    }
    reader.end();
    expect(said(reader)).toBe(says);
  });

  test("that breaks off in its body is none, also when its status was good", () => {
    for (const [status, says] of [
      ["200 OK", "failed: connection reset in the middle of its answer"],
      ["500 No", "failed: HTTP 500"],
    ] as const) {
      const reader = begun();
      const bytes = Buffer.from(`HTTP/1.1 ${status}\r\nContent-Length: 9\r\n\r\nis`);
      reader.feed(bytes, 0, bytes.length);
      reader.broke();
      expect(said(reader)).toBe(says);
    }
  });

  test("is whole when its body has ended, so that the connection is not reset", () => {
    for (const [answer, isWhole] of [
      [withLength("ok"), true],
      [chunked("ok"), true],
      ["HTTP/1.1 204 No\r\n\r\n", true],
      [withLength(page(100_000)), false],
    ] as const) {
      const reader = begun();
      const bytes = Buffer.from(answer);
      reader.feed(bytes, 0, Math.min(bytes.length, 70_000));
      expect([answer.slice(0, 30), reader.isWhole]).toEqual([answer.slice(0, 30), isWhole]);
    }
  });

  test.for([
    ["", false, "no connection within 1 s"],
    ["", true, "no answer within 1 s"],
    ["HTTP/1.1 200 OK\r\n", true, "no end of its head within 1 s"],
  ] as const)("%j and no more is named when the time is over", ([answer, connected, says]) => {
    const reader = begun();
    const bytes = Buffer.from(answer);
    reader.feed(bytes, 0, bytes.length);
    expect(reader.expire(1_000, connected)).toEqual({ healthy: false, said: says });
  });

  test("without an end of its body is healthy by its status, unless the body was asked for", () => {
    const bytes = Buffer.from("HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n");
    for (const [settings, says] of [
      [{}, { healthy: true, said: "HTTP 200" }],
      [{ body: "up" }, { healthy: false, said: "HTTP 200, but no end of its body within 250 ms" }],
    ] as const) {
      const reader = begun(settings);
      reader.feed(bytes, 0, bytes.length);
      expect(said(reader)).toBe("nothing yet");
      expect(reader.expire(250, true)).toEqual(says);
    }
  });

  test("reads a head of 60 KiB that comes octet by octet in time that grows with its length", () => {
    const bytes = Buffer.from(`HTTP/1.1 200 OK\r\n${`X: ${page(500)}\r\n`.repeat(120)}\r\n`);
    const reader = begun();
    const beginMs = performance.now();
    for (let at = 0; at < bytes.length; at++) reader.feed(bytes, at, at + 1);
    expect(performance.now() - beginMs).toBeLessThan(1_000);
    reader.end();
    expect(said(reader)).toBe("healthy: HTTP 200");
  });
});
