// How does the cost of a request change with the number of connections? Batching needs something to batch.

import { type Comparison, compare } from "./support/compare.ts";
import { httpContenders } from "./support/proxies.ts";
import type { Question } from "./support/question.ts";

const comparison: Comparison = {
  name: "connections",
  question: "How does the cost of a request change with the number of connections?",
  method: "As small-requests, with 1, 16, 64, 256 and 1,000 keep-alive connections.",
  mode: "http",
  routes: 1000,
  contenders: httpContenders,
  variants: [1, 16, 64, 256, 1000].map((connections) => ({
    name: connections === 1 ? "1 connection" : `${connections.toLocaleString("en-US")} connections`,
    connections,
  })),
};

export const connections: Question = {
  name: comparison.name,
  run: (effort) => compare(comparison, effort),
};
