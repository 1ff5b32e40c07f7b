// `npm run bench -- [NAMES…] [--quick] [--proxies haproxy,nginx,crosspoint]`: asks the named questions,
// or all; writes bench/results/NAME.json.
//
// --quick makes one short round of each: it shows that everything works and says little about speed.
// Quick runs and those of some proxies only are written to bench/results/local, which git ignores.

import { join } from "node:path";
import { parseArgs } from "node:util";
import { accessLog } from "./access-log.ts";
import { connections } from "./connections.ts";
import { hotPath } from "./hot-path.ts";
import { newConnections } from "./new-connections.ts";
import { routeScale } from "./route-scale.ts";
import { smallRequests } from "./small-requests.ts";
import type { Effort } from "./support/compare.ts";
import { machineName } from "./support/machine.ts";
import { resultTable } from "./support/readme-table.ts";
import { writeResult } from "./support/results.ts";
import { tcpRelay } from "./tcp-relay.ts";

const questions = [
  smallRequests,
  connections,
  newConnections,
  tcpRelay,
  routeScale,
  accessLog,
  hotPath,
];

const { values, positionals } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    proxies: { type: "string", default: "" },
  },
  allowPositionals: true,
});
const effort: Effort = {
  ...(values.quick
    ? { rounds: 1, seconds: 1, warmUpSeconds: 1, quick: true }
    : { rounds: 3, seconds: 5, warmUpSeconds: 2, quick: false }),
  proxies: values.proxies.split(",").filter((name) => name !== ""),
};
const unknown = positionals.filter((name) => !questions.some((question) => question.name === name));
if (unknown.length > 0) {
  const known = questions.map((question) => question.name).join(", ");
  console.error(`no question is called ${unknown.join(", ")}; there are ${known}`);
  process.exit(2);
}

console.log(machineName());
let failed = 0;
for (const question of questions) {
  if (positionals.length > 0 && !positionals.includes(question.name)) continue;
  console.log(`\n${question.name}`);
  try {
    const result = await question.run(effort);
    // A quick or partial run must not replace figures that are quoted.
    const partial = effort.quick || effort.proxies.length > 0;
    const path = writeResult(
      join(import.meta.dirname, partial ? "results/local" : "results"),
      result,
    );
    console.log(`\n${resultTable(result)}\nwritten to ${path}`);
  } catch (error) {
    failed++;
    console.error(`${question.name} failed:`, error);
  }
}
process.exitCode = failed === 0 ? 0 : 1;
