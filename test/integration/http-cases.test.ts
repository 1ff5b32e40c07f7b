// Goal: no bytes that a client or a backend can send bring a whole node down or past its rules.
// Method: every visible case of test/transcripts through a node's own listener, a fourth of them through each of four
// nodes; the groups are counted, and after all of them the same workers still serve.

import { expect, onTestFinished, test } from "vitest";
import { CaseBackend, type HttpCaseResult, runHttpCases } from "../support/http-case-runner.ts";
import { httpMatch, startWholeNode } from "../support/whole-node.ts";
import { furtherCases, type HttpCase, httpCases } from "../transcripts/http-cases.ts";

const allMs = 300_000;
/** Some cases show that nothing happens, and that takes 1.6 s each: so many nodes wait at once, each for itself. */
const lanes = 4;

/** Every fourth case through a node of its own, which must have stood it. */
async function runLane(lane: number): Promise<HttpCaseResult[]> {
  const backend = await CaseBackend.start();
  onTestFinished(() => backend.close());
  const { node, httpPort, lead, admin, log } = await startWholeNode();
  for (const domain of ["a.test", "b.test", "*"])
    await lead(httpMatch(domain), `127.0.0.1:${backend.port}`, "cases");
  const ours = new Set(httpCases.filter((_, index) => index % lanes === lane));
  const only = (one: HttpCase): boolean => ours.has(one);
  const results = await runHttpCases({ proxyPort: httpPort, backend, only });
  // Nobody crashed meanwhile, and nothing is left open.
  expect(node.fleet.status().map(({ restarts, state }) => [restarts, state])).toEqual([
    [0, "serving"],
    [0, "serving"],
  ]);
  expect((await admin("/healthz")).status).toBe(200);
  expect(log.entries.filter(({ level }) => level === "error")).toEqual([]);
  return results;
}

test("every case as expected, or as a careful router may", { timeout: allMs }, async () => {
  const ofLanes = await Promise.all(Array.from({ length: lanes }, (_, lane) => runLane(lane)));
  const results = ofLanes.flat();
  process.stdout.write(table(results));
  expect(results.filter(({ verdict }) => verdict === "missed")).toEqual([]);
  expect(results).toHaveLength(httpCases.length);
  expect(results.filter(({ group }) => group === "control").length).toBeGreaterThan(5);
});

/** Strict, acceptable and missed, by direction and group. */
function table(results: readonly HttpCaseResult[]): string {
  const answers = new Set(httpCases.filter(({ dir }) => dir === "u2p").map(({ id }) => id));
  const further = new Set(furtherCases.map(({ id }) => id));
  const directions = Map.groupBy(results, ({ id }) => {
    const direction = answers.has(id) ? "answers of backends" : "requests of clients";
    return further.has(id) ? `further ${direction}` : direction;
  });
  const lines = [...directions].map(([direction, ofDirection]) => {
    const count = (verdict: string): number =>
      ofDirection.filter((one) => one.verdict === verdict).length;
    return `${direction}: ${count("strict")} strict, ${count("acceptable")} acceptable, ${count("missed")} missed`;
  });
  const misses = results.filter(({ verdict }) => verdict === "missed");
  const details = misses.map(
    ({ id, group, expect: wanted, seen }) => `  ${id} (${group}) wants ${wanted}: ${seen}`,
  );
  return `${[...lines, ...details].join("\n")}\n`;
}
