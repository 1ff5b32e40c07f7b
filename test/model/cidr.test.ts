// Goal: an address is trusted exactly when a listed range holds it, however either is spelled.
// Method: tables of cases; then every prefix length against arithmetic.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CidrSet } from "../../src/model/cidr.ts";
import { RouterError } from "../../src/model/errors.ts";

interface Case {
  readonly ranges: readonly string[];
  readonly inside: readonly string[];
  readonly outside: readonly string[];
}

const cases: readonly Case[] = [
  { ranges: [], inside: [], outside: ["10.0.0.1", "::1", ""] },
  {
    ranges: ["10.0.0.0/8"],
    inside: ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "::FFFF:0a01:0203"],
    outside: ["9.255.255.255", "11.0.0.0", "::10.0.0.1", "10.0.0", "10.0.0.1.2", "a00::1"],
  },
  {
    ranges: ["192.0.2.7", "2001:db8::7"],
    inside: ["192.0.2.7", "2001:db8::7", "2001:DB8:0:0:0:0:0:7"],
    outside: ["192.0.2.6", "192.0.2.8", "2001:db8::8", "2001:db8::7:0"],
  },
  {
    ranges: ["2001:db8:1234::/47"],
    inside: ["2001:db8:1234::", "2001:db8:1235:ffff::1"],
    outside: ["2001:db8:1236::", "2001:db8:1233:ffff::"],
  },
  { ranges: ["0.0.0.0/0"], inside: ["1.2.3.4", "255.255.255.255"], outside: ["::1", "::"] },
  { ranges: ["::/0"], inside: ["::", "::1", "ffff::"], outside: ["1.2.3.4", "::ffff:1.2.3.4"] },
  {
    ranges: ["::ffff:10.0.0.0/104", "::ffff:192.0.2.1"],
    inside: ["10.9.9.9", "192.0.2.1"],
    outside: ["11.0.0.0", "192.0.2.2"],
  },
  { ranges: ["fe80::/10"], inside: ["fe80::1%eth0", "febf::1"], outside: ["fec0::1", "%eth0"] },
  {
    ranges: ["127.0.0.0/8", "::1"],
    inside: ["127.0.0.1", "::1", "::ffff:127.0.0.1"],
    outside: [
      "",
      "localhost",
      "127.1",
      "0x7f.0.0.1",
      "127.0.0.01",
      "1::1::1",
      "::1::1",
      ":::1",
      "::1:",
    ],
  },
];

describe("CidrSet", () => {
  test.for(cases)("$ranges", ({ ranges, inside, outside }) => {
    const set = CidrSet.parse(ranges);
    for (const ip of inside) expect(set.contains(ip), ip).toBe(true);
    for (const ip of outside) expect(set.contains(ip), ip).toBe(false);
  });

  test.for([
    ["10.0.0.0/33", "0 to 32"],
    ["10.0.0.0/", "0 to 32"],
    ["10.0.0.0/08", "0 to 32"],
    ["10.0.0.0/-1", "0 to 32"],
    ["10.0.0.0/8/8", "0 to 32"],
    ["::/129", "0 to 128"],
    ["::ffff:10.0.0.0/95", "96 to 128"],
    ["10.0.0.1/8", "beyond the prefix of 8"],
    ["2001:db8::1/64", "beyond the prefix of 64"],
    ["10.0.0/8", "not an IP range"],
    ["010.0.0.0/8", "not an IP range"],
    ["256.0.0.0/8", "not an IP range"],
    ["fe80::1%eth0", "not an IP range"],
    ["1:2:3:4:5:6:7", "not an IP range"],
    ["1:2:3:4:5:6:7:8:9", "not an IP range"],
    ["1:2:3:4:5:6:7:8::", "not an IP range"],
    ["::1.2.3.4.5", "not an IP range"],
    ["1.2.3.4::", "not an IP range"],
    ["12345::", "not an IP range"],
    ["private", "not an IP range"],
    ["", "not an IP range"],
  ])("refuses %j, naming it", ([text, why]) => {
    const parse = (): CidrSet => CidrSet.parse(["10.0.0.0/8", text!]);
    expect(parse).toThrow(RouterError);
    expect(parse).toThrow(`trust_forwarded: ${JSON.stringify(text)}`);
    expect(parse).toThrow(why!);
  });

  test.for([
    { family: "IPv4", bitsMax: 32, textOf: ipv4Text },
    { family: "IPv6", bitsMax: 128, textOf: ipv6Text },
  ])("agrees with arithmetic about every prefix length of $family", ({ bitsMax, textOf }) => {
    const address = fc.bigInt({ min: 0n, max: (1n << BigInt(bitsMax)) - 1n });
    fc.assert(
      fc.property(address, fc.nat(bitsMax), fc.nat(bitsMax - 1), (base, bits, flipped) => {
        const beyond = BigInt(bitsMax - bits);
        const network = (base >> beyond) << beyond;
        const set = CidrSet.parse([`${textOf(network)}/${bits}`]);
        expect(set.contains(textOf(base))).toBe(true);
        const other = base ^ (1n << BigInt(flipped));
        expect(set.contains(textOf(other))).toBe(other >> beyond === network >> beyond);
      }),
      { numRuns: 1000 },
    );
  });
});

function ipv4Text(address: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (address >> shift) & 0xffn).join(".");
}

function ipv6Text(address: bigint): string {
  const shifts = [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n];
  return shifts.map((shift) => ((address >> shift) & 0xffffn).toString(16)).join(":");
}
