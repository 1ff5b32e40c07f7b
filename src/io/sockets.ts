// Sockets by number: the few calls of libc that Node does not offer, through FFI.
//
// Knows: Linux (x64 and arm64, glibc and musl), file descriptors, errno.
// Does not know: who accepts, what is sent, or which thread it runs in. A descriptor belongs to the
// process and not to a thread; whoever opened it closes it.
//
// Why not node:net alone: a listening socket that Node opened dies with its thread, and with it every
// connection that waits in its queue. And a send that copies nothing and queues nothing costs a third
// of a Socket.write.

import { createRequire } from "node:module";
import { createServer, isIPv6, type Server, type Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import type * as Koffi from "koffi";

// Values of the Linux ABI, the same on x64 and arm64 (include/uapi/asm-generic/socket.h and kin).
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_NOTSENT_LOWAT = 25;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const F_DUPFD_CLOEXEC = 1030;
const SIOCOUTQ = 0x5411;

/** accept(2): what a connection that was gone before its turn is called on other systems. */
const ECONNABORTED = 103;

/** The larger of sockaddr_in (16) and sockaddr_in6 (28), in bytes. */
const sockaddrBytes = 28;
/** Node calls listen(2) again when it watches; the kernel caps the figure at net.core.somaxconn. */
const watchBacklog = 4096;
const libcNames = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/** A system call that failed; `code` is "EADDRINUSE" and the like. */
export class SocketError extends Error {
  readonly code: string;

  constructor(syscall: string, errno: number, what: string) {
    const code = errnoName(errno);
    super(`${syscall} ${what}: ${code}`);
    this.name = "SocketError";
    this.code = code;
  }
}

/** An address to listen on; port 0 lets the kernel choose. */
export interface ListenAddress {
  /** An IP address: "0.0.0.0", "::", "127.0.0.1". */
  readonly address: string;
  readonly port: number;
}

/** A memory address of bytes that live outside V8's heap and so never move. */
export type PinnedAddress = number;

/** True where descriptors can be opened, lent and accepted from; else see `socketsUnavailableReason`. */
export function socketsAvailable(): boolean {
  return loaded().libc !== undefined;
}

/** Why there are no sockets by number here; undefined when there are. */
export function socketsUnavailableReason(): string | undefined {
  return loaded().libc === undefined ? loaded().reason : undefined;
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
 */
export function acceptOne(fd: number, peer: PeerAddress): number {
  peer.bytes.setUint32(sockaddrBytes, sockaddrBytes, true);
  const waiting = accepted.size === 0 ? undefined : nextAccepted(fd, peer);
  if (waiting !== undefined) return waiting;
  const got = loaded().libc!.accept4(
    fd,
    peer.at,
    peer.at + sockaddrBytes,
    SOCK_NONBLOCK | SOCK_CLOEXEC,
  );
  if (got < 0) return -loaded().errno();
  if (loaded().libc!.getpeername(got, peer.at, peer.at + sockaddrBytes) === 0) return got;
  closeFd(got);
  return -ECONNABORTED;
}

/**
 * The address of long-lived bytes, for `sendPinned`. The caller keeps them reachable for as long as
 * the address is used. Do it once per buffer: it moves small arrays off V8's heap and costs a call.
 */
export function pin(bytes: Uint8Array): PinnedAddress {
  // Reading `.buffer` is what moves a small typed array off the heap, for good.
  if (bytes.buffer.byteLength === 0) return 0;
  return Number(loaded().address(bytes));
}

/**
 * Sends what the kernel takes at once: bytes taken, or a negative errno (-EAGAIN: nothing).
 * Never raises SIGPIPE. 20 ns less than passing a Uint8Array, 80 ns less than a subarray of one.
 */
export function sendPinned(fd: number, address: PinnedAddress, length: number): number {
  const sent = loaded().libc!.send(fd, address, length, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? -loaded().errno() : sent;
}

/** Bytes sent on a connection that its peer has not acknowledged (SIOCOUTQ, tcp(7)); 0 when it is gone. */
export function outputQueue(fd: number): number {
  return libc().ioctl(fd, SIOCOUTQ, queueScratch) < 0 ? 0 : queueScratch[0]!;
}

const queueScratch = new Int32Array(1);

/** Sends small writes at once (RFC 9293 section 3.7.4 switched off). A failure is harmless: the peer has left. */
export function setNoDelay(fd: number): void {
  trySetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/** With so many bytes not sent yet the kernel takes no more, until half are left (TCP_NOTSENT_LOWAT, tcp(7)). Inherited by accept(2). */
export function limitUnsent(fd: number, bytes: number): void {
  trySetOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
}

export function closeFd(fd: number): void {
  libc().close(fd);
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

/**
 * Calls back on this thread's event loop whenever connections wait on the listening socket `fd`; then
 * call `acceptOne` until -EAGAIN. Keeps the event loop alive. Never closes the descriptor.
 *
 * The watch is a server of Node on a duplicate of the descriptor, because Node closes its own handles
 * before it tears a thread down. A handle of an addon (koffi.node.poll) is still called at that time,
 * and calling into a thread that may run no JavaScript aborts the process. The price is that libuv
 * accepts the first connection itself; it is passed on through `acceptOne`. With no descriptor left for that it closes
 * everybody who waits: see `watchHasDescriptors`.
 *
 * Throws SocketError (EMFILE, ENFILE) when there is no descriptor for the watch.
 */
export function watchReadable(fd: number, callback: () => void): { close(): void } {
  const copy = duplicate(fd);
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const taken = takeOver(socket);
    if (taken < 0) return;
    const waiting = accepted.get(fd);
    if (waiting?.push(taken) === undefined) accepted.set(fd, [taken]);
    callback();
  });
  // No descriptors left, or the like: whoever watches hears it from `acceptOne`.
  server.on("error", callback);
  server.listen({ fd: copy, backlog: watchBacklog });
  watches.add(server);
  return {
    close() {
      if (!watches.delete(server)) return;
      server.close();
      for (const taken of accepted.get(fd) ?? []) closeFd(taken);
      accepted.delete(fd);
    },
  };
}

/**
 * Whether a watch could pass a connection on now: libuv accepts it, and then it is duplicated. `fd` is any that is open.
 * Four calls of the kernel.
 */
export function watchHasDescriptors(fd: number): boolean {
  const accepted = libc().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (accepted < 0) return false;
  const copy = libc().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  closeFd(accepted);
  if (copy >= 0) closeFd(copy);
  return copy >= 0;
}

function duplicate(fd: number): number {
  const copy = libc().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw new SocketError("fcntl", lastErrno(), `on descriptor ${fd}`);
  return copy;
}

/** "EAGAIN" of 11 or -11. */
export function errnoName(errno: number): string {
  return getSystemErrorName(-Math.abs(errno));
}

/** A connection that libuv accepted for a watch on `fd`, with its peer; gone peers are skipped. */
function nextAccepted(fd: number, peer: PeerAddress): number | undefined {
  const waiting = accepted.get(fd);
  for (let taken = waiting?.shift(); taken !== undefined; taken = waiting?.shift()) {
    if (libc().getpeername(taken, peer.at, peer.at + sockaddrBytes) === 0) return taken;
    peer.bytes.setUint32(sockaddrBytes, sockaddrBytes, true);
    closeFd(taken);
  }
  accepted.delete(fd);
  return undefined;
}

/** The descriptor of a connection as ours, the socket closed without a word to the peer; negative: it is gone. */
function takeOver(socket: Socket): number {
  const handle: { readonly fd?: number } | undefined = Reflect.get(socket, "_handle");
  const taken = handle?.fd === undefined ? -1 : libc().fcntl(handle.fd, F_DUPFD_CLOEXEC, 0);
  socket.destroy();
  return taken;
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
    throw new SocketError("inet_pton", loaded().einval, `"${at.address}" is not an IP address`);
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

function libc(): Libc {
  const { libc: calls, reason } = loaded();
  if (calls === undefined) throw new Error(`no sockets by number: ${reason}`);
  return calls;
}

const lastErrno = (): number => loaded().errno();

interface Libc {
  socket(family: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, name: number, value: Int32Array, length: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: PinnedAddress, length: PinnedAddress, flags: number): number;
  getpeername(fd: number, address: PinnedAddress, length: PinnedAddress): number;
  fcntl(fd: number, command: number, argument: number): number;
  ioctl(fd: number, request: number, answer: Int32Array): number;
  getsockname(fd: number, address: PinnedAddress, length: PinnedAddress): number;
  inet_pton(family: number, text: string, address: Uint8Array): number;
  send(fd: number, bytes: PinnedAddress, length: number, flags: number): number;
  close(fd: number): number;
}

interface Loaded {
  readonly libc: Libc | undefined;
  readonly reason: string;
  readonly einval: number;
  errno(): number;
  address(bytes: Uint8Array): bigint;
}

let once: Loaded | undefined;

/**
 * Once per thread and not before the first use: koffi aborts the process when its thread is terminated
 * while it loads. So a thread that has nothing to do yet can be terminated without care, and one that
 * has is terminated only after it said that it is ready (supervisor.ts).
 */
function loaded(): Loaded {
  return (once ??= load());
}

/** Loads koffi and libc; a machine without them gets a reason instead of an exception. */
function load(): Loaded {
  try {
    if (process.platform !== "linux") throw new Error(`this is ${process.platform}, not Linux`);
    const koffi: typeof Koffi = createRequire(import.meta.url)("koffi");
    return {
      libc: bindLibc(openLibrary(koffi)),
      reason: "",
      einval: koffi.os.errno["EINVAL"] ?? 22,
      errno: koffi.errno,
      address: koffi.address,
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const absent = (): never => {
      throw new Error(`no sockets by number: ${reason}`, { cause: error });
    };
    return { libc: undefined, reason, einval: 22, errno: absent, address: absent };
  }
}

function openLibrary(koffi: typeof Koffi): Koffi.LibraryHandle {
  for (const name of libcNames) {
    try {
      return koffi.load(name);
    } catch {
      // Another libc, or another machine: the next name may be the one.
    }
  }
  throw new Error(`libc cannot be loaded: tried ${libcNames.join(", ")}`);
}

function bindLibc(lib: Koffi.LibraryHandle): Libc {
  // Addresses are passed as numbers: they are below 2^48, and no BigInt is made per call.
  return {
    socket: lib.func("int socket(int, int, int)"),
    setsockopt: lib.func("int setsockopt(int, int, int, const int32_t *, uint32_t)"),
    bind: lib.func("int bind(int, const uint8_t *, uint32_t)"),
    listen: lib.func("int listen(int, int)"),
    accept4: lib.func("int accept4(int, uintptr_t, uintptr_t, int)"),
    getpeername: lib.func("int getpeername(int, uintptr_t, uintptr_t)"),
    // Variadic in C; on x64 and arm64 Linux whole numbers are passed the same way.
    fcntl: lib.func("int fcntl(int, int, int)"),
    ioctl: lib.func("int ioctl(int, unsigned long, _Out_ int32_t *)"),
    getsockname: lib.func("int getsockname(int, uintptr_t, uintptr_t)"),
    inet_pton: lib.func("int inet_pton(int, const char *, _Out_ uint8_t *)"),
    send: lib.func("send", "intptr_t", ["int", "uintptr_t", "size_t", "int"]),
    close: lib.func("int close(int)"),
  };
}

/** By listening descriptor: connections that libuv accepted and nobody has taken yet. */
const accepted = new Map<number, number[]>();
const watches = new Set<Server>();
// A thread that dies of an exception still ends its loop's turn: it must take nobody along from the queue.
process.on("exit", () => {
  for (const server of watches) server.close();
});
