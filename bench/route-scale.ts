// What does one more route cost when there are many? Time, CPU, memory, and a cold start.

import { join } from "node:path";
import { addRouteMs, addRoutes, type RunningNode, startCrosspoint } from "./support/crosspoint.ts";
import type { Effort } from "./support/effort.ts";
import { machineName } from "./support/machine.ts";
import type { Question } from "./support/question.ts";
import type { Figures, ResultRow } from "./support/results.ts";
import { withTemporaryFolder } from "./support/temporary-folder.ts";

const sizes = [1_000, 10_000, 100_000];
const quickSizes = [1_000];

export const routeScale: Question = {
  name: "route-scale",
  run: async (effort) => {
    const rows: ResultRow[] = [];
    for (const routes of effort.quick ? quickSizes : sizes) {
      const figures = await measured(routes, effort);
      console.log(`  ${routes} routes: ${JSON.stringify(figures)}`);
      rows.push({ name: `${routes.toLocaleString("en-US")} routes`, figures, rounds: [figures] });
    }
    return {
      name: "route-scale",
      question: "What does one more route cost when there are many?",
      method:
        "One worker, SQLite store. Routes added in batches of 500; then AddRoute(WAIT_NODE) one after another on one connection. CPU: the whole process. Memory: growth of the resident process per route, with one worker (main thread and store included), and what a second worker adds. Cold start: from exec to the ready line.",
      machine: machineName(),
      versions: { Node: process.versions.node },
      date: new Date().toISOString().slice(0, 10),
      quick: effort.quick,
      rows,
      skipped: [],
    };
  },
};

async function measured(routes: number, effort: Effort): Promise<Figures> {
  const adds = effort.quick ? 200 : 2000;
  return await withTemporaryFolder(async (folder) => {
    const one = {
      folder,
      store: `sqlite:${join(folder, "routes.db")}`,
      accessLog: false,
      workers: 1,
    };
    const grown = await withNode(one, async (node) => {
      const bytes = await growthBytes(node, routes);
      return { ...(await addTimes(node, adds)), "bytes per route": bytes / routes };
    });
    const cold = await withNode(one, (node) => Promise.resolve(node.readySeconds));
    const twoBytes = await withTemporaryFolder((other) =>
      withNode(
        { ...one, folder: other, store: `sqlite:${join(other, "routes.db")}`, workers: 2 },
        (node) => growthBytes(node, routes),
      ),
    );
    const further = twoBytes / routes - grown["bytes per route"];
    return { ...grown, "bytes per route and further worker": further, "cold start s": cold };
  });
}

async function withNode<T>(
  options: Parameters<typeof startCrosspoint>[0],
  work: (node: RunningNode) => Promise<T>,
): Promise<T> {
  const node = await startCrosspoint(options);
  try {
    return await work(node);
  } finally {
    node.client.close();
    await node.program.stop();
  }
}

/** How much the process grows by `routes` routes. */
async function growthBytes(node: RunningNode, routes: number): Promise<number> {
  const emptyBytes = node.program.residentBytes();
  const domains = Array.from({ length: routes }, (_, i) => `r${i}.scale.test`);
  await addRoutes(node, { service: "bench", backend: "127.0.0.1:9", domains, tcpPort: undefined });
  return node.program.residentBytes() - emptyBytes;
}

async function addTimes(node: RunningNode, adds: number): Promise<Figures> {
  // The first calls warm the code path up; they do not count.
  for (let i = 0; i < 100; i++) await addRouteMs(node, `w${i}.scale.test`);
  const before = node.program.cpuTime();
  const times: number[] = [];
  for (let i = 0; i < adds; i++) times.push(await addRouteMs(node, `a${i}.scale.test`));
  const after = node.program.cpuTime();
  times.sort((a, b) => a - b);
  return {
    "AddRoute p50 ms": times[Math.floor(adds * 0.5)] ?? Number.NaN,
    "p99 ms": times[Math.floor(adds * 0.99)] ?? Number.NaN,
    "CPU ms per change": (after.totalMs - before.totalMs) / adds,
  };
}
