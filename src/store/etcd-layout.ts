// Where in etcd everything of one Crosspoint is: keys to what they name, and back. docs/ETCD.md is the description
// for people.
//
// Knows: the folders under the prefix and the form of a name in a key. Does not know: values.
//
// A key that is in none of the folders, or whose name is not written as it must be, is strange: it is listed with
// the reason and changes nothing. One entry has one key, so an address that could be written otherwise is strange.

import { type Key, prefixEnd } from "../etcd/etcd.ts";
import { type Address, parseAddress } from "../model/address.ts";
import type { BackendKey } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import { RouterError, unreachable } from "../model/errors.ts";
import {
  parseRouteName,
  parseServiceName,
  type RouteName,
  type ServiceName,
} from "../model/names.ts";

/** What a key of the table names. */
export type EntryPlace =
  | { readonly kind: "route"; readonly name: RouteName }
  | { readonly kind: "service"; readonly name: ServiceName }
  | { readonly kind: "backend"; readonly service: ServiceName; readonly address: Address };

export type Place =
  | EntryPlace
  /** The guard of all writes and the store's marker: see etcd-marker.ts. */
  | { readonly kind: "guard" }
  /** What seals sticky cookies: see etcd-sealing-key.ts. */
  | { readonly kind: "sealing-key" }
  /** Of the nodes that share the store: see etcd-members.ts. */
  | { readonly kind: "member" }
  /** What is remembered of writes: see etcd-requests.ts. Not followed. */
  | { readonly kind: "request" }
  /** A part of a large write: see etcd-batch.ts. No part of the table before the guard names it. */
  | { readonly kind: "part"; readonly batch: string }
  | {
      readonly kind: "strange";
      readonly reason: string;
      /** In a folder of the table: its revision counts, as that of any entry. */
      readonly ofTable: boolean;
    };

/** The folders under one prefix. */
export class EtcdLayout {
  readonly prefix: Key;
  readonly guard: Key;
  readonly sealingKey: Key;
  readonly requests: Key;
  readonly batches: Key;

  /** @param prefix As a person writes it: "/crosspoint", without a slash at its end. */
  constructor(prefix: string) {
    this.prefix = Buffer.from(prefix, "utf8").toString("latin1");
    this.guard = `${this.prefix}/table`;
    this.sealingKey = `${this.prefix}/sealing-key`;
    this.requests = `${this.prefix}/requests/`;
    this.batches = `${this.prefix}/batches/`;
  }

  /** Everything under the prefix. */
  get whole(): { readonly key: Key; readonly end: Key } {
    return wholeOf(`${this.prefix}/`);
  }

  /** What is not followed. */
  get unfollowed(): { readonly key: Key; readonly end: Key } {
    return wholeOf(this.requests);
  }

  /** All parts of all batches. */
  get allParts(): { readonly key: Key; readonly end: Key } {
    return wholeOf(this.batches);
  }

  /** All parts of one. */
  partsOf(batch: string): { readonly key: Key; readonly end: Key } {
    return wholeOf(`${this.batches}${batch}/`);
  }

  part(batch: string, number: number): Key {
    return `${this.batches}${batch}/${number}`;
  }

  /** A key of the table without the prefix, "routes/web", and back. */
  pathOf(key: Key): string {
    return key.slice(this.prefix.length + 1);
  }

  keyOf(path: string): Key {
    return `${this.prefix}/${path}`;
  }

  entry(place: EntryPlace): Key {
    switch (place.kind) {
      case "route":
        return `${this.prefix}/routes/${place.name}`;
      case "service":
        return `${this.prefix}/services/${place.name}`;
      case "backend":
        return `${this.prefix}/backends/${place.service}/${place.address}`;
      default:
        return unreachable(place);
    }
  }

  backend(key: BackendKey): Key {
    return `${this.prefix}/backends/${key.replace(" ", "/")}`;
  }

  /** The used request id `id`: whatever it holds, its key is ASCII without a slash. */
  request(id: string): Key {
    return this.requests + escaped(id);
  }

  /** The last write of the store that calls itself `writer`; no request id has this key. */
  lastWrite(writer: string): Key {
    return `${this.requests}@${escaped(writer)}`;
  }

  /** What the node asks of the others. */
  question(nodeName: string): Key {
    return `${this.prefix}/writes/${escaped(nodeName)}`;
  }

  /** What `key`, which is under the prefix, stands for. */
  place(key: Key): Place {
    const path = this.pathOf(key);
    if (path === "table") return { kind: "guard" };
    if (path === "sealing-key") return { kind: "sealing-key" };
    const slash = path.indexOf("/");
    const folder = path.slice(0, Math.max(0, slash));
    const rest = path.slice(slash + 1);
    switch (folder) {
      case "routes":
      case "services":
      case "backends":
        return entryPlace(folder, rest);
      case "nodes":
      case "writes":
        return { kind: "member" };
      case "requests":
        return { kind: "request" };
      case "batches":
        return { kind: "part", batch: rest.slice(0, Math.max(0, rest.indexOf("/"))) };
      default:
        return { kind: "strange", reason: `${known} It is in none of them`, ofTable: false };
    }
  }
}

const known =
  "this version knows the folders routes, services, backends, batches, nodes, writes and requests, and the keys table and sealing-key.";

/** Whether writing `place` makes a revision of the table. */
export function counts(place: Place): boolean {
  return isEntry(place) || place.kind === "guard" || (place.kind === "strange" && place.ofTable);
}

export function isEntry(place: Place): place is EntryPlace {
  return place.kind === "route" || place.kind === "service" || place.kind === "backend";
}

/** What a change is about. */
export function placeOfChange(change: Change): EntryPlace {
  switch (change.kind) {
    case "route-put":
      return { kind: "route", name: change.route.name };
    case "route-removed":
      return { kind: "route", name: change.name };
    case "service-put":
      return { kind: "service", name: change.service.name };
    case "service-removed":
      return { kind: "service", name: change.name };
    case "backend-put":
      return {
        kind: "backend",
        service: change.backend.service,
        address: change.backend.address,
      };
    case "backend-removed":
      return { kind: "backend", service: change.service, address: change.address };
    default:
      return unreachable(change);
  }
}

/** The change that takes an entry away. */
export function removalOf(place: EntryPlace): Change {
  switch (place.kind) {
    case "route":
      return { kind: "route-removed", name: place.name };
    case "service":
      return { kind: "service-removed", name: place.name };
    case "backend":
      return { kind: "backend-removed", service: place.service, address: place.address };
    default:
      return unreachable(place);
  }
}

function entryPlace(folder: "routes" | "services" | "backends", rest: string): Place {
  try {
    if (folder === "routes") return { kind: "route", name: parseRouteName(rest, "the key's name") };
    if (folder === "services") {
      return { kind: "service", name: parseServiceName(rest, "the key's name") };
    }
    return backendPlace(rest);
  } catch (thrown) {
    // Only what the parsers of names say comes here; it names what was wrong and quotes it shortened.
    return { kind: "strange", reason: RouterError.from(thrown).message, ofTable: true };
  }
}

function backendPlace(rest: string): Place {
  const slash = rest.indexOf("/");
  if (slash < 0) {
    const reason =
      'the key is not PREFIX/backends/SERVICE/ADDRESS: it has no "/" after the service';
    return { kind: "strange", reason, ofTable: true };
  }
  const service = parseServiceName(rest.slice(0, slash), "the key's service");
  const written = rest.slice(slash + 1);
  // An address of any length would be quoted whole.
  const address = parseAddress(written.slice(0, addressCharactersMax), "the key's address");
  if (address === written) return { kind: "backend", service, address };
  const reason = `the key's address is written ${JSON.stringify(address)}: each backend has one key`;
  return { kind: "strange", reason, ofTable: true };
}

/** A host name (RFC 1035: 253), a colon and a port, with room to see that more was written. */
const addressCharactersMax = 300;

/** Readable where it can be: what is no letter, digit, ".", "_" or "-" is %XX for each byte of its UTF-8. */
function escaped(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9._-]+/g, (rest) =>
    [...Buffer.from(rest, "utf8")].map((byte) => `%${hex(byte)}`).join(""),
  );
}

function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, "0");
}

function wholeOf(folder: Key): { readonly key: Key; readonly end: Key } {
  return { key: folder, end: prefixEnd(folder) };
}
