// A thread that claims and gives back as fast as it can, and says how often it was let in, and the most that it saw inside.

import { parentPort, workerData } from "node:worker_threads";
import { Field, InFlight, type InFlightMemory } from "../../src/channel/in-flight.ts";

export interface Claiming {
  readonly memory: InFlightMemory;
  readonly slot: number;
  readonly max: number;
  /** Goes on until each thread was let in so often. */
  readonly grants: number;
  /** Counts the threads that are ready; each begins when all are. Then how many are inside, then the grants of each. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
}

export interface Claimed {
  readonly granted: number;
  readonly insideMax: number;
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- made by the test
const { memory, slot, max, grants, gate, threads } = workerData as Claiming;
const inFlight = new InFlight(memory, slot);
const words = new Int32Array(gate);
Atomics.add(words, 0, 1);
while (Atomics.load(words, 0) < threads);
let granted = 0;
let insideMax = 0;
let own = 0;
const isDone = (): boolean => {
  for (let one = 0; one < threads; one++) if (Atomics.load(words, 2 + one) < grants) return false;
  return true;
};
for (let i = 0; !isDone(); i++) {
  // In turns of its own length: now it only takes, now it only gives back, now it does nothing.
  const phase = i % (slot === 0 ? 7 : 11);
  if (phase < 3 && inFlight.claim(0, Field.Requests, own, max)) {
    own++;
    Atomics.store(words, 2 + slot, ++granted);
    insideMax = Math.max(insideMax, Atomics.add(words, 1, 1) + 1);
  } else if (phase === 3) {
    Atomics.sub(words, 1, own);
    own = 0;
    inFlight.set(0, Field.Requests, own);
  }
}
Atomics.sub(words, 1, own);
inFlight.set(0, Field.Requests, 0);
parentPort?.postMessage({ granted, insideMax } satisfies Claimed);
