// Calls of libc, by FFI: the one file that knows koffi.
//
// Knows: how libc is found and called (Linux, glibc and musl, x64 and arm64), errno, memory outside V8's heap,
// and where this thread's event loop waits. Does not know what the calls are for: see sockets.ts, uring/, epoll/.

import { createRequire } from "node:module";
import { getSystemErrorName } from "node:util";
import type * as Koffi from "koffi";

const libcNames = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/** A memory address of bytes that live outside V8's heap and so never move. */
export type PinnedAddress = number;

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

/** "EAGAIN" of 11 or -11. */
export function errnoName(errno: number): string {
  return getSystemErrorName(-Math.abs(errno));
}

/** True where libc can be called; else see `ffiUnavailableReason`. */
export function ffiAvailable(): boolean {
  return loaded().libc !== undefined;
}

/** Why libc cannot be called here; undefined when it can. */
export function ffiUnavailableReason(): string | undefined {
  return loaded().libc === undefined ? loaded().reason : undefined;
}

/** The calls. Throws an Error with the reason where there are none. */
export function libc(): Libc {
  const { libc: calls, reason } = loaded();
  if (calls === undefined) throw new Error(`no sockets by number: ${reason}`);
  return calls;
}

/** Of the call that failed last in this thread. */
export const lastErrno = (): number => loaded().errno();

/**
 * The address of long-lived bytes. The caller keeps them reachable for as long as the address is used.
 * Do it once per buffer: it moves small arrays off V8's heap and costs a call.
 */
export function pin(bytes: Uint8Array): PinnedAddress {
  // Reading `.buffer` is what moves a small typed array off the heap, for good.
  if (bytes.buffer.byteLength === 0) return 0;
  return Number(loaded().address(bytes));
}

/** `length` bytes that the kernel has mapped at `address`; not valid any more once they are unmapped. */
export function mappedBytes(address: PinnedAddress, length: number): ArrayBuffer {
  return loaded().view(BigInt(address), length);
}

/**
 * The descriptor that this thread's event loop waits on (uv_backend_fd): readable as soon as something waits for the loop,
 * timers aside. Throws an Error where it cannot be found.
 */
export function eventLoopFd(): number {
  return loaded().eventLoopFd();
}

/** Whether something can be read from a descriptor at this moment. */
export function isReadable(fd: number): boolean {
  pollEntry[0] = fd;
  pollEntry[1] = POLLIN;
  return libc().poll(pollEntry, 1, 0) > 0;
}

const POLLIN = 0x1;
const pollEntry = new Int32Array(2);

export interface Libc {
  socket(family: number, type: number, protocol: number): number;
  socketpair(family: number, type: number, protocol: number, fds: Int32Array): number;
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
  recv(fd: number, bytes: PinnedAddress, length: number, flags: number): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  shutdown(fd: number, how: number): number;
  getsockopt(
    fd: number,
    level: number,
    name: number,
    value: Int32Array,
    length: Int32Array,
  ): number;
  close(fd: number): number;
  /** `entries`: struct pollfd (8 bytes: descriptor, 16 bits asked, 16 bits told), `count` of them. */
  poll(entries: Int32Array, count: number, timeoutMs: number): number;
  pipe2(ends: Int32Array, flags: number): number;
  /** The offsets are addresses: 0, since neither a pipe nor a socket has one. */
  splice(
    from: number,
    fromOffset: number,
    to: number,
    toOffset: number,
    length: number,
    flags: number,
  ): number;
  mmap(
    address: number,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): number;
  munmap(address: PinnedAddress, length: number): number;
  /** In a thread of libuv's pool. */
  readonly posixFadvise: {
    async(fd: number, offset: number, length: number, advice: number, done: () => void): void;
  };
  epollCreate(flags: number): number;
  epollCtl(epoll: number, operation: number, fd: number, event: PinnedAddress): number;
  epollWait(epoll: number, events: PinnedAddress, most: number, timeoutMs: number): number;
  /** Any call by its number, with six whole numbers or addresses; -1 and errno, or its answer. */
  syscall(number: number, a: number, b: number, c: number, d: number, e: number, f: number): number;
}

interface Loaded {
  readonly libc: Libc | undefined;
  readonly reason: string;
  errno(): number;
  address(bytes: Uint8Array): bigint;
  view(address: bigint, length: number): ArrayBuffer;
  eventLoopFd(): number;
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
      errno: koffi.errno,
      address: koffi.address,
      view: koffi.view,
      eventLoopFd: () => findEventLoopFd(koffi),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const absent = (): never => {
      throw new Error(`no sockets by number: ${reason}`, { cause: error });
    };
    return {
      libc: undefined,
      reason,
      errno: absent,
      address: absent,
      view: absent,
      eventLoopFd: absent,
    };
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
    socketpair: lib.func("int socketpair(int, int, int, _Out_ int32_t *)"),
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
    recv: lib.func("recv", "intptr_t", ["int", "uintptr_t", "size_t", "int"]),
    connect: lib.func("int connect(int, const uint8_t *, uint32_t)"),
    shutdown: lib.func("int shutdown(int, int)"),
    getsockopt: lib.func("int getsockopt(int, int, int, _Out_ int32_t *, _Inout_ int32_t *)"),
    close: lib.func("int close(int)"),
    poll: lib.func("int poll(_Inout_ int32_t *, unsigned long, int)"),
    pipe2: lib.func("int pipe2(_Out_ int32_t *, int)"),
    splice: lib.func("intptr_t splice(int, uintptr_t, int, uintptr_t, size_t, uint32_t)"),
    mmap: lib.func("intptr_t mmap(uintptr_t, size_t, int, int, int, int64_t)"),
    munmap: lib.func("int munmap(uintptr_t, size_t)"),
    posixFadvise: lib.func("int posix_fadvise(int, int64_t, int64_t, int)"),
    epollCreate: lib.func("int epoll_create1(int)"),
    epollCtl: lib.func("int epoll_ctl(int, int, int, uintptr_t)"),
    epollWait: lib.func("int epoll_wait(int, uintptr_t, int, int)"),
    // Variadic in C as well; six registers, whatever the call needs of them.
    syscall: lib.func(
      "intptr_t syscall(intptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t)",
    ),
  };
}

/** Node exports the calls of its own API and of libuv; the loop is the one of the thread that asks. */
function findEventLoopFd(koffi: typeof Koffi): number {
  const node = koffi.load(null);
  const loop = [0n];
  const status: unknown = node.func("int napi_get_uv_event_loop(void *, _Out_ uintptr_t *)")(
    koffi.node.env,
    loop,
  );
  if (status !== 0) throw new Error(`napi_get_uv_event_loop answered ${String(status)}`);
  const fd: unknown = node.func("int uv_backend_fd(uintptr_t)")(loop[0]);
  if (typeof fd !== "number" || fd < 0) throw new Error("the event loop has no descriptor");
  return fd;
}
