// A backend with something to read: `/small` is two bytes, `/huge` more than the kernel's buffers take, everything else
// a megabyte; a request's body is read to its end first.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const huge = Buffer.alloc(16 * 1024 * 1024, "x");
const megabyte = huge.subarray(0, 1024 * 1024);
const answers: Readonly<Record<string, string | Buffer>> = { "/small": "ok", "/huge": huge };

export interface LargeBackend {
  readonly address: string;
  close(): Promise<void>;
}

export async function startLargeBackend(): Promise<LargeBackend> {
  const server = createServer((request, response) => {
    request.resume();
    request.on("error", () => response.destroy());
    request.on("end", () => response.end(answers[request.url ?? ""] ?? megabyte));
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
