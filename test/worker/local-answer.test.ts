// Goal: what we answer by ourselves is always a well-formed answer, of the kind the client asked for.
// Method: every reason and status, read by the strict reader.

import { describe, expect, test } from "vitest";
import * as limits from "../../src/limits.ts";
import { RequestHead } from "../../src/protocol/request-head.ts";
import { ByteWriter } from "../../src/worker/byte-writer.ts";
import { type LocalAnswer, wantsJson, writeLocalAnswer } from "../../src/worker/local-answer.ts";
import { readStrict, statusOf, valuesOf } from "../support/strict-http.ts";

const plain: LocalAnswer = {
  status: 404,
  reason: "no-route",
  detail: "",
  close: false,
  headOnly: false,
  json: false,
  sayKeepAlive: false,
  dateLine: Buffer.from("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
};

function written(answer: Partial<LocalAnswer>) {
  const writer = new ByteWriter(16);
  writeLocalAnswer(writer, { ...plain, ...answer });
  const text = Buffer.from(writer.bytes.subarray(0, writer.length)).toString("latin1");
  const message = readStrict(text, "response", { bodiless: answer.headOnly ?? false });
  expect(message?.complete).toBe(true);
  expect(message?.violations).toEqual([]);
  expect(message?.length).toBe(text.length);
  return message!;
}

describe("an answer of ours", () => {
  test.for([400, 404, 405, 408, 413, 414, 417, 431, 501, 502, 503, 504, 505, 508])(
    "%i",
    (status) => {
      for (const json of [false, true]) {
        const message = written({ status, json, detail: "bad-host" });
        expect(statusOf(message)).toBe(status);
        expect(message.startLine).toMatch(/^HTTP\/1\.1 \d{3} [A-Z].+/);
        expect(valuesOf(message, "retry-after")).toEqual(status === 503 ? ["1"] : []);
        expect(valuesOf(message, "allow").length).toBe(status === 405 ? 1 : 0);
        expect(message.body).toContain("bad-host");
        expect(valuesOf(message, "date")).toEqual(["Sun, 06 Nov 1994 08:49:37 GMT"]);
      }
    },
  );

  test("to OPTIONS says in its fields what may be asked, and has no content", () => {
    const message = written({ status: 200, reason: "max-forwards" });
    expect(message.startLine).toBe("HTTP/1.1 200 OK");
    expect(valuesOf(message, "allow")).toEqual(["GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]);
    expect(valuesOf(message, "content-length")).toEqual(["0"]);
    expect(valuesOf(message, "content-type")).toEqual([]);
    expect(message.body).toBe("");
  });

  test("says how the connection goes on", () => {
    expect(valuesOf(written({ close: true }), "connection")).toEqual(["close"]);
    expect(valuesOf(written({ sayKeepAlive: true }), "connection")).toEqual(["keep-alive"]);
    expect(valuesOf(written({}), "connection")).toEqual([]);
    expect(valuesOf(written({ close: true, sayKeepAlive: true }), "connection")).toEqual(["close"]);
  });

  test("to HEAD has the length but not the body", () => {
    const whole = written({});
    const head = written({ headOnly: true });
    expect(valuesOf(head, "content-length")).toEqual(valuesOf(whole, "content-length"));
    expect(head.body).toBe("");
  });

  test("as JSON can be read", () => {
    const body = JSON.parse(written({ json: true }).body);
    expect(body).toMatchObject({ status: 404, reason: "no-route" });
  });
});

describe("who wants JSON", () => {
  test.for([
    ["", false],
    ["Accept: application/json\r\n", true],
    ["aCCept: APPLICATION/JSON\r\n", true],
    ["Accept: application/json; q=0.9\r\n", true],
    ["Accept: */*\r\n", false],
    ["Accept: text/plain, application/json\r\n", false],
    ["Accept: application/json, text/plain\r\n", true],
    ["Accept: image/png, application/json\r\n", true],
    ["Accept: /\r\n", false],
    ["Accept: a/jso\r\n", false],
    ["Accept:\r\n", false],
  ] as const)("%j: %s", ([field, json]) => {
    const head = new RequestHead(limits);
    const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${field}\r\n`, "latin1");
    expect(head.parse(bytes, 0, bytes.length)).toBe(bytes.length);
    expect(wantsJson(bytes, head)).toBe(json);
  });
});
