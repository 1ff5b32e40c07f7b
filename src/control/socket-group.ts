// One address and port as several listening sockets, one per worker (SO_REUSEPORT).
//
// Knows: how a port is taken whole or not at all, and what to say when it cannot be.
// Does not know: routes, loans, or who accepts. Where descriptors cannot be lent (no FFI), a group has
// no sockets: its port is only tried once, and the workers listen themselves.

import { createServer } from "node:net";
import type { ListenAddress } from "../io/sockets.ts";
import * as realSockets from "../io/sockets.ts";
import { listenBacklog, unlimited, unsentBytesMax as unsentBytesDefault } from "../limits.ts";
import { RouterError } from "../model/errors.ts";

/** What a group needs of io/sockets.ts; tests put failures in between. */
export type SocketCalls = Pick<
  typeof realSockets,
  | "socketsAvailable"
  | "socketsUnavailableReason"
  | "openListener"
  | "limitUnsent"
  | "listen"
  | "probeExclusive"
  | "acceptOne"
  | "closeFd"
>;

export const socketCalls: SocketCalls = realSockets;

export interface SocketGroup {
  readonly address: string;
  readonly port: number;
  /** One per worker slot; undefined where descriptors cannot be lent. */
  readonly fds: readonly (number | undefined)[];
}

/**
 * Binds `slots` sockets; nobody can connect before `listenGroup`. Port 0: the first one's port is
 * everybody's. Throws an Error with `code` (EADDRINUSE, EACCES, EADDRNOTAVAIL, EAFNOSUPPORT).
 *
 * @param options.ours Sockets of an earlier group of ours may still be open on this port.
 */
export function openGroup(
  calls: SocketCalls,
  at: ListenAddress,
  options: { readonly slots: number; readonly ours: boolean },
): SocketGroup {
  const { address } = at;
  if (!calls.socketsAvailable()) {
    return { ...at, fds: Array.from({ length: options.slots }, () => undefined) };
  }
  if (at.port !== 0 && !options.ours) calls.probeExclusive(at);
  const fds: number[] = [];
  let port = at.port;
  try {
    while (fds.length < options.slots) {
      const opened = calls.openListener({ address, port });
      fds.push(opened.fd);
      port = opened.port;
    }
  } catch (error) {
    for (const fd of fds) calls.closeFd(fd);
    throw error;
  }
  return { address, port, fds };
}

/**
 * Lets clients connect. Throws EADDRINUSE when somebody came first; the caller closes the group.
 *
 * @param unsentBytesMax Of each connection that is accepted.
 */
export function listenGroup(
  calls: SocketCalls,
  group: SocketGroup,
  unsentBytesMax: number = unsentBytesDefault,
): void {
  for (const fd of group.fds) {
    if (fd === undefined) continue;
    if (unsentBytesMax !== unlimited) calls.limitUnsent(fd, unsentBytesMax);
    calls.listen(fd, listenBacklog);
  }
}

export function closeGroup(calls: SocketCalls, group: SocketGroup): void {
  for (const fd of group.fds) {
    if (fd !== undefined) calls.closeFd(fd);
  }
}

/** Closes a listening socket so that whoever waits in its queue sees an orderly end, not a reset. */
export function closeDrained(calls: SocketCalls, fd: number): void {
  const peer = new realSockets.PeerAddress();
  for (let taken = 0; taken < listenBacklog; taken++) {
    const connection = calls.acceptOne(fd, peer);
    if (connection < 0) break;
    calls.closeFd(connection);
  }
  calls.closeFd(fd);
}

/**
 * Whether a port is free, by listening on it for a moment: the way without descriptors. Answers the
 * port, for port 0 the one that was given. Rejects as `openGroup` throws.
 */
export function tryPort({ address, port }: ListenAddress): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: address, port, exclusive: true, ipv6Only: true }, () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === "object" && bound !== null ? bound.port : port));
    });
  });
}

/** A port that cannot be listened on, as an error for people. @param flag The setting that names it, if one does. */
export function portError(at: ListenAddress, cause: unknown, flag = ""): RouterError {
  const code = codeOf(cause);
  const resource = { type: "port", name: String(at.port) };
  const refuse = (reason: string, text: string): RouterError =>
    new RouterError("failed-precondition", text, { reason, resource }, { cause });
  const port = `${flag === "" ? "" : `${flag}: `}port ${at.port} on ${at.address}`;
  switch (code) {
    case "EADDRINUSE":
      return refuse(
        "PORT_IN_USE",
        `${port} is in use by another program: stop it or choose another port`,
      );
    case "EACCES":
    case "EPERM":
      return refuse(
        "PORT_PRIVILEGED",
        `${port} needs a privilege that this process has not: choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE`,
      );
    case "EADDRNOTAVAIL":
    case "EAFNOSUPPORT":
      return refuse("ADDRESS_UNAVAILABLE", `${port}: this machine has no address ${at.address}`);
    default: {
      const text = cause instanceof Error ? cause.message : String(cause);
      return refuse("PORT_UNAVAILABLE", `${port} cannot be listened on: ${text}`);
    }
  }
}

/** The machine has no IPv6, or it is switched off. */
export function isAddressMissing(cause: unknown): boolean {
  const code = codeOf(cause);
  return code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL";
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "";
}
