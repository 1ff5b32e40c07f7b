// Goal: a connection to a backend is kept for further requests only when nobody can have taken one message for two,
// or two for one.
// Method: one request and one answer on recorded streams, and whether the backend's connection is still there.

import { expect, test } from "vitest";
import { talk } from "../support/session-in-memory.ts";

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const five = "Content-Length: 5\r\n\r\nhello";
const chunks = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
const noChunks = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

test.for([
  ["GET", "\r\n", ok, 1],
  ["GET", "Content-Length: 0\r\n\r\n", ok, 1],
  ["POST", five, ok, 1],
  ["PUT", chunks, ok, 1],
  ["OPTIONS", five, ok, 1],
  ["FROB", five, ok, 1],
  ["HEAD", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 1],
  // RFC 9110 sections 9.3.1, 9.3.2, 9.3.5: the body may be the next request to the backend.
  ["GET", five, ok, 0],
  ["GET", chunks, ok, 0],
  ["GET", noChunks, ok, 0],
  ["HEAD", five, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 0],
  ["DELETE", five, ok, 0],
  // What stands behind an answer answers nothing.
  ["GET", "\r\n", `${ok}\r\n`, 0],
  ["GET", "\r\n", `${ok}${ok}`, 0],
  ["HEAD", "\r\n", ok, 0],
  ["GET", "\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 0],
  ["GET", "\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 0],
  ["GET", "\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0],
] as const)("%s with %j, answered by %j, keeps %i", ([method, rest, answer, kept]) => {
  const text = `${method} / HTTP/1.1\r\nHost: a.test\r\n${rest}`;
  const heard = talk({ text, answer });
  expect(heard.answers.length).toBe(1);
  expect(heard.kept).toBe(kept);
});
