// PROXY protocol prefaces for tests, whole and spoiled; bytes as latin1.

export const signature = "\r\n\r\n\0\r\nQUIT\n";

export interface BinaryParts {
  /** Version and command. Default: 2, PROXY. */
  readonly versionCommand?: number;
  /** Family and transport. Default: TCP over IPv4. */
  readonly familyTransport?: number;
  /** Addresses and ports. Default: 192.0.2.1:56324 to 198.51.100.1:443. */
  readonly ends?: string;
  readonly records?: string;
  /** What the length says. Default: the truth. */
  readonly length?: number;
}

export const ipv4Ends = "\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb";
export const ipv6Ends = `\x20\x01\x0d\xb8${"\0".repeat(11)}\x01\xfe\x80${"\0".repeat(13)}\x02\xdc\x04\x01\xbb`;

export function binary(parts: BinaryParts = {}): string {
  const { versionCommand = 0x21, familyTransport = 0x11, ends = ipv4Ends, records = "" } = parts;
  const { length = ends.length + records.length } = parts;
  const fixed = [versionCommand, familyTransport, length >>> 8, length & 255];
  return `${signature}${String.fromCharCode(...fixed)}${ends}${records}`;
}

export function record(type: number, value: string, length = value.length): string {
  return `${String.fromCharCode(type, length >>> 8, length & 255)}${value}`;
}

/** One line per thing that a receiver must not take. */
export const badPrefaces: readonly (readonly [string, string])[] = [
  ["PP-01: an HTTP request", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["PP-01: another case", "proxy TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"],
  ["PP-01: something before it", " PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"],
  ["PP-01: no CRLF within 107 bytes", `PROXY UNKNOWN ${"x".repeat(93)}\r\n`],
  ["PP-01: a bare LF", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n"],
  ["PP-01: a bare LF in UNKNOWN", "PROXY UNKNOWN x\ny\r\n"],
  ["PP-01: a bare CR in UNKNOWN", "PROXY UNKNOWN x\ry\r\n"],
  ["PP-01: two CRs", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\r\n"],
  ["PP-01: a leading zero in a port", "PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n"],
  ["PP-01: a port beyond 65535", "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n"],
  ["PP-01: a port to beyond 65535", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 65536\r\n"],
  ["PP-01: a signed port", "PROXY TCP4 192.0.2.1 198.51.100.1 +56324 443\r\n"],
  ["PP-01: an empty port", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 \r\n"],
  ["PP-01: two spaces", "PROXY TCP4  192.0.2.1 198.51.100.1 56324 443\r\n"],
  ["PP-01: a tab", "PROXY TCP4\t192.0.2.1 198.51.100.1 56324 443\r\n"],
  ["PP-01: a space at the end", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n"],
  ["PP-01: one word too few", "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n"],
  ["PP-01: one word too many", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n"],
  ["PP-01: no words", "PROXY \r\n"],
  ["PP-01: another protocol", "PROXY UDP4 192.0.2.1 198.51.100.1 56324 443\r\n"],
  ["PP-01: UNKNOWN run together", "PROXY UNKNOWNS\r\n"],
  ["PP-01: a leading zero in an address", "PROXY TCP4 192.0.2.01 198.51.100.1 56324 443\r\n"],
  ["PP-01: an octet beyond 255", "PROXY TCP4 192.0.2.256 198.51.100.1 56324 443\r\n"],
  ["PP-01: three octets", "PROXY TCP4 192.0.2 198.51.100.1 56324 443\r\n"],
  ["PP-01: IPv6 in TCP4", "PROXY TCP4 ::1 ::1 56324 443\r\n"],
  ["PP-01: IPv4 in TCP6", "PROXY TCP6 192.0.2.1 198.51.100.1 56324 443\r\n"],
  ["PP-01: two ::", "PROXY TCP6 1::2::3 ::1 56324 443\r\n"],
  ["PP-01: five digits in a group", "PROXY TCP6 12345::1 ::1 56324 443\r\n"],
  ["PP-01: a zone", "PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n"],
  ["PP-01: brackets", "PROXY TCP6 [::1] ::1 56324 443\r\n"],
  ["PP-01: seven groups", "PROXY TCP6 1:2:3:4:5:6:7 ::1 56324 443\r\n"],
  ["PP-01: nine groups", "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 56324 443\r\n"],
  ["PP-01: a :: for no group", "PROXY TCP6 1:2:3:4::5:6:7:8 ::1 56324 443\r\n"],
  ["PP-01: a name", "PROXY TCP4 localhost 198.51.100.1 56324 443\r\n"],
  ["PP-02: another signature", `\r\n\r\n\0\r\nQUIZ\n${binary().slice(12)}`],
  ["PP-02: version 1", binary({ versionCommand: 0x11 })],
  ["PP-02: version 3", binary({ versionCommand: 0x31 })],
  ["PP-02: an unassigned command", binary({ versionCommand: 0x22 })],
  ["PP-02: an unassigned family", binary({ familyTransport: 0x41 })],
  ["PP-02: an unassigned transport", binary({ familyTransport: 0x13 })],
  ["PP-02: addresses longer than the length", binary({ length: 11 })],
  ["PP-02: IPv6 addresses in the length of IPv4", binary({ familyTransport: 0x21 })],
  [
    "PP-02: UNIX paths in a length of 215",
    binary({ familyTransport: 0x31, ends: "\0".repeat(215) }),
  ],
  ["PP-02: longer than the bound", binary({ records: record(4, "\0".repeat(2000)) })],
  ["PP-02: a length of 65535", binary({ length: 65_535 })],
  ["PP-02: a record beyond the length", binary({ records: record(4, "abc", 4) })],
  ["PP-02: half a record's head", binary({ records: "\x04\x00" })],
  ["PP-02: a wrong checksum", binary({ records: record(3, "\0\0\0\0") })],
  ["PP-02: a checksum of three bytes", binary({ records: record(3, "\0\0\0") })],
];
