// Two descriptors that are connected to each other, and the calls that tests make on them.

import { lastErrno, libc, pin, SocketError } from "../../src/io/ffi.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;

export interface SocketPair {
  readonly near: number;
  readonly far: number;
}

/** Two ends of a local connection, neither of which blocks; the caller closes them. */
export function socketPair(): SocketPair {
  const ends = new Int32Array(2);
  if (libc().socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
    throw new SocketError("socketpair", lastErrno(), "for a test");
  }
  return { near: ends[0]!, far: ends[1]! };
}

/** Bytes that nothing moves. */
export interface Pinned {
  readonly bytes: Uint8Array;
  readonly address: number;
}

export function pinned(content: number | string): Pinned {
  const bytes =
    typeof content === "string" ? new TextEncoder().encode(content) : new Uint8Array(content);
  return { bytes, address: pin(bytes) };
}

/** Bytes that were taken, or a negative errno. */
export function sendTo(fd: number, text: string): number {
  const { bytes, address } = pinned(text);
  const sent = libc().send(fd, address, bytes.byteLength, MSG_NOSIGNAL);
  return sent < 0 ? -lastErrno() : sent;
}

const received = pinned(64 * 1024);

/** What one recv(2) gives: bytes, an empty array at the end, or a negative errno. */
export function receiveFrom(fd: number): Uint8Array | number {
  const got = libc().recv(fd, received.address, received.bytes.byteLength, 0);
  return got < 0 ? -lastErrno() : received.bytes.slice(0, got);
}

/** Everything that there is. */
export function receiveAll(fd: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = receiveFrom(fd);
    if (typeof chunk === "number" || chunk.byteLength === 0) return Buffer.concat(chunks);
    chunks.push(chunk);
  }
}
