// The load where wrk is not installed: `node load-generator.ts '{"port":…}'` prints a LoadReport as JSON.
// A closed loop on raw sockets: every connection sends its next requests when the answers to the last are whole.

import { connect } from "node:net";
import { LatencyRecorder } from "./latency-recorder.ts";
import type { LoadOptions } from "./load.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as LoadOptions;
const request = requestBytes(options);
const recorder = new LatencyRecorder(options.seconds);

await Promise.all(Array.from({ length: options.connections }, client));
console.log(JSON.stringify(recorder.report()));

function requestBytes({ path, host, closes, uploadBytes, pipelined }: LoadOptions): Buffer {
  const lines = [
    `${uploadBytes > 0 ? "POST" : "GET"} ${path} HTTP/1.1`,
    `Host: ${host}`,
    ...(closes ? ["Connection: close"] : []),
    ...(uploadBytes > 0 ? [`Content-Length: ${uploadBytes}`] : []),
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${"x".repeat(uploadBytes)}`.repeat(pipelined));
}

async function client(): Promise<void> {
  while (!recorder.isOver) await oneConnection();
}

/** Until the time is over, the peer closes or, when asked to close, one answer is whole. */
function oneConnection(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port: options.port, host: "127.0.0.1", noDelay: true });
    let sentMs = 0;
    /** Answers of this batch that are still to come. */
    let awaited = 0;
    /** Bytes of a body that are still to come. */
    let missing = 0;
    let rest: Buffer = Buffer.alloc(0);
    const next = (): void => {
      if (recorder.isOver) return void socket.destroy();
      sentMs = performance.now();
      awaited = options.pipelined;
      socket.write(request);
    };
    const finished = (): void => {
      recorder.add(sentMs);
      if (--awaited > 0) return;
      if (options.closes) socket.destroy();
      else next();
    };
    socket.once("connect", next);
    socket.on("data", (bytes: Buffer) => {
      let left = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      while (left.length > 0) {
        if (missing > 0) {
          const taken = Math.min(missing, left.length);
          missing -= taken;
          left = left.subarray(taken);
        } else {
          const end = left.indexOf("\r\n\r\n");
          if (end === -1) break;
          const head = left.toString("latin1", 0, end);
          if (!/^HTTP\/1\.1 [23]/.test(head)) recorder.addError();
          missing = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
          left = left.subarray(end + 4);
        }
        if (missing === 0) finished();
      }
      rest = left;
    });
    socket.on("error", () => recorder.addError());
    socket.once("close", () => resolve());
  });
}
