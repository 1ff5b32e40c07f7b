// The watch of the net adapter on a listening socket that was lent.
//
// Knows: how libuv is made to tell of waiting connections without owning the socket. Does not know what
// becomes of a connection. The other adapters wait by themselves.

import { createServer, type Server, type Socket } from "node:net";
import { lastErrno, libc, SocketError } from "../ffi.ts";
import { acceptOne, closeFd, type PeerAddress, peerOf } from "../sockets.ts";

const F_DUPFD_CLOEXEC = 1030;
/** Node calls listen(2) again when it watches; the kernel caps the figure at net.core.somaxconn. */
const watchBacklog = 4096;

/**
 * Calls back on this thread's event loop whenever connections wait on the listening socket `fd`; then
 * call `acceptWatched` until -EAGAIN. Keeps the event loop alive. Never closes the descriptor.
 *
 * The watch is a server of Node on a duplicate of the descriptor, because Node closes its own handles
 * before it tears a thread down. A handle of an addon (koffi.node.poll) is still called at that time,
 * and calling into a thread that may run no JavaScript aborts the process. The price is that libuv
 * accepts the first connection itself; it is passed on through `acceptWatched`. With no descriptor left for that it closes
 * everybody who waits: see `watchHasDescriptors`.
 *
 * Throws SocketError (EMFILE, ENFILE) when there is no descriptor for the watch.
 */
export function watchReadable(fd: number, callback: () => void): { close(): void } {
  const copy = libc().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw new SocketError("fcntl", lastErrno(), `on descriptor ${fd}`);
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const taken = takeOver(socket);
    if (taken < 0) return;
    const waiting = accepted.get(fd);
    if (waiting?.push(taken) === undefined) accepted.set(fd, [taken]);
    callback();
  });
  // No descriptors left, or the like: whoever watches hears it from `acceptWatched`.
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

/** As `acceptOne`, those first that the watch on `fd` has accepted. */
export function acceptWatched(fd: number, peer: PeerAddress): number {
  return (accepted.size === 0 ? undefined : nextAccepted(fd, peer)) ?? acceptOne(fd, peer);
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

/** A connection that libuv accepted for a watch on `fd`, with its peer; gone peers are skipped. */
function nextAccepted(fd: number, peer: PeerAddress): number | undefined {
  const waiting = accepted.get(fd);
  for (let taken = waiting?.shift(); taken !== undefined; taken = waiting?.shift()) {
    if (peerOf(taken, peer)) return taken;
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

/** By listening descriptor: connections that libuv accepted and nobody has taken yet. */
const accepted = new Map<number, number[]>();
const watches = new Set<Server>();
// A thread that dies of an exception still ends its loop's turn: it must take nobody along from the queue.
process.on("exit", () => {
  for (const server of watches) server.close();
});
