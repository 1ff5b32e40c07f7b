// A driver on a ring, socket pairs, and what the driver tells, for tests of the driver.

import { afterEach } from "vitest";
import type { Pieces } from "../../src/io/direct/driver.ts";
import { lastErrno, libc } from "../../src/io/ffi.ts";
import { SYS_io_uring_enter } from "../../src/io/uring/layout.ts";
import type { EnterCall } from "../../src/io/uring/ring.ts";
import {
  openUringDriver,
  type UringDriver,
  type UringOptions,
} from "../../src/io/uring/uring-driver.ts";
import { type SocketPair, socketPair } from "./socket-pair.ts";

/** Closed after the test, last opened first. */
export const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

/** Sizes of a ring that everything overflows. */
export const small = { submissions: 4, completions: 8 };

export function driverOf(options: UringOptions = {}): UringDriver {
  const driver = openUringDriver(options);
  open.push(() => driver.close());
  return driver;
}

export function pair(): SocketPair {
  const ends = socketPair();
  open.push(() => [ends.near, ends.far].forEach((fd) => libc().close(fd)));
  return ends;
}

export const pairs = (count: number): SocketPair[] => Array.from({ length: count }, pair);

export type Told = readonly [slot: number, generation: number, events: number];

export function told(driver: UringDriver, ms = 0): Told[] {
  return Array.from({ length: driver.wait(ms) }, (_, index) => [
    driver.slotAt(index),
    driver.generationAt(index),
    driver.eventsAt(index),
  ]);
}

/** Until there is nothing more. */
export function allTold(driver: UringDriver): Told[] {
  const all: Told[] = [];
  for (let quiet = 0, turns = 0; quiet < 3; turns++) {
    if (turns === 1_000) throw new Error("it never ends");
    const more = told(driver);
    quiet = more.length === 0 ? quiet + 1 : 0;
    all.push(...more);
  }
  return all;
}

export const slotsOf = (all: readonly Told[]): number[] =>
  [...new Set(all.map(([slot]) => slot))].toSorted((a, b) => a - b);

export const enterKernel: EnterCall = (ring, submit, complete, flags, at, bytes) => {
  const answer = libc().syscall(SYS_io_uring_enter, ring, submit, complete, flags, at, bytes);
  return answer < 0 ? -lastErrno() : answer;
};

export function piecesOf(
  all: readonly (readonly [fd: number, address: number, length: number])[],
): Pieces {
  return {
    fds: Int32Array.from(all, ([fd]) => fd),
    addresses: Float64Array.from(all, ([, address]) => address),
    lengths: Int32Array.from(all, ([, , length]) => length),
    results: new Int32Array(all.length).fill(12_345),
  };
}
