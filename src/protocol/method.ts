// The request methods we tell apart. A method is case-sensitive (RFC 9110 section 9.1): "get" is Other.

import { Framing } from "./framing.ts";
import { octetsOf } from "./octets.ts";

export const Method = {
  Other: 0,
  Get: 1,
  Head: 2,
  Post: 3,
  Put: 4,
  Delete: 5,
  Options: 6,
  Patch: 7,
  Connect: 8,
  Trace: 9,
} as const;
export type Method = (typeof Method)[keyof typeof Method];

const words: readonly (readonly [Method, Uint8Array])[] = [
  [Method.Get, octetsOf("GET")],
  [Method.Post, octetsOf("POST")],
  [Method.Head, octetsOf("HEAD")],
  [Method.Put, octetsOf("PUT")],
  [Method.Delete, octetsOf("DELETE")],
  [Method.Options, octetsOf("OPTIONS")],
  [Method.Patch, octetsOf("PATCH")],
  [Method.Connect, octetsOf("CONNECT")],
  [Method.Trace, octetsOf("TRACE")],
];
const methodNumbers = Uint8Array.from(words, ([method]) => method);
const methodWords: readonly Uint8Array[] = words.map(([, word]) => word);

/** Which method the token in `bytes[start..end)` is. */
export function methodOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  for (let index = 0; index < methodWords.length; index++) {
    const word = methodWords[index]!;
    if (word.length !== length) continue;
    let at = 0;
    while (at < length && bytes[start + at] === word[at]) at++;
    if (at === length) return methodNumbers[index]!;
  }
  return Method.Other;
}

/** Whether a request may be sent twice (RFC 9110 section 9.2.2); an unknown method may not. */
export function isIdempotentMethod(method: number): boolean {
  return (
    method !== Method.Other &&
    method !== Method.Post &&
    method !== Method.Patch &&
    method !== Method.Connect
  );
}

/**
 * Whether there is a body and its method gives it no meaning (RFC 9110 sections 9.3.1, 9.3.2 and 9.3.5). Some
 * servers do not read one then, and take it for the next request (CL.0).
 */
export function hasStrayBody(head: {
  readonly method: number;
  readonly framing: number;
  readonly contentLength: number;
}): boolean {
  if (head.framing === Framing.None || head.contentLength === 0) return false;
  const { method } = head;
  return method === Method.Get || method === Method.Head || method === Method.Delete;
}
