// What does relaying bytes cost, without looking at them? Small messages back and forth, and bulk.

import { bodies, uploadPath } from "./support/bodies.ts";
import { type Comparison, compare } from "./support/compare.ts";
import { bulkContenders } from "./support/proxies.ts";
import type { Question } from "./support/question.ts";

const bulkBytes = bodies["/1m"] ?? Number.NaN;

const comparison: Comparison = {
  name: "tcp-relay",
  question: "What does relaying bytes cost?",
  method:
    "A TCP route. Ping-pong: 1 and 64 lasting connections, each with some 70 bytes one way and some 250 back, again and again. Bulk: 8 that ask for 1 MiB again and again, and 8 that send it. HAProxy also with `option splice-auto`.",
  mode: "tcp",
  routes: 1,
  contenders: bulkContenders,
  variants: [
    { name: "ping-pong, 1 connection", connections: 1 },
    { name: "ping-pong, 64 connections", connections: 64 },
    { name: "bulk down", path: "/1m", connections: 8, bytes: bulkBytes },
    { name: "bulk up", path: uploadPath, connections: 8, bytes: bulkBytes, uploadBytes: bulkBytes },
  ],
};

export const tcpRelay: Question = {
  name: comparison.name,
  run: (effort) => compare(comparison, effort),
};
