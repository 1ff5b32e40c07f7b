// Goal: what a dead worker marked is closed once, and nothing of anybody who may still be alive.
// Method: a list in place of the kernel; a promise in place of the thread.

import { expect, test } from "vitest";
import { HeldDescriptors } from "../../src/channel/descriptors.ts";
import { LeftDescriptors } from "../../src/control/left-descriptors.ts";
import { realSystem } from "../../src/system.ts";
import { recordingLog } from "../support/recording-log.ts";

function world({ isOpen = (_fd: number): boolean => true, numbers = 8_192 } = {}) {
  const log = recordingLog();
  const closed: number[] = [];
  const close = (fd: number): void => {
    if (!isOpen(fd)) throw new Error("EBADF");
    closed.push(fd);
  };
  const unmapped: (readonly number[])[] = [];
  const unmap = (...mapping: readonly number[]): void => void unmapped.push(mapping);
  const left = new LeftDescriptors({ slots: 2, numbers, system: realSystem, log, close, unmap });
  const mark = (slot: number, ...fds: readonly number[]): void => {
    const held = new HeldDescriptors(left.memoryOf(slot));
    for (const fd of fds) held.hold(fd);
  };
  return { left, log, closed, unmapped, mark };
}

test("what a slot's worker had mapped is unmapped once, before its descriptors are closed", async () => {
  const { left, closed, unmapped, mark } = world();
  const held = new HeldDescriptors(left.memoryOf(0));
  held.holdMapping(8_192, 4_096);
  held.holdMapping(65_536, 32_768);
  mark(0, 5);
  const all = left.close(0);
  expect(unmapped).toEqual([
    [8_192, 4_096],
    [65_536, 32_768],
  ]);
  expect(await all).toBe(1);
  await left.closeAll();
  expect([closed, unmapped.length]).toEqual([[5], 2]);
});

test("a slot's descriptors are closed once, those of other slots are not", async () => {
  const { left, log, closed, mark } = world();
  mark(0, 7, 300, 5);
  mark(1, 6);
  expect(await left.close(0)).toBe(3);
  expect(await left.close(0)).toBe(0);
  expect(closed).toEqual([5, 7, 300]);
  expect(log.entries).toMatchObject([{ level: "info", fields: { slot: 0, descriptors: 3 } }]);
});

test("thousands are closed too, in several turns", async () => {
  const { left, closed, mark } = world();
  mark(0, ...Array.from({ length: 5_000 }, (_, n) => n + 10));
  const all = left.close(0);
  expect(closed.length).toBe(1_000);
  expect(await all).toBe(5_000);
  expect(closed).toEqual(Array.from({ length: 5_000 }, (_, n) => n + 10));
});

test("while a thread may still run, nothing of it is closed, and its replacement marks elsewhere", async () => {
  const { left, closed, mark } = world();
  mark(0, 5);
  const dying = new HeldDescriptors(left.memoryOf(0));
  const gone = Promise.withResolvers<void>();
  const later = left.closeLater({ slot: 0, gone: gone.promise });
  mark(0, 9);
  dying.hold(6);
  await new Promise((resolve) => setImmediate(resolve));
  expect(closed).toEqual([]);
  gone.resolve();
  expect(await later).toBe(2);
  expect(closed).toEqual([5, 6]);
  await left.closeAll();
  expect(closed).toEqual([5, 6, 9]);
});

test("a mark on what is not open is told, and stops nothing", async () => {
  const { left, log, closed, mark } = world({ isOpen: (fd) => fd !== 6 });
  mark(1, 5, 6, 7);
  expect(await left.close(1)).toBe(2);
  expect(closed).toEqual([5, 7]);
  expect(log.entries).toMatchObject([{ level: "info" }, { level: "error", fields: { astray: 1 } }]);
});

test("what had no mark is told", async () => {
  const { left, log, mark } = world({ numbers: 32 });
  mark(0, 32, 33);
  expect(await left.close(0)).toBe(0);
  expect(log.entries).toMatchObject([{ level: "warn", fields: { slot: 0, beyond: 2 } }]);
  expect(await left.close(0)).toBe(0);
  expect(log.entries.length).toBe(1);
});
