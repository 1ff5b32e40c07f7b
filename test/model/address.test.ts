// Goal: an address has one spelling, so that one backend is never two; and nothing is taken that a
// resolver would read otherwise.

import { isIPv4, isIPv6 } from "node:net";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAddress, splitAddress } from "../../src/model/address.ts";

const labels = (...lengths: number[]): string => lengths.map((n) => "a".repeat(n)).join(".");
const longest = labels(63, 63, 63, 61);

test.for([
  ["10.0.0.7:8080", "10.0.0.7:8080"],
  ["255.255.255.255:65535", "255.255.255.255:65535"],
  ["0.0.0.0:1", "0.0.0.0:1"],
  ["db.internal:5432", "db.internal:5432"],
  ["DB.Internal:5432", "db.internal:5432"],
  ["localhost:080", "localhost:80"],
  ["web_1:80", "web_1:80"],
  ["web.1:80", "web.1:80"],
  ["0xa.example:80", "0xa.example:80"],
  ["constructor:80", "constructor:80"],
  [`${longest}:80`, `${longest}:80`],
  // RFC 5952 sections 4.1 (leading zeros), 4.2 (what "::" shortens), 4.3 (lower case).
  ["[2001:0db8::0001]:80", "[2001:db8::1]:80"],
  ["[2001:db8:0:0:0:0:2:1]:80", "[2001:db8::2:1]:80"],
  ["[2001:db8::1:1:1:1:1]:80", "[2001:db8:0:1:1:1:1:1]:80"],
  ["[2001:0:0:1:0:0:0:1]:80", "[2001:0:0:1::1]:80"],
  ["[2001:db8:0:0:1:0:0:1]:80", "[2001:db8::1:0:0:1]:80"],
  ["[2001:DB8::AbC]:80", "[2001:db8::abc]:80"],
  ["[0:0:0:0:0:0:0:1]:80", "[::1]:80"],
  ["[::]:80", "[::]:80"],
  ["[::ffff:10.0.0.1]:80", "[::ffff:a00:1]:80"],
] as const)("%s is %s", ([text, address]) => {
  expect(parseAddress(text)).toBe(address);
});

test.for([
  ["", "is required"],
  ["10.0.0.7", "is not HOST:PORT"],
  ["10.0.0.7:", "is not HOST:PORT"],
  [":80", "is not HOST:PORT"],
  ["[]:80", "is not HOST:PORT"],
  ["::1:80", "is not HOST:PORT"],
  ["[::1]", "is not HOST:PORT"],
  ["[::1]80", "is not HOST:PORT"],
  ["a:80 ", "is not HOST:PORT"],
  ["a:80\n", "is not HOST:PORT"],
  ["a:+80", "is not HOST:PORT"],
  ["a:-1", "is not HOST:PORT"],
  ["a:8e1", "is not HOST:PORT"],
  ["a:000080", "is not HOST:PORT"],
  ["a:http", "is not HOST:PORT"],
  ["a:80:80", "is not HOST:PORT"],
  ["http://a:80", "is not HOST:PORT"],
  ["a:0", "is not a port"],
  ["a:65536", "is not a port"],
  ["a:99999", "is not a port"],
  // Octal to inet_aton(3), decimal to others.
  ["010.0.0.1:80", "neither an IP address"],
  ["10.0.0.01:80", "neither an IP address"],
  ["10.0.0.256:80", "neither an IP address"],
  ["10.0.0:80", "neither an IP address"],
  ["10.0.0.1.2:80", "neither an IP address"],
  ["10.0.0.1.:80", "neither an IP address"],
  ["10..0.1:80", "neither an IP address"],
  ["127.1:80", "neither an IP address"],
  ["2130706433:80", "neither an IP address"],
  ["0x7f000001:80", "neither an IP address"],
  ["0x7f.1:80", "neither an IP address"],
  ["a b:80", "neither an IP address"],
  ["a..b:80", "neither an IP address"],
  ["a.:80", "neither an IP address"],
  [".a:80", "neither an IP address"],
  ["-a:80", "neither an IP address"],
  ["a-:80", "neither an IP address"],
  ["*.a:80", "neither an IP address"],
  ["a/b:80", "neither an IP address"],
  ["a@b:80", "neither an IP address"],
  ["a%b:80", "neither an IP address"],
  ["a\0:80", "neither an IP address"],
  ["bücher:80", "neither an IP address"],
  ["\u212a.example:80", "neither an IP address"],
  [`${labels(64)}:80`, "neither an IP address"],
  [`${longest}a:80`, "neither an IP address"],
  ["[fe80::1%eth0]:80", "is not an IPv6 address"],
  ["[fe80::1%25eth0]:80", "is not an IPv6 address"],
  ["[10.0.0.1]:80", "is not an IPv6 address"],
  ["[::1::]:80", "is not an IPv6 address"],
  ["[:::]:80", "is not an IPv6 address"],
  ["[12345::]:80", "is not an IPv6 address"],
  ["[::10.0.0.256]:80", "is not an IPv6 address"],
  ["[1:2:3:4:5:6:7:8:9]:80", "is not an IPv6 address"],
  ["[v1.a]:80", "is not an IPv6 address"],
  ["[a]:80", "is not an IPv6 address"],
] as const)("%j is none: %s", ([text, why]) => {
  const violation = { field: "the.field", description: expect.stringContaining(why) };
  expect(() => parseAddress(text, "the.field")).toThrow(
    expect.objectContaining({
      code: "invalid-argument",
      details: { violations: [violation] },
    }),
  );
});

describe("whatever the address", () => {
  const port = fc.integer({ min: 1, max: 65_535 });

  test("IPv4 and IPv6 are taken, mean the same in their one spelling, and come apart again", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), port, (ip, number) => {
        const shown = ip.includes(":") ? `[${ip}]` : ip;
        const address = parseAddress(`${shown}:${number}`);
        expect(parseAddress(address)).toBe(address);
        expect(parseAddress(address.toUpperCase())).toBe(address);
        const { host, port: split } = splitAddress(address);
        expect(split).toBe(number);
        expect(ip.includes(":") ? isIPv6(host) : isIPv4(host)).toBe(true);
        if (isIPv4(ip)) expect(host).toBe(ip);
      }),
    );
  });

  test("what is taken comes out unchanged, and is a host for sockets or a resolver", () => {
    const piece = fc.constantFrom("1", "0", "255", "0x1", "a", "-", "_", ".", "..", ":", "[", "]");
    let taken = 0;
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), port, (pieces, number) => {
        let address: ReturnType<typeof parseAddress>;
        try {
          address = parseAddress(`${pieces.join("")}:${number}`);
        } catch {
          return;
        }
        taken++;
        expect(parseAddress(address)).toBe(address);
        const { host } = splitAddress(address);
        if (/^[\d.]+$/.test(host)) expect(isIPv4(host)).toBe(true);
      }),
      { numRuns: 2000 },
    );
    expect(taken).toBeGreaterThan(20);
  });
});
