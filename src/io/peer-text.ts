// Who connected, in words: a sockaddr of Linux to the text of its address.

import type { PeerAddress } from "./sockets.ts";

/** The family of IPv4 in the ABI of Linux. */
const AF_INET = 2;

/** "192.0.2.1" or "2001:db8::1" (RFC 5952); an IPv4 address inside IPv6 is written as IPv4. */
export function peerText({ bytes }: PeerAddress): string {
  if (bytes.getUint16(0, true) === AF_INET) return dotted(bytes, 4);
  if (isMapped(bytes)) return dotted(bytes, 20);
  const groups: string[] = [];
  for (let at = 8; at < 24; at += 2) groups.push(bytes.getUint16(at).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

const dotted = (bytes: DataView, at: number): string =>
  `${bytes.getUint8(at)}.${bytes.getUint8(at + 1)}.${bytes.getUint8(at + 2)}.${bytes.getUint8(at + 3)}`;

/** ::ffff:0:0/96 (RFC 4291 section 2.5.5.2). */
const isMapped = (bytes: DataView): boolean =>
  bytes.getUint32(8) === 0 && bytes.getUint32(12) === 0 && bytes.getUint32(16) === 0xffff;
