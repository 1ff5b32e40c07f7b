// Backends that die under load: node test/soak/backend-churn.ts [kills=1000]
//
// Three backends, processes of their own, of which one at a time is killed (kill -9) and started again at its port, at
// once or a little later, under clients that send GET and POST on kept connections; every request has an id, and the
// backends count what they have executed. A GET never fails while two backends live; a POST is never executed twice,
// whether its client got an answer or not, and one that was answered with 200 was executed. Ends with one line of
// figures, and with status 1 when a promise was broken. SEED=n repeats the choices, as far as the machine allows.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ChurningBackend, executionsIn } from "../support/churning-backend.ts";
import { percentilesText } from "../support/percentiles.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { soakHost, withSoakNode } from "../support/soak-node.ts";
import { type Question, TimedAsker } from "../support/timed-asker.ts";

const getClients = 12;
const postClients = 6;
/** Between an answer and the next question, in ms. */
const pauseMs = 1;

export interface BackendChurnFigures {
  readonly kills: number;
  readonly gets: number;
  readonly failedGets: readonly string[];
  /** Executed by more than one backend, as they may be. */
  readonly repeatedGets: number;
  readonly posts: number;
  /** Its backend died with it in its hands: the client was told so. */
  readonly failedPosts: number;
  /** Of those, the ones that were executed all the same. */
  readonly failedAndExecuted: number;
  readonly executedTwice: readonly string[];
  /** Answered with 200, and no backend has seen them. */
  readonly notExecuted: number;
  readonly getMs: readonly number[];
  readonly postMs: readonly number[];
  /** What the node counted: sent again, and not because the budget was spent. */
  readonly retries: number;
  readonly retriesRefused: number;
}

export async function runBackendChurn(kills: number, seed: number): Promise<BackendChurnFigures> {
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-churn-"));
  const file = join(directory, "executed");
  const backends = await Promise.all([1, 2, 3].map(() => ChurningBackend.start(file)));
  const addresses = backends.map(({ address }) => address);
  try {
    return await withSoakNode(addresses, async ({ httpPort, node }) => {
      const gets = askers(httpPort, getClients, "GET", "");
      const posts = askers(httpPort, postClients, "POST", "x".repeat(300));
      const random = new SeededRandom(seed);
      for (let n = 0; n < kills; n++) await killOne(backends[n % backends.length]!, random);
      for (const asker of [...gets, ...posts]) await asker.finish();
      const metrics = await node.metrics();
      return {
        ...figuresOf(kills, gets, posts, executionsIn(file)),
        retries: metrics.get("crosspoint_upstream_retries_total") ?? Number.NaN,
        retriesRefused: metrics.get("crosspoint_upstream_retries_refused_total") ?? Number.NaN,
      };
    });
  } finally {
    for (const backend of backends) await backend.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function killOne(backend: ChurningBackend, random: SeededRandom): Promise<void> {
  await sleep(5 + random.below(20));
  await backend.kill();
  if (random.chance(0.5)) await sleep(random.below(20));
  await backend.restart();
}

function askers(port: number, count: number, method: string, body: string): TimedAsker[] {
  let last = 0;
  const ask = (): Question => {
    const headers = { host: soakHost, "x-id": `${method}-${++last}` };
    return { method, path: "/", headers, body };
  };
  return Array.from({ length: count }, () => new TimedAsker(port, ask, pauseMs));
}

function figuresOf(
  kills: number,
  gets: readonly TimedAsker[],
  posts: readonly TimedAsker[],
  executions: ReadonlyMap<string, number>,
): Omit<BackendChurnFigures, "retries" | "retriesRefused"> {
  const failedPosts = posts.flatMap(({ failures }) => failures);
  const answeredPosts = posts.reduce((sum, { answered }) => sum + answered, 0);
  const executedPosts = [...executions].filter(([id]) => id.startsWith("POST-"));
  const failedIds = new Set(failedPosts.map(({ question }) => question.headers["x-id"]));
  const failedAndExecuted = executedPosts.filter(([id]) => failedIds.has(id)).length;
  const getMs = gets.flatMap(({ ms }) => ms);
  const postMs = posts.flatMap(({ ms }) => ms);
  return {
    kills,
    gets: getMs.length,
    failedGets: gets.flatMap(({ failures }) => failures.map(({ what }) => what)),
    repeatedGets: [...executions].filter(([id, count]) => id.startsWith("GET-") && count > 1)
      .length,
    posts: postMs.length,
    failedPosts: failedPosts.length,
    failedAndExecuted,
    executedTwice: executedPosts.flatMap(([id, count]) => (count > 1 ? [`${id}: ${count}`] : [])),
    notExecuted: answeredPosts - (executedPosts.length - failedAndExecuted),
    getMs,
    postMs,
  };
}

/** Every promise that the figures break; empty when all were kept. */
export function backendChurnFailures(figures: BackendChurnFigures): string[] {
  const failures = figures.failedGets.map((what) => `a GET failed: ${what}`);
  failures.push(...figures.executedTwice.map((what) => `executed twice: ${what}`));
  if (figures.notExecuted !== 0)
    failures.push(`${figures.notExecuted} POSTs were answered and not executed`);
  if (figures.gets < figures.kills || figures.posts < figures.kills)
    failures.push("too little load to show anything");
  return failures;
}

if (import.meta.main) {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const figures = await runBackendChurn(Number(process.argv[2] ?? "1000"), seed);
  const failures = backendChurnFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line);
  console.log(
    `backend-churn: ${figures.kills} kills; of ${figures.gets} GETs ${figures.failedGets.length} failed, ${figures.repeatedGets} were executed again ` +
      `(${percentilesText(figures.getMs)}); of ${figures.posts} POSTs ${figures.executedTwice.length} were executed twice, ` +
      `${figures.failedPosts} were told that their backend died (${figures.failedAndExecuted} of them executed), ` +
      `${figures.notExecuted} were answered and not executed (${percentilesText(figures.postMs)}); ` +
      `${figures.retries} retries, ${figures.retriesRefused} refused (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
