// Bad values in etcd, of every kind: node test/soak/etcd-poison.ts [values=500]
//
// Two nodes share an etcd that takes values of 10 MB. Bad values are written beside the nodes' backs, over good
// routes, under new keys and strange ones, and in between good changes are made through the API and by hand: each
// must be served by both nodes within a second. No node may crash, no good route may be lost, and every bad entry
// must be listed with a reason. Ends with one line of figures, and with status 1 when a promise was broken.
// SEED=n repeats the choices.

import { setTimeout as sleep } from "node:timers/promises";
import { shownKey } from "../../src/etcd/etcd.ts";
import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { ClusterWorld, outcomeText, services, steadyHost } from "../support/cluster-world.ts";
import { startEtcd } from "../support/etcd-server.ts";
import { putRaw } from "../support/fill-etcd.ts";
import { percentilesText } from "../support/percentiles.ts";
import { poisonValue } from "../support/poison.ts";
import { routeFields } from "../support/rpc-node.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const goodRoutes = 40;
/** A good change between two bad ones must be served everywhere within this, in ms. */
const servedMsMax = 1_000;
const prefix = "/crosspoint";

export interface EtcdPoisonFigures {
  readonly values: number;
  readonly crashes: number;
  readonly servedMs: readonly number[];
  readonly rejected: number;
  readonly broken: readonly string[];
}

export async function runEtcdPoison(values: number, seed: number): Promise<EtcdPoisonFigures> {
  const etcd = await startEtcd({ extraArgs: ["--max-request-bytes=16777216"] });
  const world = await ClusterWorld.start(`etcd:${etcd.endpoint}`, 2);
  const random = new SeededRandom(seed);
  const broken: string[] = [];
  const servedMs: number[] = [];
  const poisoned = new Set<string>();
  try {
    const [first] = world.nodes;
    for (let n = 0; n < goodRoutes; n++) {
      const route = routeFields(`good-${n}.example.com`, services[0], { name: `good-${n}` });
      await first!.client.call("addRoute", { route, wait: Wait.ALL });
    }
    for (let n = 0; n < values; n++) {
      const { key, value } = poisonValue(random, n, goodRoutes);
      await putRaw(etcd.endpoint, `${prefix}/${key}`, value);
      poisoned.add(shownKey(key));
      if (n % 5 === 0) servedMs.push(await goodChange(world, etcd.endpoint, n, broken));
    }
    for (let n = 0; n < goodRoutes; n++) {
      await expectEverywhere(world, `good-${n}.example.com`, `200 ${services[0]}`, broken);
    }
    await expectEverywhere(world, steadyHost, `200 ${services[0]}`, broken);
    const rejected = await rejectedKeys(world);
    for (const key of poisoned) {
      if (!rejected.has(key)) broken.push(`${key} is not listed among the rejected`);
    }
    const crashes = world.nodes.filter(({ child }) => child.ended).length;
    return { values, crashes, servedMs, rejected: rejected.size, broken };
  } finally {
    await world.end();
    await etcd.stop();
  }
}

/** One through the API, one by hand, by turns; how long until both nodes served it, in ms. */
async function goodChange(
  world: ClusterWorld,
  endpoint: string,
  n: number,
  broken: string[],
): Promise<number> {
  const host = `change-${n}.example.com`;
  const service = services[n % 2]!;
  const startMs = performance.now();
  if (n % 2 === 0) {
    const route = routeFields(host, service, { name: `change-${n}` });
    await world.nodes[n % 3 === 0 ? 0 : 1]!.client.call("addRoute", { route, wait: Wait.NONE });
  } else {
    const value = JSON.stringify({ http: { domain: host }, service });
    await putRaw(endpoint, `${prefix}/routes/change-${n}`, Buffer.from(value));
  }
  for (;;) {
    const got = (await world.askAll(host)).map(outcomeText);
    const ms = performance.now() - startMs;
    if (got.every((one) => one === `200 ${service}`)) return ms;
    if (ms > servedMsMax) {
      broken.push(`${host} after ${Math.round(ms)} ms: ${got.join(", ")}`);
      return ms;
    }
    await sleep(2);
  }
}

async function expectEverywhere(
  world: ClusterWorld,
  host: string,
  wanted: string,
  broken: string[],
): Promise<void> {
  for (const [node, outcome] of (await world.askAll(host)).entries()) {
    const got = outcomeText(outcome);
    if (got !== wanted) broken.push(`node ${node}, ${host}: ${got}, not ${wanted}`);
  }
}

/** What every node lists, without the prefix. */
async function rejectedKeys(world: ClusterWorld): Promise<ReadonlySet<string>> {
  const each: Set<string>[] = [];
  for (const { client } of world.nodes) {
    const keys = new Set<string>();
    for (let pageToken = ""; ; ) {
      const page = await client.call("listRejectedEntries", { pageSize: 1000, pageToken });
      for (const { key, reason } of page.entries) {
        if (reason !== "") keys.add(key.replace(`${prefix}/`, ""));
      }
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    each.push(keys);
  }
  return each.reduce((a, b) => a.intersection(b));
}

/** Every promise that the figures break; empty when all were kept. */
export function etcdPoisonFailures({ broken, crashes, values }: EtcdPoisonFigures): string[] {
  if (values === 0) return ["nothing was poisoned"];
  return crashes === 0 ? [...broken] : [...broken, `${crashes} nodes crashed`];
}

if (import.meta.main) {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const figures = await runEtcdPoison(Number(process.argv[2] ?? "500"), seed);
  const failures = etcdPoisonFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line.slice(0, 500));
  console.log(
    `etcd-poison: ${figures.values} bad values, ${figures.crashes} crashes, ${figures.rejected} entries listed as rejected, ` +
      `good changes in between served everywhere ${percentilesText(figures.servedMs)}, ` +
      `${figures.broken.length} promises broken (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
