// The target that a backend is asked for: as it came, or with the route's prefix replaced.
//
// Bytes only: a rewritten request costs no string. Agrees with `replacedPrefix` of routing, which says the same
// for people.

import type { RequestHead } from "../protocol/request-head.ts";
import type { MatchedPath } from "../routing/redirect-target.ts";
import type { ByteWriter } from "./byte-writer.ts";

const slash = 0x2f;
const star = 0x2a;

/** @param instead What stands in place of what `match` names, prefix or whole path. */
export function writeRewrittenTarget(
  writer: ByteWriter,
  bytes: Uint8Array,
  { targetStart, pathEnd, targetEnd }: RequestHead,
  instead: string,
  { pathPrefix, exactPath }: MatchedPath,
): void {
  if (bytes[targetStart] === star) return writer.range(bytes, targetStart, targetEnd);
  const prefixLength = pathPrefix === "/" ? 0 : pathPrefix.length;
  const restStart = exactPath === undefined ? targetStart + prefixLength : pathEnd;
  // A rest begins with a slash of its own, or is empty.
  if (instead !== "/") writer.text(instead);
  else if (restStart === pathEnd) writer.byte(slash);
  writer.range(bytes, restStart, targetEnd);
}
