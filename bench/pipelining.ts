// What does a request cost that comes together with others on its connection?

import { type Comparison, compare } from "./support/compare.ts";
import { httpContenders } from "./support/proxies.ts";
import type { Question } from "./support/question.ts";

const comparison: Comparison = {
  name: "pipelining",
  question: "What does a request cost that comes together with others on its connection?",
  method:
    "As small-requests, with 16 connections that send 8 requests at once and wait for all 8 answers; p50 and p99 are of the whole batch.",
  mode: "http",
  routes: 1000,
  contenders: httpContenders,
  variants: [{ name: "", connections: 16, pipelined: 8 }],
};

export const pipelining: Question = {
  name: comparison.name,
  run: (effort) => compare(comparison, effort),
};
