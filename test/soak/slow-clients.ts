// A good client beside slow ones: node test/soak/slow-clients.ts [seconds=60] [each=300]
//
// First the good clients alone, for a third of the time; then beside `each` clients with slow heads, as many with slow
// bodies, and as many that read slowly. Their answers must be 200 (99.99 %), and the 99th percentile of their time at
// most twice that of the quiet. Ends with one line of figures, and with status 1 when a promise was broken.
//
// slowhttptest.ts does the same with that program's clients.

import { setTimeout as sleep } from "node:timers/promises";
import { startLargeBackend } from "../support/large-backend.ts";
import { percentile } from "../support/percentiles.ts";
import { SlowCrowd } from "../support/slow-crowd.ts";
import { soakHost, withSoakNode } from "../support/soak-node.ts";
import { TimedAsker } from "../support/timed-asker.ts";

const goodClients = 4;
/** Between an answer and the next question, in ms. */
const pauseMs = 5;
const successMin = 0.9999;
/** Of the 99th percentiles; and what one of a few milliseconds may grow by besides, in ms. */
const slowerMax = 2;
const slowerMsMax = 5;

export interface SlowClientsFigures {
  readonly slow: number;
  /** Slow ones that the router ended, and that were replaced. */
  readonly ended: number;
  readonly quietMs: readonly number[];
  readonly besideMs: readonly number[];
  readonly failures: readonly string[];
}

export async function runSlowClients(seconds: number, each: number): Promise<SlowClientsFigures> {
  const backend = await startLargeBackend();
  try {
    return await withSoakNode([backend.address], async ({ httpPort }) => {
      const quiet = await askFor((seconds * 1000) / 3, httpPort);
      const crowd = new SlowCrowd(httpPort);
      for (const slowness of ["head", "body", "reader"] as const) await crowd.add(each, slowness);
      const slow = crowd.size;
      const beside = await askFor((seconds * 2000) / 3, httpPort);
      crowd.close();
      const failures = [...quiet.failures, ...beside.failures];
      return { slow, ended: crowd.ended, quietMs: quiet.ms, besideMs: beside.ms, failures };
    });
  } finally {
    await backend.close();
  }
}

async function askFor(ms: number, port: number): Promise<{ ms: number[]; failures: string[] }> {
  const ask = () => ({ method: "GET", path: "/small", headers: { host: soakHost }, body: "" });
  const askers = Array.from({ length: goodClients }, () => new TimedAsker(port, ask, pauseMs));
  await sleep(ms);
  for (const asker of askers) await asker.finish();
  return {
    ms: askers.flatMap((asker) => asker.ms),
    failures: askers.flatMap(({ failures }) => failures.map(({ what }) => what)),
  };
}

/** Every promise that the figures break; empty when all were kept. */
export function slowClientsFailures(figures: SlowClientsFigures): string[] {
  const { quietMs, besideMs, slow } = figures;
  const failures: string[] = [];
  const asked = quietMs.length + besideMs.length;
  if (1 - figures.failures.length / asked < successMin)
    failures.push(`${figures.failures.length} of ${asked} failed: ${figures.failures[0]}`);
  const [quiet, beside] = [percentile(quietMs, 0.99), percentile(besideMs, 0.99)];
  if (beside > Math.max(slowerMax * quiet, quiet + slowerMsMax))
    failures.push(`p99 was ${quiet.toFixed(1)} ms and became ${beside.toFixed(1)} ms`);
  if (slow === 0 || quietMs.length < 20 || besideMs.length < 20) failures.push("nothing was shown");
  return failures;
}

if (import.meta.main) {
  const figures = await runSlowClients(
    Number(process.argv[2] ?? "60"),
    Number(process.argv[3] ?? "300"),
  );
  const failures = slowClientsFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line);
  const asked = figures.quietMs.length + figures.besideMs.length;
  const [quiet, beside] = [figures.quietMs, figures.besideMs].map((ms) => percentile(ms, 0.99));
  console.log(
    `slow-clients: of ${asked} good requests ${figures.failures.length} failed; p99 ${quiet?.toFixed(2)} ms alone, ${beside?.toFixed(2)} ms beside ` +
      `${figures.slow} slow clients (${figures.ended} of them were ended and replaced)`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
