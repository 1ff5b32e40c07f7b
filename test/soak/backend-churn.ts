// Backends that die under load: node test/soak/backend-churn.ts [kills=1000]
//
// Three backends, of which one at a time is killed and started again, under clients that send GET and POST on kept
// connections; every request has an id, and the backends count what they have executed. A GET never fails while two
// backends live; a POST is never executed twice, whether its client got an answer or not, and one that was answered
// with 200 was executed. Ends with one line of figures, and with status 1 when a promise was broken.

import { setTimeout as sleep } from "node:timers/promises";
import { ChurningBackend, type Executions } from "../support/churning-backend.ts";
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
  readonly posts: number;
  /** Its backend died with it in its hands: the client was told so. */
  readonly failedPosts: number;
  readonly executedTwice: readonly string[];
  /** Answered with 200, and no backend has seen them. */
  readonly notExecuted: number;
  readonly ms: readonly number[];
}

export async function runBackendChurn(kills: number, seed: number): Promise<BackendChurnFigures> {
  const executions: Executions = new Map();
  const backends = await Promise.all([1, 2, 3].map(() => ChurningBackend.start(executions)));
  const addresses = backends.map(({ address }) => address);
  try {
    return await withSoakNode(addresses, async ({ httpPort }) => {
      let last = 0;
      const ask = (method: string, body: string) => (): Question => {
        const headers = { host: soakHost, "x-id": `${method}-${++last}` };
        return { method, path: "/", headers, body };
      };
      const askers = (count: number, method: string, body: string): TimedAsker[] =>
        Array.from({ length: count }, () => new TimedAsker(httpPort, ask(method, body), pauseMs));
      const gets = askers(getClients, "GET", "");
      const posts = askers(postClients, "POST", "x".repeat(300));
      const random = new SeededRandom(seed);
      for (let n = 0; n < kills; n++) {
        await sleep(5 + random.below(20));
        const backend = backends[n % backends.length]!;
        await backend.kill();
        await sleep(random.below(20));
        await backend.restart();
      }
      for (const asker of [...gets, ...posts]) await asker.finish();
      return figuresOf(kills, gets, posts, executions);
    });
  } finally {
    for (const backend of backends) await backend.kill();
  }
}

function figuresOf(
  kills: number,
  gets: readonly TimedAsker[],
  posts: readonly TimedAsker[],
  executions: Executions,
): BackendChurnFigures {
  const failedPosts = posts.flatMap(({ failures }) => failures);
  const answeredPosts = posts.reduce((sum, { answered }) => sum + answered, 0);
  const executedPosts = [...executions].filter(([id]) => id.startsWith("POST-"));
  const failedIds = new Set(failedPosts.map(({ question }) => question.headers["x-id"]));
  return {
    kills,
    gets: gets.reduce((sum, { ms }) => sum + ms.length, 0),
    failedGets: gets.flatMap(({ failures }) => failures.map(({ what }) => what)),
    posts: posts.reduce((sum, { ms }) => sum + ms.length, 0),
    failedPosts: failedPosts.length,
    executedTwice: executedPosts.flatMap(([id, count]) => (count > 1 ? [`${id}: ${count}`] : [])),
    notExecuted: answeredPosts - executedPosts.filter(([id]) => !failedIds.has(id)).length,
    ms: gets.flatMap(({ ms }) => ms),
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
    `backend-churn: ${figures.kills} kills; of ${figures.gets} GETs ${figures.failedGets.length} failed (${percentilesText(figures.ms)}); ` +
      `of ${figures.posts} POSTs ${figures.executedTwice.length} were executed twice, ${figures.failedPosts} were told that their backend died, ` +
      `${figures.notExecuted} were answered and not executed (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
