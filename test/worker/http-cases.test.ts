// Goal: the HTTP/1 cases come out of a running worker as they come out of the parser.
// Method: all of them, through real sockets, a worker and a backend for every fourth.

import { expect, test } from "vitest";
import { CaseBackend, type HttpCaseResult, runHttpCases } from "../support/http-case-runner.ts";
import { OneWorker } from "../support/one-worker.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";
import { httpCases } from "../transcripts/http-cases.ts";

/** Another choice of ours that the cases allow; and why. */
const otherwise: Readonly<Record<string, string>> = {
  "US-19": "a bare LF in an answer is refused rather than repaired",
};

/** Most of the time goes by in waiting for nothing to happen: so many wait at once, each for itself. */
const lanes = 4;

async function runLane(lane: number): Promise<HttpCaseResult[]> {
  const backend = await CaseBackend.start();
  const worker = await OneWorker.start({
    routes: [routeOf("a", "a.test"), routeOf("b", "b.test"), routeOf("all", "*")],
    backends: [backendOf("web", `127.0.0.1:${backend.port}`)],
    settings: { via: "crosspoint" },
  });
  const ours = new Set(httpCases.filter((_, index) => index % lanes === lane));
  try {
    return await runHttpCases({
      proxyPort: worker.httpPort,
      backend,
      only: (one) => ours.has(one),
    });
  } finally {
    await worker.close();
    await backend.close();
  }
}

test("no case is missed, and each is answered as it says", { timeout: 300_000 }, async () => {
  const results = (
    await Promise.all(Array.from({ length: lanes }, (_, lane) => runLane(lane)))
  ).flat();
  expect(results).toHaveLength(httpCases.length);
  expect(results.length).toBeGreaterThan(800);
  expect(results.filter(({ verdict }) => verdict === "missed")).toEqual([]);
  const acceptable = results.filter(({ verdict }) => verdict === "acceptable");
  expect(acceptable.map(({ id }) => id)).toEqual(Object.keys(otherwise));
});
