// A listening socket for IPv6 and, as mapped addresses, IPv4: the router opens none such, but may be lent one.

import { createRequire } from "node:module";
import type * as Koffi from "koffi";

// Values of the ABI of Linux.
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const sockaddrBytes = 28;

/** On [::] and a port of the kernel's choice; whoever asks for it closes it. */
export function listenerForBoth(): {
  readonly address: string;
  readonly fd: number;
  readonly port: number;
} {
  const koffi: typeof Koffi = createRequire(import.meta.url)("koffi");
  const libc = koffi.load(null);
  const socket = libc.func("int socket(int, int, int)");
  const setsockopt = libc.func("int setsockopt(int, int, int, const int32_t *, uint32_t)");
  const bind = libc.func("int bind(int, const uint8_t *, uint32_t)");
  const listen = libc.func("int listen(int, int)");
  const getsockname = libc.func("int getsockname(int, _Out_ uint8_t *, _Inout_ uint32_t *)");
  const fd: number = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const name = Buffer.alloc(sockaddrBytes);
  name.writeUInt16LE(AF_INET6);
  const failed =
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, Int32Array.of(0), 4) < 0 ||
    bind(fd, name, sockaddrBytes) < 0 ||
    listen(fd, 128) < 0 ||
    getsockname(fd, name, [sockaddrBytes]) < 0;
  if (failed) throw new Error("no socket for both families here");
  return { address: "::", fd, port: name.readUInt16BE(2) };
}
