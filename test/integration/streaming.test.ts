// Goal: what streams is passed on piece by piece, both ways at once, whichever client asks.
// Method: Node's client and curl send the next piece when the echo of the last is there, so that whatever is held back
// until an end is never seen; both then send and receive a bulk at the same time. Events: the backend sends the next
// when the client has the last. The soak's judge is shown what it must not overlook. Python: test/soak/streaming-clients.ts.

import { expect, test } from "vitest";
import {
  type StreamingClientFigures,
  streamingClientsFailures,
} from "../soak/streaming-clients.ts";
import { OneWorker } from "../support/one-worker.ts";
import { serve } from "../support/served.ts";
import { startStreamingBackend } from "../support/streaming-backend.ts";
import { streamingClients } from "../support/streaming-clients.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";

const plan = { pieces: 50, bulkBytes: 3_000_000, events: 5, everyMs: 1 };

test.for(["node", "curl"] as const)("%s streams both ways at once", async (client) => {
  const backend = await startStreamingBackend();
  const worker = await OneWorker.start({
    routes: [routeOf("all", "*")],
    backends: [backendOf("web", backend.address)],
  });
  try {
    const target = { port: worker.httpPort, host: "a.test" };
    const figures = await streamingClients[client](target, plan);
    expect(figures.wrongBytes).toBe(0);
    expect(figures.echoMs).toHaveLength(plan.pieces);
    expect(figures.eventMs).toHaveLength(plan.events);
  } finally {
    await worker.close();
    await backend.close();
  }
});

test.for(["Transfer-Encoding: chunked\r\n", ""])(
  "each server-sent event is passed on before the next is sent, framed by %j",
  async (framing) => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send("GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    const upstream = await backend.accept();
    await upstream.takeRequest();
    upstream.send(`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n${framing}\r\n`);
    expect(await peer.takeHead()).toMatch(/^content-type: text\/event-stream\r$/im);
    for (let n = 0; n < 20; n++) {
      const event = `id: ${n}\ndata: x\n\n`;
      upstream.send(framing === "" ? event : `${event.length.toString(16)}\r\n${event}\r\n`);
      expect(await peer.take(`data: x\n\n`)).toContain(`id: ${n}\n`);
    }
    if (framing !== "") upstream.send("0\r\n\r\n");
    upstream.socket.end();
    await peer.take("0\r\n\r\n");
  },
);

const good = { echoMs: [1, 1], eventMs: [1], wrongBytes: 0 };
const node: StreamingClientFigures = {
  client: "node",
  straight: good,
  routed: good,
  pieces: 2,
  events: 1,
};
const others = ["curl", "python"].map((client) => ({ ...node, client }));

test.for<[Partial<StreamingClientFigures["routed"]>, string]>([
  [{ wrongBytes: 3 }, "node: 3 wrong bytes"],
  [{ echoMs: [1] }, "node: 1 of 2 pieces came"],
  [{ eventMs: [] }, "node: 0 of 1 events came"],
  [{ echoMs: [1, 60] }, "node: p99 of echoMs is 60.0, 1.0 without"],
  [{ eventMs: [60] }, "node: p99 of eventMs is 60.0, 1.0 without"],
])("streaming-clients' judge sees %j", ([wrong, says]) => {
  expect(streamingClientsFailures([node, ...others])).toEqual([]);
  const bad = { ...node, routed: { ...good, ...wrong } };
  expect(streamingClientsFailures([bad, ...others])).toContain(says);
});

test("streaming-clients' judge sees that a client is missing", () => {
  expect(streamingClientsFailures([node])).toEqual(["not every client was shown"]);
});
