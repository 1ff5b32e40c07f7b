// A thread with both ends of connections that wait: clients that say nothing more, or do not read, and the backends
// behind them. Apart from the thread whose memory is measured.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";

/** `idle`: asked once and was answered. `reader`: does not read a long answer. `uploader`: its backend does not read. */
export type Waiting = "idle" | "reader" | "uploader";

export interface OpenMessage {
  readonly waiting: Waiting;
  readonly count: number;
}

const { httpPort } = workerData as { readonly httpPort: number };
/** At once, so that the listener's queue is not what is tried. */
const batch = 50;
const endless = 2 ** 40;
const block = Buffer.alloc(64 * 1024, "x");
const sockets: Socket[] = [];

const requests: Readonly<Record<Waiting, string>> = {
  idle: "GET /idle HTTP/1.1\r\nHost: waiting.test\r\nUser-Agent: a client that waits\r\n\r\n",
  reader: "GET /endless HTTP/1.1\r\nHost: waiting.test\r\n\r\n",
  uploader: `POST / HTTP/1.1\r\nHost: unread.test\r\nContent-Length: ${endless}\r\n\r\n`,
};

/** Sends as much as the other side takes. */
function fill(socket: Socket): void {
  const more = (): void => {
    while (socket.writable && socket.write(block));
  };
  socket.on("drain", more);
  more();
}

const answering = createServer((socket) => {
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    if (bytes.toString("latin1").startsWith("GET /idle")) {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      return;
    }
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${endless}\r\n\r\n`);
    fill(socket);
  });
});
const unread = createServer({ pauseOnConnect: true }, (socket) => socket.on("error", () => {}));

async function addressOf(server: Server): Promise<string> {
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 });
  await once(server, "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function open(waiting: Waiting): Promise<void> {
  const socket = connect({ port: httpPort, host: "127.0.0.1", noDelay: true });
  sockets.push(socket);
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(requests[waiting]);
  if (waiting === "idle") await once(socket, "data");
  else if (waiting === "reader") socket.pause();
  else fill(socket);
}

async function openAll({ waiting, count }: OpenMessage): Promise<void> {
  for (let opened = 0; opened < count; opened += batch) {
    const size = Math.min(batch, count - opened);
    await Promise.all(Array.from({ length: size }, () => open(waiting)));
  }
  parentPort!.postMessage("opened");
}

parentPort!.on("message", (message: OpenMessage) => void openAll(message));
parentPort!.postMessage({ answering: await addressOf(answering), unread: await addressOf(unread) });
