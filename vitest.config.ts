import { defineConfig } from "vitest/config";
import { adapters, testedAdapter } from "./test/support/adapters.ts";

/** Run once more over each adapter that the others do not use: everything that is about connections and quick. */
const overEveryAdapter = [
  "test/io/direct/relay.test.ts",
  "test/worker/admission.test.ts",
  "test/worker/bulk-tunnels.test.ts",
  "test/worker/chaos.test.ts",
  "test/worker/delivery.test.ts",
  "test/worker/http-cases.test.ts",
  "test/worker/http-session-*.test.ts",
  "test/worker/mirrors.test.ts",
  "test/worker/own-answer.test.ts",
  "test/worker/preface-session.test.ts",
  "test/worker/sent-preface.test.ts",
  "test/worker/tcp-session.test.ts",
  "test/worker/unsent-bytes.test.ts",
];

const others = adapters.map(({ name }) => name).filter((name) => name !== testedAdapter());

export default defineConfig({
  test: {
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // Two cores are the usual machine: more forks only make timing tests lie.
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: testedAdapter(), include: ["test/**/*.test.ts"] } },
      ...others.map((name) => ({
        extends: true as const,
        test: { name, include: overEveryAdapter, env: { CROSSPOINT_TEST_IO: name } },
      })),
    ],
  },
});
