// Goal: a backend switches only to what its client offered.
// Method: a table of answers and offers; the offers themselves are tested with request-head.test.ts.

import { expect, test } from "vitest";
import { wasOffered } from "../../src/protocol/upgrade.ts";
import { poisoned } from "./octets-of.ts";

test.for([
  ["websocket", "websocket", true],
  ["WebSocket", "websocket", true],
  ["echo", "websocket, echo/1", true],
  ["echo/2", "websocket ,echo/1", true],
  ["a, b", "b, a", true],
  ["a, c", "b, a", false],
  ["h2c", "websocket", false],
  ["web", "websocket", false],
  ["websockets", "websocket", false],
  ["", "websocket", false],
  ["websocket,", "websocket", true],
  [", websocket", "websocket", false],
  ["1", "echo/1", false],
] as const)("a switch to %j, of the offer %j: %s", ([answer, offer, expected]) => {
  const bytes = poisoned(answer);
  expect(wasOffered(bytes, 0, answer.length, Buffer.from(offer))).toBe(expected);
});
