// Goal: requests that are to stay together have one hash, wherever their octets lie, and Explain comes to the same.
// Method: real heads among other bytes; each case against another head that is to be kept together with it, or not.

import { describe, expect, test } from "vitest";
import { CidrSet } from "../../src/model/cidr.ts";
import { parseIp } from "../../src/model/ip-address.ts";
import type { HashKey } from "../../src/model/service-options.ts";
import { RequestHead } from "../../src/protocol/request-head.ts";
import { hashOctets, hashText, hashWords } from "../../src/routing/key-hash.ts";
import { pickHashOf, pickHashOfPeer } from "../../src/worker/pick-hash.ts";

const requestHead = new RequestHead({
  headBytesMax: 4096,
  headFieldsMax: 32,
  targetBytesMax: 1024,
});
const trusted = CidrSet.parse(["10.0.0.0/8"]);
const around = "GET /around HTTP/1.1\r\nHost: z\r\nX-User: zoe\r\nCookie: sid=zzz\r\n\r\n";

function hashOf(key: HashKey, head: string, peer = "192.0.2.1"): number {
  const text = `${around}${head.replaceAll("|", "\r\n")}\r\n\r\n${around}`;
  const bytes = Buffer.from(text, "latin1");
  const end = bytes.length - around.length;
  expect(requestHead.parse(bytes, around.length, end), head).toBe(end);
  const downstream = { address: peer, trusted: trusted.contains(peer), ip: undefined };
  return pickHashOf({ requestHead, trusted }, key, downstream, bytes);
}

const byUser: HashKey = { kind: "header", name: "x-user" };
const byCookie: HashKey = { kind: "cookie", name: "sid" };
const byPath: HashKey = { kind: "path" };
const byClient: HashKey = { kind: "client" };
const get = (fields: string, target = "/"): string => `GET ${target} HTTP/1.1|Host: a|${fields}`;
const stranger = hashWords(parseIp("192.0.2.1")!);

const cases: readonly (readonly [string, HashKey, string, number])[] = [
  ["a header", byUser, get("X-User: ann"), hashText("ann")],
  ["a header in another case, with spaces", byUser, get("x-uSER:   ann  "), hashText("ann")],
  [
    "its first line that is not empty",
    byUser,
    get("X-User:|X-User: ann|X-User: bob"),
    hashText("ann"),
  ],
  ["no such header", byUser, get("X-Use: ann|X-Users: ann|X_User: ann"), stranger],
  ["an empty header", byUser, get("X-User: "), stranger],
  ["a cookie", byCookie, get("Cookie: sid=abc"), hashText("abc")],
  ["a cookie among others", byCookie, get("Cookie: xsid=1; sid=abc; sid=2; b=3"), hashText("abc")],
  ["a cookie without spaces between", byCookie, get("Cookie: a=1;sid=abc;b"), hashText("abc")],
  ["a cookie in a second field", byCookie, get("Cookie: a=1|cookie: sid=abc"), hashText("abc")],
  ["a cookie with = in its value", byCookie, get("Cookie: sid=a=b"), hashText("a=b")],
  ["a cookie in another case", byCookie, get("Cookie: SID=abc; sidx=1; a=sid=2"), stranger],
  ["an empty cookie, and one without a value", byCookie, get("Cookie: sid=; sid; sid"), stranger],
  ["no cookie", byCookie, get("X-Sid: sid=1"), stranger],
  ["the path without its query", byPath, get("X: 1", "/a/b?c=/d"), hashText("/a/b")],
  ["the path of an absolute target", byPath, get("X: 1", "http://a/a/b?c"), hashText("/a/b")],
  ["the client's address", byClient, get("X-Forwarded-For: 203.0.113.1"), stranger],
];

describe("the hash of a request is that of", () => {
  test.for(cases)("%s", ([, key, head, expected]) => {
    expect(hashOf(key, head)).toBe(expected);
  });

  test("the client behind a trusted proxy", () => {
    const forwarded = get("X-Forwarded-For: 203.0.113.1, 192.0.2.1");
    expect(hashOf(byClient, forwarded, "10.1.1.1")).toBe(stranger);
    expect(hashOf(byUser, forwarded, "10.1.1.1")).toBe(stranger);
  });

  test("a TCP connection's client, however its address is spelled", () => {
    expect(pickHashOfPeer("192.0.2.1")).toBe(stranger);
    expect(pickHashOfPeer("::ffff:192.0.2.1")).toBe(stranger);
    expect(pickHashOfPeer("2001:db8::1%eth0")).toBe(pickHashOfPeer("2001:db8:0::1"));
    expect(pickHashOfPeer("2001:db8::1")).not.toBe(pickHashOfPeer("2001:db8::2"));
  });
});

describe("hashes", () => {
  // Nodes of several versions serve one cluster while it is updated.
  test("are the same in every version", () => {
    expect(hashText("ann")).toBe(-1_516_948_763);
    expect(hashWords([0xc0000201])).toBe(1_703_040_582);
  });

  test("of octets and of their text are the same", () => {
    const bytes = Buffer.from("xxann");
    expect(hashOctets(bytes, 2, 5)).toBe(hashText("ann"));
  });

  test("spread neighbours evenly over any number of places", () => {
    for (const places of [3, 10, 4_093]) {
      const counts = new Float64Array(places);
      const picks = places * 100;
      for (let i = 0; i < picks; i++) counts[(hashWords([0x0a000000 + i]) >>> 0) % places]! += 1;
      expect(Math.max(...counts)).toBeLessThan(100 + 5 * Math.sqrt(100));
      expect(Math.min(...counts)).toBeGreaterThan(100 - 5 * Math.sqrt(100));
    }
  });
});
