// Cuts every case in many ways, hands the pieces to the sans-IO core, and compares what it understood.

import type { HttpCase } from "../transcripts/http-cases.ts";
import {
  type Cuts,
  methodOf,
  readRequests,
  readResponses,
  type Understood,
} from "../transcripts/parser-driver.ts";
import { byteByByte, randomPartition, singleCuts } from "./partitions.ts";
import type { SeededRandom } from "./seeded-random.ts";

export interface SplitFigures {
  readonly cases: number;
  partitions: number;
  readonly differences: string[];
}

/** What a stream of octets means when it is cut like this. */
export type Reader = (httpCase: HttpCase, text: string, cuts: Cuts) => readonly Understood[];

export const readByCore: Reader = (httpCase, text, cuts) =>
  httpCase.dir === "c2p" ? readRequests(text, cuts) : readResponses(text, cuts, methodOf(httpCase));

/** Follows a message: nothing, the beginning of another one, another one, or garbage. */
const behind = ["G", "GET /behind HTTP/1.1\r\nHost: b.test\r\n\r\n", "\0\r\n\r\n", "0\r\n\r\n"];

/** Up to this many differences are told. */
const differencesMax = 20;

/** Whole against byte by byte, every single cut and `partitions` random ones; then the same with octets behind. */
export function splitCases(
  cases: readonly HttpCase[],
  options: {
    readonly partitions: number;
    readonly random: SeededRandom;
    readonly everyCut: boolean;
    readonly read?: Reader;
  },
): SplitFigures {
  const figures: SplitFigures = { cases: cases.length, partitions: 0, differences: [] };
  for (const httpCase of cases) {
    const alone = compare(httpCase, httpCase.bytes, options, figures);
    const text = httpCase.bytes + options.random.one(behind);
    const followed = compare(httpCase, text, { ...options, everyCut: false }, figures);
    // What was whole already must be the same with octets behind it.
    for (const [index, message] of alone.entries()) {
      if (message.kind === "refused" || message.bodyState !== "complete") break;
      if (JSON.stringify(followed[index]) === JSON.stringify(message)) continue;
      figures.differences.push(`${httpCase.id}: message ${index} changes with what follows`);
    }
  }
  figures.differences.length = Math.min(figures.differences.length, differencesMax);
  return figures;
}

function compare(
  httpCase: HttpCase,
  text: string,
  options: Parameters<typeof splitCases>[1],
  figures: SplitFigures,
): readonly Understood[] {
  const { random, read = readByCore } = options;
  const whole = read(httpCase, text, [text.length]);
  const expected = JSON.stringify(whole);
  const tryCuts = (cuts: readonly number[]): void => {
    figures.partitions++;
    const understood = JSON.stringify(read(httpCase, text, cuts));
    if (understood === expected) return;
    figures.differences.push(`${httpCase.id} cut at ${cuts.slice(0, 20).join()}: ${understood}`);
  };
  tryCuts(byteByByte(text.length));
  if (options.everyCut) for (const cuts of singleCuts(text.length, random)) tryCuts(cuts);
  for (let n = 0; n < options.partitions; n++) tryCuts(randomPartition(text.length, random));
  return whole;
}
