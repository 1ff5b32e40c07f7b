// `npm run bench -- [NAMES…] [--quick] [--rounds N] [--seconds N] [--proxies haproxy,nginx,crosspoint]`: asks the
// named questions, or all; writes bench/results/NAME.json.
//
// --quick makes one short round of each: it shows that everything works and says little about speed.
// Quick runs and those of some proxies only are written to bench/results/local, which git ignores.

import { join } from "node:path";
import { parseArgs } from "node:util";
import { accessLog } from "./access-log.ts";
import { bodySizes } from "./body-sizes.ts";
import { checks } from "./checks.ts";
import { connections } from "./connections.ts";
import { faults } from "./faults.ts";
import { hotPath } from "./hot-path.ts";
import { idleConnections } from "./idle-connections.ts";
import { newConnections } from "./new-connections.ts";
import { pick } from "./pick.ts";
import { pipelining } from "./pipelining.ts";
import { routeLookup } from "./route-lookup.ts";
import { routeScale } from "./route-scale.ts";
import { smallRequests } from "./small-requests.ts";
import { type Effort, fullEffort, quickEffort } from "./support/effort.ts";
import { machineName } from "./support/machine.ts";
import { contenders } from "./support/proxies.ts";
import { resultTable } from "./support/readme-table.ts";
import { writeResult } from "./support/results.ts";
import { tcpRelay } from "./tcp-relay.ts";
import { webSockets } from "./web-sockets.ts";
import { workers } from "./workers.ts";

const questions = [
  smallRequests,
  connections,
  bodySizes,
  newConnections,
  pipelining,
  tcpRelay,
  webSockets,
  idleConnections,
  workers,
  routeScale,
  routeLookup,
  pick,
  accessLog,
  faults,
  hotPath,
  checks,
];

const { values, positionals } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" },
    proxies: { type: "string", default: "" },
  },
  allowPositionals: true,
});
requireKnown(
  "question",
  positionals,
  questions.map(({ name }) => name),
);
const proxies = values.proxies.split(",").filter((name) => name !== "");
requireKnown("proxy", proxies, Object.keys(contenders));
const effort = chosenEffort();

console.log(machineName());
const startMs = performance.now();
let failed = 0;
for (const question of questions) {
  if (positionals.length > 0 && !positionals.includes(question.name)) continue;
  console.log(`\n${question.name}`);
  const questionMs = performance.now();
  try {
    const result = await question.run(effort);
    // A quick or partial run must not replace figures that are quoted.
    const partial = effort.quick || effort.proxies.length > 0;
    const path = writeResult(
      join(import.meta.dirname, partial ? "results/local" : "results"),
      result,
    );
    console.log(`\n${resultTable(result)}\nwritten to ${path} after ${secondsSince(questionMs)} s`);
  } catch (error) {
    failed++;
    console.error(`${question.name} failed:`, error);
  }
}
console.log(`\n${secondsSince(startMs)} s in all${failed === 0 ? "" : `, ${failed} failed`}`);
process.exitCode = failed === 0 ? 0 : 1;

function chosenEffort(): Effort {
  const base = values.quick ? quickEffort : fullEffort;
  const rounds = wholeNumber("rounds", values.rounds) ?? base.rounds;
  const seconds = wholeNumber("seconds", values.seconds) ?? base.seconds;
  return {
    rounds,
    seconds,
    warmUpSeconds: base.warmUpSeconds,
    quick: values.quick || rounds < fullEffort.rounds || seconds < fullEffort.seconds,
    proxies,
  };
}

function wholeNumber(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,2}$/.test(text)) endsWith(`--${flag} wants a number from 1 to 999, not ${text}`);
  return Number(text);
}

function requireKnown(what: string, names: readonly string[], known: readonly string[]): void {
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    endsWith(`no ${what} is called ${unknown.join(", ")}; there are ${known.join(", ")}`);
  }
}

function endsWith(message: string): never {
  console.error(message);
  process.exit(2);
}
function secondsSince(ms: number): string {
  return ((performance.now() - ms) / 1000).toFixed(0);
}
