// A backend's address: "10.0.0.7:8080", "[2001:db8::7]:8080" or "db.internal:5432".

import { type Branded, minted } from "./brand.ts";
import { invalidField } from "./errors.ts";
import { parsePort } from "./names.ts";

/** host:port in its canonical spelling: lower case, IPv6 in brackets. */
export type Address = Branded<string, "Address">;

export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

const ipv4Pattern = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
/** What inet_aton(3) reads as an IPv4 address: "127.1", "0x7f.1". Only the one spelling is taken. */
const numberPattern = /^(?:\d*|0x[\da-f]*)$/;
const hostNamePattern =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** The only way to obtain an Address. Throws "invalid-argument" naming `field`. */
export function parseAddress(text: string, field = "address"): Address {
  if (text === "") throw invalidField(field, "is required: HOST:PORT");
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(lowerCased(text));
  if (match === null) {
    throw invalidField(field, `${JSON.stringify(text)} is not HOST:PORT (IPv6 as "[::1]:8080")`);
  }
  const port = parsePort(Number(match[3]), field);
  if (match[1] !== undefined) {
    const host = canonicalIpv6(match[1]);
    if (host === undefined) throw invalidField(field, `"${match[1]}" is not an IPv6 address`);
    return minted<Address>(`[${host}]:${port}`);
  }
  const host = match[2] ?? "";
  const numeric = host.split(".").every((part) => numberPattern.test(part));
  if (numeric ? !ipv4Pattern.test(host) : !hostNamePattern.test(host)) {
    throw invalidField(field, `"${host}" is neither an IP address nor a host name`);
  }
  return minted<Address>(`${host}:${port}`);
}

/** Takes a checked address apart. */
export function splitAddress(address: Address): HostPort {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon);
  return {
    host: host.startsWith("[") ? host.slice(1, -1) : host,
    port: Number(address.slice(colon + 1)),
  };
}

/** ASCII only: toLowerCase also makes a "k" of the Kelvin sign. */
function lowerCased(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/**
 * RFC 5952 spelling, or undefined. As the WHATWG URL parser writes it: hexadecimal also where section 5
 * recommends a dotted end ("::ffff:a00:1").
 */
function canonicalIpv6(text: string): string | undefined {
  if (!/^[0-9a-f:.]+$/.test(text)) return undefined;
  try {
    return new URL(`http://[${text}]/`).hostname.slice(1, -1);
  } catch {
    return undefined;
  }
}
