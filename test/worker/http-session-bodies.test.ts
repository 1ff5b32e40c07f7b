// Goal: bodies of any framing arrive whole and unchanged, both ways; what has no body gets none; who
// reads slowly slows the sender down and costs no memory.
// Method: real sockets, answers given byte for byte; large bodies are compared by hash.

import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { sendQueueBytesHigh } from "../../src/limits.ts";
import { answering, okAnswer, type Peer } from "../support/peer.ts";
import { serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { turns, until } from "../support/until.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/** Sends one request and the backend's answer, byte for byte; gives what the client then gets. */
async function relayed(
  answer: string,
  options: { readonly request?: string; readonly bodiless?: boolean } = {},
) {
  const { client } = await serve({
    scripts: [
      answering((request) =>
        request.startLine.includes("/sentinel") ? okAnswer("sentinel") : answer,
      ),
    ],
  });
  const peer = await client();
  peer.send(options.request ?? get);
  const message = await peer.takeAnswer({ bodiless: options.bodiless ?? false });
  // Whatever came behind it would be taken for the answer to this.
  peer.send("GET /sentinel HTTP/1.1\r\nHost: a.test\r\n\r\n");
  expect((await peer.takeAnswer()).body).toBe("sentinel");
  return message;
}

describe("an answer", () => {
  test("with chunks reaches the client in chunks, trailers and extensions left out", async () => {
    const answer = await relayed(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n",
    );
    expect(answer.body).toBe("abcde");
    expect(answer.trailers).toBe(0);
    expect(valuesOf(answer, "transfer-encoding")).toEqual(["chunked"]);
  });

  test("that ends with its connection reaches the client in chunks", async () => {
    const { client } = await serve({
      scripts: [
        async (peer) => {
          await peer.takeRequest();
          peer.send("HTTP/1.0 200 OK\r\n\r\nsome text").end();
        },
      ],
    });
    const peer = await client();
    for (let i = 0; i < 2; i++) {
      peer.send(get);
      const answer = await peer.takeAnswer();
      expect(answer.body).toBe("some text");
      expect(valuesOf(answer, "transfer-encoding")).toEqual(["chunked"]);
    }
  });

  test("that is empty is answered (TestIssue5381)", async () => {
    const answer = await relayed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect(answer.body).toBe("");
    expect(valuesOf(answer, "content-length")).toEqual(["0"]);
  });

  test.for([
    ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ["5"]],
    ["HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", []],
    ["GET", "HTTP/1.1 204 No Content\r\n\r\n", []],
    ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n", ["5"]],
  ] as const)("to %s without a body: %j", async ([method, text, lengths]) => {
    const request = `${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`;
    const answer = await relayed(text, { request, bodiless: true });
    expect(answer.body).toBe("");
    expect(valuesOf(answer, "content-length")).toEqual([...lengths]);
  });

  test.for([
    ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"],
    ["GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nPOISON"],
    ["GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokPOISON"],
  ] as const)("with bytes behind it gives none of them to %s: %j", async ([method, text]) => {
    const request = `${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`;
    await relayed(text, {
      request,
      bodiless: !text.startsWith("HTTP/1.1 200") || method === "HEAD",
    });
  });

  test("in pieces, cut at every place", async () => {
    const text =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    let cut = 0;
    const { client } = await serve({
      scripts: [
        async (peer) => {
          while (!peer.closed) {
            await peer.takeRequest();
            await peer.sendEach([text.slice(0, cut), text.slice(cut)]);
          }
        },
      ],
    });
    const peer = await client();
    for (cut = 1; cut < text.length; cut++) {
      peer.send(get);
      expect((await peer.takeAnswer()).body, `cut at ${cut}`).toBe("abc");
    }
  });

  test("byte by byte, and its first byte does not wait for the second (TestHTTPResponseStreaming)", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send(get);
    const upstream = await backend.accept();
    await upstream.takeRequest();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    await peer.takeHead();
    for (const byte of "abc") {
      upstream.send(byte);
      expect(await peer.takeBytes(1)).toBe(byte);
    }
  });
});

describe("a request body", () => {
  test("in chunks reaches the backend in chunks, as it comes", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    const upstream = await backend.accept();
    expect(await upstream.takeHead()).toContain("Transfer-Encoding: chunked");
    expect(await upstream.take("abc\r\n")).toBe("3\r\nabc\r\n");
    peer.send("2;x\r\nde\r\n0\r\n\r\n");
    expect(await upstream.take("0\r\n\r\n")).toBe("2\r\nde\r\n0\r\n\r\n");
    upstream.send(okAnswer("ok"));
    expect((await peer.takeAnswer()).body).toBe("ok");
  });

  test("that turns out broken: 400, and no backend sees a whole request", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    const upstream = await backend.accept();
    await upstream.take("abc\r\n");
    peer.send("xyz\r\n");
    expect(statusOf(await peer.takeAnswer())).toBe(400);
    await peer.untilEnded();
    await upstream.untilEnded();
    expect(upstream.text).toBe("");
  });

  test("that the client ends early: 400, and no backend sees a whole request", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").end();
    const upstream = await backend.accept();
    await upstream.take("abc");
    expect(statusOf(await peer.takeAnswer())).toBe(400);
    await upstream.untilEnded();
  });

  test("that is answered before it has arrived: the answer, then the end", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    const upstream = await backend.accept();
    await upstream.take("abc");
    upstream.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    const answer = await peer.takeAnswer();
    expect(statusOf(answer)).toBe(413);
    expect(valuesOf(answer, "connection")).toEqual(["close"]);
    await peer.untilEnded();
    await upstream.untilEnded();
  });

  test("whose backend answers and closes in the middle: the answer still arrives", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send(
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n${"x".repeat(100_000)}`,
    );
    const upstream = await backend.accept();
    await upstream.takeHead();
    upstream.socket.pause();
    upstream.send(
      "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
    );
    await turns(2);
    upstream.socket.destroy();
    for (let i = 0; i < 20 && !peer.closed; i++) {
      peer.send("x".repeat(100_000));
      await turns(1);
    }
    expect(statusOf(await peer.takeAnswer())).toBe(413);
  });
});

const chunk = Buffer.alloc(64 * 1024);
for (let i = 0; i < chunk.length; i++) chunk[i] = (i * 31) & 255;
const largeBytes = 100 * 1024 * 1024;

/** Writes the pattern until `total` bytes are out, as fast as the socket takes them; answers their hash. */
async function pour(socket: Socket, total: number): Promise<string> {
  const hash = createHash("sha256");
  for (let sent = 0; sent < total; sent += chunk.length) {
    hash.update(chunk);
    if (!socket.write(chunk)) await new Promise<void>((drained) => socket.once("drain", drained));
  }
  return hash.digest("hex");
}

/** Hashes what arrives from now on, until `total` bytes were there. */
function drinking(peer: Peer, total: number): Promise<string> {
  const { socket } = peer;
  const hash = createHash("sha256");
  hash.update(Buffer.from(peer.text, "latin1"));
  let got = peer.text.length;
  peer.text = "";
  socket.removeAllListeners("data");
  return new Promise((resolve) => {
    socket.on("data", (data) => {
      hash.update(data);
      got += data.length;
      if (got === total) resolve(hash.digest("hex"));
    });
  });
}

describe("100 MB", () => {
  test("upload unchanged", { timeout: 60_000 }, async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${largeBytes}\r\n\r\n`);
    const upstream = await backend.accept();
    await upstream.takeHead();
    const arrived = drinking(upstream, largeBytes);
    const sent = await pour(peer.socket, largeBytes);
    expect(await arrived).toBe(sent);
    upstream.send(okAnswer("thanks"));
    expect((await peer.takeAnswer()).body).toBe("thanks");
  });

  test("download unchanged", { timeout: 60_000 }, async () => {
    const { backend, client, worker } = await serve();
    const peer = await client();
    peer.send(get);
    const upstream = await backend.accept();
    await upstream.takeRequest();
    upstream.send(`HTTP/1.1 200 OK\r\nContent-Length: ${largeBytes}\r\n\r\n`);
    await peer.takeHead();
    const arrived = drinking(peer, largeBytes);
    const sent = await pour(upstream.socket, largeBytes);
    expect(await arrived).toBe(sent);
    await worker.reaches("requestsInFlight", 0);
    expect(worker.counter("upstreamIdle")).toBe(1);
  });
});

/** No read brings more; see receiveBytes. */
const queuedBytesMax = sendQueueBytesHigh + 64 * 1024 + 1024;

describe("a slow reader", () => {
  test("L4-08: a client that does not read: the backend is not read either, and little is queued", async () => {
    const { backend, client, worker } = await serve();
    const peer = await client();
    peer.socket.pause();
    peer.send(get);
    const upstream = await backend.accept();
    await upstream.takeRequest();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
    // Far more than all kernels' buffers on the way can hold.
    await stuck(upstream);
    expect(worker.accepted[0]!.queuedBytes).toBeGreaterThan(0);
    expect(worker.accepted[0]!.queuedBytes).toBeLessThanOrEqual(queuedBytesMax);
    const before = peer.bytesReceived;
    peer.socket.resume();
    await until(() => peer.bytesReceived > before + 1_000_000, "the answer to go on");
    peer.reset();
    await worker.reaches("upstreamOpen", 0);
  });

  test("L4-09: a backend that does not read: the client is not read either, and little is queued", async () => {
    const { backend, client, worker } = await serve();
    const peer = await client();
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n");
    const upstream = await backend.accept();
    await upstream.takeHead();
    upstream.socket.pause();
    await stuck(peer);
    expect(worker.dialled[0]!.queuedBytes).toBeGreaterThan(0);
    expect(worker.dialled[0]!.queuedBytes).toBeLessThanOrEqual(queuedBytesMax);
    const before = upstream.bytesReceived;
    upstream.socket.resume();
    await until(() => upstream.bytesReceived > before + 1_000_000, "the upload to go on");
    peer.reset();
    await worker.reaches("upstreamOpen", 0);
  });

  test("a client that pipelines and reads nothing is not read for ever", async () => {
    const body = "x".repeat(50_000);
    const { client, worker } = await serve({ scripts: [answering(() => okAnswer(body))] });
    const peer = await client();
    peer.socket.pause();
    await stuck(peer, get.repeat(200));
    expect(worker.accepted[0]!.queuedBytes).toBeLessThanOrEqual(queuedBytesMax + body.length);
    const answered = worker.counter("requestsTotal");
    expect(answered).toBeLessThan(2_000);
    peer.socket.resume();
    await until(() => worker.counter("requestsTotal") > answered + 10, "more requests to be read");
  });

  test("a client that asks for nothing that exists and reads nothing is not read for ever", async () => {
    const { client, worker } = await serve({ scripts: [] });
    const peer = await client();
    peer.socket.pause();
    await stuck(peer, get.repeat(200));
    expect(worker.accepted[0]!.queuedBytes).toBeLessThanOrEqual(queuedBytesMax);
    peer.socket.resume();
    const answered = worker.counter("requestsTotal");
    await until(() => worker.counter("requestsTotal") > answered + 10, "more requests to be read");
  });

  test("gets the rest of its last answer after the time for lingering", async () => {
    const { backend, client, worker } = await serve({ limits: { lingerMsMax: 10 } });
    const peer = await client();
    peer.socket.pause();
    peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    const upstream = await backend.accept();
    await upstream.takeRequest();
    const body = "y".repeat(3_000_000);
    upstream.send(okAnswer(body));
    peer.end();
    await worker.reaches("requestsInFlight", 0);
    peer.socket.resume();
    expect((await peer.takeAnswer()).body.length).toBe(body.length);
  });
});

/** Sends until nothing has been taken for a while: every buffer on the way is full. */
async function stuck(peer: Peer, text = "z".repeat(60_000)): Promise<void> {
  const bytes = Buffer.from(text);
  let idle = 0;
  while (idle < 50) {
    if (peer.socket.writableLength < bytes.length) {
      peer.socket.write(bytes);
      idle = 0;
    } else idle++;
    await turns(1);
  }
}
