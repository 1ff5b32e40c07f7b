// kill -9 of etcd under traffic and writes: node test/soak/etcd-restart.ts [rounds=200] [nodes=2]
//
// Clients ask every node for a route, over and over, and writers change routes of their own on every node, while
// etcd is killed at a random moment and started again on the same data, `rounds` times. No request may fail; what
// a writer was told must be true (an acknowledged write is there, a refused one is not; of one whose outcome was
// called unknown either may be true); and at the end etcd and the table of every node are the same. Ends with one
// line of figures, and with status 1 when a promise was broken. SEED=n repeats the choices, as far as the machine allows.

import { setTimeout as sleep } from "node:timers/promises";
import { ClusterWorld, outcomeText, services, steadyHost } from "../support/cluster-world.ts";
import { startEtcd } from "../support/etcd-server.ts";
import { freshGet } from "../support/fresh-connection.ts";
import { OwnRoutes } from "../support/own-routes.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { lastingDifferences } from "../support/table-in-etcd.ts";

const writersPerNode = 2;
const askersPerNode = 2;
/** Between two kills etcd runs and is away at most this long each, in ms. */
const upMsMax = 500;
const downMsMax = 300;

export interface EtcdRestartFigures {
  readonly rounds: number;
  readonly requests: number;
  readonly failedRequests: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  readonly settledMs: number;
  readonly broken: readonly string[];
}

export async function runEtcdRestart(
  rounds: number,
  nodes: number,
  seed: number,
): Promise<EtcdRestartFigures> {
  const etcd = await startEtcd();
  const world = await ClusterWorld.start(`etcd:${etcd.endpoint}`, nodes);
  const random = new SeededRandom(seed);
  const stop = new AbortController();
  try {
    const traffic = world.nodes.flatMap(({ httpPort }) =>
      Array.from({ length: askersPerNode }, () => askOn(httpPort, stop.signal)),
    );
    const writers = world.nodes.flatMap(({ client }, n) =>
      Array.from(
        { length: writersPerNode },
        (_, w) => new OwnRoutes(client, `n${n}w${w}`, new SeededRandom(seed + 10 * n + w)),
      ),
    );
    const writing = writers.map((writer) => writer.writeUntil(stop.signal));
    for (let round = 0; round < rounds; round++) {
      await sleep(50 + random.next() * upMsMax);
      await etcd.kill("SIGKILL");
      await sleep(random.next() * downMsMax);
      await etcd.restart();
    }
    const backMs = performance.now();
    stop.abort();
    await Promise.all(writing);
    const asked = await Promise.all(traffic);
    const differences = await lastingDifferences(etcd, world.nodes);
    const settledMs = performance.now() - backMs;
    const broken = [...differences];
    for (const writer of writers) broken.push(...(await writer.broken(world.nodes[0]!.client)));
    const failures = asked.flatMap((one) => one.failures);
    return {
      rounds,
      requests: asked.reduce((sum, { requests }) => sum + requests, 0),
      failedRequests: failures.length,
      ...OwnRoutes.sum(writers),
      settledMs,
      broken: [...broken, ...failures],
    };
  } finally {
    stop.abort();
    await world.end();
    await etcd.stop();
  }
}

/** Fresh connections, one after the other, until `signal` aborts. */
async function askOn(
  httpPort: number,
  signal: AbortSignal,
): Promise<{ requests: number; failures: string[] }> {
  const failures: string[] = [];
  let requests = 0;
  while (!signal.aborted) {
    const got = outcomeText(await freshGet(httpPort, steadyHost));
    requests++;
    if (got !== `200 ${services[0]}`) failures.push(`port ${httpPort}: ${got}`);
    await sleep(2);
  }
  return { requests, failures };
}

/** Every promise that the figures break; empty when all were kept. */
export function etcdRestartFailures({
  broken,
  acknowledged,
  requests,
}: EtcdRestartFigures): string[] {
  const idle = acknowledged === 0 || requests === 0;
  return idle ? [...broken, "nothing was written or asked"] : [...broken];
}

if (import.meta.main) {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const [rounds = "200", nodes = "2"] = process.argv.slice(2);
  const figures = await runEtcdRestart(Number(rounds), Number(nodes), seed);
  const failures = etcdRestartFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line.slice(0, 500));
  console.log(
    `etcd-restart: ${figures.rounds} times kill -9 of etcd, ${figures.failedRequests} of ${figures.requests} requests failed, ` +
      `${figures.acknowledged} writes acknowledged, ${figures.refused} refused, ${figures.unknown} of unknown outcome, ` +
      `${figures.broken.length} promises broken; tables equal etcd ${Math.round(figures.settledMs)} ms after its last return (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
