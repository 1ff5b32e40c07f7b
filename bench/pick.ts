// What does choosing a backend cost, by policy and by how many there are? No sockets: pickers as a worker has them, of
// backends that are busy and whose latency is known.

import { parseAddress } from "../src/model/address.ts";
import { parseServiceName } from "../src/model/names.ts";
import { Policy } from "../src/model/service.ts";
import { BackendState, Endpoint } from "../src/routing/backend-state.ts";
import type { Picker, PickQuestion } from "../src/routing/picker.ts";
import { pickerOfPolicy } from "../src/routing/picker-of-policy.ts";
import { realSystem } from "../src/system.ts";
import { allocated } from "./support/allocated.ts";
import { shown } from "./support/effort.ts";
import { machineName } from "./support/machine.ts";
import type { Question } from "./support/question.ts";
import type { Figures, ResultRow } from "./support/results.ts";

const sizes = [3, 10, 100, 1_000];
const blockPicks = 4_096;
const blocks = 400;
const quickBlocks = 20;
const weightings = { equal: () => 100, unequal: (i: number) => 50 + (i % 7) * 25 };

const method =
  "In one process: a question with another random hash each time, its answer in flight until the next block; backends have 0 to 7 " +
  `requests in flight, and latencies that are known. ns: the fastest of ${blocks} blocks of ${blockPicks.toLocaleString("en-US")} ` +
  "picks, sizes in turns. Bytes: of the heap, collected ones included, per pick of 1,000 backends, over all blocks; the number that a random draw is boxed in " +
  "by code that is not compiled yet counts too. Table ms: of ring-hash, the first pick, which builds the table of 1,000.";

export const pick: Question = {
  name: "pick",
  run: (effort) => {
    const rows: ResultRow[] = [];
    for (const policy of Object.values(Policy)) {
      for (const [weights, weightOf] of Object.entries(weightings)) {
        const figures = figuresOf(policy, weightOf, effort.quick ? quickBlocks : blocks);
        const name = `${policy}, ${weights} weights`;
        console.log(`  ${name}: ${shown(figures)}`);
        rows.push({ name, figures, rounds: [figures] });
      }
    }
    return Promise.resolve({
      name: "pick",
      question: "What does choosing a backend cost, by policy and by how many there are?",
      method,
      machine: machineName(),
      versions: { Node: process.versions.node },
      date: new Date().toISOString().slice(0, 10),
      quick: effort.quick,
      rows,
      skipped: [],
    });
  },
};

const hashes = Int32Array.from({ length: blockPicks }, () => Math.random() * 2 ** 32);
const question: PickQuestion = {
  random: () => realSystem.random(),
  nowMs: 0.5,
  hash: 0,
  tried: [],
  triedCount: 0,
};

function figuresOf(policy: Policy, weightOf: (i: number) => number, rounds: number): Figures {
  const made = sizes.map((size) => {
    const backends = backendsOf(size, weightOf);
    const picker = pickerOfPolicy(policy, backends);
    for (const backend of backends) backend.observe(5 + 5 * Math.random(), 0);
    const startMs = performance.now();
    picker.pick(question);
    return { size, picker, firstMs: performance.now() - startMs, best: Number.POSITIVE_INFINITY };
  });
  for (let round = 0; round < rounds; round++) {
    for (const each of made) each.best = Math.min(each.best, nsPerPick(each.picker));
  }
  const largest = made.at(-1)!;
  const { bytes } = allocated(() => {
    for (let round = 0; round < rounds; round++) nsPerPick(largest.picker);
  });
  const times = made.map(({ size, best }) => [`ns of ${size.toLocaleString("en-US")}`, best]);
  return {
    ...Object.fromEntries(times),
    "bytes per pick": bytes / (rounds * blockPicks),
    ...(policy === Policy.RingHash ? { "table ms": largest.firstMs } : {}),
  };
}

function backendsOf(size: number, weightOf: (i: number) => number): BackendState[] {
  const service = parseServiceName("web");
  return Array.from({ length: size }, (_, i) => {
    const address = parseAddress(`10.0.${i >> 8}.${i & 255}:8080`);
    const backend = new BackendState(service, new Endpoint(address), weightOf(i));
    backend.inFlight = backend.endpoint.inFlight = (i * 5) % 8;
    return backend;
  });
}

const chosen: BackendState[] = [];

function nsPerPick(picker: Picker): number {
  const startMs = performance.now();
  for (let i = 0; i < blockPicks; i++) {
    question.hash = hashes[i]!;
    question.nowMs += 0.01;
    const backend = picker.pick(question)!;
    backend.inFlight++;
    backend.endpoint.inFlight++;
    chosen[i] = backend;
  }
  const ns = ((performance.now() - startMs) * 1e6) / blockPicks;
  for (let i = 0; i < blockPicks; i++) {
    chosen[i]!.inFlight--;
    chosen[i]!.endpoint.inFlight--;
  }
  return ns;
}
