// Two sample backends for `--demo`, on free ports of the loopback: each says who it is and what it saw.
//
// node:http is good enough here: this is what stands behind the router, not the router.

import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** The domain that leads to the samples: browsers and curl resolve *.localhost to the loopback (RFC 6761). */
export const demoDomain = "demo.localhost";

export interface DemoBackends {
  /** "127.0.0.1:PORT", one for each. */
  readonly addresses: string[];
  /** Ends them with their connections; resolves when their ports are free. */
  close(): Promise<void>;
}

/** Starts them; rejects when the loopback gives no port. */
export async function startDemoBackends(): Promise<DemoBackends> {
  const servers = ["one", "two"].map(sampleServer);
  try {
    const addresses = await Promise.all(servers.map(listen));
    return { addresses, close: () => closeAll(servers) };
  } catch (reason) {
    await closeAll(servers);
    throw reason;
  }
}

function sampleServer(name: string): Server {
  return createServer((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
    response.end(greeting(name, request));
  });
}

/** What the router added, as the backend got it. */
const shownFields = [
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-request-start",
  "x-request-id",
];

function greeting(name: string, request: IncomingMessage): string {
  const fields = shownFields.flatMap((field) => {
    const value = request.headers[field];
    return value === undefined ? [] : [`  ${field}: ${String(value)}`];
  });
  const head = `Hello from sample backend ${name}: ${request.method} ${request.url} for ${request.headers.host ?? "nobody"}`;
  return `${[head, ...fields].join("\n")}\n`;
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(`127.0.0.1:${portOf(server.address())}`));
  });
}

function portOf(address: AddressInfo | string | null): number {
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function closeAll(servers: readonly Server[]): Promise<void> {
  await Promise.all(
    servers.map(
      (server) =>
        new Promise<void>((closed) => {
          server.close(() => closed());
          server.closeAllConnections();
        }),
    ),
  );
}
