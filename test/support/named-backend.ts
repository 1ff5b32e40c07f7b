// Backends that say who they are: over HTTP their name, after an Upgrade (WebSocket or plain) what they were
// sent, over TCP every line with their name before it.

import { once } from "node:events";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { WebSocketServer } from "ws";

export interface NamedBackend {
  readonly name: string;
  /** "127.0.0.1:PORT". */
  readonly address: string;
  close(): Promise<void>;
}

/** Answers every request with `name`; echoes WebSocket messages on /ws, and bytes after any other Upgrade. */
export async function startHttpBackend(name: string): Promise<NamedBackend> {
  const server = createHttpServer((_request, response) => {
    response.setHeader("content-length", Buffer.byteLength(name));
    response.end(name);
  });
  // Ours closes idle connections first; see upstreamIdleMsMax.
  server.keepAliveTimeout = 60_000;
  const webSockets = new WebSocketServer({ noServer: true });
  webSockets.on("connection", (socket) => {
    socket.on("message", (data, binary) => socket.send(data, { binary }));
    socket.on("error", () => socket.terminate());
  });
  const upgraded = new Set<Socket>();
  server.on("upgrade", (request, duplex, head) => {
    const socket = duplex as Socket;
    kept(upgraded, socket);
    if (request.url === "/ws") {
      webSockets.handleUpgrade(request, socket, head, (ws) => webSockets.emit("connection", ws));
      return;
    }
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n",
    );
    socket.write(head);
    socket.pipe(socket);
  });
  return await listening(name, server, () => {
    server.closeAllConnections();
    for (const socket of upgraded) socket.destroy();
  });
}

/** Sends back every line as `NAME:line`. */
export async function startTcpBackend(name: string): Promise<NamedBackend> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    kept(sockets, socket);
    const lines = createInterface({ input: socket });
    lines.on("line", (line) => socket.write(`${name}:${line}\n`));
    // The socket's own, told once more.
    lines.on("error", () => lines.close());
  });
  return await listening(name, server, () => {
    for (const socket of sockets) socket.destroy();
  });
}

function kept(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
  socket.on("error", () => socket.destroy());
}

async function listening(
  name: string,
  server: Server | HttpServer,
  cut: () => void,
): Promise<NamedBackend> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    name,
    address: `127.0.0.1:${port}`,
    async close() {
      const closed = once(server, "close");
      server.close();
      cut();
      await closed;
    },
  };
}
