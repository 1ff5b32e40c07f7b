// A thread of test/soak/http-fuzz.ts: checks one mutated message after the other until its time is up. What it counts,
// and the input it is at, is in shared memory, so that the main thread can tell when it hangs, and on what.

import { parentPort, workerData } from "node:worker_threads";
import type { HttpCase } from "../transcripts/http-cases.ts";
import { fuzzCore } from "./fuzz-core.ts";
import { FuzzSockets } from "./fuzz-sockets.ts";
import { mutatedCase } from "./http-mutations.ts";
import { SeededRandom } from "./seeded-random.ts";

export type FuzzKind = "core" | "sockets";

export interface FuzzWork {
  readonly kind: FuzzKind;
  readonly seed: number;
  readonly seconds: number;
  /** Ends after so many, when they come sooner. */
  readonly executionsMax?: number;
  readonly memory: SharedArrayBuffer;
}

/** The places of `memory`, as 32-bit integers; behind them the input's text. */
export const FuzzPlace = {
  executions: 0,
  accepted: 1,
  answers: 2,
  textLength: 3,
  text: 4,
} as const;
export const fuzzMemoryBytes = 16 * 1024;

/** The input that the thread is at, as JSON. */
export function currentInput(memory: SharedArrayBuffer): string {
  const length = new Int32Array(memory)[FuzzPlace.textLength] ?? 0;
  return JSON.stringify(Buffer.from(memory, FuzzPlace.text * 4, length).toString("latin1"));
}

async function fuzz({ kind, seed, seconds, executionsMax, memory }: FuzzWork): Promise<void> {
  const random = new SeededRandom(seed);
  const places = new Int32Array(memory);
  const text = Buffer.from(memory, FuzzPlace.text * 4);
  const sockets = kind === "sockets" ? await FuzzSockets.start() : undefined;
  const endMs = performance.now() + seconds * 1000;
  try {
    const wanted = executionsMax ?? Number.MAX_SAFE_INTEGER;
    while (performance.now() < endMs && places[FuzzPlace.executions]! < wanted) {
      const answers = random.below(3) === 0;
      const input: HttpCase = mutatedCase(answers ? "u2p" : "c2p", random);
      places[FuzzPlace.textLength] = text.write(input.bytes, "latin1");
      const accepted = sockets ? await sockets.check(input, random) : fuzzCore(input, random);
      places[FuzzPlace.executions]!++;
      if (accepted) places[FuzzPlace.accepted]!++;
      if (answers) places[FuzzPlace.answers]!++;
    }
  } finally {
    await sockets?.close();
  }
}

if (parentPort !== null) await fuzz(workerData as FuzzWork);
