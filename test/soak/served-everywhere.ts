// What AddRoute(WAIT_ALL) promises when it answers: node test/soak/served-everywhere.ts [rounds=2000] [routes=0]
//
// Three nodes of two workers each share one etcd. Each round adds a route on one node with WAIT_ALL and at once,
// on fresh connections, asks every node for it: the answer must come from the right service. Then it removes the
// route with WAIT_ALL and asks again: 404 everywhere. The node that is asked to write changes from round to round.
// `routes` other routes are there from the start. Ends with one line of figures, and with status 1 when a promise
// was broken.

import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { ClusterWorld, outcomeText, services } from "../support/cluster-world.ts";
import { startEtcd } from "../support/etcd-server.ts";
import { fillEtcd } from "../support/fill-etcd.ts";
import { percentile, percentilesText } from "../support/percentiles.ts";
import { routeFields } from "../support/rpc-node.ts";

const nodeCount = 3;
const domains = 97;
const complaintsShown = 10;
/** The slowest AddRoute(WAIT_ALL) but for one in a hundred, in ms. */
export const addMsMax = 30;

export interface ServedEverywhereFigures {
  readonly rounds: number;
  readonly routes: number;
  /** Requests to any node after AddRoute(WAIT_ALL) that did not reach the right backend. */
  readonly misses: number;
  /** Requests to any node after RemoveRoute(WAIT_ALL) that got another answer than "no route". */
  readonly stale: number;
  /** Calls that answered with a lagging node. */
  readonly lagging: number;
  readonly addMs: readonly number[];
  readonly removeMs: readonly number[];
  readonly complaints: readonly string[];
}

export async function runServedEverywhere(
  rounds: number,
  routes: number,
): Promise<ServedEverywhereFigures> {
  const etcd = await startEtcd();
  let world: ClusterWorld | undefined;
  try {
    if (routes > 0) await fillEtcd(etcd.endpoint, "/crosspoint", routes);
    world = await ClusterWorld.start(`etcd:${etcd.endpoint}`, nodeCount);
    const run = new Rounds(world);
    for (let round = 0; round < rounds; round++) await run.round(round);
    return { rounds, routes, ...run.figures() };
  } finally {
    await world?.end();
    await etcd.stop();
  }
}

class Rounds {
  readonly #world: ClusterWorld;
  readonly #sum = { misses: 0, stale: 0, lagging: 0 };
  readonly #addMs: number[] = [];
  readonly #removeMs: number[] = [];
  readonly #complaints: string[] = [];

  constructor(world: ClusterWorld) {
    this.#world = world;
  }

  async round(round: number): Promise<void> {
    const { client } = this.#world.nodes[round % nodeCount]!;
    const host = `r${round % domains}.example.com`;
    // Not in step with `domains`: the same host is the one's now and the other's later.
    const service = services[round % 5 === 0 ? 0 : 1];
    const startMs = performance.now();
    const added = await client.call("addRoute", {
      route: routeFields(host, service),
      wait: Wait.ALL,
    });
    this.#addMs.push(performance.now() - startMs);
    this.#lag(added.lagging);
    await this.#expectAll(host, `200 ${service}`, "misses", `round ${round}`);
    const removeMs = performance.now();
    const removed = await client.call("removeRoute", { name: added.route?.name, wait: Wait.ALL });
    this.#removeMs.push(performance.now() - removeMs);
    this.#lag(removed.lagging);
    await this.#expectAll(host, "404", "stale", `round ${round}`);
  }

  async #expectAll(
    host: string,
    wanted: string,
    otherwise: "misses" | "stale",
    where: string,
  ): Promise<void> {
    for (const [node, outcome] of (await this.#world.askAll(host)).entries()) {
      const got = outcomeText(outcome);
      if (got.startsWith(wanted)) continue;
      this.#sum[otherwise]++;
      this.#complaints.push(`${otherwise}: ${where}, node ${node}, ${host}: ${got}`);
    }
  }

  #lag(lagging: readonly { readonly node: string; readonly reason: string }[]): void {
    if (lagging.length === 0) return;
    this.#sum.lagging++;
    this.#complaints.push(`lagging: ${lagging[0]?.node}: ${lagging[0]?.reason}`);
  }

  figures(): Omit<ServedEverywhereFigures, "rounds" | "routes"> {
    const [addMs, removeMs, complaints] = [this.#addMs, this.#removeMs, this.#complaints];
    return { ...this.#sum, addMs, removeMs, complaints };
  }
}

/** Every promise that the figures break; empty when all were kept. Times are judged by the program alone. */
export function servedEverywhereFailures(figures: ServedEverywhereFigures): string[] {
  const { misses, stale, lagging } = figures;
  return Object.entries({ misses, stale, lagging })
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`);
}

if (import.meta.main) {
  const [rounds = "2000", routes = "0"] = process.argv.slice(2);
  const figures = await runServedEverywhere(Number(rounds), Number(routes));
  for (const line of figures.complaints.slice(0, complaintsShown)) console.error(line);
  const failures = servedEverywhereFailures(figures);
  if (percentile(figures.addMs, 0.99) > addMsMax) failures.push(`AddRoute p99 over ${addMsMax} ms`);
  console.log(
    `served-everywhere: ${figures.rounds} rounds on ${nodeCount} nodes, ${figures.routes} other routes, ` +
      `${figures.misses} misses after AddRoute(WAIT_ALL), ${figures.stale} stale after RemoveRoute(WAIT_ALL), ` +
      `${figures.lagging} lagging; AddRoute ${percentilesText(figures.addMs)}, RemoveRoute ${percentilesText(figures.removeMs)}`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
