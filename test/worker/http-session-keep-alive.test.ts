// Goal: one connection carries many requests, each answered once, in order and by its own backend,
// however the bytes were cut on their way.
// Method: real sockets; the same requests whole, cut at every place, byte by byte, and piled up.

import { describe, expect, test } from "vitest";
import { answering, okAnswer } from "../support/peer.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { backendOf, putRoute, removeRoute } from "../support/table-fixtures.ts";
import { turns } from "../support/until.ts";

/** Answers each request with its path and body. */
const echo = answering((request) => okAnswer(`${request.startLine.split(" ")[1]}|${request.body}`));

const get = (path: string, fields = ""): string =>
  `GET ${path} HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`;
const post = (path: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunkedPost = (path: string, ...chunks: string[]): string =>
  `POST ${path} HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${chunks
    .map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`)
    .join("")}0\r\n\r\n`;

const pipeline = [
  get("/1"),
  post("/2", "two"),
  chunkedPost("/3", "th", "ree"),
  get("/4", "X-Long: 0123456789\r\n"),
  get("/5"),
];
const pipelineBodies = ["/1|", "/2|two", "/3|three", "/4|", "/5|"];

describe("keep-alive", () => {
  test("requests one after the other use one connection on either side", async () => {
    const { backend, client, worker } = await serve({ scripts: [echo] });
    const peer = await client();
    for (let i = 0; i < 5; i++) {
      peer.send(get(`/${i}`));
      const answer = await peer.takeAnswer();
      expect(answer.body).toBe(`/${i}|`);
      expect(valuesOf(answer, "connection")).toEqual([]);
    }
    expect(backend.peers.length).toBe(1);
    expect(worker.counter("connectionsAccepted")).toBe(1);
    expect(worker.counter("upstreamReused")).toBe(4);
  });

  test("the host is looked at on every request (TestKeepaliveHostname)", async () => {
    const { backends, client, worker } = await serve({
      scripts: [answering(() => okAnswer("one")), answering(() => okAnswer("two"))],
    });
    await worker.change(
      { kind: "backend-removed", ...backendOf("web", backends[1]!.address) },
      putRoute("second", "b.test", "other"),
      { kind: "backend-put", backend: backendOf("other", backends[1]!.address) },
    );
    const peer = await client();
    for (const [host, body] of [
      ["a.test", "one"],
      ["b.test", "two"],
      ["B.TEST:8080", "two"],
      ["a.test", "one"],
    ]) {
      peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect((await peer.takeAnswer()).body).toBe(body);
    }
  });

  test("Connection: close from the client ends its connection, and is not passed on (TestConnectionCloseHeaderFromClient)", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send(get("/", "Connection: close\r\n"));
    const upstream = await backend.accept();
    expect(valuesOf(await upstream.takeRequest(), "connection")).toEqual([]);
    upstream.send(okAnswer("bye"));
    const answer = await peer.takeAnswer();
    expect(valuesOf(answer, "connection")).toEqual(["close"]);
    await peer.untilEnded();
  });

  test("Connection: close from the backend does not end the client's connection", async () => {
    const { backend, client } = await serve({
      scripts: [
        async (peer) => {
          await peer.takeRequest();
          peer.send(okAnswer("once", "Connection: close\r\n")).end();
        },
      ],
    });
    const peer = await client();
    for (let i = 0; i < 3; i++) {
      peer.send(get("/"));
      const answer = await peer.takeAnswer();
      expect(answer.body).toBe("once");
      expect(valuesOf(answer, "connection")).toEqual([]);
    }
    expect(backend.peers.length).toBe(3);
  });

  test("an idle connection is closed after its time, without a word", async () => {
    const { client, worker } = await serve({ limits: { downstreamIdleMsMax: 30 } });
    const peer = await client();
    await peer.untilEnded();
    expect(peer.text).toBe("");
    peer.end();
    await worker.reaches("connectionsOpen", 0);
  });
});

describe("HTTP/1.0", () => {
  test("a client gets its answer and the end of the connection", async () => {
    const { client } = await serve({ scripts: [echo] });
    const peer = await client();
    peer.send("GET /old HTTP/1.0\r\n\r\n");
    const answer = await peer.takeAnswer();
    expect(answer.body).toBe("/old|");
    expect(valuesOf(answer, "connection")).toEqual(["close"]);
    await peer.untilEnded();
  });

  test("a client that asks to keep the connection may", async () => {
    const { client } = await serve({ scripts: [echo] });
    const peer = await client();
    for (let i = 0; i < 2; i++) {
      peer.send("GET /old HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
      const answer = await peer.takeAnswer();
      expect(answer.body).toBe("/old|");
      expect(valuesOf(answer, "connection")).toEqual(["keep-alive"]);
    }
  });

  test("a backend gets HTTP/1.1, and a Host even when the client gave none", async () => {
    const { backend, client } = await serve();
    (await client()).send("GET /old HTTP/1.0\r\n\r\n");
    const upstream = await backend.accept();
    const request = await upstream.takeRequest();
    expect(request.startLine).toBe("GET /old HTTP/1.1");
    expect(valuesOf(request, "host")).toEqual([backend.address]);
    upstream.send(okAnswer(""));
  });

  test("a chunked answer reaches the client unchunked, and ends with the connection", async () => {
    const { client } = await serve({
      scripts: [
        answering(
          () => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
      ],
    });
    const peer = await client();
    peer.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const answer = await peer.takeAnswer();
    expect(valuesOf(answer, "transfer-encoding")).toEqual([]);
    expect(valuesOf(answer, "connection")).toEqual(["close"]);
    expect(answer.body).toBe("ok");
  });
});

describe("pipelining", () => {
  test("requests in one packet are answered in order", async () => {
    const { client } = await serve({ scripts: [echo] });
    const peer = await client();
    peer.send(pipeline.join(""));
    for (const body of pipelineBodies) expect((await peer.takeAnswer()).body).toBe(body);
  });

  test("the packet cut at every place", async () => {
    const { client } = await serve({ scripts: [echo] });
    const text = pipeline.join("");
    const peer = await client();
    for (let cut = 1; cut < text.length; cut++) {
      await peer.sendEach([text.slice(0, cut), text.slice(cut)]);
      for (const body of pipelineBodies) {
        expect((await peer.takeAnswer()).body, `cut at ${cut}`).toBe(body);
      }
    }
  });

  test("byte by byte", async () => {
    const { client } = await serve({ scripts: [echo] });
    const peer = await client();
    await peer.sendEach(pipeline.join(""));
    for (const body of pipelineBodies) expect((await peer.takeAnswer()).body).toBe(body);
  });

  test("cut anywhere, into any number of pieces", async () => {
    const random = new SeededRandom(11);
    const { client } = await serve({ scripts: [echo] });
    const peer = await client();
    for (let round = 0; round < 60; round++) {
      await peer.sendEach(random.pieces(pipeline.join(""), 80));
      for (const body of pipelineBodies) expect((await peer.takeAnswer()).body).toBe(body);
    }
  });

  test("a second request that arrives while the first is answered is not forgotten", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    // In three pieces, so that the search for the end of the head has begun and ended once.
    await peer.sendEach(["GET /first-with-a-long-path HTTP/1.1\r\n", "Host: a.test\r\n", "\r\n"]);
    const upstream = await backend.accept();
    await upstream.takeRequest();
    peer.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    await turns(5);
    upstream.send(okAnswer("first"));
    expect((await peer.takeAnswer()).body).toBe("first");
    expect((await upstream.takeRequest()).startLine).toBe("GET /2 HTTP/1.1");
    upstream.send(okAnswer("second"));
    expect((await peer.takeAnswer()).body).toBe("second");
  });

  test("half a head that arrived during an answer has the time of a head, not of an idle connection", async () => {
    const { backend, client } = await serve({
      limits: { requestHeadMsMax: 40, downstreamIdleMsMax: 60_000 },
    });
    const peer = await client();
    peer.send(get("/1"));
    const upstream = await backend.accept();
    await upstream.takeRequest();
    peer.send("GET /2 HTT");
    await turns(5);
    upstream.send(okAnswer("first"));
    expect((await peer.takeAnswer()).body).toBe("first");
    expect(statusOf(await peer.takeAnswer())).toBe(408);
    await peer.untilEnded();
  });

  test("a broken request behind good ones: those are answered, then 400 and the end", async () => {
    const { client } = await serve({ scripts: [echo] });
    const peer = await client();
    peer.send(`${get("/1")}${get("/2")}GET /3 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${get("/4")}`);
    expect((await peer.takeAnswer()).body).toBe("/1|");
    expect((await peer.takeAnswer()).body).toBe("/2|");
    expect(statusOf(await peer.takeAnswer())).toBe(400);
    await peer.untilEnded();
    expect(peer.text).toBe("");
  });

  test("the last answer counts: what stands behind Connection: close is not answered", async () => {
    const { backend, client } = await serve({ scripts: [echo] });
    const peer = await client();
    peer.send(`${get("/1", "Connection: close\r\n")}${get("/2")}`);
    expect((await peer.takeAnswer()).body).toBe("/1|");
    await peer.untilEnded();
    expect(peer.text).toBe("");
    expect(backend.peers.length).toBe(1);
  });

  test("answers of our own keep their place between those of backends", async () => {
    const { client, worker } = await serve({ scripts: [echo] });
    await worker.change(removeRoute("all"), putRoute("a", "a.test"));
    const peer = await client();
    const stranger = "GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n";
    peer.send(`${stranger}${get("/1")}${stranger}${stranger}${get("/2")}${stranger}`);
    const seen = [];
    for (let i = 0; i < 6; i++) {
      const answer = await peer.takeAnswer();
      seen.push(statusOf(answer) === 200 ? answer.body : statusOf(answer));
    }
    expect(seen).toEqual([404, "/1|", 404, 404, "/2|", 404]);
  });
});
