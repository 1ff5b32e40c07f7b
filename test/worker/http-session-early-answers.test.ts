// Goal: an answer that begins before its request has arrived is passed on, and says that the connection ends only
// when it cuts the request short (RFC 9112 section 9.6).
// Method: real sockets on both sides, piece by piece.

import { expect, test } from "vitest";
import { okAnswer } from "../support/peer.ts";
import { serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

test("a request that is answered in chunks while it arrives: neither side is told to close, and both connections are kept", async () => {
  const { backend, client } = await serve();
  const peer = await client();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const upstream = await backend.accept();
  await upstream.takeHead();
  upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  expect(await peer.takeHead()).not.toMatch(/connection/i);
  for (const piece of ["1\r\na\r\n", "1\r\nb\r\n"]) {
    peer.send(piece);
    await upstream.take(piece);
    upstream.send(piece);
    await peer.take(piece);
  }
  peer.send("0\r\n\r\n");
  await upstream.take("0\r\n\r\n");
  upstream.send("0\r\n\r\n");
  await peer.take("0\r\n\r\n");
  peer.send(get);
  await upstream.takeRequest();
  upstream.send(okAnswer("again"));
  expect((await peer.takeAnswer()).body).toBe("again");
});

test("a request that is answered in chunks and not finished: the end of the answer ends both connections", async () => {
  const { backend, client } = await serve();
  const peer = await client();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
  const upstream = await backend.accept();
  await upstream.take("abc");
  upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
  const answer = await peer.takeAnswer();
  expect([statusOf(answer), answer.body, valuesOf(answer, "connection")]).toEqual([200, "a", []]);
  await peer.untilEnded();
  await upstream.untilEnded();
});

test.for([
  "HTTP/1.1 413 Content Too Large\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
])("a request that is cut short by %j: the answer says that it closes", async (early) => {
  const { backend, client } = await serve();
  const peer = await client();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
  const upstream = await backend.accept();
  await upstream.take("abc");
  upstream.send(early);
  expect(valuesOf(await peer.takeAnswer(), "connection")).toEqual(["close"]);
  await peer.untilEnded();
  await upstream.untilEnded();
});
