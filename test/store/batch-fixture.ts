// A large write, ready to be made: a table before it, a writer, a reader that follows, and what each of them shows.

import { expect } from "vitest";
import type { Write } from "../../src/store/store.ts";
import { BatchWorld, contentOf, routesTo, type WorldNode } from "../support/batch-world.ts";
import { turns } from "../support/until.ts";
import { put, removeRoute } from "./samples.ts";

export interface Begun {
  readonly world: BatchWorld;
  readonly writer: WorldNode;
  readonly follower: WorldNode;
  /** Every content that any reader showed. */
  readonly seen: Set<string>;
  readonly before: string;
}

/** A table of 200 routes of the service "old". */
export async function begun(seed = 1): Promise<Begun> {
  const world = new BatchWorld(seed);
  const writer = await world.open();
  const follower = await world.open();
  for (let from = 0; from < 200; from += 100) {
    await world.settled(put(writer.store, ...routesTo("old", from, from + 100)));
  }
  await turns();
  const seen = new Set<string>();
  for (const node of [writer, follower]) {
    await world.read(node, (table) => seen.add(contentOf(table)));
  }
  expect(seen.size).toBe(1);
  return { world, writer, follower, seen, before: [...seen][0]! };
}

/** Three parts, three transactions that unfold it: 150 routes change, 50 go, 50 come. */
export const changes: Write["changes"] = [
  ...Array.from({ length: 50 }, (_, i) => removeRoute(`r${150 + i}`)),
  ...routesTo("new", 0, 150, { labels: 20 }),
  ...routesTo("new", 200, 250, { isNew: true }),
];

export async function commit({ world, writer }: Begun, more: Partial<Write> = {}) {
  const { revision: expected } = await writer.store.read();
  return world.settled(writer.store.commit({ expected, changes, ...more }));
}

/** What is left of the way when all is done. */
export function expectTidy({ world }: Begun): void {
  expect(world.keys("batches")).toEqual([]);
  expect(world.guard).not.toHaveProperty("batch");
}

/** A store whose etcd holds nothing. */
export async function alone() {
  const world = new BatchWorld();
  const { store, link } = await world.open();
  const settled = world.settled.bind(world);
  return { world, store, link, settled };
}

/** Transactions of that write: parts, commit, pieces, end. */
export const steps = 3 + 1 + 3 + 1;
