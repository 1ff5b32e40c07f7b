// Goal: what a worker holds is known when it can no longer be asked, number by number.
// Method: a set of numbers as the model, changed at random beside the marks; two views of one memory.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { descriptorMemory, HeldDescriptors } from "../../src/channel/descriptors.ts";
import { unlimited } from "../../src/limits.ts";

describe("held descriptors", () => {
  test("are those that were marked and not unmarked, for whoever has the memory", () => {
    const step = fc.record({ fd: fc.nat(130), hold: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const memory = descriptorMemory(131);
        const worker = new HeldDescriptors(memory);
        const model = new Set<number>();
        for (const { fd, hold } of steps) {
          if (hold === model.has(fd)) continue;
          if (hold) model.add(fd);
          else model.delete(fd);
          if (hold) worker.hold(fd);
          else worker.drop(fd);
        }
        const main = new HeldDescriptors(memory);
        expect(main.all()).toEqual([...model].toSorted((a, b) => a - b));
        expect([main.count, main.beyond]).toEqual([model.size, 0]);
      }),
    );
  });

  test.for([0, 31, 32, 63, 1_023])("number %i has a mark of its own", (fd) => {
    const held = new HeldDescriptors(descriptorMemory(1_024));
    for (let other = 0; other < 1_024; other++) if (other !== fd) held.hold(other);
    expect([held.count, held.all().includes(fd)]).toEqual([1_023, false]);
    held.hold(fd);
    for (let other = 0; other < 1_024; other++) if (other !== fd) held.drop(other);
    expect(held.all()).toEqual([fd]);
  });

  test("beyond the last mark are counted, and nobody learns their numbers", () => {
    const held = new HeldDescriptors(descriptorMemory(64));
    for (const fd of [63, 64, 5_000_000]) held.hold(fd);
    expect([held.all(), held.beyond, held.count]).toEqual([[63], 2, 3]);
    held.drop(64);
    expect([held.all(), held.beyond, held.count]).toEqual([[63], 1, 2]);
  });

  test("are none for the next worker", () => {
    const memory = descriptorMemory(64);
    for (const fd of [3, 40, 64]) new HeldDescriptors(memory).hold(fd);
    new HeldDescriptors(memory).clear();
    expect(new HeldDescriptors(memory).count).toBe(0);
  });

  test.for([unlimited, 2 ** 30, Number.MAX_SAFE_INTEGER])(
    "a process that may have %i descriptors pays 512 KiB",
    (numbers) => {
      expect(descriptorMemory(numbers).byteLength).toBe(512 * 1024 + 136);
    },
  );
});

describe("held memory", () => {
  const kib = 1_024;
  const high = 2 ** 47 - 4 * kib;

  test("is what was mapped and not unmapped, for whoever has the memory", () => {
    const memory = descriptorMemory(64);
    const worker = new HeldDescriptors(memory);
    for (const [address, length] of [
      [high, kib],
      [8 * kib, 2 * kib],
      [4 * kib, kib],
    ] as const)
      worker.map(address, length);
    worker.unmap(8 * kib);
    worker.map(16 * kib, 3 * kib);
    worker.hold(63);
    worker.hold(64);
    const main = new HeldDescriptors(memory);
    expect(main.mappings).toEqual([
      { address: high, length: kib },
      { address: 16 * kib, length: 3 * kib },
      { address: 4 * kib, length: kib },
    ]);
    expect([main.all(), main.beyond]).toEqual([[63], 1]);
    main.clear();
    expect(main.mappings).toEqual([]);
  });

  test("is forgotten when it is too much, and leaves the marks alone", () => {
    const held = new HeldDescriptors(descriptorMemory(64));
    for (let n = 1; n <= 20; n++) held.map(n * kib, kib);
    expect(held.mappings.map(({ address }) => address / kib)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(held.count).toBe(0);
    held.unmap(20 * kib);
    expect(held.mappings.length).toBe(8);
  });
});
