// The key PREFIX/table: the guard that every write of the API puts, and the marker that says which store this is.
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
}

/** A store that nobody has written to. */
export function freshMarker(): Marker {
  return { store: randomUUID(), replaces: [] };
}

/** A marker that stands for both what was known and what was found. */
export function acceptedMarker(known: Marker | undefined, found: Marker | undefined): Marker {
  const stores = [known, found].flatMap((one) =>
    one === undefined ? [] : [...one.replaces, one.store],
  );
  const replaces = [...new Set(stores)].slice(-storesReplacedMax);
  return { store: randomUUID(), replaces };
}

/** @param write Which write put it: for people who look. */
export function encodeMarker({ store, replaces }: Marker, write: string): string {
  return JSON.stringify({
    store,
    ...(replaces.length === 0 ? {} : { replaces }),
    write,
  });
}

/** Throws "invalid-argument" naming the field. Fields of a later version do no harm here. */
export function decodeMarker(text: string): Marker {
  const fields: JsonFields = parseJsonFields(text);
  return { store: fields.exact("store"), replaces: fields.textList("replaces") };
}
