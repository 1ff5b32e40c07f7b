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

  test("mappings are known by address and length, until they are dropped", () => {
    const memory = descriptorMemory(64);
    const worker = new HeldDescriptors(memory);
    const far = 0x7fff_ffff_f000;
    for (const at of [1, 2, 3]) worker.holdMapping(far - at * 4_096, 4_096 * at);
    worker.dropMapping(far - 2 * 4_096);
    worker.dropMapping(4_096 * 3);
    const main = new HeldDescriptors(memory);
    expect(main.mappings()).toEqual([
      [far - 4_096, 4_096],
      [far - 3 * 4_096, 3 * 4_096],
    ]);
    expect([main.all(), main.count]).toEqual([[], 0]);
    for (let at = 10; at < 16; at++) worker.holdMapping(at * 4_096, 4_096);
    expect(() => worker.holdMapping(1, 1)).toThrow("more than 8 mappings");
    main.clear();
    expect(main.mappings()).toEqual([]);
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
