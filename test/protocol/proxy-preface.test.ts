// Goal: a PROXY protocol preface is understood exactly as its specification has it, or refused, whatever
// the pieces in which it comes; what follows it is never touched.
// Method: tables of good and bad ones whole, byte by byte, and with bytes after them; random ones and cuts.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc32c } from "../../src/protocol/crc32c.ts";
import { ipText, ipv4Octets, ipv6Octets } from "../../src/protocol/ip-octets.ts";
import {
  type Preface,
  type PrefaceReading,
  readPreface,
} from "../../src/protocol/proxy-preface.ts";
import { writePreface } from "../../src/protocol/proxy-preface-writer.ts";
import { poisoned } from "./octets-of.ts";
import { badPrefaces, binary, ipv6Ends, record } from "./preface-like.ts";

const bytesMax = 1000;

/** Reads the text, standing among poison, as a whole. */
function read(text: string, at = 0): PrefaceReading {
  return readPreface(poisoned(text, at), at, at + text.length, bytesMax);
}

/** Given one byte more each time: the first reading that decides, and after how many bytes; at most `text`. */
function readByByte(text: string): { readonly reading: PrefaceReading; readonly after: number } {
  for (let after = 0; after < text.length; after++) {
    const reading = read(text.slice(0, after), 3);
    if (reading.kind !== "incomplete") return { reading, after };
  }
  return { reading: read(text), after: text.length };
}

function wholeOf(text: string, more = ""): Preface {
  const reading = read(text + more, 7);
  if (reading.kind !== "whole") throw new Error(JSON.stringify(reading));
  expect(reading.end - 7).toBe(text.length);
  return reading.preface;
}

const ends4 = {
  source: "192.0.2.1",
  sourcePort: 56_324,
  destination: "198.51.100.1",
  destinationPort: 443,
};
const ends6 = { ...ends4, source: "2001:db8::1", destination: "fe80::2" };

/** With a checksum that is right: over the whole with zeros in its place. */
function withChecksum(parts: Parameters<typeof binary>[0] = {}): string {
  const zeroed = binary({ ...parts, records: `${parts?.records ?? ""}${record(3, "\0\0\0\0")}` });
  const bytes = Buffer.from(zeroed, "latin1");
  bytes.writeUInt32BE(crc32c(bytes, 0, bytes.length), bytes.length - 4);
  return bytes.toString("latin1");
}

const worst = `PROXY TCP6 ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}ffff 65535 65535\r\n`;
const good: readonly (readonly [string, string, Preface["version"], Preface["ends"]])[] = [
  ["TestParse_ipv4: a line", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", 1, ends4],
  ["TestParse_ipv4: binary", binary(), 2, ends4],
  ["TestParse_ipv6: a line", "PROXY TCP6 2001:DB8::1 fe80:0::0:2 56324 443\r\n", 1, ends6],
  ["TestParse_ipv6: binary", binary({ familyTransport: 0x21, ends: ipv6Ends }), 2, ends6],
  [
    "ports 0 and 65535",
    "PROXY TCP4 192.0.2.1 198.51.100.1 0 65535\r\n",
    1,
    { ...ends4, sourcePort: 0, destinationPort: 65_535 },
  ],
  ["IPv4 inside IPv6", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6401 56324 443\r\n", 1, ends4],
  [
    "the longest line with addresses",
    worst,
    1,
    {
      source: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
      sourcePort: 65_535,
      destination: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
      destinationPort: 65_535,
    },
  ],
  ["PP-03: UNKNOWN", "PROXY UNKNOWN\r\n", 1, undefined],
  [
    "PP-03: UNKNOWN with anything behind it",
    `PROXY UNKNOWN ${"\xff".repeat(91)}\r\n`,
    1,
    undefined,
  ],
  ["PP-03: LOCAL", binary({ versionCommand: 0x20, familyTransport: 0, ends: "" }), 2, undefined],
  ["PP-03: LOCAL with addresses", binary({ versionCommand: 0x20 }), 2, undefined],
  [
    "PP-03: LOCAL, of any family, with anything",
    binary({ versionCommand: 0x20, familyTransport: 0xff, ends: "abc" }),
    2,
    undefined,
  ],
  ["an unspecified family", binary({ familyTransport: 0, ends: "anything" }), 2, undefined],
  ["an unspecified transport", binary({ familyTransport: 0x10, ends: "ab" }), 2, undefined],
  ["an unspecified family of TCP", binary({ familyTransport: 0x01, ends: "ab" }), 2, undefined],
  ["UDP over IPv4", binary({ familyTransport: 0x12 }), 2, undefined],
  ["a UNIX socket", binary({ familyTransport: 0x31, ends: "\0".repeat(216) }), 2, undefined],
  ["a checksum that is right", withChecksum(), 2, ends4],
  ["a checksum behind another record", withChecksum({ records: record(4, "") }), 2, ends4],
];

describe("a preface that is right", () => {
  test.for(good)("%s: is read, and what follows is left", ([, text, version, ends]) => {
    for (const more of ["", "GET / HTTP/1.1\r\n", "\r\n", text, "\x01"]) {
      const preface = wholeOf(text, more);
      expect(preface.version).toBe(version);
      expect(preface.ends).toEqual(ends);
    }
  });

  test.for(good)("%s: decides with its last byte, not before (PP-05)", ([, text]) => {
    const { reading, after } = readByByte(`${text}more`);
    expect(reading.kind).toBe("whole");
    expect(after).toBe(text.length);
  });

  test("keeps its records apart, in their order, as copies", () => {
    const text = binary({
      records: `${record(1, "h2")}${record(0x20, "")}${record(0xe0, "\xff\0")}`,
    });
    const bytes = poisoned(text);
    const reading = readPreface(bytes, 0, text.length, bytesMax);
    bytes.fill(0);
    expect(reading).toMatchObject({
      preface: {
        records: [
          { type: 1, value: Uint8Array.of(104, 50) },
          { type: 0x20, value: new Uint8Array(0) },
          { type: 0xe0, value: Uint8Array.of(255, 0) },
        ],
      },
    });
  });

  test("of LOCAL, nothing is read as a record", () => {
    expect(wholeOf(binary({ versionCommand: 0x20, records: "\x01" })).records).toEqual([]);
  });
});

describe("a preface that is wrong (TestParse_BadHeader)", () => {
  test.for(badPrefaces)("%s: is refused", ([, text]) => {
    expect(read(text)).toMatchObject({ kind: "refused" });
    expect(read(`${text}more`)).toEqual(read(text));
  });

  test.for(badPrefaces)("%s: is refused for the same reason byte by byte", ([, text]) => {
    expect(readByByte(text).reading).toEqual(read(text));
  });

  test("no preface at all is refused at its first byte (TestPassthrough)", () => {
    for (let first = 0; first < 256; first++) {
      const kind = first === 0x50 || first === 13 ? "incomplete" : "refused";
      expect(read(String.fromCharCode(first)).kind).toBe(kind);
    }
  });

  test("a checksum that is there twice is refused", () => {
    const once = withChecksum({ records: record(3, "\0\0\0\0") });
    expect(read(once)).toMatchObject({ kind: "refused", why: "its checksum is wrong" });
  });

  test("a checksum is refused when any bit of the preface differs", () => {
    const text = withChecksum();
    for (let at = 16; at < text.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bytes = Buffer.from(text, "latin1");
        bytes[at]! ^= 1 << bit;
        // A record of another type is no checksum any more, one of another length does not fit.
        if (at === text.length - 7) continue;
        expect(read(bytes.toString("latin1")).kind, `byte ${at}, bit ${bit}`).toBe("refused");
      }
    }
  });
});

/** Something like a preface: a good one or a bad one, with some bytes changed, cut or added. */
const prefaceLike = fc
  .tuple(
    fc.constantFrom(...good.map(([, text]) => text), ...badPrefaces.map(([, text]) => text)),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
    fc.nat(),
    fc.string({ unit: "binary-ascii", maxLength: 20 }),
  )
  .map(([text, changes, cut, more]) => {
    const bytes = Buffer.from(text, "latin1");
    for (const [at, octet] of changes) bytes[at % bytes.length] = octet;
    const kept = cut % 4 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes;
    return kept.toString("latin1") + more;
  });

/** Reads the text as a whole; fails when an octet outside of it was looked at. */
function readWatched(text: string): PrefaceReading {
  const at: number[] = [];
  const watched = new Proxy(poisoned(text, 5), {
    get(target, key) {
      if (typeof key === "string" && /^\d+$/.test(key)) at.push(Number(key));
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const reading = readPreface(watched, 5, 5 + text.length, bytesMax);
  expect(Math.min(...at, 5)).toBe(5);
  expect(Math.max(...at, 5)).toBeLessThan(Math.max(6, 5 + text.length));
  return reading;
}

describe("any bytes", () => {
  test("of the tables, cut anywhere, are read within their bounds", () => {
    for (const [, text] of [...good, ...badPrefaces]) {
      for (let end = 0; end <= Math.min(text.length, 300); end++) readWatched(text.slice(0, end));
      readWatched(text);
    }
  });

  test("are read alike whole and byte by byte, and never past their end", () => {
    fc.assert(
      fc.property(prefaceLike, (text) => {
        const whole = readWatched(text);
        const { reading, after } = readByByte(text);
        if (reading.kind === "whole" && whole.kind === "whole") {
          expect(reading.preface).toEqual(whole.preface);
          expect(whole.end - 5).toBe(after);
        } else expect(reading).toEqual(whole);
      }),
      { numRuns: 2_000 },
    );
  });
});

const address = fc.oneof(fc.ipV4(), fc.ipV6());
const anyEnds = fc.record({
  source: address,
  sourcePort: fc.nat(65_535),
  destination: address,
  destinationPort: fc.nat(65_535),
});

describe("a preface that we write", () => {
  const canonical = (text: string): string => ipText((ipv4Octets(text) ?? ipv6Octets(text))!);

  test("says the same when it is read", () => {
    fc.assert(
      fc.property(anyEnds, fc.constantFrom(1 as const, 2 as const), (ends, version) => {
        const text = Buffer.from(writePreface(version, ends)).toString("latin1");
        expect(wholeOf(text, "GET")).toEqual({
          version,
          ends: {
            ...ends,
            source: canonical(ends.source),
            destination: canonical(ends.destination),
          },
          records: [],
        });
        if (version === 1) expect(text.length).toBeLessThanOrEqual(107);
      }),
    );
  });

  const text = (version: 1 | 2, ends: typeof ends4): string =>
    Buffer.from(writePreface(version, ends)).toString("latin1");

  test("is the specification's, byte for byte", () => {
    expect(text(1, ends4)).toBe("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n");
    expect(text(1, ends6)).toBe("PROXY TCP6 2001:db8::1 fe80::2 56324 443\r\n");
    expect(text(2, ends4)).toBe(binary());
    expect(text(2, ends6)).toBe(binary({ familyTransport: 0x21, ends: ipv6Ends }));
  });

  test("of two families is IPv6, IPv4 in its IPv6 spelling", () => {
    const mixed = { ...ends4, destination: "::1" };
    expect(text(1, mixed)).toBe("PROXY TCP6 ::ffff:c000:201 ::1 56324 443\r\n");
    expect(wholeOf(text(2, mixed)).ends).toEqual(mixed);
  });

  test("leaves out the zone of a link-local address", () => {
    const zoned = { ...ends6, source: "fe80::1%eth0" };
    expect(text(1, zoned)).toBe("PROXY TCP6 fe80::1 fe80::2 56324 443\r\n");
  });

  test("names nobody when an address is not known", () => {
    expect(text(1, { ...ends4, destination: "" })).toBe("PROXY UNKNOWN\r\n");
    expect(text(2, { ...ends4, source: "" })).toBe(binary({ familyTransport: 0, ends: "" }));
  });
});

test("crc32c is Castagnoli's (RFC 9260, RFC 3720 appendix B.4)", () => {
  const of = (bytes: Uint8Array): string => crc32c(bytes, 0, bytes.length).toString(16);
  expect(of(Buffer.from("123456789"))).toBe("e3069283");
  expect(of(new Uint8Array(32))).toBe("8a9136aa");
  expect(of(new Uint8Array(32).fill(255))).toBe("62a8ab43");
});
