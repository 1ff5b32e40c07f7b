// Goal: what could hide requests from our rules is not offered to a backend, and it switches only to what was.
// Method: tables of offers, and of answers to them; whole requests are in request-head.test.ts.

import { expect, test } from "vitest";
import { Offer, offerOf, wasOffered } from "../../src/protocol/upgrade.ts";
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

test.for([
  ["websocket", Offer.WebSocket],
  ["foo/1, WebSocket/13", Offer.WebSocket],
  ["foo", Offer.Tunnel],
  ["foo/1.0,bar", Offer.Tunnel],
  ["h2cold, https, tlsx", Offer.Tunnel],
  ["H2C", Offer.Opaque],
  ["h2c-14", Offer.Opaque],
  ["foo, HTTP-draft-04/2.0", Offer.Opaque],
  ["h2-", Offer.Opaque],
  ["TLS/1.0", Offer.Opaque],
  ["", Offer.None],
  ["foo/", Offer.None],
  ["foo/, bar", Offer.None],
  ["/1", Offer.None],
  ["foo/1/2", Offer.None],
  [", foo", Offer.None],
  ["foo bar", Offer.None],
] as const)("%j offers %i", ([value, expected]) => {
  const bytes = poisoned(value);
  expect(offerOf(bytes, 0, value.length)).toBe(expected);
});
