// A backend with something to read: `/small` is two bytes, everything else a megabyte; a request's body is read to its
// end first.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const megabyte = Buffer.alloc(1024 * 1024, "x");

export interface LargeBackend {
  readonly address: string;
  close(): Promise<void>;
}

export async function startLargeBackend(): Promise<LargeBackend> {
  const server = createServer((request, response) => {
    request.resume();
    request.on("error", () => response.destroy());
    request.on("end", () => response.end(request.url === "/small" ? "ok" : megabyte));
  });
  server.requestTimeout = 0;
  server.keepAliveTimeout = 60_000;
  server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 });
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
