// A write that is larger than a transaction of etcd: what lies under PREFIX/batches/ID/, and the pieces in which it
// becomes keys of the table. Pure.
//
// Knows: the text of a part, how much a transaction takes. Does not know: when a part counts (etcd-overlay), who
// unfolds it (etcd-unfold).
//
// A part is {"entries":[["routes/web","{...}"],["routes/old"]]}: each key without the prefix, and the value that the
// same change would put there if it were small; without one the key goes.

import type { Key, Operation } from "../etcd/etcd.ts";
import {
  etcdPartsMax,
  etcdPieceBytesMax,
  etcdPieceOperationsMax,
  etcdValueBytesMax,
} from "../limits.ts";
import type { Change } from "../model/change.ts";
import { RouterError, unreachable } from "../model/errors.ts";
import type { Revision } from "../model/revision.ts";
import { type EntryPlace, type EtcdLayout, isEntry, removalOf } from "./etcd-layout.ts";
import { decodeRoute, encodeRoute } from "./etcd-route-values.ts";
import { type Outcomes, tooLarge } from "./etcd-transaction.ts";
import { decodeBackend, decodeService, type EntryFacts } from "./etcd-values.ts";

/** What a batch does to one key. */
export interface BatchEntry {
  readonly key: Key;
  readonly place: EntryPlace;
  /** undefined: the key goes. */
  readonly value: string | undefined;
}

/** Throws "resource-exhausted" when that is too much for a batch as well. */
export function partsOf(outcomes: Outcomes, layout: EtcdLayout): readonly string[] {
  const parts: string[] = [];
  let entries: string[] = [];
  let bytes = 0;
  const end = (): void => {
    parts.push(`{"entries":[${entries.join(",")}]}`);
    entries = [];
    bytes = 0;
  };
  for (const [key, { value }] of outcomes) {
    const path = layout.pathOf(key);
    const text = JSON.stringify(value === undefined ? [path] : [path, value]);
    const length = Buffer.byteLength(text) + 1;
    if (entries.length > 0 && bytes + length > partEntriesBytesMax) end();
    entries.push(text);
    bytes += length;
    if (bytes > partEntriesBytesMax) throw tooLarge(outcomes.size, bytes);
  }
  end();
  if (parts.length <= etcdPartsMax) return parts;
  throw tooLarge(outcomes.size, parts.length * etcdValueBytesMax);
}

/** With what is around the entries a part can still be read. */
const partEntriesBytesMax = etcdValueBytesMax - 64;

/** Throws "invalid-argument": somebody wrote there. */
export function decodePart(text: string, layout: EtcdLayout): readonly BatchEntry[] {
  const entries = entriesIn(text);
  if (!Array.isArray(entries)) throw notPart("it has no list of entries");
  return entries.map((entry: unknown) => {
    if (!Array.isArray(entry) || !isPathAndValue(entry)) throw notPart("an entry is none");
    const [path, value] = entry;
    const key = layout.keyOf(path);
    const place = layout.place(key);
    if (!isEntry(place)) throw notPart("an entry is not of the table");
    return { key, place, value };
  });
}

function entriesIn(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw notPart("it is not JSON");
  }

  if (typeof value !== "object" || value === null || !("entries" in value)) return undefined;
  return value.entries;
}

function isPathAndValue(
  entry: readonly unknown[],
): entry is readonly [path: string, value: string | undefined] {
  const [path, value] = entry;
  return typeof path === "string" && (value === undefined || typeof value === "string");
}

function notPart(why: string): RouterError {
  return new RouterError("invalid-argument", `it is no part of a large write: ${why}`);
}

/** What an entry comes to. Throws "invalid-argument" when its value cannot be read. */
export function changeOf({ place, value }: Omit<BatchEntry, "key">, facts: EntryFacts): Change {
  if (value === undefined) return removalOf(place);
  switch (place.kind) {
    case "route":
      return { kind: "route-put", route: decodeRoute(value, place, facts) };
    case "service":
      return { kind: "service-put", service: decodeService(value, place) };
    case "backend":
      return { kind: "backend-put", backend: decodeBackend(value, place, facts) };
    default:
      return unreachable(place);
  }
}

/**
 * The operations that make a batch of `revision` keys of the table, by transaction. A route that has its match since
 * the batch says so from now on: its key is younger.
 */
export function unfoldingOf(
  entries: readonly BatchEntry[],
  revision: Revision,
): readonly (readonly Operation[])[] {
  const pieces: Operation[][] = [];
  let bytes = Infinity;
  for (const entry of entries) {
    const operation = operationOf(entry, revision);
    const length = bytesOf(operation);
    const piece = pieces.at(-1);
    if (
      piece === undefined ||
      piece.length >= etcdPieceOperationsMax ||
      bytes + length > etcdPieceBytesMax
    ) {
      pieces.push([operation]);
      bytes = length;
    } else {
      piece.push(operation);
      bytes += length;
    }
  }
  return pieces;
}

function operationOf(entry: BatchEntry, revision: Revision): Operation {
  const { key, value } = entry;
  if (value === undefined) return { kind: "delete", key };
  return { kind: "put", key, value: datedValue(entry, value, revision) };
}

function datedValue(entry: BatchEntry, value: string, revision: Revision): string {
  if (entry.place.kind !== "route") return value;
  try {
    const change = changeOf(entry, { revision, created: revision, leased: false });
    return change.kind === "route-put" ? encodeRoute(change.route) : value;
  } catch {
    // Whatever it is, it is not ours to drop.
    return value;
  }
}

function bytesOf(operation: Operation): number {
  return operation.key.length + (operation.kind === "put" ? Buffer.byteLength(operation.value) : 0);
}
