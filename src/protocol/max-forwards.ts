// The value of Max-Forwards (RFC 9110 section 7.6.2): how many further recipients may forward a request.

/** The largest number that we count down from: "the recipient's maximum supported value" of the RFC. */
const supportedMax = 0x7fffffff;

/** The number, no more than the largest supported one; -1 when it is not decimal digits alone. */
export function parseMaxForwards(bytes: Uint8Array, start: number, end: number): number {
  if (start === end) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = Math.min(value * 10 + digit, supportedMax);
  }
  return value;
}
