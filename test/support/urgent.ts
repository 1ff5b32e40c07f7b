// Urgent data of TCP (MSG_OOB, send(2)), which Node's sockets cannot send: by the number of one.

import type { Socket } from "node:net";
import { libc } from "../../src/io/ffi.ts";
import { pinned } from "./socket-pair.ts";

const MSG_OOB = 1;
const MSG_NOSIGNAL = 0x4000;

/** Not in the documentation; tests may fail where it changes. */
export function descriptorOf(socket: Socket): number {
  const fd: unknown = Reflect.get(Object(Reflect.get(socket, "_handle")), "fd");
  if (typeof fd !== "number") throw new Error("the socket has no descriptor");
  return fd;
}

/** Sends text; `urgent`: its last byte is the mark, which readers do not get. Throws when the kernel does not take it whole. */
export function sendUrgently(fd: number, text: string, urgent: boolean): void {
  const { bytes, address } = pinned(text);
  const flags = MSG_NOSIGNAL | (urgent ? MSG_OOB : 0);
  const sent = libc().send(fd, address, bytes.byteLength, flags);
  if (sent !== bytes.byteLength) throw new Error(`${sent} of ${bytes.byteLength} bytes were sent`);
}
