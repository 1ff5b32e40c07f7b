// Goal: large and small writes of several nodes on one etcd, whatever is lost and whoever dies in the middle: no reader
// ever sees half of a large one, none that was confirmed is lost, and in the end nothing is left over.
// Method: each large write gives the same number to 130 routes; random writes, fates of requests, deaths and starts,
// then quiet. A failure prints its seed; SEED=n runs that one alone.

import { expect, test } from "vitest";
import { RouterError } from "../../src/model/errors.ts";
import type { Fate } from "../store/lossy-etcd.ts";
import { put, putRoute } from "../store/samples.ts";
import { BatchWorld, numbered, numbersOf, type WorldNode } from "../support/batch-world.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { turns } from "../support/until.ts";

const only = process.env["SEED"];
const seeds = only === undefined ? Array.from({ length: 25 }, (_, n) => n + 1) : [Number(only)];
const writesMax = 12;

test.for(seeds)("seed %i", async (seed) => {
  const world = new BatchWorld(seed);
  const random = new SeededRandom(seed);
  const faults: string[] = [];
  const look = (table: Parameters<typeof numbersOf>[0]): void => {
    const numbers = numbersOf(table);
    if (numbers.size > 1) faults.push(`half of a large write: ${[...numbers].join(" ")}`);
  };
  const nodes: WorldNode[] = [];
  const start = async (): Promise<void> => {
    const node = await world.open();
    await world.read(node, look);
    nodes.push(node);
  };
  for (let n = 0; n < 3; n++) await start();
  let confirmed = 0;
  for (let number = 1; number <= writesMax; number++) {
    const writer = random.one(nodes);
    const helper = random.one(nodes);
    const fates = (chance: number) => (): Fate =>
      random.chance(chance) ? random.one(["request lost", "answer lost", "late"]) : "arrives";
    writer.link.fate = fates(random.one([0, 0.1, 0.3]));
    const large = put(writer.store, ...numbered(number));
    const small = put(helper.store, putRoute(`small-${number}`));
    const settled = Promise.allSettled([large, small]);
    if (random.chance(0.4)) {
      await turns(random.below(4));
      nodes.splice(nodes.indexOf(writer), 1);
      await world.kill(writer);
      await start();
    }
    if (random.chance(0.4)) await start();
    const [result] = await outcomeOf(world, settled);
    if (result.status === "fulfilled") confirmed = number;
    else if (!isExpected(result.reason)) faults.push(RouterError.from(result.reason).message);
    for (const { link } of nodes) {
      link.fate = () => "arrives";
      await link.deliver();
    }
    if (random.chance(0.3)) await world.pass(8_000, 200);
  }
  await world.pass(20_000, 200);
  await start();
  const ends = new Set<string>();
  for (const { store } of nodes) {
    const { revision, routes } = await store.read();
    ends.add(
      `${revision} ${routes
        .map((route) => JSON.stringify(route))
        .toSorted()
        .join()}`,
    );
  }
  expect(faults).toEqual([]);
  expect(ends.size).toBe(1);
  expect(world.keys("batches")).toEqual([]);
  expect(world.guard).not.toHaveProperty("batch");
  const end = await nodes[0]!.store.read();
  const [last = 0] = numbersOf({ snapshot: () => end });
  expect(last).toBeGreaterThanOrEqual(confirmed);
});

async function outcomeOf<T>(world: BatchWorld, promise: Promise<T>): Promise<T> {
  const result = await world.settled(promise);
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

/** A race, or etcd that could not be reached. */
function isExpected(reason: unknown): boolean {
  const { code } = RouterError.from(reason);
  return code === "revision-conflict" || code === "store-unavailable";
}
