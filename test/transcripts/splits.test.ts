// Goal: how the network cuts a message never changes what comes of it.
// Method: a share of what test/soak/http-splits.ts does, in seconds; and its judge. Prints the seed.

import { expect, test } from "vitest";
import {
  type SocketSplitFigures,
  splitFailures,
  splitThroughSockets,
} from "../soak/http-splits.ts";
import { randomPartition, singleCuts } from "../support/partitions.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type Reader, readByCore, type SplitFigures, splitCases } from "../support/split-core.ts";
import { httpCases } from "./http-cases.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

test(`no partition changes what the core understands, SEED=${seed}`, () => {
  const random = new SeededRandom(seed);
  const figures = splitCases(httpCases, { partitions: 20, random, everyCut: false });
  expect(figures.differences).toEqual([]);
  expect(figures.partitions).toBe(httpCases.length * 42);
});

test(`nor what comes of it through sockets, SEED=${seed}`, async () => {
  const random = new SeededRandom(seed);
  const share = httpCases.filter((_, index) => index % 5 === seed % 5);
  const figures = await splitThroughSockets(share, { partitions: 1, random });
  expect(figures.differences).toEqual([]);
  expect(figures.partitions).toBeGreaterThan(share.length);
  expect(figures.answered).toBeGreaterThan(0.9 * share.length);
});

test("every place is cut once", () => {
  const cuts = [...singleCuts(5, new SeededRandom(1))];
  expect(cuts).toEqual([
    [1, 5],
    [2, 5],
    [3, 5],
    [4, 5],
  ]);
});

test.for([1, 2, 3, 4, 5, 6])("a random partition ascends to the end, seed %i", (number) => {
  const random = new SeededRandom(number);
  const cuts = randomPartition(100, random);
  expect(cuts).toEqual([...new Set(cuts)].toSorted((a, b) => a - b));
  expect(cuts.length).toBeGreaterThan(1);
  expect(cuts[0]).toBeGreaterThan(0);
  expect(cuts.at(-1)).toBe(100);
});

test("a reader that looks at the pieces is found out", () => {
  const forgetful: Reader = (httpCase, text, cuts) =>
    readByCore(httpCase, text, cuts.length === 2 ? [cuts[0] ?? 0] : cuts);
  const few = httpCases.slice(0, 3);
  const random = new SeededRandom(1);
  const figures = splitCases(few, { partitions: 0, random, everyCut: true, read: forgetful });
  expect(figures.differences.length).toBeGreaterThan(3);
  expect(figures.differences[0]).toContain("CTL-01 cut at 1,32: []");
});

test("a reader that looks at what follows is found out", () => {
  const greedy: Reader = (httpCase, text, cuts) =>
    readByCore(httpCase, text, cuts).map((one) => ({ ...one, line: String(text.length) }));
  const random = new SeededRandom(1);
  const options = { partitions: 0, random, everyCut: false, read: greedy };
  expect(splitCases(httpCases.slice(0, 1), options).differences).toEqual([
    "CTL-01: message 0 changes with what follows",
  ]);
});

test("the judge", () => {
  const core: SplitFigures = { cases: 1, partitions: 1, differences: [] };
  const sockets: SocketSplitFigures = { ...core, answered: 1 };
  expect(splitFailures(core, sockets)).toEqual([]);
  expect(splitFailures({ ...core, differences: ["a"] }, sockets)).toEqual(["a"]);
  expect(splitFailures(core, { ...sockets, differences: ["b"] })).toEqual(["b"]);
  expect(splitFailures(core, { ...sockets, partitions: 0 })).toEqual(["nothing was cut"]);
  expect(splitFailures(core, { ...sockets, answered: 0 })).toEqual(["nothing was answered"]);
});
