// What does a client cost that opens a connection for every request?

import { type Comparison, compare } from "./support/compare.ts";
import { httpContenders } from "./support/proxies.ts";
import type { Question } from "./support/question.ts";

const comparison: Comparison = {
  name: "new-connections",
  question: "What does a client cost that opens a connection for every request?",
  method:
    "As small-requests, with `Connection: close`: 64 clients that connect, ask once and go. Connections to the backend last.",
  mode: "http",
  routes: 1000,
  contenders: httpContenders,
  variants: [{ name: "", connections: 64, closes: true }],
};

export const newConnections: Question = {
  name: comparison.name,
  run: (effort) => compare(comparison, effort),
};
