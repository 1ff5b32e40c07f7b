// Sockets by number: the few calls of libc that Node does not offer, through FFI.
//
// Knows: Linux (x64 and arm64, glibc and musl), file descriptors, errno.
// Does not know: who accepts, what is sent, or which thread it runs in. A descriptor belongs to the
// process and not to a thread; whoever opened it closes it.
//
// Why not node:net alone: a listening socket that Node opened dies with its thread, and with it every
// connection that waits in its queue. And a send that copies nothing and queues nothing costs a third
// of a Socket.write.

import { isIPv6 } from "node:net";
import {
  ffiAvailable,
  ffiUnavailableReason,
  lastErrno,
  libc,
  type PinnedAddress,
  pin,
  SocketError,
} from "./ffi.ts";
import type { DescriptorLedger } from "./io.ts";
import { peerText } from "./peer-text.ts";

// Values of the Linux ABI, the same on x64 and arm64 (include/uapi/asm-generic/socket.h and kin).
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_KEEPALIVE = 9;
const SO_LINGER = 13;
const SO_REUSEPORT = 15;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_NOTSENT_LOWAT = 25;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
const SIOCOUTQ = 0x5411;
const SIOCATMARK = 0x8905;

const EINVAL = 22;
/** connect(2): it goes on in the background. */
const EINPROGRESS = 115;
/** accept(2): what a connection that was gone before its turn is called on other systems. */
const ECONNABORTED = 103;

/** The larger of sockaddr_in (16) and sockaddr_in6 (28), in bytes. */
const sockaddrBytes = 28;

/** An address to listen on; port 0 lets the kernel choose. */
export interface ListenAddress {
  /** An IP address: "0.0.0.0", "::", "127.0.0.1". */
  readonly address: string;
  readonly port: number;
}

/** True where descriptors can be opened, lent and accepted from; else see `socketsUnavailableReason`. */
export function socketsAvailable(): boolean {
  return ffiAvailable();
}

/** Why there are no sockets by number here; undefined when there are. */
export function socketsUnavailableReason(): string | undefined {
  return ffiUnavailableReason();
}

/**
 * A bound socket that shares its port with its like (SO_REUSEPORT) and does not listen yet, so nobody
 * can connect. While it only holds the port, nobody else can listen there: SO_REUSEADDR is taken off
 * again after the bind, or Linux would let a stranger with SO_REUSEADDR listen first.
 *
 * Throws SocketError with EADDRINUSE, EACCES, EADDRNOTAVAIL or EAFNOSUPPORT.
 */
export function openListener(at: ListenAddress): { readonly fd: number; readonly port: number } {
  const fd = boundSocket(at, true);
  try {
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, 0);
    return { fd, port: localPort(fd) };
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Lets clients connect; they wait in the queue until somebody accepts. Throws SocketError (EADDRINUSE). */
export function listen(fd: number, backlog: number): void {
  // Connections of an earlier owner in TIME_WAIT must not keep us from listening.
  setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  // Inherited by what is accepted: one call for all of them.
  setNoDelay(fd);
  if (libc().listen(fd, backlog) < 0)
    throw new SocketError("listen", lastErrno(), `on descriptor ${fd}`);
}

/**
 * Makes sure that nobody has this port, not even one who would share it: another process of the same user may join a
 * SO_REUSEPORT group and take part of its connections. Listens alone for a moment. Throws SocketError as `openListener` does.
 */
export function probeExclusive(at: ListenAddress): void {
  const fd = boundSocket(at, false);
  try {
    if (libc().listen(fd, 1) < 0) throw new SocketError("listen", lastErrno(), where(at));
  } finally {
    closeFd(fd);
  }
}

/** Who connected; made once and filled by each `acceptOne`. */
export class PeerAddress {
  /** A sockaddr, then its length (socklen_t). An ArrayBuffer of its own is never on V8's heap. */
  readonly bytes = new DataView(new ArrayBuffer(sockaddrBytes + 4));
  readonly at: PinnedAddress = pin(new Uint8Array(this.bytes.buffer));

  get port(): number {
    return this.bytes.getUint16(2);
  }
}

/**
 * Takes one connection from the queue: its descriptor (non-blocking, close-on-exec), or a negative
 * errno: -EAGAIN when nobody waits, -EMFILE when there are no descriptors left, -ECONNABORTED when
 * the peer had reset it while it waited: its request, if there is one, is not wanted any more.
 * Allocates nothing.
 *
 * @param marks Of a ledger: the connection is marked as held, with no call of a function between, where the thread
 * could be ended (docs/decisions/0031).
 */
export function acceptOne(fd: number, peer: PeerAddress, marks: Int32Array = noMarks): number {
  const calls = libc();
  peer.bytes.setUint32(sockaddrBytes, sockaddrBytes, true);
  const got = calls.accept4(fd, peer.at, peer.at + sockaddrBytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (got >= 0 && got < marks.length * 32) marks[got >>> 5]! |= 1 << (got & 31);
  if (got < 0) return -lastErrno();
  if (peerOf(got, peer)) return got;
  if (got < marks.length * 32) marks[got >>> 5]! &= ~(1 << (got & 31));
  closeFd(got);
  return -ECONNABORTED;
}

/** Nobody asks what is held. */
const noMarks = new Int32Array(0);

/** Who is at the other end of a connection; false: nobody any more. */
export function peerOf(fd: number, peer: PeerAddress): boolean {
  peer.bytes.setUint32(sockaddrBytes, sockaddrBytes, true);
  return libc().getpeername(fd, peer.at, peer.at + sockaddrBytes) === 0;
}

/**
 * Sends what the kernel takes at once: bytes taken, or a negative errno (-EAGAIN: nothing).
 * Never raises SIGPIPE. 20 ns less than passing a Uint8Array, 80 ns less than a subarray of one.
 */
export function sendPinned(fd: number, address: PinnedAddress, length: number): number {
  const sent = libc().send(fd, address, length, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? -lastErrno() : sent;
}

/** Receives what is there, into memory that does not move: bytes, 0 at the peer's end, or a negative errno (-EAGAIN: nothing). */
export function receivePinned(fd: number, address: PinnedAddress, length: number): number {
  const received = libc().recv(fd, address, length, MSG_DONTWAIT);
  return received < 0 ? -lastErrno() : received;
}

/** A socket to connect with, which sends small writes at once; or a negative errno (-EMFILE). @param marks As for `acceptOne`. */
export function openDialling(address: string, marks: Int32Array = noMarks): number {
  const family = isIPv6(address) ? AF_INET6 : AF_INET;
  const calls = libc();
  const fd = calls.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && fd < marks.length * 32) marks[fd >>> 5]! |= 1 << (fd & 31);
  if (fd < 0) return -lastErrno();
  setNoDelay(fd);
  return fd;
}

/** Begins to connect: 0 (wait until it is writable, then ask `connectOutcome`), or the errno that ended it at once. */
export function beginConnect(fd: number, address: string, port: number): number {
  const name = sockaddr(isIPv6(address) ? AF_INET6 : AF_INET, { address, port });
  if (libc().connect(fd, name, name.byteLength) === 0) return 0;
  const errno = lastErrno();
  return errno === EINPROGRESS ? 0 : errno;
}

/** How connecting ended: 0, or an errno (SO_ERROR, which is told once). */
export function connectOutcome(fd: number): number {
  optionLength[0] = 4;
  const got = libc().getsockopt(fd, SOL_SOCKET, SO_ERROR, optionValue, optionLength);
  return got < 0 ? lastErrno() : optionValue[0]!;
}

const optionValue = new Int32Array(1);
const optionLength = new Int32Array(1);

/** Sends FIN behind what was sent. A failure is harmless: the peer has left. */
export function shutdownSending(fd: number): void {
  libc().shutdown(fd, SHUT_WR);
}

/** Closing will reset the connection, whatever was sent (SO_LINGER of 0 s, socket(7)). */
export function resetOnClose(fd: number): void {
  const noLinger = Int32Array.of(1, 0);
  libc().setsockopt(fd, SOL_SOCKET, SO_LINGER, noLinger, noLinger.byteLength);
}

/** "192.0.2.1" or "::1": this end of a connection; "" when it is gone. */
export function localAddressOf(fd: number): string {
  const name = new PeerAddress();
  name.bytes.setUint32(sockaddrBytes, sockaddrBytes, true);
  return libc().getsockname(fd, name.at, name.at + sockaddrBytes) < 0 ? "" : peerText(name);
}

/** Bytes sent on a connection that its peer has not acknowledged (SIOCOUTQ, tcp(7)); 0 when it is gone. */
export function outputQueue(fd: number): number {
  return libc().ioctl(fd, SIOCOUTQ, queueScratch) < 0 ? 0 : queueScratch[0]!;
}

const queueScratch = new Int32Array(1);

/** Whether the mark of urgent data is next (SIOCATMARK, tcp(7)): what is behind it comes by recv(2), and never by splice(2). */
export function isAtMark(fd: number): boolean {
  return libc().ioctl(fd, SIOCATMARK, queueScratch) === 0 && queueScratch[0] === 1;
}

/** Sends small writes at once (RFC 9293 section 3.7.4 switched off). A failure is harmless: the peer has left. */
export function setNoDelay(fd: number): void {
  trySetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/** With so many bytes not sent yet the kernel takes no more, until half are left (TCP_NOTSENT_LOWAT, tcp(7)). Inherited by accept(2). */
export function limitUnsent(fd: number, bytes: number): void {
  trySetOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
}

/**
 * The kernel asks a silent peer whether it is there (SO_KEEPALIVE, RFC 9293 section 3.8.4). A failure is harmless: the peer
 * has left. Whole seconds, which is what tcp(7) takes.
 *
 * @param times.probes In a row, without an answer: then the connection breaks (ETIMEDOUT).
 */
export function keepAlive(
  fd: number,
  times: { readonly idleS: number; readonly intervalS: number; readonly probes: number },
): void {
  trySetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, times.idleS);
  trySetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, times.intervalS);
  trySetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, times.probes);
  trySetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

export function closeFd(fd: number): void {
  libc().close(fd);
}

/** Closes what a ledger knows: no call of a function lies between its being dropped and close(2) (docs/decisions/0031). */
export function closeHeld(fd: number, ledger: DescriptorLedger): void {
  const calls = libc();
  ledger.drop(fd);
  calls.close(fd);
}

/** The port that a bound socket has. */
function localPort(fd: number): number {
  const name = new PeerAddress();
  name.bytes.setUint32(sockaddrBytes, sockaddrBytes, true);
  if (libc().getsockname(fd, name.at, name.at + sockaddrBytes) < 0) {
    throw new SocketError("getsockname", lastErrno(), `of descriptor ${fd}`);
  }
  return name.port;
}

function boundSocket(at: ListenAddress, shared: boolean): number {
  const family = isIPv6(at.address) ? AF_INET6 : AF_INET;
  const fd = libc().socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new SocketError("socket", lastErrno(), where(at));
  try {
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (shared) setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    const name = sockaddr(family, at);
    if (libc().bind(fd, name, name.byteLength) < 0) {
      throw new SocketError("bind", lastErrno(), where(at));
    }
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** sockaddr_in or sockaddr_in6 (ip(7), ipv6(7)): family in the machine's order, port in the network's. */
function sockaddr(family: number, at: ListenAddress): Uint8Array {
  const bytes = new Uint8Array(family === AF_INET6 ? 28 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family, true);
  view.setUint16(2, at.port);
  const ip = bytes.subarray(family === AF_INET6 ? 8 : 4);
  if (libc().inet_pton(family, at.address, ip) !== 1) {
    throw new SocketError("inet_pton", EINVAL, `"${at.address}" is not an IP address`);
  }
  return bytes;
}

function setOption(fd: number, level: number, name: number, value: number): void {
  if (trySetOption(fd, level, name, value)) return;
  throw new SocketError("setsockopt", lastErrno(), `${level}/${name} on descriptor ${fd}`);
}

function trySetOption(fd: number, level: number, name: number, value: number): boolean {
  const bytes = Int32Array.of(value);
  return libc().setsockopt(fd, level, name, bytes, bytes.byteLength) === 0;
}

const where = (at: ListenAddress): string =>
  isIPv6(at.address) ? `[${at.address}]:${at.port}` : `${at.address}:${at.port}`;
