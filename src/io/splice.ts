// Pipes by number, and the call that moves bytes between one and a socket without bringing them to user space (splice(2)).
//
// Knows: the calls and what their answers mean. Does not know who moves what, or how many pipes there may be.
//
// What the kernel answers, as splice(2) and its source (fs/splice.c, net/ipv4/tcp.c) say:
// - fewer bytes than asked for: the socket had no more, or the pipe has no slot left. A slot holds one fragment however
//   small it is, so a pipe can be full long before its bytes are;
// - EAGAIN into a pipe: one of these two with nothing moved. Into an *empty* pipe it can only be the socket: it has nothing, or
//   a mark of urgent data before what it has (MSG_OOB), which stays until a recv(2) goes past it;
// - EAGAIN out of a pipe that is not empty: the socket takes nothing now, and tells when it does;
// - 0: the end of the peer's sending. Whoever gets it asks recv(2) to be sure: some kernels answered 0 for other reasons.

import { lastErrno, libc } from "./ffi.ts";

// Values of the Linux ABI, the same on x64 and arm64 (include/linux/splice.h, include/uapi/linux/fcntl.h).
const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;

const ends = new Int32Array(2);

/** Makes a pipe: its two ends in `pipeEnds`, and 0; or a negative errno (-EMFILE, -ENFILE). */
export function openPipe(): number {
  return libc().pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0 ? -lastErrno() : 0;
}

/** Of the pipe that was made last: the end to read from, then the end to write to. */
export const pipeEnds: Readonly<Int32Array> = ends;

/** Asks for room for so many bytes; a kernel that gives less (pipe-max-size, pipe-user-pages-soft; pipe(7)) is taken as it is. */
export function growPipe(fd: number, bytes: number): void {
  // Slots are pages: where those have 64 KiB a pipe has more to begin with, and asking for less would take slots away.
  if (libc().fcntl(fd, F_GETPIPE_SZ, 0) < bytes) libc().fcntl(fd, F_SETPIPE_SZ, bytes);
}

/** Moves up to `length` bytes; one of the two is a pipe. Bytes moved, 0, or a negative errno: see above. */
export function spliceBytes(from: number, to: number, length: number): number {
  const moved = libc().splice(from, 0, to, 0, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  return moved < 0 ? -lastErrno() : moved;
}
