// What of a request, or a connection, keeps it together with others like it: 32 bits, made of its octets where they
// lie. Only services that are picked by it come here.
//
// A request that lacks the header or the cookie, or has it empty, goes by its client's address, as access lists see
// it. Nothing is made for a request, except behind a trusted proxy whose X-Forwarded-For has to be read.

import type { HashKey } from "../model/service-options.ts";
import { Field } from "../protocol/field.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import { hashOctets, hashOfCookieIn, hashWords } from "../routing/key-hash.ts";
import { clientIpOf, peerIpOf } from "./client-ip.ts";
import type { WorkerContext } from "./context.ts";
import { isNamed } from "./request-facts.ts";
import type { Downstream } from "./request-writer.ts";

/** Of the request that `context.requestHead` has just parsed out of `bytes`. */
export function pickHashOf(
  context: Pick<WorkerContext, "requestHead" | "trusted">,
  key: HashKey,
  downstream: Pick<Downstream, "address" | "trusted" | "ip">,
  bytes: Uint8Array,
): number {
  const { requestHead: head } = context;
  if (key.kind === "path") return hashOctets(bytes, head.targetStart, head.pathEnd);
  if (key.kind !== "client") {
    const hash =
      key.kind === "header"
        ? hashOfField(bytes, head, key.name)
        : hashOfCookie(bytes, head, key.name);
    if (hash !== undefined) return hash;
  }
  return hashWords(clientIpOf(context, downstream, bytes).words);
}

/** Of a connection of a TCP route, which has nothing but its client's address. */
export function pickHashOfPeer(address: string): number {
  return hashWords(peerIpOf(address).words);
}

/** Of the first line of that name that is not empty. */
function hashOfField(bytes: Uint8Array, { fields }: RequestHead, name: string): number | undefined {
  for (let i = 0; i < fields.count; i++) {
    const start = fields.valueStart[i]!;
    const end = fields.valueEnd[i]!;
    if (end > start && isNamed(bytes, fields.nameStart[i]!, fields.nameEnd[i]!, name)) {
      return hashOctets(bytes, start, end);
    }
  }
  return undefined;
}

function hashOfCookie(
  bytes: Uint8Array,
  { fields }: RequestHead,
  name: string,
): number | undefined {
  for (let i = 0; i < fields.count; i++) {
    if (fields.kind[i] !== Field.Cookie) continue;
    const hash = hashOfCookieIn(bytes, fields.valueStart[i]!, fields.valueEnd[i]!, name);
    if (hash !== undefined) return hash;
  }
  return undefined;
}
