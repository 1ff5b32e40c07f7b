// The leader of three etcd members is killed during WAIT_ALL calls: node test/soak/etcd-leader-kill.ts [rounds=30]
//
// Three nodes share the three members. On every node a client adds and removes routes with WAIT_ALL, all the time.
// When a call answers that a route is served by every node, every node is asked for it at once, on fresh
// connections, and must serve it (or, removed, must not); a call that fails must say why and within its time. In
// each round the leader is killed with SIGKILL and started again some time later. Ends with one line of figures,
// and with status 1 when a promise was broken. SEED=n repeats the choices, as far as the machine allows.

import { setTimeout as sleep } from "node:timers/promises";
import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { type ClusterNode, ClusterWorld, outcomeText, services } from "../support/cluster-world.ts";
import { startEtcdCluster } from "../support/etcd-cluster.ts";
import { percentilesText } from "../support/percentiles.ts";
import { RpcError, routeFields } from "../support/rpc-node.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { lastingDifferences } from "../support/table-in-etcd.ts";

const nodeCount = 3;
const callMsMax = 6_000;
/** What a call may take beyond its deadline until its answer is here, in ms. */
const lateMsMax = 500;

export interface LeaderKillFigures {
  readonly rounds: number;
  /** Calls that answered "served everywhere". */
  readonly served: number;
  /** Calls that answered with who lags. */
  readonly lagging: number;
  /** Calls that failed, by status and reason. */
  readonly failed: ReadonlyMap<string, number>;
  readonly callMs: readonly number[];
  readonly broken: readonly string[];
}

export async function runLeaderKill(rounds: number, seed: number): Promise<LeaderKillFigures> {
  const etcd = await startEtcdCluster();
  const store = `etcd:${etcd.endpoints.join(",")}`;
  const world = await ClusterWorld.start(store, nodeCount);
  const random = new SeededRandom(seed);
  const stop = new AbortController();
  const callers = world.nodes.map((node, n) => new Caller(world, node, `n${n}`));
  try {
    const calling = callers.map((caller) => caller.callUntil(stop.signal));
    for (let round = 0; round < rounds; round++) {
      await sleep(100 + random.next() * 900);
      const leader = await etcd.leader();
      await leader.kill("SIGKILL");
      await sleep(random.next() * 2_500);
      await leader.restart();
    }
    stop.abort();
    await Promise.all(calling);
    const broken = callers.flatMap((caller) => caller.broken);
    broken.push(...(await lastingDifferences(etcd.members[0]!, world.nodes)));
    return {
      rounds,
      served: callers.reduce((sum, { served }) => sum + served, 0),
      lagging: callers.reduce((sum, { lagging }) => sum + lagging, 0),
      failed: added(callers.map(({ failed }) => failed)),
      callMs: callers.flatMap(({ callMs }) => callMs),
      broken,
    };
  } finally {
    stop.abort();
    await world.end();
    await etcd.stop();
  }
}

/** Adds and removes one route after the other through one node. */
class Caller {
  served = 0;
  lagging = 0;
  readonly failed = new Map<string, number>();
  readonly callMs: number[] = [];
  readonly broken: string[] = [];
  readonly #world: ClusterWorld;
  readonly #node: ClusterNode;
  readonly #prefix: string;

  constructor(world: ClusterWorld, node: ClusterNode, prefix: string) {
    this.#world = world;
    this.#node = node;
    this.#prefix = prefix;
  }

  async callUntil(signal: AbortSignal): Promise<void> {
    for (let call = 0; !signal.aborted; call++) {
      const name = `${this.#prefix}-${call}`;
      const host = `${name}.example.com`;
      const service = services[call % 2]!;
      const route = routeFields(host, service, { name });
      const put = { $case: "putRoute", value: route };
      if (await this.#apply(put, name)) await this.#expectAll(host, `200 ${service}`);
      const remove = { $case: "removeRoute", value: name };
      if (await this.#apply(remove, name)) await this.#expectAll(host, "404");
    }
  }

  /** Whether it is so on every node, by the answer. */
  async #apply(change: object, name: string): Promise<boolean> {
    const startMs = performance.now();
    const request = { changes: [{ change }], wait: Wait.ALL };
    try {
      const deadline = Date.now() + callMsMax;
      const { lagging } = await this.#node.client.call("applyChanges", request, { deadline });
      if (lagging.length === 0) this.served++;
      else this.lagging++;
      return lagging.length === 0;
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const what = `${error.code} ${error.info?.reason ?? "without a reason"}`;
      this.failed.set(what, (this.failed.get(what) ?? 0) + 1);
      return false;
    } finally {
      const ms = performance.now() - startMs;
      this.callMs.push(ms);
      if (ms > callMsMax + lateMsMax) this.broken.push(`${name}: answered after ${ms} ms`);
    }
  }

  async #expectAll(host: string, wanted: string): Promise<void> {
    for (const [node, outcome] of (await this.#world.askAll(host)).entries()) {
      const got = outcomeText(outcome);
      if (!got.startsWith(wanted)) this.broken.push(`node ${node}, ${host}: ${got}, not ${wanted}`);
    }
  }
}

function added(maps: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const sum = new Map<string, number>();
  for (const [what, count] of maps.flatMap((map) => [...map])) {
    sum.set(what, (sum.get(what) ?? 0) + count);
  }
  return sum;
}

/** Every promise that the figures break; empty when all were kept. */
export function leaderKillFailures({ broken, served }: LeaderKillFigures): string[] {
  return served === 0 ? [...broken, "no call was answered"] : [...broken];
}

if (import.meta.main) {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const figures = await runLeaderKill(Number(process.argv[2] ?? "30"), seed);
  const failures = leaderKillFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line.slice(0, 500));
  const failed = [...figures.failed].map(([what, count]) => `${count} ${what}`).join(", ");
  console.log(
    `etcd-leader-kill: the leader killed ${figures.rounds} times, ${figures.served} calls answered "served everywhere", ` +
      `${figures.lagging} named who lags, failed: ${failed || "none"}; calls ${percentilesText(figures.callMs)}; ` +
      `${figures.broken.length} promises broken (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
