// What does relaying bytes cost, without looking at them? Small exchanges, and bulk.

import { type Comparison, compare } from "./support/compare.ts";
import type { Question } from "./support/question.ts";

const comparison: Comparison = {
  name: "tcp-relay",
  question: "What does relaying bytes cost?",
  method:
    "A TCP route: 64 connections that each ask for 100 bytes again and again, then 8 that ask for 1 MiB; the proxy alone on one core.",
  mode: "tcp",
  routes: 1,
  variants: [
    { name: "100 bytes", path: "/", connections: 64, closes: false },
    { name: "1 MiB", path: "/large", connections: 8, closes: false },
  ],
};

export const tcpRelay: Question = {
  name: comparison.name,
  run: (effort) => compare(comparison, effort),
};
