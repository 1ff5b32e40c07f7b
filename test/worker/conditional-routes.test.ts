// Goal: what a client sends decides which route answers it, request by request on one connection.
// Method: a worker on real sockets; some routes lead to a backend, the others to nobody (503), no route is 404.

import { expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { route } from "../routing/changes.ts";
import { answering, okAnswer } from "../support/peer.ts";
import { serve } from "../support/served.ts";
import { statusOf } from "../support/strict-http.ts";
import { removeRoute } from "../support/table-fixtures.ts";

const routes: readonly Change[] = [
  route("post", "a.test [POST]", "nobody"),
  route("canary", "a.test [header x-canary=1]", "nobody"),
  route("exact", "a.test=/exact", "nobody"),
  route("query", "a.test/q [query v=2]", "nobody"),
  route("plain", "a.test/p", "web"),
];

const requests: readonly [string, string, number][] = [
  ["GET /p HTTP/1.1", "", 200],
  ["GET /p HTTP/1.1", "x-canary: 1\r\n", 200],
  ["GET / HTTP/1.1", "", 404],
  ["GET / HTTP/1.1", "X-Canary: 1\r\n", 503],
  ["GET / HTTP/1.1", "X-Canary: 2\r\n", 404],
  ["GET / HTTP/1.1", "X-Canary: 2\r\nx-canary: 1\r\n", 503],
  ["GET / HTTP/1.1", "Connection: x-canary\r\nX-Canary: 1\r\n", 503],
  ["GET /exact HTTP/1.1", "", 503],
  ["GET /exact?p HTTP/1.1", "", 503],
  ["GET /exact/ HTTP/1.1", "", 404],
  ["POST / HTTP/1.1", "Content-Length: 0\r\n", 503],
  ["GET /q?v=2 HTTP/1.1", "", 503],
  ["GET /q?v=1 HTTP/1.1", "", 404],
  ["GET http://a.test/q?a&v=2 HTTP/1.1", "", 503],
  ["GET http://a.test/p?v=2 HTTP/1.1", "", 200],
];

test("one connection gets each of its requests to the route whose conditions it meets", async () => {
  const { client, worker } = await serve({ scripts: [answering(() => okAnswer("ok"))] });
  await worker.change(removeRoute("all"), ...routes);
  const peer = await client();
  for (const [line, fields, status] of requests) {
    peer.send(`${line}\r\nHost: a.test\r\n${fields}\r\n`);
    expect(statusOf(await peer.takeAnswer()), `${line} ${fields}`).toBe(status);
  }
});
