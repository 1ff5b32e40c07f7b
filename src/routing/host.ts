// The Host of a request as routes are looked up by it.
//
// Domains compare without case; a port and a trailing dot do not count. Whether the bytes are a valid
// Host at all is the protocol's question (RFC 9112 section 3.2), not ours.

const colon = 0x3a;
const dot = 0x2e;

/**
 * The host in `bytes[start]` up to, not including, `bytes[end]`: lower case, without ":PORT" and one
 * trailing dot; "" for none. Makes a string: for explaining.
 */
export function hostOf(bytes: Uint8Array, start: number, end: number): string {
  const hostEnd = hostEndOf(bytes, start, end);
  const codes: number[] = [];
  for (let i = start; i < hostEnd; i++) codes.push(lowerCase(bytes[i]!));
  return String.fromCharCode.apply(undefined, codes);
}

/** Where the host ends that begins at `start`: before ":PORT" and one trailing dot. */
export function hostEndOf(bytes: Uint8Array, start: number, end: number): number {
  const hostEnd = portAt(bytes, start, end);
  return hostEnd > start && bytes[hostEnd - 1] === dot ? hostEnd - 1 : hostEnd;
}

/** Where ":PORT" begins, or `end`. The colons within "[::1]" are none. */
function portAt(bytes: Uint8Array, start: number, end: number): number {
  let at = end - 1;
  while (at >= start && bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at--;
  return at >= start && bytes[at] === colon ? at : end;
}

/** ASCII only: no other character may turn into a letter that a route could name (U+212A would). */
function lowerCase(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code + 0x20 : code;
}
