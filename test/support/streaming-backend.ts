// A backend that streams: `/echo` gives back every piece of a body as it arrives, `/events?count=N&every=MS` sends
// server-sent events, each with the time at which it left (CLOCK_MONOTONIC in ns, the same for every process).

import type { ServerResponse } from "node:http";
import { type PatientServer, startPatientServer } from "./patient-server.ts";

export async function startStreamingBackend(): Promise<PatientServer> {
  return await startPatientServer((request, response) => {
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
