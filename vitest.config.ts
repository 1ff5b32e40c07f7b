import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // Two cores are the usual machine: more forks only make timing tests lie.
    maxWorkers: 2,
  },
});
