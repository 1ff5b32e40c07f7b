// Backends of health checks: `node probed-backends.ts COUNT` listens on COUNT ports of every loopback address, says which, and
// answers each connection's first bytes with a small 200, then ends it.

import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

const count = Number(process.argv[2]);
const answer = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");

const ports = await Promise.all(
  Array.from({ length: count }, async () => {
    const server = createServer({ noDelay: true }, (socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.end(answer));
      socket.resume();
    });
    server.listen({ host: "0.0.0.0", port: 0, backlog: 4096 });
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }),
);
process.stdout.write(`ports ${ports.join(",")}\n`);
process.once("SIGTERM", () => process.exit(0));
