// An HTTP server on loopback for whoever takes his time: it ends no connection by itself, and its queue is long.

import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

export interface PatientServer {
  readonly address: string;
  close(): Promise<void>;
}

export async function startPatientServer(answer: RequestListener): Promise<PatientServer> {
  const server = createServer({ noDelay: true }, answer);
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
