// The CRC-32C of RFC 9260 appendix A (Castagnoli's polynomial, reflected), which a PROXY protocol
// preface of version 2 may carry.

const reflectedPolynomial = 0x82f63b78;
const steps = Uint32Array.from({ length: 256 }, (_, octet) => {
  let step = octet;
  for (let bit = 0; bit < 8; bit++)
    step = step & 1 ? (step >>> 1) ^ reflectedPolynomial : step >>> 1;
  return step;
});

/** Of bytes[start..end), as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0xffffffff;
  for (let at = start; at < end; at++) crc = steps[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
