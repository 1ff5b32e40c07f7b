// Goal: the HTTP/1 cases come out of a running worker as they come out of the parser.
// Method: all of them, through real sockets, one worker and one backend.

import { expect, test } from "vitest";
import { CaseBackend, runHttpCases } from "../support/http-case-runner.ts";
import { OneWorker } from "../support/one-worker.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";

/** Another choice of ours that the cases allow; and why. */
const otherwise: Readonly<Record<string, string>> = {
  "US-19": "a bare LF in an answer is refused rather than repaired",
};

test("no case is missed, and each is answered as it says", { timeout: 300_000 }, async () => {
  const backend = await CaseBackend.start();
  const worker = await OneWorker.start({
    routes: [routeOf("a", "a.test"), routeOf("b", "b.test"), routeOf("all", "*")],
    backends: [backendOf("web", `127.0.0.1:${backend.port}`)],
    settings: { via: "crosspoint" },
  });
  try {
    const results = await runHttpCases({ proxyPort: worker.httpPort, backend });
    expect(results.length).toBeGreaterThan(800);
    expect(results.filter(({ verdict }) => verdict === "missed")).toEqual([]);
    const acceptable = results.filter(({ verdict }) => verdict === "acceptable");
    expect(acceptable.map(({ id }) => id)).toEqual(Object.keys(otherwise));
  } finally {
    await worker.close();
    await backend.close();
  }
});
