// The process of a ChurningBackend: node churning-backend-process.ts FILE
//
// Says "ready", waits for a line with a port (0: the kernel's choice), listens there and says the port. Every request
// is executed once it has arrived whole: its X-Id becomes a line of FILE, which outlives a kill -9 of this process;
// a little later it is answered. Ends with whoever started it.

import { openSync, writeSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";

const file = openSync(process.argv[2] ?? "", "a");
/** Between doing and saying, in ms: kills fall in between, too. */
const answerMsMax = 3;

const server = createServer((request: IncomingMessage, response: ServerResponse) => {
  request.resume();
  request.on("error", () => response.destroy());
  request.on("end", () => {
    const id = String(request.headers["x-id"]);
    writeSync(file, `${id}\n`);
    setTimeout(() => response.end(id), Math.random() * answerMsMax);
  });
});
server.keepAliveTimeout = 60_000;
server.on("listening", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));

createInterface({ input: process.stdin })
  .on("line", (port) => server.listen(Number(port), "127.0.0.1"))
  .on("close", () => process.exit());
process.stdout.write("ready\n");
