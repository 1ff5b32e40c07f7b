// WebSocket messages back and forth: `node web-socket-load.ts '{"port":…}'` prints a LoadReport as JSON.
// Every connection is upgraded once; then it sends a masked text frame, waits for its echo, and so on.

import { connect } from "node:net";
import { LatencyRecorder } from "./latency-recorder.ts";
import type { LoadOptions } from "./load.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as LoadOptions;
const messageBytes = 32;
const upgrade = [
  `GET ${options.path} HTTP/1.1`,
  `Host: ${options.host}`,
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "\r\n",
].join("\r\n");
/** A whole text message, masked (RFC 6455 section 5.2): any mask will do, also one that is always the same. */
const mask = [0x37, 0xfa, 0x21, 0x3d];
const frame = Buffer.from([
  0x81,
  0x80 | messageBytes,
  ...mask,
  ...Array.from({ length: messageBytes }, (_, i) => 0x78 ^ (mask[i & 3] ?? 0)),
]);
const echo = Buffer.from([0x81, messageBytes, ...Buffer.alloc(messageBytes, 0x78)]);

const recorder = new LatencyRecorder(options.seconds);
await Promise.all(Array.from({ length: options.connections }, client));
console.log(JSON.stringify(recorder.report()));

function client(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port: options.port, host: "127.0.0.1", noDelay: true });
    let sentMs = 0;
    let isUpgraded = false;
    let rest: Buffer = Buffer.alloc(0);
    const next = (): void => {
      if (recorder.isOver) return void socket.destroy();
      sentMs = performance.now();
      socket.write(frame);
    };
    const fails = (): void => {
      recorder.addError();
      socket.destroy();
    };
    socket.once("connect", () => socket.write(upgrade));
    socket.on("data", (bytes: Buffer) => {
      rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      if (!isUpgraded) {
        const end = rest.indexOf("\r\n\r\n");
        if (end === -1) return;
        if (!rest.toString("latin1", 0, end).startsWith("HTTP/1.1 101 ")) return fails();
        isUpgraded = true;
        rest = rest.subarray(end + 4);
        return next();
      }
      if (rest.length < echo.length) return;
      if (!rest.equals(echo)) return fails();
      rest = rest.subarray(echo.length);
      recorder.add(sentMs);
      next();
    });
    socket.on("error", () => recorder.addError());
    socket.once("close", () => resolve());
  });
}
