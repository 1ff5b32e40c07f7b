// The backend where nginx is not installed: `node backend-server.ts PORT`. Answers every request on raw
// sockets; understands only what the load sends (heads, and bodies with a Content-Length).

import { createServer } from "node:net";
import { bodies, smallBytes } from "./bodies.ts";

const port = Number(process.argv[2]);
const headEnd = Buffer.from("\r\n\r\n");

function answer(bytes: number): Buffer {
  return Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`);
}
const small = answer(smallBytes);
const large = new Map(Object.entries(bodies).map(([path, bytes]) => [path, answer(bytes)]));

const server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) => {
  let rest = Buffer.alloc(0);
  /** Bytes of a request's body that are still to come. */
  let missing = 0;
  let path = "";
  let closes = false;
  socket.on("error", () => undefined);
  socket.on("data", (bytes) => {
    let left = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    for (;;) {
      if (missing > 0) {
        const taken = Math.min(missing, left.length);
        missing -= taken;
        left = left.subarray(taken);
      } else {
        const end = left.indexOf(headEnd);
        if (end === -1) break;
        const head = left.subarray(0, end).toString("latin1");
        path = head.slice(head.indexOf(" ") + 1, head.indexOf(" HTTP"));
        closes = /\r\nconnection: close/i.test(head);
        missing = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
        left = left.subarray(end + headEnd.length);
      }
      if (missing > 0 && left.length === 0) break;
      if (missing > 0) continue;
      socket.write(large.get(path) ?? small);
      if (closes) socket.end();
    }
    rest = Buffer.from(left);
  });
});
server.listen({ host: "127.0.0.1", port, backlog: 4096 });
process.once("SIGTERM", () => process.exit(0));
