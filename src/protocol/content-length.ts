// The value of Content-Length (RFC 9110 section 8.6): decimal digits and nothing else.
//
// A list of equal lengths may be repaired by the RFC; we do not repair framing.

/** The length, or -1 when it is not a plain number up to 2^53 - 1 (beyond which sums are not exact). */
export function parseContentLength(bytes: Uint8Array, start: number, end: number): number {
  if (start === end) return -1;
  let length = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
    if (length > Number.MAX_SAFE_INTEGER) return -1;
  }
  return length;
}
