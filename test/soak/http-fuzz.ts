// Mutated messages for a while: node test/soak/http-fuzz.ts [seconds=10] [SEED]
//
// Requests to the router and answers of backends, made of the cases of test/transcripts by changing a few octets. One
// thread gives them to the sans-IO parsers (fuzz-core.ts), another sends them through the sockets of a running worker
// (fuzz-sockets.ts); these two files say what must hold. A thread that throws, stands still, or dies ends the run with
// its input. Prints the seed first and one line of figures per thread last; status 1 when anything was wrong.

import { Worker } from "node:worker_threads";
import {
  currentInput,
  type FuzzKind,
  FuzzPlace,
  type FuzzWork,
  fuzzMemoryBytes,
} from "../support/fuzz-thread.ts";

/** An input that takes longer hangs, in ms: SplitSockets gives up on an exchange much earlier. */
const hangMsMax = 30_000;
const lookMs = 1_000;

export interface FuzzFigures {
  readonly kind: FuzzKind;
  readonly executions: number;
  /** Began with a message that was accepted; for sockets: were answered. */
  readonly accepted: number;
  /** Of the executions: answers of backends; the others were requests. */
  readonly answers: number;
  readonly minutes: number;
  /** What was wrong, and with which input; undefined: nothing. */
  readonly trouble: string | undefined;
}

/** Resolves when the thread has ended, however it did. */
export async function runFuzz(
  kind: FuzzKind,
  options: Pick<FuzzWork, "seconds" | "seed" | "executionsMax">,
): Promise<FuzzFigures> {
  const memory = new SharedArrayBuffer(fuzzMemoryBytes);
  const places = new Int32Array(memory);
  const workerData: FuzzWork = { kind, memory, ...options };
  const begunMs = performance.now();
  const thread = new Worker(new URL("../support/fuzz-thread.ts", import.meta.url), { workerData });
  let trouble: string | undefined;
  const complain = (what: string): void => {
    trouble ??= `${what}\n${kind}, execution ${places[FuzzPlace.executions]}: ${currentInput(memory)}`;
  };
  let last = { executions: -1, atMs: begunMs };
  const timer = setInterval(() => {
    const executions = places[FuzzPlace.executions]!;
    const nowMs = performance.now();
    if (executions !== last.executions) last = { executions, atMs: nowMs };
    if (nowMs - last.atMs < hangMsMax) return;
    complain(`hangs for ${hangMsMax} ms`);
    void thread.terminate();
  }, lookMs);
  await new Promise<void>((resolve) => {
    thread.on("error", (error) => complain(String(error)));
    thread.on("exit", (status) => {
      if (status !== 0) complain(`the thread ended with ${status}`);
      resolve();
    });
  });
  clearInterval(timer);
  return {
    kind,
    executions: places[FuzzPlace.executions]!,
    accepted: places[FuzzPlace.accepted]!,
    answers: places[FuzzPlace.answers]!,
    minutes: (performance.now() - begunMs) / 60_000,
    trouble,
  };
}

/** Every promise that the figures break; empty when all were kept. */
export function fuzzFailures({
  kind,
  trouble,
  accepted,
  executions,
  answers,
}: FuzzFigures): string[] {
  const failures = trouble === undefined ? [] : [trouble];
  const requests = executions - answers;
  if (accepted === 0 || answers === 0 || requests === 0)
    failures.push(`${kind}: nothing was shown`);
  return failures;
}

if (import.meta.main) {
  const seconds = Number(process.argv[2] ?? "10");
  const seed = Number(process.argv[3] ?? Date.now() % 1_000_000_007);
  console.log(`seed ${seed}, ${seconds} s`);
  const kinds = ["core", "sockets"] as const;
  const all = await Promise.all(kinds.map((kind) => runFuzz(kind, { seconds, seed })));
  const failures = all.flatMap(fuzzFailures);
  for (const line of failures) console.error(line);
  for (const { kind, executions, answers, accepted, minutes, trouble } of all)
    console.log(
      `http-fuzz: ${kind}: ${executions} executions in ${minutes.toFixed(1)} minutes (${executions - answers} requests, ${answers} answers), ` +
        `${accepted} were ${kind === "core" ? "accepted" : "answered"}; ${trouble === undefined ? 0 : 1} crashes, hangs or objections`,
    );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
