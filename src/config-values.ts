// One setting's text to its value: addresses, ports, durations, ranges.
//
// Every parser throws RouterError "invalid-argument" that names `source` (a flag, a variable, a key of
// the file), the wrong text, and how it is written. They open nothing.

import { isIP, isIPv4 } from "node:net";
import { extname, resolve } from "node:path";
import { parseEtcdPlace, withoutCredentials } from "./config-etcd.ts";
import type { EtcdSetting } from "./etcd/etcd.ts";
import { durationMsMax } from "./limits.ts";
import { invalidField, type RouterError } from "./model/errors.ts";
import type { ServiceName } from "./model/names.ts";
import { didYouMean } from "./nearest.ts";

export interface ListenAddress {
  /** An IP address, without brackets. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
}

export type RpcAddress =
  | { readonly kind: "tcp"; readonly address: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export type StoreSetting =
  | { readonly kind: "memory" }
  | { readonly kind: "sqlite"; readonly path: string }
  | {
      readonly kind: "etcd";
      readonly etcd: EtcdSetting;
      /** "/crosspoint": without a slash at its end. */
      readonly prefix: string;
    };

/** A file that says what the router would say with this status. */
export interface PageSetting {
  readonly status: number;
  /** Absolute. */
  readonly path: string;
}

/** Where backends come from besides the API. */
export interface DiscoverSetting {
  /** "etcd": etcd-netfw's keys; "discoverd": discoverd's. */
  readonly kind: "etcd" | "discoverd";
  readonly etcd: EtcdSetting;
  /** "/services/", "/discover/services/": with a slash at its end. */
  readonly prefix: string;
  /** The prefix is the folder of this one service ("etcd" only); absent: it holds services. */
  readonly service?: ServiceName;
}

export type AccessLogSetting =
  | { readonly kind: "off" }
  | { readonly kind: "stdout" }
  | { readonly kind: "file"; readonly path: string };

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** "30s", "500ms", "1.5m", "2h" and "0", in ms, whole. */
export function parseDuration(text: string, source: string): number {
  const match = /^(\d{1,10}(?:\.\d{1,9})?)(ms|s|m|h)$/.exec(text);
  if (match === null && text !== "0") {
    throw wrong(source, text, 'a duration: write "30s", "500ms", "2m" or "1h"');
  }
  const ms = Math.round(Number(match?.[1] ?? 0) * (unitMs[match?.[2] ?? "ms"] ?? 1));
  if (ms > durationMsMax) throw wrong(source, text, "a duration of at most 24 days");
  return ms;
}

/** "0.0.0.0:8080", "[::]:8080", "localhost:8080". Port 0 is allowed. */
export function parseListenAddress(text: string, source: string): ListenAddress {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const address = ipAddressOf(match?.[1] ?? match?.[2] ?? "");
  const bracketed = match?.[1] !== undefined;
  if (match === null || address === undefined || port > 65_535 || bracketed === isIPv4(address)) {
    const hint = /^:?\d+$/.test(text) ? ` (write 0.0.0.0:${text.replace(":", "")})` : "";
    throw wrong(source, text, `IP:PORT, such as 127.0.0.1:8080 or [::1]:8080${hint}`);
  }
  return { address, port };
}

/** As parseListenAddress, or "unix:PATH". */
export function parseRpcAddress(text: string, source: string): RpcAddress {
  if (!text.startsWith("unix:")) return { kind: "tcp", ...parseListenAddress(text, source) };
  const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
  if (path === "") throw wrong(source, text, "unix:PATH, such as unix:/run/crosspoint/rpc.sock");
  return { kind: "unix", path: resolve(path) };
}

/** An IP address, with or without brackets. */
export function parseIpAddress(text: string, source: string): string {
  const address = ipAddressOf(text.replace(/^\[(.*)\]$/, "$1"));
  if (address === undefined) throw wrong(source, text, "an IP address, such as 0.0.0.0 or [::]");
  return address;
}

/** "3000-3500", or one port. */
export function parsePortRange(text: string, source: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (!(first >= 1 && first <= last && last <= 65_535)) {
    throw wrong(source, text, "a range of ports: FIRST-LAST, within 1 to 65535");
  }
  return { first, last };
}

export function parseStore(text: string, source: string): StoreSetting {
  if (text === "memory:" || text === "memory") return { kind: "memory" };
  if (/^sqlite:./.test(text)) {
    return { kind: "sqlite", path: resolve(text.slice("sqlite:".length)) };
  }
  if (text.startsWith("etcd:")) {
    const { etcd, prefix = "/crosspoint" } = parseEtcdPlace(text, source, etcdStoreWritten);
    return { kind: "etcd", etcd, prefix };
  }
  throw wrong(
    source,
    withoutCredentials(text),
    `a store: sqlite:PATH, memory: or ${etcdStoreWritten}`,
  );
}

const etcdStoreWritten = "etcd:http://HOST:2379,http://HOST:2379[/PREFIX]";

/** Where each kind of discovery looks unless a prefix is named, and how it is written. */
const discoveries = {
  etcd: { prefix: "/services", written: "etcd:http://HOST:2379/services/" },
  discoverd: { prefix: "/discover/services", written: "discoverd:http://HOST:2379" },
} as const;

/** Between two of them in one variable; an endpoint that follows a comma belongs to the one before. */
export const discoverSeparator = /,(?=\s*(?:etcd|discoverd):)/;

export function parseDiscover(text: string, source: string): DiscoverSetting {
  const kind = /^(etcd|discoverd):/.exec(text)?.[1];
  if (kind !== "etcd" && kind !== "discoverd") {
    const known = Object.values(discoveries).map(({ written }) => written);
    throw wrong(source, withoutCredentials(text), known.join(" or "));
  }
  const { prefix: usual, written } = discoveries[kind];
  const { etcd, prefix = usual } = parseEtcdPlace(text, source, written);
  return { kind, etcd, prefix: `${prefix}/` };
}

export function parseAccessLog(text: string): AccessLogSetting {
  if (text === "off") return { kind: "off" };
  if (text === "-") return { kind: "stdout" };
  return { kind: "file", path: resolve(text) };
}

/** "10.0.0.0/8", "fd00::/8"; an address alone is itself only. */
export function parseCidr(text: string, source: string): string {
  const [address = "", bits, ...rest] = text.split("/");
  const family = isIP(address);
  const bitsMax = family === 4 ? 32 : 128;
  const length = bits === undefined ? bitsMax : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  if (family === 0 || rest.length > 0 || !(length <= bitsMax) || address.includes("%")) {
    throw wrong(source, text, "a range of addresses, such as 10.0.0.0/8 or fd00::/8");
  }
  return `${address}/${length}`;
}

/** What a router calls itself in Via: a token, or HOST:PORT (RFC 9110 section 7.6.3); "off": nothing. */
export function parseVia(text: string, source: string): string {
  if (/^off$/i.test(text)) return "off";
  if (/^[\w!#$%&'*+.^`|~-]{1,255}(?::\d{1,5})?$/.test(text)) return text;
  throw wrong(source, text, "off, or a name without blanks, such as crosspoint or edge.example:80");
}

/** The name of somebody at an etcd: anything but control characters. */
export function parseUser(text: string, source: string): string {
  if (text !== "" && !/\p{Cc}/u.test(text)) return text;
  throw wrong(source, text, "the name of a user");
}

/** A whole number from 1 to `max`. */
export function parseCount(text: string, source: string, max: number): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > max) throw wrong(source, text, `a whole number from 1 to ${max}`);
  return count;
}

/** What a node is called in messages and labels: a host name, more or less. */
export function parseNodeName(text: string, source: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/.test(text)) return text;
  throw wrong(source, text, 'a node name: letters, digits, ".", "_" and "-"');
}

/** A value of the label "zone", without what no line of a log should hold. */
export function parseZone(text: string, source: string): string {
  if (/^[^\p{C}\p{Z}]{1,256}$/u.test(text)) return text;
  throw wrong(source, text, "a zone: 1 to 256 characters, no spaces");
}

export function parsePath(text: string): string {
  return resolve(text);
}

/** A file that must be there when the node starts: an empty text is nobody's file. */
export function parseFile(text: string, source: string): string {
  if (text === "") throw wrong(source, text, "the name of a file");
  return resolve(text);
}

/** "503=maintenance.html" */
export function parsePageFile(text: string, source: string): PageSetting {
  const [, status = "", path = ""] = /^([45]\d\d)=(.+)$/.exec(text) ?? [];
  if (path === "") {
    throw wrong(source, text, "the status of an error and a file, such as 503=maintenance.html");
  }
  return { status: Number(status), path: resolve(path) };
}

/** By the ending of a file. */
const mediaTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".json": "application/json",
  ".txt": "text/plain; charset=utf-8",
  ".xml": "application/xml",
};

/** What a page from this file is; "": the ending says nothing. */
export function mediaTypeOf(path: string): string {
  return mediaTypes[extname(path)] ?? "";
}

export function parseChoice<T extends string>(
  text: string,
  source: string,
  choices: readonly T[],
): T {
  const choice = choices.find((candidate) => candidate === text);
  if (choice !== undefined) return choice;
  throw invalidField(source, `${JSON.stringify(text)} is not known${didYouMean(text, choices)}`);
}

/** Kinds of `--io`. */
export const ioSettings = ["auto", "uring", "epoll", "net"] as const;
export type IoSetting = (typeof ioSettings)[number];

export function parseIo(text: string, source: string): IoSetting {
  return parseChoice(text, source, ioSettings);
}

function wrong(source: string, text: string, expected: string): RouterError {
  return invalidField(source, `${JSON.stringify(text)} is not ${expected}`);
}

function ipAddressOf(text: string): string | undefined {
  if (text === "localhost") return "127.0.0.1";
  // A zone ("fe80::1%eth0") is left to the listener, which says whether the interface exists.
  return isIP(text) === 0 ? undefined : text;
}
