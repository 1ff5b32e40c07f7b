// What does one small request cost? The case that proxies are judged by: 64 keep-alive connections.
// Here alone Node's own peers are asked too: they are slow, and nothing that varies makes them faster.

import { type Comparison, compare } from "./support/compare.ts";
import { httpContenders } from "./support/proxies.ts";
import type { Question } from "./support/question.ts";

const comparison: Comparison = {
  name: "small-requests",
  question: "What does one small request cost?",
  method:
    "64 keep-alive connections, 100-byte answers, 1,000 routes, forwarding fields added; the proxy alone on one core, load and backend on another. Crosspoint with its access log to a file and once more without, the others without.",
  mode: "http",
  routes: 1000,
  contenders: [
    ...httpContenders,
    "crosspoint-epoll",
    "http-proxy",
    "fast-proxy",
    "@fastify/http-proxy",
  ],
  variants: [{ name: "", connections: 64 }],
};

export const smallRequests: Question = {
  name: comparison.name,
  run: (effort) => compare(comparison, effort),
};
