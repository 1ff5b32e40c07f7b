// The backend where nginx is not installed: `node backend-server.ts PORT`. Answers every request on raw
// sockets; understands only what the load sends (heads without bodies).

import { createServer } from "node:net";

const port = Number(process.argv[2]);
const headEnd = Buffer.from("\r\n\r\n");

function answer(bytes: number): Buffer {
  return Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`);
}
const small = answer(100);
const large = answer(1024 * 1024);

const server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) => {
  let rest = Buffer.alloc(0);
  socket.on("error", () => undefined);
  socket.on("data", (bytes) => {
    let text = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    for (let end = text.indexOf(headEnd); end !== -1; end = text.indexOf(headEnd)) {
      const head = text.subarray(0, end).toString("latin1");
      socket.write(head.startsWith("GET /large ") ? large : small);
      if (/\r\nconnection: close/i.test(head)) socket.end();
      text = text.subarray(end + headEnd.length);
    }
    rest = Buffer.from(text);
  });
});
server.listen({ host: "127.0.0.1", port, backlog: 4096 });
process.once("SIGTERM", () => process.exit(0));
