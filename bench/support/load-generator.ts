// The load where wrk is not installed: `node load-generator.ts '{"port":…}'` prints a LoadReport as JSON.
// A closed loop on raw sockets: every connection sends the next request when its answer is whole.

import { connect, type Socket } from "node:net";
import type { LoadOptions, LoadReport } from "./load.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as LoadOptions;
const request = Buffer.from(
  `GET ${options.path} HTTP/1.1\r\nHost: ${options.host}\r\n${options.closes ? "Connection: close\r\n" : ""}\r\n`,
);
const latenciesMs: number[] = [];
let errors = 0;
const startMs = performance.now();
const endMs = startMs + options.seconds * 1000;

await Promise.all(Array.from({ length: options.connections }, client));
const seconds = (performance.now() - startMs) / 1000;
latenciesMs.sort((a, b) => a - b);
const quantile = (q: number): number =>
  latenciesMs[Math.floor(latenciesMs.length * q)] ?? Number.NaN;
const report: LoadReport = {
  requests: latenciesMs.length,
  requestsPerSecond: latenciesMs.length / seconds,
  p50Ms: quantile(0.5),
  p99Ms: quantile(0.99),
  errors,
};
console.log(JSON.stringify(report));

async function client(): Promise<void> {
  while (performance.now() < endMs) await oneConnection();
}

/** Until the time is over, the peer closes or, when asked to close, one answer is whole. */
function oneConnection(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port: options.port, host: "127.0.0.1", noDelay: true });
    let sentMs = performance.now();
    let missing = 0;
    let head = "";
    const next = (): void => {
      if (performance.now() >= endMs) return void socket.destroy();
      sentMs = performance.now();
      socket.write(request);
    };
    socket.once("connect", next);
    socket.on("data", (bytes) => {
      if (missing > 0) {
        missing -= bytes.length;
      } else {
        head += bytes.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end === -1) return;
        if (!/^HTTP\/1\.1 [23]/.test(head)) errors++;
        missing = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0) - (head.length - end - 4);
        head = "";
      }
      if (missing <= 0) finished(socket);
    });
    socket.on("error", () => errors++);
    socket.once("close", () => resolve());

    function finished(done: Socket): void {
      missing = 0;
      latenciesMs.push(performance.now() - sentMs);
      if (options.closes) done.destroy();
      else next();
    }
  });
}
