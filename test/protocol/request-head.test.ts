// Goal: a request head is understood in one way only, however it arrives; what may be forwarded is marked.
// Method: a table per question; properties over heads that are nearly right.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Method, RequestHead } from "../../src/protocol/request-head.ts";
import { headLike } from "./head-like.ts";
import { poisoned, textOf } from "./octets-of.ts";

const limits = { headBytesMax: 1024, headFieldsMax: 8, targetBytesMax: 64 };

interface Parsed {
  readonly result: number;
  readonly head: RequestHead;
  readonly bytes: Uint8Array;
}

function parse(text: string, at = 7): Parsed {
  const head = new RequestHead(limits);
  const bytes = poisoned(text, at);
  const result = head.parse(bytes, at, at + text.length);
  return { result: result > 0 ? result - at : result, head, bytes };
}

function outcome({ result, head }: Parsed): string {
  if (result < 0) return `${-result} ${head.error}`;
  return result === 0 ? "more" : "ok";
}

/** Names of the fields that would be forwarded. */
function kept({ head, bytes }: Parsed): string[] {
  const names: string[] = [];
  for (let index = 0; index < head.fields.count; index++) {
    if (head.fields.dropped[index] === 1) continue;
    names.push(textOf(bytes, head.fields.nameStart[index]!, head.fields.nameEnd[index]!));
  }
  return names;
}

const framingNames: readonly string[] = ["none", "length", "chunked", "until-close"];
const get = "GET / HTTP/1.1\r\nHost: a.test\r\n";

function headWith(method: string): RequestHead {
  return parse(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`).head;
}

describe("the request line", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "ok"],
    ["\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "ok"],
    ["\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad-method"],
    ["\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 bare-cr"],
    ["GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad-target"],
    ["GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400 bad-version"],
    ["GET /\r\n\r\n", "400 bad-target"],
    ["GET / http/1.1\r\nHost: a\r\n\r\n", "400 bad-version"],
    ["GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505 version-not-supported"],
    ["GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 version-not-supported"],
    ["GET / HTTP/1.1\rHost: a\r\n\r\n", "400 bad-version"],
    ["GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad-target"],
    ["GET /?a\\b|{} HTTP/1.1\r\nHost: a\r\n\r\n", "ok"],
    ['GET /?" HTTP/1.1\r\nHost: a\r\n\r\n', "400 bad-target"],
    [`GET /${"a".repeat(63)} HTTP/1.1\r\nHost: a\r\n\r\n`, "ok"],
    [`GET /${"a".repeat(64)} HTTP/1.1\r\nHost: a\r\n\r\n`, "414 target-too-long"],
    ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "405 method-not-allowed"],
    ["CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "405 method-not-allowed"],
    ["CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad-target"],
    ["GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad-target"],
    ["GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad-host"],
    ["GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad-target"],
    ["OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad-target"],
  ];
  test.for(cases)("%j is %s", ([text, expected]) => {
    expect(outcome(parse(text))).toBe(expected);
  });

  const targets: readonly (readonly [string, string, string, string])[] = [
    // what is sent, what goes on, its path, the authority
    ["GET /a/b?c?d", "/a/b?c?d", "/a/b", "a.test"],
    ["GET //x", "//x", "//x", "a.test"],
    ["OPTIONS *", "*", "*", "a.test"],
    ["GET http://a.test/x?y", "/x?y", "/x", "a.test"],
    ["GET HTTP://A.TEST:80/x", "/x", "/x", "A.TEST:80"],
    ["GET http://a.test", "/", "/", "a.test"],
    ["GET http://a.test?q=/1", "/?q=/1", "/", "a.test"],
    ["OPTIONS http://a.test", "*", "*", "a.test"],
    ["OPTIONS http://a.test/", "/", "/", "a.test"],
    ["OPTIONS http://a.test?q", "/?q", "/", "a.test"],
  ];
  test.for(targets)("%s is forwarded as %s", ([line, target, path, authority]) => {
    const { head, bytes } = parse(`${line} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    expect(textOf(bytes, head.targetStart, head.targetEnd)).toBe(target);
    expect(textOf(bytes, head.targetStart, head.pathEnd)).toBe(path);
    expect(textOf(bytes, head.authorityStart, head.authorityEnd)).toBe(authority);
    expect(textOf(bytes, head.hostStart, head.hostEnd).toLowerCase()).toBe("a.test");
    expect(head.hostFieldReplaced).toBe(line.toLowerCase().includes("http:"));
  });

  test("knows the methods, in upper case only, and which may be sent twice", () => {
    expect(headWith("GET").method).toBe(Method.Get);
    expect(headWith("PATCH").method).toBe(Method.Patch);
    expect(headWith("get").method).toBe(Method.Other);
    const twice = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "FROB"];
    expect(twice.filter((name) => headWith(name).isIdempotent)).toEqual([
      "GET",
      "HEAD",
      "PUT",
      "DELETE",
      "OPTIONS",
    ]);
  });
});

describe("Host", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["a.test", "a.test"],
    ["A.Test.:80", "A.Test"],
    ["a.test:", "a.test"],
    ["a_b-c.test", "a_b-c.test"],
    ["127.0.0.1:8080", "127.0.0.1"],
    ["[::1]:8080", "[::1]"],
    ["", "400"],
    [".", "400"],
    ["a..test", "400"],
    [".a.test", "400"],
    ["a.test..", "400"],
    ["a.test:65536", "400"],
    ["a.test:x", "400"],
    [":80", "400"],
    ["[::1]x", "400"],
    ["[]", "400"],
    ["[::g]", "400"],
    ["a%2etest", "400"],
    ["a;b", "400"],
  ];
  test.for(cases)("%j means %s", ([value, expected]) => {
    const { result, head, bytes } = parse(`GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`);
    expect(result > 0 ? textOf(bytes, head.hostStart, head.hostEnd) : `${-result}`).toBe(expected);
  });

  test("may be missing in HTTP/1.0 only", () => {
    const { result, head } = parse("GET / HTTP/1.0\r\n\r\n");
    expect(result).toBeGreaterThan(0);
    expect(head.hostEnd).toBe(head.hostStart);
    expect(outcome(parse("GET / HTTP/1.1\r\n\r\n"))).toBe("400 missing-host");
  });

  test("is written anew from an absolute target, also where none was sent", () => {
    const parsed = parse("GET http://b.test:81/ HTTP/1.0\r\n\r\n");
    expect(parsed.head.hostFieldReplaced).toBe(true);
    const { head, bytes } = parsed;
    expect(textOf(bytes, head.authorityStart, head.authorityEnd)).toBe("b.test:81");
  });

  const pairs: readonly (readonly [string, string, string])[] = [
    ["http://a.test/", "a.test:80", "ok"],
    ["https://a.test/", "a.test:443", "ok"],
    ["http://a.test./", "A.TEST", "ok"],
    ["http://a.test/", "b.test", "400 host-differs-from-target"],
    ["http://a.test/", "a.test:81", "400 host-differs-from-target"],
    ["https://a.test/", "a.test:80", "400 host-differs-from-target"],
  ];
  test.for(pairs)("target %s with Host %s is %s", ([target, host, expected]) => {
    expect(outcome(parse(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`))).toBe(expected);
  });
});

describe("framing", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["Content-Length: 0", "length 0"],
    ["Content-Length: 007", "length 7"],
    ["Content-Length: 9007199254740991", "length 9007199254740991"],
    ["Content-Length: 9007199254740992", "400 bad-content-length"],
    ["Content-Length: 5\r\nContent-Length: 5", "400 duplicate-content-length"],
    ["Content-Length: +5", "400 bad-content-length"],
    ["Content-Length:", "400 bad-content-length"],
    ["Transfer-Encoding: chunked", "chunked"],
    ["Transfer-Encoding: CHUNKED", "chunked"],
    ["Transfer-Encoding: chunked\r\nContent-Length: 5", "400 two-framings"],
    ["Content-Length: 5\r\nTransfer-Encoding: chunked", "400 two-framings"],
    ["Transfer-Encoding: gzip , chunked", "501 unknown-transfer-coding"],
    ["Transfer-Encoding: chunked, chunked", "400 bad-transfer-encoding"],
    ["Transfer-Encoding: identity", "400 bad-transfer-encoding"],
    ["Transfer-Encoding: xchunked", "400 bad-transfer-encoding"],
    ["Transfer_Encoding: chunked", "400 underscore-in-framing-field"],
    ["Connection: content-length\r\nContent-Length: 5", "400 connection-names-framing"],
    ["X: y", "none"],
  ];
  test.for(cases)("%j is %s", ([field, expected]) => {
    const parsed = parse(`${get}${field}\r\n\r\n`);
    const { head } = parsed;
    const framing = `${framingNames[head.framing]}${head.contentLength < 0 ? "" : ` ${head.contentLength}`}`;
    expect(parsed.result > 0 ? framing : outcome(parsed)).toBe(expected);
  });

  test("HTTP/1.0 with a transfer coding is refused", () => {
    const text = "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    expect(outcome(parse(text))).toBe("400 transfer-encoding-in-1.0");
  });
});

describe("what goes on", () => {
  test("hop-by-hop fields and framing do not", () => {
    const fields = [
      "Connection: Keep-Alive, X-Named",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: x",
      "TE: trailers",
      "Content-Length: 1",
      "x-named: 1",
      "X-Other: 1",
    ];
    const parsed = parse(`${get}${fields.join("\r\n")}\r\n\r\n`);
    expect(kept(parsed)).toEqual(["Host", "X-Other"]);
  });

  test("Proxy, HTTP2-Settings, Trailer and look-alikes of known fields do not; proxy credentials do", () => {
    const fields = ["Proxy: x", "HTTP2-Settings: x", "Trailer: x", "X_Forwarded_For: x", "X_Y: x"];
    const parsed = parse(`${get}${fields.join("\r\n")}\r\nProxy-Authorization: x\r\n\r\n`);
    expect(kept(parsed)).toEqual(["Host", "X_Y", "Proxy-Authorization"]);
  });

  test("Connection drops every field of a name it gives, and no other, whatever the order", () => {
    const fields = ["a: 1", "ab: 1", "Connection: B, a,b ,AB-, b", "A: 2", "ba: 1", "b: 1"];
    const parsed = parse(`${get}${fields.join("\r\n")}\r\n\r\n`);
    expect(kept(parsed)).toEqual(["Host", "ab", "ba"]);
  });

  test("Connection cannot take away what the backend decides by", () => {
    const fields = [
      "Cookie: a=b",
      "Authorization: x",
      "X-Forwarded-For: x",
      "Connection: cookie, authorization, x-forwarded-for",
    ];
    const parsed = parse(`${get}${fields.join("\r\n")}\r\n\r\n`);
    expect(kept(parsed)).toEqual(["Host", "Cookie", "Authorization", "X-Forwarded-For"]);
  });

  test.for([
    ["HTTP/1.1", "x", true],
    ["HTTP/1.1", "close", false],
    ["HTTP/1.1", "keep-alive, Close", false],
    ["HTTP/1.0", "x", false],
    ["HTTP/1.0", "Keep-Alive", true],
    ["HTTP/1.0", "keep-alive,close", false],
  ] as const)("%s with Connection: %s may be used again: %s", ([version, value, expected]) => {
    const { head } = parse(`GET / ${version}\r\nHost: a\r\nConnection: ${value}\r\n\r\n`);
    expect(head.keepAlive).toBe(expected);
  });
});

describe("Upgrade and Expect", () => {
  const keyLine = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const versionLine = "Sec-WebSocket-Version: 13\r\n";
  const key = keyLine + versionLine;
  const cases: readonly (readonly [string, string])[] = [
    ["Connection: Upgrade\r\nUpgrade: pinger/1\r\n", "pinger/1"],
    [`Connection: x, uPgrade\r\nUpgrade: WebSocket\r\n${key}`, "WebSocket"],
    ["Upgrade: pinger\r\n", "no"],
    ["Connection: upgrade\r\n", "no"],
    ["Connection: upgrade\r\nUpgrade:\r\n", "no"],
    ["Connection: upgrade\r\nUpgrade: a b\r\n", "no"],
    ["Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", "no"],
    ["Connection: upgrade\r\nUpgrade: a, H2C\r\n", "no"],
    ["Connection: upgrade\r\nUpgrade: TLS/1.0\r\n", "no"],
    ["Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 1\r\n", "no"],
    ["Connection: upgrade\r\nUpgrade: websocket\r\n", "400 bad-websocket-handshake"],
    [`Connection: upgrade\r\nUpgrade: websocket\r\n${keyLine}`, "400 bad-websocket-handshake"],
    [`Connection: upgrade\r\nUpgrade: websocket\r\n${versionLine}`, "400 bad-websocket-handshake"],
    [
      `Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: short\r\n${versionLine}`,
      "400 bad-websocket-handshake",
    ],
    [`${keyLine}${keyLine}`, "400 duplicate-websocket-key"],
    [
      `Connection: upgrade\r\nUpgrade: websocket\r\n${key}Content-Length: 1\r\n`,
      "400 bad-websocket-handshake",
    ],
  ];
  test.for(cases)("%j offers %s", ([fields, expected]) => {
    const parsed = parse(`${get}${fields}\r\n`);
    const { head, bytes, result } = parsed;
    const offered = head.upgrade ? textOf(bytes, head.upgradeStart, head.upgradeEnd) : "no";
    expect(result > 0 ? offered : outcome(parsed)).toBe(expected);
    if (result > 0) expect(kept(parsed)).not.toContain("Upgrade");
  });

  const expectations: readonly (readonly [string, boolean, boolean])[] = [
    // fields, the client waits, Expect goes on
    ["Expect: 100-Continue\r\nContent-Length: 1\r\n", true, true],
    ["Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", true, true],
    ["Expect: 100-continue\r\nContent-Length: 0\r\n", false, false],
    ["Expect: 100-continue\r\n", false, false],
  ];
  test.for(expectations)("%j: waits %s, forwarded %s", ([fields, waits, forwarded]) => {
    const parsed = parse(`${get}${fields}\r\n`);
    expect(parsed.head.expectContinue).toBe(waits);
    expect(kept(parsed).includes("Expect")).toBe(forwarded);
  });

  test("HTTP/1.0 cannot wait", () => {
    const fields = "Host: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n";
    const parsed = parse(`POST / HTTP/1.0\r\n${fields}\r\n`);
    expect(parsed.head.expectContinue).toBe(false);
    expect(kept(parsed)).toEqual(["Host"]);
  });

  test("another expectation is 417", () => {
    expect(outcome(parse(`${get}Expect: 200-ok\r\n\r\n`))).toBe("417 unknown-expectation");
  });
});

describe("limits", () => {
  test("as many fields as allowed pass, one more is 431", () => {
    const fields = "X: y\r\n".repeat(limits.headFieldsMax - 1);
    expect(outcome(parse(`${get}${fields}\r\n`))).toBe("ok");
    expect(outcome(parse(`${get}${fields}X: y\r\n\r\n`))).toBe("431 too-many-fields");
  });

  test("a head of exactly the limit passes, one octet more is 431", () => {
    const rest = limits.headBytesMax - get.length - "X: \r\n\r\n".length;
    expect(outcome(parse(`${get}X: ${"y".repeat(rest)}\r\n\r\n`))).toBe("ok");
    expect(outcome(parse(`${get}X: ${"y".repeat(rest + 1)}\r\n\r\n`))).toBe("431 head-too-long");
  });
});

describe("arrival", () => {
  test("no prefix of a head gets another answer than 0 or that of the whole", () => {
    const tight = { headBytesMax: 90, headFieldsMax: 4, targetBytesMax: 16 };
    const head = new RequestHead(tight);
    fc.assert(
      fc.property(headLike, (text) => {
        const expected = head.parse(poisoned(text), 0, text.length);
        const error = head.error;
        for (let end = 0; end < text.length; end++) {
          const result = head.parse(poisoned(text.slice(0, end)), 0, end);
          if (result === 0) continue;
          expect(result).toBe(expected);
          expect(head.error).toBe(error);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("octets behind a head change nothing", () => {
    fc.assert(
      fc.property(headLike, fc.string({ unit: "binary-ascii", maxLength: 40 }), (text, behind) => {
        const alone = parse(text);
        if (alone.result <= 0) return;
        const followed = parse(text.slice(0, alone.result) + behind);
        expect(followed.result).toBe(alone.result);
        expect(kept(followed)).toEqual(kept(alone));
      }),
    );
  });

  test("one instance that has read anything reads the next head as a new one would", () => {
    const used = new RequestHead(limits);
    fc.assert(
      fc.property(headLike, headLike, (first, second) => {
        used.parse(poisoned(first), 0, first.length);
        const bytes = poisoned(second, 7);
        const result = used.parse(bytes, 7, 7 + second.length);
        const fresh = parse(second);
        expect(result > 0 ? result - 7 : result).toBe(fresh.result);
        if (result <= 0) return;
        expect(everything(used, bytes)).toEqual(everything(fresh.head, fresh.bytes));
      }),
      { numRuns: 500 },
    );
  });
});

/** All that a head says; offsets are comparable because all heads start at the same index. */
function everything(head: RequestHead, bytes: Uint8Array): Record<string, unknown> {
  const scalars = Object.entries(head).filter(([, value]) => typeof value !== "object");
  return { ...Object.fromEntries(scalars), kept: kept({ head, bytes, result: 0 }) };
}
