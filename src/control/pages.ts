// Pages of a list: by key, so that a page costs one pass and a token survives writes and restarts.

import { createHash } from "node:crypto";
import { pageBytesMax, pageSizeDefault, pageSizeMax, pageTokenCharactersMax } from "../limits.ts";
import { invalidField } from "../model/errors.ts";

export interface PageRequest {
  /** What is listed, filter included: a token is good for nothing else. */
  readonly scope: string;
  readonly size: number;
  /** The last key of the page before; undefined: from the start. */
  readonly after: string | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** "": that was all. */
  readonly nextPageToken: string;
}

export function parsePage(
  scope: string,
  { pageSize, pageToken }: { readonly pageSize: number; readonly pageToken: string },
): PageRequest {
  if (pageSize < 0) throw invalidField("page_size", `${pageSize} is negative`);
  const size = pageSize === 0 ? pageSizeDefault : Math.min(pageSize, pageSizeMax);
  return { scope, size, after: pageToken === "" ? undefined : parseToken(scope, pageToken) };
}

/** `keyOf` is unique; `bytesOf` roughly what an item takes on the wire. */
export function pageOf<T>(
  items: Iterable<T>,
  page: PageRequest,
  keyOf: (item: T) => string,
  bytesOf: (item: T) => number,
): Page<T> {
  const found = firstAfter(items, keyOf, page.after, page.size + 1);
  let count = 0;
  for (let bytes = 0; count < Math.min(found.length, page.size); count++) {
    bytes += bytesOf(found[count]!);
    if (bytes > pageBytesMax && count > 0) break;
  }
  const last = found[count - 1];
  const more = count < found.length && last !== undefined;
  return {
    items: found.slice(0, count),
    nextPageToken: more ? tokenOf(page.scope, keyOf(last)) : "",
  };
}

/** The `count` items with the smallest keys beyond `after`, in order; sorts little of a long list. */
function firstAfter<T>(
  items: Iterable<T>,
  keyOf: (item: T) => string,
  after: string | undefined,
  count: number,
): T[] {
  let kept: { readonly key: string; readonly item: T }[] = [];
  let bar: string | undefined;
  const shrink = (): void => {
    kept = kept.toSorted((a, b) => (a.key < b.key ? -1 : 1)).slice(0, count);
  };
  for (const item of items) {
    const key = keyOf(item);
    if ((after !== undefined && key <= after) || (bar !== undefined && key >= bar)) continue;
    kept.push({ key, item });
    if (kept.length < 2 * count) continue;
    shrink();
    bar = kept.at(-1)?.key;
  }
  shrink();
  return kept.map(({ item }) => item);
}

function tokenOf(scope: string, key: string): string {
  return Buffer.from(JSON.stringify([digestOf(scope), key])).toString("base64url");
}

function parseToken(scope: string, token: string): string {
  const parts = token.length > pageTokenCharactersMax ? undefined : decode(token);
  if (!Array.isArray(parts) || parts.length !== 2 || typeof parts[1] !== "string") {
    throw invalidField("page_token", "is not a token that this service gave");
  }
  if (parts[0] !== digestOf(scope)) {
    throw invalidField("page_token", "belongs to another list or another filter");
  }
  return parts[1];
}

function decode(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token, "base64url").toString());
  } catch {
    return undefined;
  }
}

function digestOf(scope: string): string {
  return createHash("sha256").update(scope).digest("base64url").slice(0, 8);
}
