// How does the cost of a request change with the number of connections? Batching needs something to batch.

import { type Comparison, compare } from "./support/compare.ts";
import type { Question } from "./support/question.ts";

const comparison: Comparison = {
  name: "connections",
  question: "How does the cost of a request change with the number of connections?",
  method: "As small-requests, with 1, 16, 64 and 256 keep-alive connections.",
  mode: "http",
  routes: 1000,
  variants: [1, 16, 64, 256].map((connections) => ({
    name: connections === 1 ? "1 connection" : `${connections} connections`,
    path: "/",
    connections,
    closes: false,
  })),
};

export const connections: Question = {
  name: comparison.name,
  run: (effort) => compare(comparison, effort),
};
