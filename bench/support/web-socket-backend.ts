// The backend of WebSocket messages: `node web-socket-backend.ts PORT`. Takes every upgrade and echoes every
// frame, unmasked. Understands what the load sends: unfragmented frames of at most 125 bytes, masked.

import { createHash } from "node:crypto";
import { createServer, type Socket } from "node:net";

const port = Number(process.argv[2]);
/** RFC 6455 section 1.3. */
const acceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** Two bytes of head, four of mask (RFC 6455 section 5.2). */
const frameHeadBytes = 6;

const server = createServer({ noDelay: true }, (socket) => {
  let rest: Buffer = Buffer.alloc(0);
  let isUpgraded = false;
  socket.on("error", () => undefined);
  socket.on("data", (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    if (!isUpgraded) {
      const end = rest.indexOf("\r\n\r\n");
      if (end === -1) return;
      answerUpgrade(socket, rest.toString("latin1", 0, end));
      rest = rest.subarray(end + 4);
      isUpgraded = true;
    }
    rest = echoFrames(socket, rest);
  });
});
server.listen({ host: "127.0.0.1", port, backlog: 4096 });
process.once("SIGTERM", () => process.exit(0));

function answerUpgrade(socket: Socket, head: string): void {
  const key = /\r\nsec-websocket-key: *(\S+)/i.exec(head)?.[1] ?? "";
  const accept = createHash("sha1").update(`${key}${acceptSuffix}`).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
}

/** Echoes the whole frames of `bytes`; what is left of them. */
function echoFrames(socket: Socket, bytes: Buffer): Buffer {
  let at = 0;
  while (at + frameHeadBytes <= bytes.length) {
    const length = (bytes[at + 1] ?? 0) & 0x7f;
    const end = at + frameHeadBytes + length;
    if (end > bytes.length) break;
    const answer = Buffer.allocUnsafe(2 + length);
    answer[0] = bytes[at] ?? 0;
    answer[1] = length;
    for (let i = 0; i < length; i++) {
      const masked = bytes[at + frameHeadBytes + i] ?? 0;
      answer[2 + i] = masked ^ (bytes[at + 2 + (i & 3)] ?? 0);
    }
    socket.write(answer);
    at = end;
  }
  return bytes.subarray(at);
}
