// A backend that streams: `/echo` gives back every piece of a body as it arrives, `/events?count=N&every=MS` sends
// server-sent events, each with the time at which it left (CLOCK_MONOTONIC in ns, the same for every process).

import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface StreamingBackend {
  readonly address: string;
  close(): Promise<void>;
}

export async function startStreamingBackend(): Promise<StreamingBackend> {
  const server = createServer({ noDelay: true }, (request, response) => {
    request.on("error", () => response.destroy());
    const url = new URL(request.url ?? "/", "http://localhost");
    if (url.pathname === "/events") {
      request.resume();
      sendEvents(response, Number(url.searchParams.get("count")), {
        everyMs: Number(url.searchParams.get("every")),
      });
      return;
    }
    response.writeHead(200, { "content-type": "application/octet-stream" });
    response.flushHeaders();
    request.pipe(response);
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

function sendEvents(
  response: ServerResponse,
  count: number,
  { everyMs }: { readonly everyMs: number },
): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  response.flushHeaders();
  let sent = 0;
  const timer = setInterval(() => {
    if (sent < count) response.write(`id: ${sent++}\ndata: ${process.hrtime.bigint()}\n\n`);
    else response.end();
  }, everyMs);
  response.on("close", () => clearInterval(timer));
}
