// Does a second worker serve, and what does a request cost with two?
//
// On a machine with two cores this cannot show how throughput grows: load and backend need a core as well.

import { type Comparison, compare } from "./support/compare.ts";
import type { Question } from "./support/question.ts";

const comparison: Omit<Comparison, "workers" | "variants"> = {
  name: "workers",
  question: "What does a request cost with one worker and with two?",
  method:
    "As small-requests. With 1: the proxy alone on one core. With 2 (HAProxy: nbthread, nginx: worker_processes): proxy, load and backend share all cores, and whatever else waits for a core shows in p99; compare the CPU, and that both serve.",
  mode: "http",
  routes: 1000,
  contenders: ["haproxy", "nginx", "crosspoint", "crosspoint-net"],
};

export const workers: Question = {
  name: comparison.name,
  run: async (effort) => {
    const one = await compare(
      { ...comparison, workers: 1, variants: [{ name: "1 worker", connections: 64 }] },
      effort,
    );
    const two = await compare(
      { ...comparison, workers: 2, variants: [{ name: "2 workers", connections: 64 }] },
      effort,
    );
    return { ...two, rows: [...one.rows, ...two.rows] };
  },
};
