// IP addresses as numbers: textual forms of RFC 4291 section 2.2 and dotted IPv4, read strictly.
//
// "::ffff:10.0.0.1" is the IPv4 address 10.0.0.1: that is how a dual-stack socket spells its IPv4
// peers (RFC 4291 section 2.5.5.2).

/** 32-bit words, the highest first: one for IPv4, four for IPv6. */
export type IpWords = readonly number[];

/** Undefined: not an IP address. A zone ("fe80::1%eth0") is none of the address's. */
export function parseIp(text: string): IpWords | undefined {
  if (!text.includes(":")) return parseIpv4(text);
  const groups = ipv6Groups(text);
  if (groups === undefined) return undefined;
  const words = [0, 2, 4, 6].map((at) => ((groups[at]! << 16) | groups[at + 1]!) >>> 0);
  const [first, second, third, fourth] = words;
  const isMapped = first === 0 && second === 0 && third === 0xffff;
  return isMapped && fourth !== undefined ? [fourth] : words;
}

function parseIpv4(text: string): IpWords | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let word = 0;
  for (const part of parts) {
    // No leading zeros: some programs read "010" as 8.
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    word = word * 256 + Number(part);
  }
  return [word];
}

/** Eight 16-bit groups, "::" filled in. */
function ipv6Groups(text: string): readonly number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0]!, halves.length === 1);
  if (halves.length === 1) return head?.length === 8 ? head : undefined;
  const tail = groupsOf(halves[1]!, true);
  if (head === undefined || tail === undefined) return undefined;
  // "::" stands for at least one group (RFC 5952 section 4.2.2 only advises against exactly one).
  const missing = 8 - head.length - tail.length;
  if (missing < 1) return undefined;
  return [...head, ...Array.from({ length: missing }, () => 0), ...tail];
}

/** @param mayEndDotted The last group may be an IPv4 address, which fills two. */
function groupsOf(text: string, mayEndDotted: boolean): number[] | undefined {
  const groups: number[] = [];
  if (text === "") return groups;
  const parts = text.split(":");
  for (const [position, part] of parts.entries()) {
    if (mayEndDotted && position === parts.length - 1 && part.includes(".")) {
      const word = parseIpv4(part)?.[0];
      if (word === undefined) return undefined;
      groups.push(word >>> 16, word & 0xffff);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}
