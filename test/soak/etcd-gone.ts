// etcd is gone for good, and a node is restarted: node test/soak/etcd-gone.ts [seconds=60]
//
// Two nodes take their table from an etcd, which is then killed and never comes back. Clients ask both nodes all
// the time. A third into the time one node is killed with SIGKILL, two thirds in the other is stopped with
// SIGTERM; each is started again at once and must serve from the copy on its disk. Requests to a node whose
// listeners are closed do not count; none of the others may fail. Ends with one line of figures, and with status 1
// when a promise was broken.

import { setTimeout as sleep } from "node:timers/promises";
import { ClusterWorld, outcomeText, services, steadyHost } from "../support/cluster-world.ts";
import { startEtcd } from "../support/etcd-server.ts";
import { freshGet } from "../support/fresh-connection.ts";
import { until } from "../support/until.ts";

export interface EtcdGoneFigures {
  readonly requests: number;
  readonly failed: readonly string[];
  /** From the start of the process to its ready line, in ms. */
  readonly restartMs: readonly number[];
  /** What each restarted node says of its store. */
  readonly readiness: readonly string[];
}

export async function runEtcdGone(seconds: number): Promise<EtcdGoneFigures> {
  const etcd = await startEtcd();
  const world = await ClusterWorld.start(`etcd:${etcd.endpoint}`, 2);
  const stop = new AbortController();
  const traffic = new Traffic(world, stop.signal);
  const restartMs: number[] = [];
  const readiness: string[] = [];
  try {
    // A copy of what has settled is written within two seconds; see limits.ts.
    await sleep(3_000);
    await etcd.kill("SIGKILL");
    const asking = world.nodes.map((_, n) => traffic.ask(n));
    for (const [n, signal] of (["SIGKILL", "SIGTERM"] as const).entries()) {
      await sleep((seconds * 1000) / 3);
      await traffic.pausing(n, async () => {
        const { child } = world.nodes[n]!;
        await (signal === "SIGKILL" ? child.kill() : child.stop());
        const startMs = performance.now();
        await world.startNode(n);
        restartMs.push(performance.now() - startMs);
      });
      readiness.push(await readyText(world.nodes[n]!.adminPort));
    }
    await sleep((seconds * 1000) / 3);
    stop.abort();
    await Promise.all(asking);
    return { requests: traffic.requests, failed: traffic.failed, restartMs, readiness };
  } finally {
    stop.abort();
    await world.end();
    await etcd.stop();
  }
}

class Traffic {
  requests = 0;
  readonly failed: string[] = [];
  readonly #world: ClusterWorld;
  readonly #signal: AbortSignal;
  readonly #paused = new Set<number>();
  readonly #busy = new Map<number, number>();

  constructor(world: ClusterWorld, signal: AbortSignal) {
    this.#world = world;
    this.#signal = signal;
  }

  /** Asks node `n`, one fresh connection after the other. */
  async ask(n: number): Promise<void> {
    while (!this.#signal.aborted) {
      if (this.#paused.has(n)) {
        await sleep(5);
        continue;
      }
      this.#busy.set(n, 1);
      const got = outcomeText(await freshGet(this.#world.nodes[n]!.httpPort, steadyHost));
      this.#busy.delete(n);
      this.requests++;
      if (got !== `200 ${services[0]}`) this.failed.push(`node ${n}: ${got}`);
      await sleep(1);
    }
  }

  /** No request is under way at node `n` while `work` runs. */
  async pausing(n: number, work: () => Promise<void>): Promise<void> {
    this.#paused.add(n);
    await until(() => !this.#busy.has(n), "the last request has ended");
    await work();
    this.#paused.delete(n);
  }
}

async function readyText(adminPort: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz?verbose`);
  return `${answer.status}\n${await answer.text()}`;
}

/** Every promise that the figures break; empty when all were kept. */
export function etcdGoneFailures({
  failed,
  requests,
  restartMs,
  readiness,
}: EtcdGoneFigures): string[] {
  const broken = [...failed];
  if (requests === 0) broken.push("nothing was asked");
  if (restartMs.length !== 2) broken.push(`${restartMs.length} restarts`);
  for (const text of readiness) {
    if (!text.startsWith("200") || !text.includes("stale")) {
      broken.push(`a node that serves from its copy must say so, and says: ${text}`);
    }
  }
  return broken;
}

if (import.meta.main) {
  const figures = await runEtcdGone(Number(process.argv[2] ?? "60"));
  const failures = etcdGoneFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line.slice(0, 500));
  console.log(
    `etcd-gone: ${figures.failed.length} of ${figures.requests} requests failed without an etcd; ready again after ` +
      `${figures.restartMs.map((ms) => `${Math.round(ms)} ms`).join(" (SIGKILL) and ")} (SIGTERM)`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
