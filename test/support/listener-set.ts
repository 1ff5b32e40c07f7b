// A ListenerSet on loopback with the strangers, clients and failures that its tests need.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { expect } from "vitest";
import { type ListenerOptions, ListenerSet } from "../../src/control/listeners.ts";
import { type SocketCalls, socketCalls } from "../../src/control/socket-group.ts";
import { SocketError } from "../../src/io/ffi.ts";
import type { RouterError } from "../../src/model/errors.ts";
import { FakeSystem } from "./fake-system.ts";
import { recordingLog } from "./recording-log.ts";

export const host = "127.0.0.1";
const open: { close(): unknown }[] = [];

/** Closes all that the functions below have opened, the last one first. For `afterEach`. */
export function closeAll(): void {
  for (const thing of open.splice(0).toReversed()) thing.close();
}

/** Two slots, TCP routes on 127.0.0.1, unless told otherwise. */
export async function openSet(options: Partial<ListenerOptions> = {}) {
  const system = new FakeSystem();
  const log = recordingLog();
  const set = await ListenerSet.open({
    http: [],
    tcpAddresses: [host],
    tcpPorts: { first: 3000, last: 3500 },
    slots: 2,
    system,
    log,
    ...options,
  });
  open.push(set);
  return { set, system, log };
}

/** Somebody else who listens. */
export async function stranger(
  port = 0,
  options: { reusePort?: boolean } = {},
): Promise<{ server: Server; port: number }> {
  const server = createServer().listen({ port, host, ...options });
  await once(server, "listening");
  open.push(server);
  return { server, port: (server.address() as { port: number }).port };
}

/** "connected", or the code of the error. */
export async function dial(port: number, address = host): Promise<string> {
  const socket = connect(port, address);
  open.push({ close: () => socket.destroy() });
  return await new Promise((resolve) => {
    socket.once("connect", () => resolve("connected"));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
  });
}

/** How a connection ended: "end", or the code of the error. */
export function ending(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once("end", () => resolve("end"));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    socket.resume();
  });
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const { server, port } = await stranger();
  server.close();
  await once(server, "close");
  return port;
}

export const rejection = (promise: Promise<unknown>): Promise<RouterError> =>
  promise.then(
    () => expect.unreachable("it should have been refused"),
    (error: RouterError) => error,
  );

export const httpPort = (set: ListenerSet): number => set.http[0]!.port;

export const idsOf = (set: ListenerSet, slot: number): number[] => [...set.loansOf(slot).keys()];

/** The kernel says no, as far as `fails` says so. */
export function failing(
  fails: (call: string, address: string, port: number) => string | undefined,
): SocketCalls {
  const errnos: Record<string, number> = {
    EACCES: 13,
    EAFNOSUPPORT: 97,
    EADDRINUSE: 98,
    EADDRNOTAVAIL: 99,
  };
  const check = (call: string, { address, port }: { address: string; port: number }): void => {
    const code = fails(call, address, port);
    if (code !== undefined) throw new SocketError(call, errnos[code]!, `${address}:${port}`);
  };
  return {
    ...socketCalls,
    openListener: (at) => (check("open", at), socketCalls.openListener(at)),
    probeExclusive: (at) => (check("probe", at), socketCalls.probeExclusive(at)),
  };
}
