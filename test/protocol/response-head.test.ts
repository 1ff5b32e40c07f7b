// Goal: of an answer's head we believe only what cannot be meant differently; all else is 502.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Field } from "../../src/protocol/field.ts";
import { Method } from "../../src/protocol/request-head.ts";
import { ResponseHead } from "../../src/protocol/response-head.ts";
import { headLike } from "./head-like.ts";
import { poisoned, textOf } from "./octets-of.ts";

const limits = { headBytesMax: 512, headFieldsMax: 8, targetBytesMax: 64 };

function parse(
  text: string,
  method: number = Method.Get,
): { result: number; head: ResponseHead; bytes: Uint8Array } {
  const head = new ResponseHead(limits);
  const bytes = poisoned(text, 3);
  const result = head.parse(bytes, 3, 3 + text.length, method);
  return { result: result > 0 ? result - 3 : result, head, bytes };
}

const framingNames = ["none", "length", "chunked", "until-close"];

function summary(text: string, method?: number): string {
  const { result, head } = parse(text, method);
  if (result < 0) return `${-result} ${head.error}`;
  if (result === 0) return "more";
  const length = head.contentLength < 0 ? "" : ` ${head.contentLength}`;
  return `${head.status} ${framingNames[head.framing]}${length}${head.keepAlive ? " again" : ""}`;
}

describe("the status line", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["HTTP/1.1 200 OK", "200 until-close"],
    ["HTTP/1.1 200 ", "200 until-close"],
    ["HTTP/1.1 200", "200 until-close"],
    ["HTTP/1.1 599 caf\xe9", "599 until-close"],
    ["HTTP/1.1 600 X", "502 bad-status-line"],
    ["HTTP/1.1 099 X", "502 bad-status-line"],
    ["HTTP/1.1 2000 X", "502 bad-status-line"],
    ["HTTP/1.1  200 X", "502 bad-status-line"],
    ["HTTP/1.2 200 OK", "502 bad-version"],
    ["HTTP/2 200 OK", "502 bad-status-line"],
    ["ICY 200 OK", "502 bad-status-line"],
    ["HTTP/1.1 200 O\0K", "502 bad-status-line"],
    ["HTTP/1.1 200 OK\rX", "502 bare-cr"],
    ["\r\nHTTP/1.1 200 OK", "502 bad-status-line"],
  ];
  test.for(cases)("%j is %s", ([line, expected]) => {
    expect(summary(`${line}\r\n\r\n`)).toBe(expected);
  });

  test("gives the reason as it was sent", () => {
    const { head, bytes } = parse("HTTP/1.1 404 Not  Found \r\n\r\n");
    expect(textOf(bytes, head.reasonStart, head.reasonEnd)).toBe("Not  Found ");
  });
});

describe("framing", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["200 OK\r\nContent-Length: 5", "200 length 5 again"],
    ["200 OK\r\nContent-Length: 5\r\nContent-Length: 05", "200 length 5 again"],
    ["200 OK\r\nContent-Length: 5\r\nContent-Length: 6", "502 two-content-lengths"],
    ["200 OK\r\nContent-Length: 5, 5", "502 bad-content-length"],
    ["200 OK\r\nTransfer-Encoding: chunked", "200 chunked again"],
    ["200 OK\r\nTransfer-Encoding: gzip, chunked", "502 bad-transfer-encoding"],
    ["200 OK\r\nTransfer-Encoding: gzip", "502 bad-transfer-encoding"],
    [
      "200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      "502 duplicate-transfer-encoding",
    ],
    ["200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", "502 two-framings"],
    ["204 No Content", "204 none again"],
    ["204 No Content\r\nContent-Length: 0", "204 none again"],
    ["204 No Content\r\nContent-Length: 5", "204 none"],
    ["204 No Content\r\nTransfer-Encoding: chunked", "204 none"],
    ["304 Not Modified\r\nContent-Length: 5", "304 none 5 again"],
    ["100 Continue", "100 none again"],
    ["200 OK\r\nContent-Length: 5\r\nConnection: close", "200 length 5"],
  ];
  test.for(cases)("HTTP/1.1 %j is %s", ([rest, expected]) => {
    expect(summary(`HTTP/1.1 ${rest}\r\n\r\n`)).toBe(expected);
  });

  test("an answer to HEAD has no body, and its length goes on", () => {
    expect(summary("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method.Head)).toBe(
      "200 none 5 again",
    );
    expect(summary("HTTP/1.1 200 OK\r\n\r\n", Method.Head)).toBe("200 none again");
  });

  test("HTTP/1.0 is used again only when it says so, and never with a transfer coding", () => {
    const length = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n";
    expect(summary(`${length}\r\n`)).toBe("200 length 5");
    expect(summary(`${length}Connection: keep-alive\r\n\r\n`)).toBe("200 length 5 again");
    const chunked =
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n";
    expect(summary(chunked)).toBe("200 chunked");
  });
});

function upgradeOf(fields: string): string {
  const { head, bytes } = parse(`HTTP/1.1 101 X\r\n${fields}\r\n`);
  return textOf(bytes, head.upgradeStart, head.upgradeEnd);
}

describe("fields", () => {
  test("hop-by-hop and framing are dropped, Date is noticed, cookies stay as they are", () => {
    const { head, bytes } = parse(
      "HTTP/1.1 200 OK\r\nDate: x\r\nSet-Cookie: a\r\nConnection: x-y, set-cookie\r\nX-Y: 1\r\n" +
        "Set-Cookie: b\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n",
    );
    const kept: string[] = [];
    for (let index = 0; index < head.fields.count; index++) {
      if (head.fields.dropped[index] === 1) continue;
      kept.push(textOf(bytes, head.fields.nameStart[index]!, head.fields.lineEnd[index]!));
    }
    expect(kept).toEqual(["Date: x\r\n", "Set-Cookie: a\r\n", "Set-Cookie: b\r\n"]);
    expect(head.hasDate).toBe(true);
  });

  test("Upgrade counts only together with Connection: upgrade", () => {
    expect(upgradeOf("Connection: upgrade\r\nUpgrade: pinger\r\n")).toBe("pinger");
    expect(upgradeOf("Upgrade: pinger\r\n")).toBe("");
  });

  test.for([
    [200, "Upgrade: h2c\r\nConnection: upgrade\r\n", ["200", "ends here"]],
    [426, "Upgrade: h2c\r\nConnection: upgrade\r\n", ["426", "goes on"]],
    [426, "Upgrade: a\r\nConnection: close\r\nUpgrade: b\r\n", ["426", "goes on", "goes on"]],
    [426, "X: y\r\n", ["426"]],
    [101, "Upgrade: a\r\nConnection: upgrade\r\n", ["101", "ends here"]],
  ] as const)("Upgrade of %i with %j: %j", ([status, lines, expected]) => {
    const { head } = parse(`HTTP/1.1 ${status} X\r\n${lines}\r\n`);
    const kinds = [...head.fields.kind.subarray(0, head.fields.count)];
    const fates = kinds.flatMap((kind, index) =>
      kind === Field.Upgrade ? [head.fields.dropped[index] === 1 ? "ends here" : "goes on"] : [],
    );
    expect([String(status), ...fates]).toEqual(expected);
    expect(head.requiresUpgrade).toBe(fates.includes("goes on"));
  });

  test("of one answer do not stay for the next", () => {
    const head = new ResponseHead(limits);
    const seen = ["426 X\r\nDate: x\r\nUpgrade: a", "200 OK\r\nX: y"].map((text) => {
      const bytes = Buffer.from(`HTTP/1.1 ${text}\r\n\r\n`);
      head.parse(bytes, 0, bytes.length, Method.Get);
      return [head.requiresUpgrade, head.hasDate];
    });
    expect(seen).toEqual([
      [true, true],
      [false, false],
    ]);
  });

  test.for([
    ["a folded line", "X: a\r\n b\r\n", "502 folded-field"],
    ["a space before the colon", "X : a\r\n", "502 bad-field-name"],
    ["a bare LF", "X: a\n", "502 bare-lf"],
    ["a control octet", "X: a\0b\r\n", "502 bad-field-value"],
    ["too many", "X: y\r\n".repeat(9), "502 too-many-fields"],
    ["too long", `X: ${"y".repeat(600)}\r\n`, "502 head-too-long"],
  ] as const)("%s is 502", ([, fields, expected]) => {
    expect(summary(`HTTP/1.1 200 OK\r\n${fields}\r\n`)).toBe(expected);
  });
});

test("no prefix of a head gets another answer than 0 or that of the whole", () => {
  const head = new ResponseHead({ headBytesMax: 90, headFieldsMax: 4, targetBytesMax: 16 });
  const seen = new Set<number>();
  fc.assert(
    fc.property(headLike, fc.constantFrom("", "HTTP/1.1 200 OK\r\n"), (rest, line) => {
      const text = line + rest;
      const expected = head.parse(poisoned(text), 0, text.length, Method.Get);
      seen.add(Math.sign(expected));
      for (let end = 0; end < text.length; end++) {
        const result = head.parse(poisoned(text.slice(0, end)), 0, end, Method.Get);
        if (result !== 0) expect(result).toBe(expected);
      }
    }),
    { numRuns: 1000 },
  );
  expect(seen).toEqual(new Set([-1, 0, 1]));
});
