// What does the JavaScript of one small request cost? No sockets: sessions over streams that keep nothing, so that it is
// all that is measured. Time, and what is allocated: in the steady state nothing is.

import { allocated } from "./support/allocated.ts";
import { shown } from "./support/effort.ts";
import { HotLoop, type HotLoopOptions } from "./support/hot-loop.ts";
import { machineName } from "./support/machine.ts";
import type { Question } from "./support/question.ts";
import { type Figures, medianFigures, type ResultRow } from "./support/results.ts";

const variants: readonly (HotLoopOptions & { readonly name: string })[] = [
  { name: "Load generator's request", kind: "small", accessLog: false },
  { name: "… with access log", kind: "small", accessLog: true },
  { name: "… never the same again", kind: "small-new", accessLog: false },
  { name: "Browser's request", kind: "browser", accessLog: false },
  { name: "… with access log", kind: "browser", accessLog: true },
  { name: "… never the same again", kind: "browser-new", accessLog: false },
];

const warmUpRequests = 300_000;
/** Short enough to lie between two interruptions. */
const sliceRequests = 640;

export const hotPath: Question = {
  name: "hot-path",
  run: (effort) => {
    const requests = effort.quick ? 200_000 : 1_000_000;
    const rows = variants.map((variant) => rowOf(variant, requests, effort.rounds));
    return Promise.resolve({
      name: "hot-path",
      question: "What does the JavaScript of one small request cost?",
      method: `Sessions over streams in memory: 64 connections in turn, 1,000 routes, all that is on by default, an answer of 100 bytes with the fields of nginx. ${requests.toLocaleString("en-US")} requests a round: CPU of the thread, the fastest ${sliceRequests} of them, bytes allocated, collections of garbage. Medians of ${effort.rounds} rounds.`,
      machine: machineName(),
      versions: { Node: process.versions.node },
      date: new Date().toISOString().slice(0, 10),
      quick: effort.quick,
      rows,
      skipped: [],
    });
  },
};

function rowOf(
  variant: HotLoopOptions & { readonly name: string },
  requests: number,
  roundCount: number,
): ResultRow {
  const loop = new HotLoop(variant);
  let made = loop.run(warmUpRequests);
  const rounds = Array.from({ length: roundCount }, () => {
    const { count, figures } = round(loop, requests);
    made += count;
    return figures;
  });
  loop.check(made);
  console.log(`  ${variant.name}: ${shown(medianFigures(rounds))}`);
  return { name: variant.name, figures: medianFigures(rounds), rounds };
}

function round(loop: HotLoop, requests: number): { count: number; figures: Figures } {
  let count = 0;
  let fastestMs = Number.POSITIVE_INFINITY;
  const before = process.threadCpuUsage();
  const { bytes, collections } = allocated(() => {
    while (count < requests) {
      const startMs = performance.now();
      const slice = loop.run(sliceRequests);
      fastestMs = Math.min(fastestMs, (performance.now() - startMs) / slice);
      count += slice;
    }
  });
  const { user, system } = process.threadCpuUsage(before);
  return {
    count,
    figures: {
      "CPU ns": ((user + system) * 1_000) / count,
      "fastest ns": fastestMs * 1_000_000,
      "bytes allocated": bytes / count,
      "collections per million": (collections * 1_000_000) / count,
    },
  };
}
