// A backend that can be made bad while it runs: `node fault-backend.ts PORT CONTROL-PORT`. On the control port `GET /mode/NAME`
// makes it so at once; "good" makes it good again. Raw sockets, one request at a time on each.

import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import {
  answerBytes,
  answerMs,
  type FaultMode,
  faultModes,
  modePath,
  slowFactor,
} from "./fault-modes.ts";

const [port = 0, controlPort = 0] = process.argv.slice(2).map(Number);
const open = new Set<Socket>();
let mode: FaultMode | "good" = "good";
let server: Server | undefined;

const head = (status: string): string =>
  `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${answerBytes}\r\n\r\n`;
const body = "x".repeat(answerBytes);

function serve(socket: Socket): void {
  open.add(socket);
  socket.setNoDelay(true);
  socket.on("close", () => open.delete(socket));
  socket.on("error", () => {});
  let received = "";
  socket.on("data", (bytes: Buffer) => {
    received += bytes.toString("latin1");
    // Requests without bodies: each ends with its head.
    for (let end = received.indexOf("\r\n\r\n"); end >= 0; end = received.indexOf("\r\n\r\n")) {
      received = received.slice(end + 4);
      setTimeout(() => answer(socket), mode === "slow" ? answerMs * slowFactor : answerMs);
    }
  });
}

function answer(socket: Socket): void {
  if (mode === "stuck" || socket.destroyed) return;
  if (mode === "failing") return void socket.write(head("500 Internal Server Error") + body);
  if (mode !== "resetting") return void socket.write(head("200 OK") + body);
  // The first half leaves before the reset does.
  socket.write(head("200 OK") + body.slice(answerBytes / 2), () => socket.resetAndDestroy());
}

async function listen(): Promise<void> {
  server = createServer(serve);
  server.listen(port, "127.0.0.1", 4_096);
  await once(server, "listening");
}

async function become(wanted: FaultMode | "good"): Promise<void> {
  const wasGone = mode === "refusing";
  // What a stuck one has not answered it never does: its clients have left.
  if (mode === "stuck" && wanted === "good") for (const socket of open) socket.destroy();
  mode = wanted;
  if (wasGone && wanted !== "refusing") await listen();
  if (wasGone || wanted !== "refusing") return;
  server?.close();
  for (const socket of open) socket.resetAndDestroy();
}

const control = createHttpServer((request, response) => {
  const name = (request.url ?? "").slice(modePath.length);
  if (name !== "good" && !Object.hasOwn(faultModes, name)) {
    response.writeHead(404).end();
    return;
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is one of their names
  void become(name as FaultMode | "good").then(() => response.end(name));
});

await listen();
control.listen(controlPort, "127.0.0.1");
