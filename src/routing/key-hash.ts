// 32-bit hashes of what requests are kept together by, and of backends' addresses. Every node and worker, and
// Explain, must come to the same number for the same octets: it is part of what nodes of one cluster agree on.
//
// FNV-1a (draft-eastlake-fnv), whose lowest bits are weak, and after it the finalizer of MurmurHash3, which lets every
// bit depend on every other. No defence against who looks for equal hashes: that is what bounded load is for.

const fnvOffset = 0x811c9dc5;
const fnvPrime = 0x01000193;

/** Of bytes[start..end); any number of 32 bits, with a sign. */
export function hashOctets(bytes: Uint8Array, start: number, end: number): number {
  let hash = fnvOffset;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, fnvPrime);
  return mixed(hash);
}

/** Of the value of the first cookie of that name in a Cookie field that is not empty (RFC 6265 section 4.2.1); case counts. */
export function hashOfCookieIn(
  bytes: Uint8Array,
  start: number,
  end: number,
  name: string,
): number | undefined {
  for (let at = start; at < end; at++) {
    while (at < end && (bytes[at] === space || bytes[at] === semicolon)) at++;
    let pairEnd = at;
    while (pairEnd < end && bytes[pairEnd] !== semicolon) pairEnd++;
    const valueStart = at + name.length + 1;
    if (valueStart < pairEnd && bytes[valueStart - 1] === equals && isAt(bytes, at, name)) {
      return hashOctets(bytes, valueStart, pairEnd);
    }
    at = pairEnd;
  }
  return undefined;
}

const semicolon = 0x3b;
const space = 0x20;
const equals = 0x3d;

function isAt(bytes: Uint8Array, start: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word.charCodeAt(i)) return false;
  return true;
}

/** Of ASCII text as of its octets. Another `seed`, another hash. */
export function hashText(text: string, seed = 0): number {
  let hash = fnvOffset ^ seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), fnvPrime);
  return mixed(hash);
}

/** Of the 32-bit words of an address. */
export function hashWords(words: readonly number[]): number {
  let hash = fnvOffset;
  for (let i = 0; i < words.length; i++) hash = mixed(hash ^ words[i]!);
  return hash;
}

/** A number of 32 bits for each, in no order. */
export function mixed(word: number): number {
  let hash = word;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
