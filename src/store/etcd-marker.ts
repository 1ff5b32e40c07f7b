// The key PREFIX/table: the guard that every write of the API puts, and the marker that says which store this is.
//
// While a large write is being unfolded it names that write's batch (etcd-batch), and is a marker all the same.
//
// Knows: its text. Does not know: who compares it (etcd-commit) and who believes it (the follower).

import { randomUUID } from "node:crypto";
import { storesReplacedMax } from "../limits.ts";
import { type JsonFields, parseJsonFields } from "./etcd-json.ts";

export interface Marker {
  /** Made with the store, and anew when an operator takes other content as the truth. */
  readonly store: string;
  /** The stores that this one stands for, by an operator's word; newest last. */
  readonly replaces: readonly string[];
  /** Which write put it; absent: nobody said. */
  readonly write?: string;
  /** The batch that lies over the table. */
  readonly batch?: BatchName;
}

/** A batch, as the guard names it. */
export interface BatchName {
  /** That of its write. */
  readonly id: string;
  /** How many it has. */
  readonly parts: number;
}

/** A store that nobody has written to. */
export function freshMarker(): Marker {
  return { store: randomUUID(), replaces: [] };
}

/** A marker that stands for both what was known and what was found, and for the batch that lies there. */
export function acceptedMarker(known: Marker | undefined, found: Marker | undefined): Marker {
  const stores = [known, found].flatMap((one) =>
    one === undefined ? [] : [...one.replaces, one.store],
  );
  const replaces = [...new Set(stores)].slice(-storesReplacedMax);
  const batch = found?.batch;
  return { store: randomUUID(), replaces, ...(batch === undefined ? {} : { batch }) };
}

/**
 * @param write Which write put it: for people who look, and to know a write again that has become several revisions.
 * @param batch The one that lies over the table from then on, whatever `marker` says.
 */
export function encodeMarker(
  { store, replaces }: Marker,
  write: string,
  batch?: BatchName,
): string {
  return JSON.stringify({
    store,
    ...(replaces.length === 0 ? {} : { replaces }),
    write,
    ...(batch === undefined ? {} : { batch: batch.id, parts: batch.parts }),
  });
}

/** Throws "invalid-argument" naming the field. Fields of a later version do no harm here. */
export function decodeMarker(text: string): Marker {
  const fields: JsonFields = parseJsonFields(text);
  const write = fields.text("write");
  const id = fields.text("batch");
  const parts = fields.integer("parts") ?? 0;
  return {
    store: fields.exact("store"),
    replaces: fields.textList("replaces"),
    ...(write === undefined ? {} : { write }),
    ...(id === undefined ? {} : { batch: { id, parts } }),
  };
}
