// The PROXY protocol, written: what we say about a client to a backend, ahead of the client's bytes.

import { ipText, ipv4Octets, ipv6Octets, isMapped } from "./ip-octets.ts";
import { octetsOf } from "./octets.ts";
import { fixedBytes, type PrefaceEnds, signature } from "./proxy-preface.ts";

interface Addresses {
  /** 4 octets each, or 16 each: a preface has one family. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
}

/** Ends that are not IP addresses (or not known) are named as unknown, which receivers must take. */
export function writePreface(version: 1 | 2, ends: PrefaceEnds): Uint8Array {
  const addresses = addressesOf(ends);
  return version === 1 ? lineOf(ends, addresses) : binaryOf(ends, addresses);
}

function lineOf({ sourcePort, destinationPort }: PrefaceEnds, addresses?: Addresses): Uint8Array {
  if (addresses === undefined) return octetsOf("PROXY UNKNOWN\r\n");
  const { source, destination } = addresses;
  const family = source.length === 4 ? "TCP4" : "TCP6";
  const words = ["PROXY", family, lineText(source), lineText(destination)];
  return octetsOf(`${[...words, sourcePort, destinationPort].join(" ")}\r\n`);
}

/** An IPv4 address among IPv6 ones stays in its IPv6 spelling, in hexadecimal groups. */
function lineText(octets: Uint8Array): string {
  if (octets.length === 4 || !isMapped(octets)) return ipText(octets);
  const group = (at: number): string => ((octets[at]! << 8) | octets[at + 1]!).toString(16);
  return `::ffff:${group(12)}:${group(14)}`;
}

const proxyCommand = 0x21;
const tcpOverIpv4 = 0x11;
const tcpOverIpv6 = 0x21;

function binaryOf({ sourcePort, destinationPort }: PrefaceEnds, addresses?: Addresses): Uint8Array {
  const length = addresses === undefined ? 0 : 2 * addresses.source.length + 4;
  const bytes = new Uint8Array(fixedBytes + length);
  const view = new DataView(bytes.buffer);
  bytes.set(signature);
  bytes[12] = proxyCommand;
  view.setUint16(14, length);
  if (addresses === undefined) return bytes;
  const { source, destination } = addresses;
  bytes[13] = source.length === 4 ? tcpOverIpv4 : tcpOverIpv6;
  bytes.set(source, fixedBytes);
  bytes.set(destination, fixedBytes + source.length);
  view.setUint16(bytes.length - 4, sourcePort);
  view.setUint16(bytes.length - 2, destinationPort);
  return bytes;
}

/** undefined: at least one is no IP address. */
function addressesOf({ source, destination }: PrefaceEnds): Addresses | undefined {
  const from = octetsOfIp(source);
  const to = octetsOfIp(destination);
  if (from === undefined || to === undefined) return undefined;
  if (from.length === to.length) return { source: from, destination: to };
  return { source: asIpv6(from), destination: asIpv6(to) };
}

/** Without the zone of a link-local address, which means nothing elsewhere; IPv4 in its short form. */
function octetsOfIp(text: string): Uint8Array | undefined {
  const bare = text.split("%")[0] ?? "";
  const octets = ipv4Octets(bare) ?? ipv6Octets(bare);
  return octets?.length === 16 && isMapped(octets) ? octets.slice(12) : octets;
}

function asIpv6(octets: Uint8Array): Uint8Array {
  if (octets.length === 16) return octets;
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...octets);
}
