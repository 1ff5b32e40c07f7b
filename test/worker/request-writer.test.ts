// Goal: the head that a backend gets is well-formed, says what the client's said, and carries our
// fields once each, whatever stood in the client's.
// Method: heads made of random fields, written and read again by the strict reader.

import { describe, expect, test } from "vitest";
import * as limits from "../../src/limits.ts";
import { RequestHead } from "../../src/protocol/request-head.ts";
import { ByteWriter } from "../../src/worker/byte-writer.ts";
import { RequestIds } from "../../src/worker/request-ids.ts";
import {
  describeDownstream,
  sentRequestId,
  writeRequestHead,
} from "../../src/worker/request-writer.ts";
import { Via } from "../../src/worker/via.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { readStrict, type StrictMessage, valuesOf } from "../support/strict-http.ts";

function write(
  text: string,
  options: {
    readonly trusted?: boolean;
    readonly address?: string;
    readonly forwarded?: boolean;
    readonly via?: string;
  } = {},
) {
  const head = new RequestHead(limits);
  const bytes = Buffer.from(text, "latin1");
  expect(head.parse(bytes, 0, bytes.length), head.error).toBe(bytes.length);
  const writer = new ByteWriter(16);
  const via = options.via === undefined ? undefined : new Via(options.via);
  const context = { writer, requestIds: new RequestIds(), wallMs: () => 1_790_000_000_123, via };
  const ends = {
    remoteAddress: options.address ?? "192.0.2.9",
    remotePort: 50_000,
    localAddress: "198.51.100.1",
    localPort: 8080,
  };
  const downstream = describeDownstream(ends, options.trusted ?? false, options.forwarded);
  writeRequestHead(context, bytes, head, downstream, "10.0.0.1:80");
  const written = Buffer.from(writer.bytes.subarray(0, writer.length)).toString("latin1");
  const sentId =
    sentRequestId.start < 0
      ? Buffer.from(context.requestIds.last).toString("latin1")
      : text.slice(sentRequestId.start, sentRequestId.end);
  return { written, sentId };
}

function readBack(written: string): StrictMessage {
  // Only the head is of interest: a body that is announced need not be there.
  const message = readStrict(written, "request");
  expect(message?.violations).toEqual([]);
  return message!;
}

describe("the head for the backend", () => {
  test("byte for byte, of a plain request", () => {
    const { written, sentId } = write("GET /a?b HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n\r\n");
    expect(written).toBe(
      [
        "GET /a?b HTTP/1.1",
        "Host: a.test",
        "Accept: */*",
        "X-Forwarded-For: 192.0.2.9",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Port: 8080",
        "X-Forwarded-Host: a.test",
        "X-Request-Start: 1790000000123",
        `X-Request-Id: ${sentId}`,
        "",
        "",
      ].join("\r\n"),
    );
  });

  test("names the client by its IPv6 address as it is", () => {
    const { written } = write("GET / HTTP/1.1\r\nHost: a\r\n\r\n", { address: "2001:db8::1" });
    expect(valuesOf(readBack(written), "x-forwarded-for")).toEqual(["2001:db8::1"]);
  });

  test("has one framing of its own making", () => {
    const length = write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0012\r\n\r\n");
    expect(valuesOf(readBack(length.written), "content-length")).toEqual(["12"]);
    const chunked = write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n");
    expect(valuesOf(readBack(chunked.written), "transfer-encoding")).toEqual(["chunked"]);
    const none = write("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(valuesOf(readBack(none.written), "content-length")).toEqual([]);
    const empty = write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    expect(valuesOf(readBack(empty.written), "content-length")).toEqual(["0"]);
  });

  test("says upgrade only with what was offered", () => {
    const { written } = write(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: X, Upgrade\r\nX: y\r\nUpgrade: echo/1\r\n\r\n",
    );
    const message = readBack(written);
    expect(valuesOf(message, "connection")).toEqual(["upgrade"]);
    expect(valuesOf(message, "upgrade")).toEqual(["echo/1"]);
    expect(valuesOf(message, "x")).toEqual([]);
  });

  test("takes Host from an absolute target, and the backend's address where there is none", () => {
    const absolute = readBack(
      write("GET http://b.test:81/x HTTP/1.1\r\nHost: b.test:81\r\n\r\n").written,
    );
    expect(valuesOf(absolute, "host")).toEqual(["b.test:81"]);
    expect(valuesOf(absolute, "x-forwarded-host")).toEqual(["b.test:81"]);
    const none = readBack(write("GET / HTTP/1.0\r\n\r\n").written);
    expect(valuesOf(none, "host")).toEqual(["10.0.0.1:80"]);
    expect(valuesOf(none, "x-forwarded-host")).toEqual([]);
  });

  test("names us in Via behind those who had it before, by the version that it came with", () => {
    const via = (text: string, name?: string): readonly string[] =>
      valuesOf(readBack(write(text, name === undefined ? {} : { via: name }).written), "via");
    expect(via("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "edge")).toEqual(["1.1 edge"]);
    expect(via("GET / HTTP/1.0\r\n\r\n", "edge")).toEqual(["1.0 edge"]);
    const passed = "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 x, 1.1 y\r\nConnection: via\r\n\r\n";
    expect(via(passed, "edge")).toEqual(["1.0 x, 1.1 y", "1.1 edge"]);
    expect(via(passed)).toEqual(["1.0 x, 1.1 y"]);
  });

  test.for([
    [false, false, []],
    [false, true, ["for=192.0.2.9;proto=http;host=a"]],
    [true, false, ["for=6.6.6.6", "for=7.7.7.7"]],
    [true, true, ["for=6.6.6.6", "for=7.7.7.7", "for=192.0.2.9;proto=http;host=a"]],
  ] as const)(
    "has of Forwarded what a trusted proxy (%s) wrote, and ours (%s)",
    ([trusted, forwarded, expected]) => {
      const { written } = write(
        "GET / HTTP/1.1\r\nForwarded: for=6.6.6.6\r\nHost: a\r\nConnection: forwarded\r\n" +
          "FORWARDED: for=7.7.7.7\r\nAccept: b\r\n\r\n",
        { trusted, forwarded },
      );
      expect(valuesOf(readBack(written), "forwarded")).toEqual(expected);
      expect(valuesOf(readBack(written), "accept")).toEqual(["b"]);
    },
  );

  test.for([
    ["OPTIONS", "10", ["9"]],
    ["OPTIONS", "1", ["0"]],
    ["GET", "1", ["1"]],
    ["FROBNICATE", "0", ["0"]],
  ] as const)("of %s with Max-Forwards: %s has %j", ([method, value, expected]) => {
    const { written } = write(
      `${method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: ${value}\r\nX: y\r\n\r\n`,
    );
    expect(valuesOf(readBack(written), "max-forwards")).toEqual(expected);
  });

  test("says in the log the id that the backend got", () => {
    const own = "0123456789abcdef0123";
    expect(write(`GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: ${own}\r\n\r\n`).sentId).toBe(own);
    const { written, sentId } = write("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: no\r\n\r\n");
    expect(valuesOf(readBack(written), "x-request-id")).toEqual([sentId]);
  });
});

const names = (
  "Accept X-A x-a Cookie Connection Keep-Alive TE X-Forwarded-For x-forwarded-proto Proxy " +
  "X-Forwarded-Host X-Forwarded-Port X-Request-Start X-Request-Id Proxy-Connection Expect-CT " +
  "X_Forwarded_For"
).split(" ");
const values = [
  "",
  "a",
  "close",
  "x-a",
  "  padded  ",
  "a, b",
  "\u00e9",
  "0123456789012345678901",
  "1",
];
const ours = ["for", "proto", "port", "host"].map((name) => `x-forwarded-${name}`);

test.for([1, 2, 3])("heads of random fields, seed %i", (seed) => {
  const random = new SeededRandom(seed);
  for (let i = 0; i < 400; i++) {
    const trusted = random.chance(0.5);
    const fields = Array.from(
      { length: random.below(12) },
      () => [random.one(names), random.one(values)] as const,
    );
    fields.splice(random.below(fields.length + 1), 0, ["Host", "a.test"]);
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const message = readBack(write(`GET / HTTP/1.1\r\n${lines}\r\n`, { trusted }).written);
    for (const name of [...ours, "x-request-start", "x-request-id", "host"]) {
      expect(valuesOf(message, name).length, `${name} in ${lines}`).toBe(1);
    }
    for (const gone of [
      "connection",
      "keep-alive",
      "te",
      "proxy-connection",
      "proxy",
      "x_forwarded_for",
    ]) {
      expect(valuesOf(message, gone), gone).toEqual([]);
    }
    const named = fields.some(([name, value]) => name === "Connection" && value === "x-a");
    const kept = fields.filter(([name]) => /^(?:accept|cookie|expect-ct)$/i.test(name));
    for (const [name, value] of kept) {
      expect(valuesOf(message, name.toLowerCase())).toContain(value.trim());
    }
    if (named) expect(valuesOf(message, "x-a")).toEqual([]);
    const lists = fields
      .filter(([name]) => name === "X-Forwarded-For")
      .map(([, value]) => value.trim());
    const expected = trusted
      ? [...lists.filter((value) => value !== ""), "192.0.2.9"]
      : ["192.0.2.9"];
    expect(valuesOf(message, "x-forwarded-for")).toEqual([expected.join(", ")]);
  }
});
