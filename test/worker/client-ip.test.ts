// Goal: the address that lists and rates go by is the client's own, and nobody can write themselves another.
// Method: real heads behind trusted and other peers, a table of what X-Forwarded-For says.

import { describe, expect, test } from "vitest";
import { CidrSet } from "../../src/model/cidr.ts";
import { parseIp } from "../../src/model/ip-address.ts";
import { RequestHead } from "../../src/protocol/request-head.ts";
import { type ClientIp, clientIpOf } from "../../src/worker/client-ip.ts";

const requestHead = new RequestHead({
  headBytesMax: 4096,
  headFieldsMax: 32,
  targetBytesMax: 1024,
});
const trusted = CidrSet.parse(["10.0.0.0/8", "fd00::/8"]);
const around = "GET / HTTP/1.1\r\nHost: z\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";

/** Of a request from `peer` with these fields, among others that do not count. */
function clientOf(peer: string, ...fields: readonly string[]): ClientIp {
  const lines = fields.map((field) => `${field}\r\n`).join("");
  const text = `${around}GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n${around}`;
  const bytes = Buffer.from(text, "latin1");
  const end = bytes.length - around.length;
  expect(requestHead.parse(bytes, around.length, end)).toBe(end);
  const downstream = { address: peer, trusted: trusted.contains(peer), ip: undefined };
  return clientIpOf({ requestHead, trusted }, downstream, bytes);
}

const known = (text: string): ClientIp => ({ words: parseIp(text)!, known: true });
const beyond = (text: string): ClientIp => ({ words: parseIp(text)!, known: false });
const via = (value: string): string => `X-Forwarded-For: ${value}`;

const cases: readonly (readonly [string, string, readonly string[], ClientIp])[] = [
  ["a stranger", "192.0.2.1", [], known("192.0.2.1")],
  ["a stranger who claims to be another", "192.0.2.1", [via("10.0.0.5")], known("192.0.2.1")],
  ["an IPv4 stranger on an IPv6 socket", "::ffff:192.0.2.1", [], known("192.0.2.1")],
  ["a stranger with a zone", "fe80::1%eth0", [], known("fe80::1")],
  ["a trusted proxy by itself", "10.0.0.1", [], known("10.0.0.1")],
  ["a client behind a proxy", "10.0.0.1", [via("192.0.2.7")], known("192.0.2.7")],
  [
    "a client who wrote something before",
    "10.0.0.1",
    [via("10.0.0.5, 192.0.2.7")],
    known("192.0.2.7"),
  ],
  [
    "a client behind two proxies",
    "10.0.0.1",
    [via("198.51.100.1,192.0.2.7 , 10.9.9.9")],
    known("192.0.2.7"),
  ],
  [
    "a list in several lines",
    "10.0.0.1",
    [via("203.0.113.1"), "X-Other: 1", via("192.0.2.7"), via("10.9.9.9")],
    known("192.0.2.7"),
  ],
  ["proxies all the way", "10.0.0.1", [via("10.0.0.3, 10.0.0.2")], known("10.0.0.3")],
  ["empty elements", "10.0.0.1", [via("192.0.2.7,, ,"), via("")], known("192.0.2.7")],
  ["a port behind", "10.0.0.1", [via("192.0.2.7:4711")], known("192.0.2.7")],
  ["IPv6", "fd00::1", [via("2001:db8::7, fd00::2")], known("2001:db8::7")],
  ["IPv6 with a port", "10.0.0.1", [via("[2001:db8::7]:4711")], known("2001:db8::7")],
  ["nonsense", "10.0.0.1", [via("192.0.2.7, unknown")], beyond("10.0.0.1")],
  ["nonsense further away", "10.0.0.1", [via("192.0.2.7, _x, 10.0.0.2")], beyond("10.0.0.2")],
  ["nonsense that nobody reads", "10.0.0.1", [via("<script>, 192.0.2.7")], known("192.0.2.7")],
  ["octal, which some read otherwise", "10.0.0.1", [via("192.0.2.010")], beyond("10.0.0.1")],
  [
    "a list that the client names away",
    "10.0.0.1",
    ["Connection: x-forwarded-for", via("192.0.2.7")],
    known("192.0.2.7"),
  ],
  ["no address at all", "", [], { words: [], known: false }],
];

describe("the client", () => {
  test.for(cases)("of %s", ([, peer, fields, expected]) => {
    expect(clientOf(peer, ...fields)).toEqual(expected);
  });
});
