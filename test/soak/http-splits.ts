// How the network cuts a message never matters: node test/soak/http-splits.ts [seconds=60] (SEED=n replays)
//
// Every case of test/transcripts, requests and answers: whole against byte by byte, every single cut and 1,000 random
// partitions, alone and with octets behind it, through the sans-IO core; then whole against byte by byte and random
// partitions through the sockets of a running worker. When that is done and there is time left, again with other
// partitions. Ends with one line of figures, and with status 1 when a cut made a difference.

import { OneWorker } from "../support/one-worker.ts";
import { byteByByte, randomPartition } from "../support/partitions.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type SplitFigures, splitCases } from "../support/split-core.ts";
import { SplitSockets } from "../support/split-sockets.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";
import { type HttpCase, httpCases } from "../transcripts/http-cases.ts";

/** Random partitions of each case through the core, alone and followed. */
const corePartitions = 1_000;
/** The same through sockets, per round. */
const socketPartitions = 5;
/** Each octet a packet of its own; of longer ones only random partitions. */
const byteByByteOctetsMax = 600;

/** A case whose outcome may depend on time, and why. */
const timed: Readonly<Record<string, string>> = {
  "UP-08": "what stands behind a refused upgrade is dropped, or a request if it comes later",
  "US-51": "an answer before the body's end, and the end of the client, race",
};

export interface SocketSplitFigures extends SplitFigures {
  /** Cases in which the client got any answer. */
  answered: number;
}

/** Through real sockets: a worker, a backend, a client, one exchange after the other. */
export async function splitThroughSockets(
  cases: readonly HttpCase[],
  options: { readonly partitions: number; readonly random: SeededRandom },
): Promise<SocketSplitFigures> {
  let routerPort = 0;
  const sockets = await SplitSockets.start(() => routerPort);
  const worker = await OneWorker.start({
    routes: [routeOf("a", "a.test"), routeOf("b", "b.test"), routeOf("all", "*")],
    backends: [backendOf("web", `127.0.0.1:${sockets.backendPort}`)],
  });
  routerPort = worker.httpPort;
  const chosen = cases.filter(({ id }) => timed[id] === undefined);
  const figures = { cases: chosen.length, partitions: 0, answered: 0, differences: [] };
  try {
    for (const httpCase of chosen) await splitOne(sockets, httpCase, options, figures);
  } finally {
    await worker.close();
    await sockets.close();
  }
  return figures;
}

async function splitOne(
  sockets: SplitSockets,
  httpCase: HttpCase,
  { partitions, random }: { readonly partitions: number; readonly random: SeededRandom },
  figures: SocketSplitFigures,
): Promise<void> {
  const { length } = httpCase.bytes;
  const expected = await sockets.run(httpCase, [length]);
  if (expected.includes("HTTP/1.1 ")) figures.answered++;
  const ways = Array.from({ length: partitions }, () => thinned(randomPartition(length, random)));
  if (length <= byteByByteOctetsMax) ways.push(byteByByte(length));
  for (const cuts of ways) {
    figures.partitions++;
    const seen = await sockets.run(httpCase, cuts);
    if (seen === expected) continue;
    figures.differences.push(`${httpCase.id} cut at ${cuts.slice(0, 20).join()}: ${seen}`);
  }
}

/** At most some hundred packets: every octet of a long message would take minutes. */
function thinned(cuts: readonly number[]): readonly number[] {
  const step = Math.ceil(cuts.length / byteByByteOctetsMax);
  return cuts.filter((_, index) => index % step === 0 || index === cuts.length - 1);
}

export function splitFailures(core: SplitFigures, sockets: SocketSplitFigures): string[] {
  const failures = [...core.differences, ...sockets.differences];
  if (core.partitions === 0 || sockets.partitions === 0) failures.push("nothing was cut");
  else if (sockets.answered === 0) failures.push("nothing was answered");
  return failures;
}

if (import.meta.main) {
  const endMs = performance.now() + Number(process.argv[2] ?? "60") * 1000;
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const random = new SeededRandom(seed);
  const failures: string[] = [];
  const tried = { core: 0, sockets: 0 };
  let rounds = 0;
  do {
    const core = splitCases(httpCases, {
      partitions: corePartitions,
      random,
      everyCut: rounds === 0,
    });
    const sockets = await splitThroughSockets(httpCases, { partitions: socketPartitions, random });
    failures.push(...splitFailures(core, sockets));
    tried.core += core.partitions;
    tried.sockets += sockets.partitions;
    rounds++;
  } while (performance.now() < endMs && failures.length === 0);
  for (const line of failures.slice(0, 10)) console.error(line);
  console.log(
    `http-splits: ${httpCases.length} cases, ${tried.core} partitions through the core, ${tried.sockets} through sockets, ` +
      `${failures.length} differences (${rounds} rounds, SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
