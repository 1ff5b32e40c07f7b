// Goal: however many descriptors there are, clients and backends together never need more than them; and an
// operator who asks for more is told.

import { describe, expect, test } from "vitest";
import {
  connectionBudget,
  descriptorsMax,
  limitsWithin,
} from "../../src/control/connection-budget.ts";
import { descriptorsReservedMin, unlimited } from "../../src/limits.ts";
import { recordingLog } from "../support/recording-log.ts";

const head = "Limit                     Soft Limit           Hard Limit           Units\n";
const open = (soft: string): string =>
  `${head}Max open files            ${soft.padEnd(20)} 524288               files\n`;

describe("the descriptors of this process", () => {
  test.for([
    ["20000", 20_000],
    ["unlimited", unlimited],
  ] as const)("are what the system says: %s", ([soft, count]) => {
    expect(descriptorsMax(() => open(soft))).toBe(count);
  });

  test("are few where the system does not say", () => {
    expect(descriptorsMax(() => head)).toBe(1_024);
    const absent = (): string => {
      throw new Error("ENOENT");
    };
    expect(descriptorsMax(absent)).toBe(1_024);
  });

  test("are known on this machine", () => {
    expect(descriptorsMax()).toBeGreaterThan(100);
  });
});

describe("a budget", () => {
  const sizes = [300, 1_024, 4_096, 20_000, 524_288, 1_048_576];
  const all = sizes.flatMap((size) =>
    [1, 2, 7, 64, 512].map((workers) => [size, workers] as const),
  );

  test.for(all)("of %i descriptors for %i workers is kept", ([descriptors, workers]) => {
    const budget = connectionBudget(descriptors, workers);
    const { connectionsPerNodeMax: clients, upstreamIdleMax: idle, pipesMax: pipes } = budget;
    expect(clients).toBeGreaterThanOrEqual(1);
    expect(pipes).toBeLessThanOrEqual(idle / 8);
    const used = 2 * clients + (idle + 2 * pipes) * workers;
    expect(used + descriptorsReservedMin).toBeLessThanOrEqual(descriptors);
  });

  test("of many goes to clients for the most part", () => {
    expect(connectionBudget(20_000, 2)).toMatchObject({
      connectionsPerNodeMax: 7_600,
      pipesMax: 64,
    });
    expect(connectionBudget(524_288, 4).connectionsPerNodeMax).toBeGreaterThan(190_000);
  });

  test("without an end has none", () => {
    expect(connectionBudget(unlimited, 2).connectionsPerNodeMax).toBe(unlimited);
  });
});

describe("the limits of the settings", () => {
  test("get what the descriptors allow, also when they say none", () => {
    for (const limits of [{}, { connectionsPerNodeMax: unlimited }]) {
      const log = recordingLog();
      const within = limitsWithin(
        20_000,
        { limits: { ...limits, bodyRateMin: 7 }, workers: 2 },
        log,
      );
      expect(within).toEqual({
        bodyRateMin: 7,
        connectionsPerNodeMax: 7_600,
        upstreamIdleMax: 1_772,
        pipesMax: 64,
      });
      expect(log.entries).toEqual([]);
    }
  });

  test("stand as they are; what is more than the descriptors allow is warned of", () => {
    const log = recordingLog();
    const limits = { connectionsPerNodeMax: 10 };
    expect(limitsWithin(20_000, { limits, workers: 2 }, log).connectionsPerNodeMax).toBe(10);
    expect(log.entries).toEqual([]);
    const more = { connectionsPerNodeMax: 7_601 };
    expect(limitsWithin(20_000, { limits: more, workers: 2 }, log).connectionsPerNodeMax).toBe(
      7_601,
    );
    expect(log.entries).toHaveLength(1);
  });
});
