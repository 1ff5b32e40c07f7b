// Backends for health checks that do as they are told: raw bytes over TCP, or gRPC health over HTTP/2.

import { once } from "node:events";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { type Address, parseAddress } from "../../src/model/address.ts";

export interface ProbedBackend {
  readonly address: Address;
  /** Connections accepted since the start. */
  readonly connections: number;
  /** What each of them sent, as it comes. */
  readonly received: string[];
  /** How each ended: "reset", "end", or "" while it is open. */
  readonly ends: string[];
  close(): Promise<void>;
}

/** Ends with the test. @param behave What to do with each connection; its first bytes are awaited unless it asks for none. */
export async function probedBackend(
  behave: (socket: Socket) => void,
  at: { readonly port?: number; readonly host?: string } = {},
): Promise<ProbedBackend> {
  const received: string[] = [];
  const ends: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const number = ends.push("") - 1;
    received[number] = "";
    sockets.add(socket);
    socket.on("data", (bytes: Buffer) => (received[number] += bytes.toString("latin1")));
    socket.on("error", () => (ends[number] = "reset"));
    socket.on("end", () => {
      ends[number] = "end";
      socket.end();
    });
    socket.on("close", () => {
      sockets.delete(socket);
      if (ends[number] === "") ends[number] = "closed";
    });
    behave(socket);
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const address = await listening(server, at);
  const close = closer(server, cut);
  return {
    address,
    get connections() {
      return ends.length;
    },
    received,
    ends,
    close,
  };
}

/** Answers each request, once it is there, with `answer`, and ends the connection when it says so. */
export function answering(answer: string | (() => string), ends = true): (socket: Socket) => void {
  return (socket) => {
    socket.once("data", () => {
      const bytes = Buffer.from(typeof answer === "string" ? answer : answer(), "latin1");
      if (ends) socket.end(bytes);
      else socket.write(bytes);
    });
  };
}

/** Sends `piece` without end, as fast as it is taken, from the first byte on. */
export function flooding(first: string, piece: string): (socket: Socket) => void {
  return (socket) => {
    const bytes = Buffer.from(piece.repeat(Math.ceil(16_384 / piece.length)), "latin1");
    const send = (): void => {
      while (!socket.destroyed && socket.write(bytes));
    };
    socket.once("data", () => {
      socket.write(first);
      send();
    });
    socket.on("drain", send);
  };
}

/** A gRPC health server that answers with what `respond` does. */
export async function grpcBackend(
  respond: (stream: ServerHttp2Stream, request: Buffer) => void,
): Promise<{ readonly address: Address; readonly connections: number }> {
  const server = createHttp2Server();
  let connections = 0;
  server.on("connection", () => connections++);
  server.on("sessionError", () => {});
  server.on("stream", (stream) => {
    const pieces: Buffer[] = [];
    stream.on("error", () => {});
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("end", () => respond(stream, Buffer.concat(pieces)));
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  const address = await listening(server, {});
  closer(server, () => {
    for (const socket of sockets) socket.destroy();
  });
  return {
    address,
    get connections() {
      return connections;
    },
  };
}

/** A whole answer with this serving status. */
export function serving(status: number): (stream: ServerHttp2Stream) => void {
  return (stream) => {
    stream.respond(
      { ":status": 200, "content-type": "application/grpc" },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.of(0, 0, 0, 0, 2, 8, status));
  };
}

async function listening(
  server: Server,
  { port = 0, host = "127.0.0.1" }: { readonly port?: number; readonly host?: string },
): Promise<Address> {
  server.listen(port, host);
  await once(server, "listening");
  return parseAddress(`${host}:${(server.address() as AddressInfo).port}`);
}

function closer(server: Server, cut: () => void): () => Promise<void> {
  let closed: Promise<unknown> | undefined;
  const close = async (): Promise<void> => {
    if (closed === undefined) {
      closed = once(server, "close");
      server.close();
      cut();
    }
    await closed;
  };
  onTestFinished(close);
  return close;
}
