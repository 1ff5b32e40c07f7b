// IP addresses between text and octets, as the PROXY protocol writes them: in text (version 1) and as
// 4 or 16 octets in network order (version 2).
//
// "::ffff:10.0.0.1" is the IPv4 address 10.0.0.1 (RFC 4291 section 2.5.5.2): told so wherever it comes out.

/** Of dotted IPv4 without leading zeros, which some programs read as octal; undefined for all else. */
export function ipv4Octets(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  return parts.length === 4 && parts.every(isOctet) ? Uint8Array.from(parts, Number) : undefined;
}

function isOctet(text: string): boolean {
  return /^(?:0|[1-9]\d{0,2})$/.test(text) && Number(text) < 256;
}

/** Of the forms of RFC 4291 section 2.2, without a zone; undefined for all else. */
export function ipv6Octets(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const first = groupOctets(halves[0] ?? "", halves.length === 1);
  if (first === undefined) return undefined;
  if (halves.length === 1) return first.length === 16 ? Uint8Array.from(first) : undefined;
  const last = groupOctets(halves[1] ?? "", true);
  // "::" stands for at least one group.
  if (last === undefined || first.length + last.length > 14) return undefined;
  const octets = new Uint8Array(16);
  octets.set(first);
  octets.set(last, 16 - last.length);
  return octets;
}

/** "192.0.2.1" or "2001:db8::1" (RFC 5952), of 4 or 16 octets. */
export function ipText(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join(".");
  if (isMapped(octets)) return octets.subarray(12).join(".");
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2)
    groups.push(((octets[at]! << 8) | octets[at + 1]!).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

/** ::ffff:0:0/96, of 16 octets. */
export function isMapped(octets: Uint8Array): boolean {
  return (
    octets.subarray(0, 10).every((octet) => octet === 0) && octets[10] === 255 && octets[11] === 255
  );
}

/** @param mayEndDotted The last group may be an IPv4 address, which fills two. */
function groupOctets(text: string, mayEndDotted: boolean): number[] | undefined {
  const octets: number[] = [];
  if (text === "") return octets;
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (mayEndDotted && index === parts.length - 1 && part.includes(".")) {
      const dotted = ipv4Octets(part);
      if (dotted === undefined) return undefined;
      octets.push(...dotted);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      const group = Number.parseInt(part, 16);
      octets.push(group >>> 8, group & 255);
    } else return undefined;
  }
  return octets;
}
