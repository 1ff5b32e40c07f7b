// Which rows of a table of counts stand for one client address: a count-min sketch (Cormode and
// Muthukrishnan, 2005), because a table of addresses themselves could not be shared without locks.
//
// An address is counted in `depth` rows, each drawn by a hash of its own among `width`; its count is the
// least of them. It is never too low, and too high only if others share every one of the rows: with
// 10,000 other addresses at their limit that is so for (1 - e^(-10000/65536))^4, 4 addresses in 10,000.

/** A power of two. */
const width = 65_536;
const depth = 4;

export const addressRowCount = width * depth;

export class AddressRows {
  readonly #seed: number;

  /** @param seed Nobody outside may know it: two addresses that share their rows could else be sought. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /**
   * The rows of an IP address, 0 to `addressRowCount` - 1. IPv6 counts by /64, which is what one customer
   * gets at least (RFC 6177 section 2; the rest is the interface's, RFC 4291 section 2.5.4): by whole
   * addresses everybody would have 2^64.
   *
   * @param words As of 32 bits, the highest first: one for IPv4, four for IPv6.
   */
  of(words: readonly number[]): readonly number[] {
    const [high = 0, low = 0] = words;
    const rows: number[] = [];
    for (let row = 0; row < depth; row++) {
      const begun = mixed(this.#seed + row * 8 + words.length);
      const drawn = mixed(mixed(begun ^ high) ^ low);
      rows.push(row * width + (drawn & (width - 1)));
    }
    return rows;
  }
}

/** The finalizer of MurmurHash3 (Appleby): every bit of the answer depends on every bit of `word`. */
export function mixed(word: number): number {
  let hash = word | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
