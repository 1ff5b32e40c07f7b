// What does a WebSocket message cost? A proxy relays it like any bytes, once the connection is upgraded.

import { type Comparison, compare } from "./support/compare.ts";
import type { Question } from "./support/question.ts";

const comparison: Comparison = {
  name: "web-sockets",
  question: "What does a WebSocket message cost?",
  method:
    "1 and 64 upgraded connections, a text message of 32 bytes and its echo, again and again: a message is one each way. Client and backend are slower than the proxies, which therefore wait at times: compare the CPU.",
  mode: "web-socket",
  routes: 1000,
  contenders: ["haproxy", "nginx", "crosspoint", "crosspoint-net"],
  variants: [
    { name: "1 connection", connections: 1 },
    { name: "64 connections", connections: 64 },
  ],
};

export const webSockets: Question = {
  name: comparison.name,
  run: (effort) => compare(comparison, effort),
};
