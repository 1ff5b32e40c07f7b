// Goal: TCP and upgraded connections wait in the same line as requests, and count for as long as they are open.

import { describe, expect, test } from "vitest";
import { ProxyProtocol } from "../../src/model/service.ts";
import { get, limited, nextRequest, waiting, withOptions } from "../support/limited-service.ts";
import { okAnswer, type Peer } from "../support/peer.ts";
import { serve } from "../support/served.ts";

describe("TCP connections", () => {
  test("wait in the same line, in order, and are closed with the reason in the log", async () => {
    const served = await limited({ connections: 1, queue: 1, queueMs: 60_000 });
    const first = await served.tcpClient();
    const upstream = await served.backend.accept();
    const second = await served.tcpClient();
    second.send("hello");
    await waiting(served, 1);
    const third = await served.tcpClient();
    await third.untilEnded();
    expect(await served.worker.line(1)).toMatchObject({ protocol: "tcp", reason: "service-full" });
    first.end();
    upstream.end();
    const next = await served.backend.accept();
    expect(await next.take("hello")).toBe("hello");
    next.end();
    second.end();
    const line = await served.worker.line(3);
    expect(line).toMatchObject({ protocol: "tcp", reason: "" });
    expect(line["queued_ms"]).toBeGreaterThan(0);
  });

  test("that wait too long are closed, and those whose client leaves are forgotten", async () => {
    const served = await limited({ connections: 1, queue: 5, queueMs: 150 });
    const first = await served.tcpClient();
    await served.backend.accept();
    const second = await served.tcpClient();
    await waiting(served, 1);
    await second.untilEnded();
    expect(await served.worker.line(1)).toMatchObject({ reason: "queue-time", tries: 0 });
    const third = await served.tcpClient();
    await waiting(served, 1);
    third.reset();
    await waiting(served, 0);
    first.reset();
  });

  test("an upgraded connection counts until it ends", async () => {
    const served = await limited({ connections: 1, queue: 5 });
    const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    const [first, second] = [await served.client(), await served.client()];
    first.send(upgrade);
    const upstream = await served.backend.accept();
    await upstream.takeHead();
    upstream.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
    );
    await first.takeHead();
    second.send(upgrade);
    await waiting(served, 1);
    // A plain request is no connection.
    const third = await served.client();
    third.send(get(3));
    await waiting(served, 2);
    first.end();
    upstream.end();
    const next = await served.backend.accept();
    expect(await next.takeHead()).toContain("Upgrade: echo");
    next.send(okAnswer("no"));
    expect((await second.takeAnswer()).body).toBe("no");
    (await nextRequest(served)).peer.send(okAnswer("3"));
    expect((await third.takeAnswer()).body).toBe("3");
  });
});

test("an idle connection that began with another client's preface makes room", async () => {
  const served = await serve({
    services: [
      {
        ...withOptions({ limits: { connectionsPerBackend: 1, queue: 5 } }),
        proxyProtocol: ProxyProtocol.V1,
      },
    ],
  });
  const seen: Peer[] = [];
  for (const id of [1, 2, 3]) {
    const client = await served.client();
    client.send(get(id));
    const upstream = await served.backend.accept();
    expect(await upstream.take("\r\n")).toMatch(/^PROXY TCP4 /);
    await upstream.takeRequest();
    upstream.send(okAnswer(String(id)));
    expect((await client.takeAnswer()).body).toBe(String(id));
    // The one before was given up for it.
    await seen.at(-1)?.untilEnded();
    seen.push(upstream);
  }
  expect(served.worker.counter("upstreamOpen")).toBe(1);
  expect(served.worker.counter("waitedTotal")).toBe(0);
});
