// What one key of somebody else's says, and how its value is taken apart: what the kinds of keys have in common.

import type { KeyValue } from "../etcd/etcd.ts";
import { type Address, parseAddress } from "../model/address.ts";
import { type Backend, backendWeightDefault } from "../model/backend.ts";
import { invalidField, RouterError } from "../model/errors.ts";
import { type Labels, parsePort, type ServiceName } from "../model/names.ts";
import { parseRevision } from "../model/revision.ts";

/** One key that names a backend. */
export interface Found {
  readonly backend: Backend;
  /** Keys of one instance are one backend: "web/1". */
  readonly instance: string;
  /** Of two keys of one instance this one counts. */
  readonly preferred: boolean;
}

/** One way of writing backends into keys. A key is what stands behind the prefix, one character per byte. */
export interface KeyForm {
  /** Whether a key is of this form; if not, it is somebody else's and none of our business. */
  concerns(rest: string): boolean;
  /** Throws a RouterError whose message says why a key of this form is no backend. */
  read(rest: string, value: KeyValue): Found;
}

/** Without TTL: it stays until its key goes, and is as old as that. */
export function discoveredBackend(
  service: ServiceName,
  address: Address,
  { createRevision }: KeyValue,
  labels: Labels = {},
): Backend {
  const joined = parseRevision(createRevision);
  return { service, address, weight: backendWeightDefault, labels, ttlMs: undefined, joined };
}

/** A value's JSON. Throws when it is none, or no text at all. */
export function jsonOf({ text, bytes }: KeyValue): unknown {
  if (text === undefined) {
    throw unreadable(`the value (${bytes} bytes) is too long, or not UTF-8`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable("the value is not JSON");
  }
}

/** A JSON object's own fields; undefined: something else. */
export function fieldsOf(json: unknown): ReadonlyMap<string, unknown> | undefined {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return undefined;
  return new Map(Object.entries(json));
}

/** A host, IPv6 with or without brackets, and a port, as a number or its digits. */
export function addressOf(host: unknown, port: unknown): Address {
  if (typeof host !== "string" || host === "") {
    throw invalidField("host", `${shown(host)} is not a host: an IP address or a host name`);
  }
  const number = typeof port === "string" && /^\d{1,5}$/.test(port) ? Number(port) : port;
  if (typeof number !== "number" || !isPort(number)) {
    throw invalidField("port", `${shown(port)} is not a port: a number from 1 to 65535`);
  }
  const bare = host.includes(":") && !host.startsWith("[");
  return parsedAddress(bare ? `[${host}]:${number}` : `${host}:${number}`, "host", host);
}

/** "10.0.0.7:80" of a value or a key. */
export function parsedAddress(text: string, field: string, told: string = text): Address {
  try {
    return parseAddress(text, field);
  } catch {
    throw invalidField(field, `${shown(told)} is neither an IP address nor a host name`);
  }
}

export function unreadable(reason: string): RouterError {
  return new RouterError("invalid-argument", reason);
}

function isPort(value: number): boolean {
  try {
    return parsePort(value) === value;
  } catch {
    return false;
  }
}

/** A stranger's value in a message: escaped, and no longer than a line. */
function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? "nothing";
  return json.length > 80 ? `${json.slice(0, 80)}...` : json;
}
