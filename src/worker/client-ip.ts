// Whose address a request comes from, for what a route allows and counts by address.
//
// That of the connection, as its socket or its PROXY protocol preface says. Behind a proxy in --trust-forwarded it is
// the last address of X-Forwarded-For that is not such a proxy's: each proxy appends whom it saw, so what stands
// further to the left is only what a stranger said. Read from the right, and no further than needed.
//
// What is no address there makes the client unknown: it is in no allowed range then, and what is denied or counted is
// the nearest address that is known, that of the proxy which wrote it.
//
// Only routes that ask for it come here; a connection's own address is read once.

import { type IpWords, parseIp } from "../model/ip-address.ts";
import { Field } from "../protocol/field.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import type { WorkerContext } from "./context.ts";
import type { Downstream } from "./request-writer.ts";

export interface ClientIp {
  /** Without words: not even the connection's address is known. */
  readonly words: IpWords;
  /** It is the client's own, and not that of the nearest one on the way to it. */
  readonly known: boolean;
}

const noWords: IpWords = [];

/** Of the request that `context.requestHead` has just parsed out of `bytes`. */
export function clientIpOf(
  { requestHead, trusted }: Pick<WorkerContext, "requestHead" | "trusted">,
  downstream: Pick<Downstream, "address" | "trusted" | "ip">,
  bytes: Uint8Array,
): ClientIp {
  downstream.ip ??= peerIpOf(downstream.address);
  if (!downstream.trusted) return downstream.ip;
  let nearest = downstream.ip;
  for (const text of forwardedFor(bytes, requestHead)) {
    const words = parseIp(withoutPort(text));
    if (words === undefined) return { words: nearest.words, known: false };
    nearest = { words, known: true };
    if (!trusted.containsIp(words)) return nearest;
  }
  // All of them are proxies that we trust: the first of them asks by itself.
  return nearest;
}

/** Of a connection, as it says of itself. A zone ("fe80::1%eth0") is this machine's own word for an interface. */
export function peerIpOf(address: string): ClientIp {
  const zone = address.indexOf("%");
  const words = parseIp(zone < 0 ? address : address.slice(0, zone)) ?? noWords;
  return { words, known: words.length > 0 };
}

/** What X-Forwarded-For lists, the last one first: several lines are one list (RFC 9110 section 5.3). */
function* forwardedFor(bytes: Uint8Array, { fields }: RequestHead): Generator<string> {
  for (let i = fields.count - 1; i >= 0; i--) {
    if (fields.kind[i] !== Field.XForwardedFor) continue;
    let end = fields.valueEnd[i]!;
    const start = fields.valueStart[i]!;
    while (end >= start) {
      const comma = end === start ? -1 : bytes.lastIndexOf(commaOctet, end - 1);
      const from = comma < start ? start : comma + 1;
      const text = latin1(bytes, from, end).trim();
      // Empty elements are none (RFC 9110 section 5.6.1).
      if (text !== "") yield text;
      end = from - 1;
    }
  }
}

const commaOctet = 0x2c;

/** Some proxies append the port: "192.0.2.1:4711", "[2001:db8::1]:4711". */
function withoutPort(text: string): string {
  const parts = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/.exec(text);
  return parts?.[1] ?? parts?.[2] ?? text;
}

/** bytes[start..end) as Latin-1 text. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}
