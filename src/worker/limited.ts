// What a limit refused or cut: counted, and in words for the answer and the access log.

import { Limited, type LimitName } from "../telemetry/counters.ts";

/** Counts it. "limit head-time": the name that `--limit` has for it. */
export function limited(counters: Float64Array, limit: LimitName): string {
  counters[Limited[limit]]! += 1;
  return `limit ${limit}`;
}

/** What the parsers say of something that is too much, and the limit that says how much. */
const limitOfError: Readonly<Record<string, LimitName>> = {
  "head-too-long": "head-bytes",
  "too-many-fields": "head-fields",
  "target-too-long": "target-bytes",
  "trailers-too-long": "trailer-bytes",
  "too-many-trailers": "trailer-fields",
};

/** `error`, and the limit if it is one's; counts that. */
export function tellMalformed(counters: Float64Array, error: string): string {
  const limit = limitOfError[error];
  return limit === undefined ? error : `${error}, ${limited(counters, limit)}`;
}

/** 431 for trailers: they are fields (RFC 6585 section 5). Anything else that breaks a body is 400. */
export function statusOfBody(error: string): number {
  return limitOfError[error] === undefined ? 400 : 431;
}
