// Sets of IP ranges in CIDR notation (RFC 4632 section 3.1), such as the proxies whose forwarding
// fields are believed.

import { invalidField } from "./errors.ts";
import { type IpWords, parseIp } from "./ip-address.ts";

interface Range {
  readonly network: IpWords;
  readonly masks: IpWords;
}

/** IPv4 and IPv6 ranges; an IPv4 address is only ever in an IPv4 range, however it is spelled. */
export class CidrSet {
  readonly #ranges: readonly Range[];

  private constructor(ranges: readonly Range[]) {
    this.#ranges = ranges;
  }

  /** Of texts like "10.0.0.0/8", "2001:db8::/32", "192.0.2.7". Throws "invalid-argument" naming the bad one. */
  static parse(texts: readonly string[], field = "trust_forwarded"): CidrSet {
    return new CidrSet(texts.map((text) => parseRange(text, field)));
  }

  /** False for what is not an IP address. A zone ("fe80::1%eth0") does not count. */
  contains(ipText: string): boolean {
    if (this.#ranges.length === 0) return false;
    const zone = ipText.indexOf("%");
    const words = parseIp(zone < 0 ? ipText : ipText.slice(0, zone));
    return words !== undefined && this.containsIp(words);
  }

  /** As `contains`, for an address that was read before; no words are no address. */
  containsIp(words: IpWords): boolean {
    for (const range of this.#ranges) if (isIn(words, range)) return true;
    return false;
  }
}

function isIn(words: IpWords, { network, masks }: Range): boolean {
  if (words.length !== network.length) return false;
  for (let i = 0; i < words.length; i++) {
    if ((words[i]! & masks[i]!) >>> 0 !== network[i]) return false;
  }
  return true;
}

function parseRange(text: string, field: string): Range {
  const refuse = (why: string) =>
    invalidField(field, `${JSON.stringify(text.slice(0, 80))} ${why}`);
  const slash = text.indexOf("/");
  const ipText = slash < 0 ? text : text.slice(0, slash);
  const network = parseIp(ipText);
  if (network === undefined) throw refuse('is not an IP range such as "10.0.0.0/8" or "fd00::/8"');
  const bitsMax = network.length * 32;
  // An IPv4 range in its IPv6 spelling counts its bits from the IPv6 address's beginning.
  const bitsBefore = network.length === 1 && ipText.includes(":") ? 96 : 0;
  const bitsText = slash < 0 ? String(bitsMax + bitsBefore) : text.slice(slash + 1);
  const bits = /^(?:0|[1-9]\d{0,2})$/.test(bitsText) ? Number(bitsText) - bitsBefore : -1;
  if (bits < 0 || bits > bitsMax) {
    throw refuse(`needs a prefix length of ${bitsBefore} to ${bitsMax + bitsBefore} after the "/"`);
  }
  const masks = network.map((_, i) => maskOf(Math.min(32, Math.max(0, bits - i * 32))));
  // "10.0.0.7/8" is either one address or a network; guessing wrong would trust 16 million others.
  if (!isIn(network, { network, masks })) {
    throw refuse(`has bits set beyond the prefix of ${bitsText}: name the network's first address`);
  }
  return { network, masks };
}

/** A 32-bit word whose first `bits` bits are set. */
function maskOf(bits: number): number {
  return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
}
