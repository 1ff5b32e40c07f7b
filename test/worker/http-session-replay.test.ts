// Goal: a connection that dies while it is idle costs no request that may be sent twice, and sends
// nothing twice that may not.
// Method: real sockets; the backend counts what it got.

import { describe, expect, test } from "vitest";
import { okAnswer, type Peer } from "../support/peer.ts";
import { type Served, serve } from "../support/served.ts";
import { statusOf } from "../support/strict-http.ts";
import { until } from "../support/until.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody";

/** A client that has sent `request`, and the backend's end of it. */
async function asked(served: Served, request: string): Promise<{ client: Peer; upstream: Peer }> {
  const client = await served.client();
  client.send(request);
  const upstream = await served.backend.accept();
  await upstream.takeRequest();
  return { client, upstream };
}

/** Answers the first request of each connection; a second one finds it closed. */
async function closingBackend(method: string, body: string) {
  const seen: string[] = [];
  const served = await serve({
    scripts: [
      async (peer) => {
        const request = await peer.takeRequest();
        seen.push(`${request.startLine} ${request.body}`);
        peer.send(okAnswer("ok"));
        // Once the next request is on its way, and not before.
        await until(() => peer.text !== "" || peer.over, "a second request");
        if (peer.text !== "") seen.push("unanswered");
        peer.reset();
      },
    ],
  });
  const length = body === "" ? "" : `Content-Length: ${body.length}\r\n`;
  const request = `${method} / HTTP/1.1\r\nHost: a\r\n${length}\r\n${body}`;
  return { ...served, request, seen };
}

describe("L4-14: a backend that closes an idle connection as we write", () => {
  test.for([
    ["GET", ""],
    ["HEAD", ""],
    ["OPTIONS", ""],
    ["DELETE", ""],
    ["PUT", "a small body"],
    ["PUT", "x".repeat(12_000)],
    ["DELETE", "a body"],
  ] as const)("%s with body %j is repeated once on a fresh connection", async ([method, body]) => {
    const { client, request, seen } = await closingBackend(method, body);
    const peer = await client();
    for (let i = 0; i < 6; i++) {
      peer.send(request);
      const answer = await peer.takeAnswer({ bodiless: method === "HEAD" });
      expect(statusOf(answer)).toBe(200);
    }
    const answered = seen.filter((line) => line !== "unanswered");
    expect(answered).toEqual(Array.from({ length: 6 }, () => `${method} / HTTP/1.1 ${body}`));
  });

  test("PUT whose body comes in pieces is repeated with all of them", async () => {
    const { client, request, seen } = await closingBackend("PUT", "one two three");
    const peer = await client();
    peer.send(request);
    await peer.takeAnswer();
    const head = request.slice(0, request.indexOf("\r\n\r\n") + 4);
    await peer.sendEach([head, "one ", "two ", "three"]);
    expect(statusOf(await peer.takeAnswer())).toBe(200);
    expect(seen.at(-1)).toBe("PUT / HTTP/1.1 one two three");
  });

  test.for(["POST", "PATCH"])("%s is sent at most once", async (method) => {
    const { client, request, seen } = await closingBackend(method, "body");
    const peer = await client();
    for (let i = 0; i < 4; i++) {
      const before = seen.length;
      peer.send(request);
      const answer = await peer.takeAnswer();
      expect([200, 502]).toContain(statusOf(answer));
      expect(seen.length - before).toBeLessThanOrEqual(1);
    }
    expect(seen).toContain("unanswered");
  });

  test("a second death is not answered with a third try", async () => {
    let requests = 0;
    const { client } = await serve({
      scripts: [
        async (peer) => {
          await peer.takeRequest();
          if (++requests === 1) peer.send(okAnswer("ok"));
          else peer.reset();
          await peer.takeRequest();
          requests++;
          peer.reset();
        },
      ],
    });
    const peer = await client();
    peer.send(get);
    await peer.takeAnswer();
    peer.send(get);
    expect(statusOf(await peer.takeAnswer())).toBe(502);
    expect(requests).toBe(3);
  });

  test("closed long before we write: nobody notices (TestHTTPServiceHandlerBackendConnectionClosed)", async () => {
    const served = await serve();
    const { client, upstream } = await asked(served, post);
    upstream.send(okAnswer("first"));
    await client.takeAnswer();
    upstream.end();
    await served.worker.reaches("upstreamIdle", 0);
    client.send(post);
    const second = await served.backend.accept();
    await second.takeRequest();
    second.send(okAnswer("second"));
    expect((await client.takeAnswer()).body).toBe("second");
  });

  test("bytes on an idle connection end it: they are nobody's answer", async () => {
    const served = await serve();
    const { client, upstream } = await asked(served, get);
    upstream.send(okAnswer("first"));
    await client.takeAnswer();
    upstream.send(okAnswer("POISON"));
    await upstream.untilClosed();
    client.send(get);
    const second = await served.backend.accept();
    await second.takeRequest();
    second.send(okAnswer("second"));
    expect((await client.takeAnswer()).body).toBe("second");
  });
});
