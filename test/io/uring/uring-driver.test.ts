// Goal: the driver tells of everything that happens to what is watched, of nothing else, and sends as send(2) does.
// Method: real rings on socket pairs and TCP.

import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { descriptorMemory, HeldDescriptors } from "../../../src/channel/descriptors.ts";
import { LeftDescriptors } from "../../../src/control/left-descriptors.ts";
import { Event } from "../../../src/io/direct/driver.ts";
import { libc } from "../../../src/io/ffi.ts";
import { Enter, Errno } from "../../../src/io/uring/layout.ts";
import type { EnterCall } from "../../../src/io/uring/ring.ts";
import { openUringDriver } from "../../../src/io/uring/uring-driver.ts";
import { realSystem } from "../../../src/system.ts";
import {
  allTold,
  driverOf,
  enterKernel,
  open,
  pair,
  pairs,
  piecesOf,
  slotsOf,
  small,
  told,
} from "../../support/driver-on-ring.ts";
import { recordingLog } from "../../support/recording-log.ts";
import { pinned, receiveAll, receiveFrom, sendTo, socketPair } from "../../support/socket-pair.ts";

describe("watching", () => {
  test("tells what is so, then of every change, once", () => {
    const driver = driverOf();
    const { near, far } = pair();
    driver.watch(near, 3, 7);
    expect(told(driver)).toEqual([[3, 7, Event.Writable]]);
    expect(told(driver)).toEqual([]);
    for (const text of ["one", "two"]) {
      sendTo(far, text);
      const [[slot, generation, events] = [0, 0, 0], ...others] = told(driver);
      expect([slot, generation, events & Event.Readable]).toEqual([3, 7, Event.Readable]);
      expect(others).toEqual([]);
      expect(told(driver)).toEqual([]);
    }
  });

  test("waits for what happens no longer than it is told to", () => {
    const driver = driverOf();
    const { near, far } = pair();
    driver.watch(near, 0, 0);
    driver.wait(0);
    const from = performance.now();
    expect(driver.wait(20)).toBe(0);
    expect(performance.now() - from).toBeGreaterThanOrEqual(19);
    sendTo(far, "x");
    expect(told(driver, 60_000)).toHaveLength(1);
  });

  test("tells that there is room again", () => {
    const driver = driverOf();
    const { near, far } = pair();
    const { address, bytes } = pinned(1024 * 1024);
    driver.watch(near, 1, 1);
    driver.wait(0);
    const pieces = piecesOf([[near, address, bytes.byteLength]]);
    driver.sendAll(1, pieces);
    driver.sendAll(1, pieces);
    expect(pieces.results[0]).toBe(-Errno.EAGAIN);
    expect(allTold(driver)).toEqual([]);
    receiveAll(far);
    expect(allTold(driver).some(([, , events]) => (events & Event.Writable) !== 0)).toBe(true);
  });

  test.for([
    ["the end of its sending", (far: number) => libc().shutdown(far, 1), Event.PeerEnded],
    ["its leaving", (far: number) => libc().close(far), Event.HangUp],
  ] as const)("tells of a peer's bytes and %s", ([, end, expected]) => {
    const driver = driverOf();
    const { near, far } = socketPair();
    open.push(() => libc().close(near));
    driver.watch(near, 1, 1);
    driver.wait(0);
    sendTo(far, "last");
    end(far);
    const events = allTold(driver).reduce((all, [, , bits]) => all | bits, 0);
    expect(events & (Event.Readable | expected)).toBe(Event.Readable | expected);
    if (expected !== Event.HangUp) libc().close(far);
  });

  test("tells of a listener's connections, and of a TCP peer's end", async () => {
    const driver = driverOf();
    const server = createServer((socket) => socket.on("error", () => {}).end("bye"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    open.push(() => server.close());
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const socket = connect({ port: address.port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    open.push(() => socket.destroy());
    // @ts-expect-error: the handle is in no documentation
    const fd: number = socket._handle.fd;
    driver.watch(fd, 1, 1);
    let events = 0;
    while ((events & Event.PeerEnded) === 0) {
      for (const [, , bits] of told(driver)) events |= bits;
      await new Promise((resolve) => setImmediate(resolve));
    }
    driver.unwatch(fd, 1, 1);
    driver.wait(0);
    expect(events & Event.Readable).toBe(Event.Readable);
  });

  test("tells of a descriptor that is none, so that the next call says how", () => {
    const driver = driverOf();
    driver.watch(99_999, 1, 1);
    const broken = Event.Error | Event.HangUp | Event.Readable | Event.Writable;
    expect(allTold(driver)).toEqual([[1, 1, broken]]);
  });

  test("refuses slots and generations that are none", () => {
    const driver = driverOf();
    expect(() => driver.watch(1, 2 ** 28, 1)).toThrow(/EINVAL/);
    expect(() => driver.watch(1, -1, 1)).toThrow(/EINVAL/);
    expect(() => driver.watch(1, 1, 2 ** 30)).toThrow(/EINVAL/);
    expect(() => driver.watch(-1, 1, 1)).toThrow(/EINVAL/);
    expect(told(driver)).toEqual([]);
  });

  test("has room for many, and keeps what it knew when it grows", () => {
    const driver = driverOf();
    const many = pairs(300);
    many.slice(0, 10).forEach(({ near }, slot) => driver.watch(near, slot, slot));
    expect(driver.wait(0)).toBe(10);
    many.slice(10).forEach(({ near }, index) => driver.watch(near, index + 10, index + 10));
    expect([driver.slotAt(9), driver.generationAt(9), driver.eventsAt(9)]).toEqual([
      9,
      9,
      Event.Writable,
    ]);
    allTold(driver);
    for (const { far } of many) sendTo(far, "x");
    expect(slotsOf(allTold(driver))).toEqual(many.map((_, slot) => slot));
  });
});

describe("watching no more", () => {
  test("ends the connection in the same turn when the descriptor is closed", () => {
    const driver = driverOf();
    const { near, far } = socketPair();
    open.push(() => libc().close(far));
    driver.watch(near, 1, 1);
    driver.wait(0);
    driver.unwatch(near, 1, 1);
    libc().close(near);
    expect(told(driver)).toEqual([]);
    expect(receiveFrom(far)).toEqual(new Uint8Array(0));
  });

  test("resets the connection in the same turn when bytes were left unread", () => {
    const driver = driverOf();
    const { near, far } = socketPair();
    open.push(() => libc().close(far));
    driver.watch(near, 1, 1);
    driver.wait(0);
    sendTo(far, "unread");
    driver.unwatch(near, 1, 1);
    libc().close(near);
    driver.wait(0);
    const ECONNRESET = 104;
    expect(receiveFrom(far)).toBe(-ECONNRESET);
  });

  test("begun and ended before the kernel heard of it: nothing is told", () => {
    const driver = driverOf();
    const { near, far } = socketPair();
    open.push(() => libc().close(far));
    driver.watch(near, 1, 1);
    driver.unwatch(near, 1, 1);
    libc().close(near);
    expect(told(driver)).toEqual([]);
    expect(receiveFrom(far)).toEqual(new Uint8Array(0));
  });

  test("the next one in the slot hears nothing of the one before", () => {
    const driver = driverOf();
    const [first, second] = [pair(), pair()];
    driver.watch(first.near, 1, 1);
    driver.wait(0);
    sendTo(first.far, "late");
    driver.unwatch(first.near, 1, 1);
    driver.watch(second.near, 1, 2);
    expect(allTold(driver)).toEqual([[1, 2, Event.Writable]]);
    sendTo(first.far, "later");
    expect(allTold(driver)).toEqual([]);
    sendTo(second.far, "x");
    expect(allTold(driver)).toHaveLength(1);
  });

  test("the next one in the slot hears nothing of what was kept for the one before", () => {
    const driver = driverOf();
    const second = pair();
    const { address } = pinned("ab");
    driver.watch(99_999, 1, 1);
    driver.sendAll(
      2,
      piecesOf([
        [second.near, address, 1],
        [second.near, address, 1],
      ]),
    );
    driver.unwatch(99_999, 1, 1);
    driver.watch(second.near, 1, 2);
    expect(allTold(driver)).toEqual([[1, 2, Event.Writable]]);
  });

  test("of somebody who is not there any more changes nothing", () => {
    const driver = driverOf();
    const { near, far } = pair();
    driver.watch(near, 1, 2);
    driver.unwatch(near, 1, 1);
    driver.wait(0);
    sendTo(far, "x");
    expect(allTold(driver)).toHaveLength(1);
  });
});

describe("sending", () => {
  test("answers for each piece what send(2) would, in order", () => {
    const driver = driverOf(small);
    const { near, far } = pair();
    const gone = socketPair();
    libc().close(gone.far);
    open.push(() => libc().close(gone.near));
    const { address, bytes } = pinned(4 * 1024 * 1024);
    bytes.set(Buffer.from("abcdefghij"));
    const pieces = piecesOf([
      [near, address, 3],
      [gone.near, address, 3],
      [near, address + 3, 1],
      [99_999, address, 3],
      ...Array.from({ length: 6 }, (_, at) => [near, address + 4 + at, 1] as const),
      [near, address, bytes.byteLength],
      [near, address, 1],
    ]);
    driver.sendAll(12, pieces);
    const results = [...pieces.results];
    expect(results.slice(0, 10)).toEqual([3, -32, 1, -9, 1, 1, 1, 1, 1, 1]);
    expect(results[10]).toBeGreaterThan(0);
    expect(results[10]).toBeLessThan(bytes.byteLength);
    expect(results[11]).toBe(-Errno.EAGAIN);
    expect(Buffer.from(receiveAll(far).subarray(0, 10)).toString()).toBe("abcdefghij");
    expect(allTold(driver)).toEqual([]);
  });

  test("of one piece and of none", () => {
    const driver = driverOf();
    const { near, far } = pair();
    const pieces = piecesOf([[near, pinned("one").address, 3]]);
    driver.sendAll(0, pieces);
    expect([...pieces.results]).toEqual([12_345]);
    driver.sendAll(1, pieces);
    expect([...pieces.results]).toEqual([3]);
    expect(receiveAll(far)).toEqual(Buffer.from("one"));
  });

  test("keeps for the next wait what happens meanwhile, each slot once", () => {
    // A kernel that makes completions in every call, as one without IORING_SETUP_DEFER_TASKRUN does.
    const enter: EnterCall = (ring, submit, complete, flags, at, bytes) =>
      enterKernel(ring, submit, complete, flags | Enter.GetEvents, at, bytes);
    const driver = driverOf({ ...small, enter });
    const { near, far } = pair();
    const watched = pairs(20);
    watched.forEach((ends, slot) => driver.watch(ends.near, slot, 1));
    allTold(driver);
    const { address } = pinned("x");
    const pieces = piecesOf(Array.from({ length: 12 }, () => [near, address, 1]));
    for (const round of [1, 2, 3]) {
      for (const ends of watched) sendTo(ends.far, "x");
      driver.sendAll(12, pieces);
      expect([...pieces.results], `round ${round}`).toEqual(Array.from({ length: 12 }, () => 1));
    }
    const first = told(driver, 60_000);
    expect(new Set(first.map(([slot]) => slot)).size).toBe(first.length);
    expect(slotsOf([...first, ...allTold(driver)])).toEqual(watched.map((_, slot) => slot));
    expect(receiveAll(far).byteLength).toBe(36);
  });

  test("what was heard meanwhile is told at once, whatever the time", () => {
    const driver = driverOf();
    const { near } = pair();
    const { address } = pinned("x");
    driver.watch(99_999, 1, 1);
    driver.sendAll(2, piecesOf([0, 1].map(() => [near, address, 1])));
    expect(slotsOf(told(driver, 60_000))).toEqual([1]);
  });

  test("costs one call for a whole turn", () => {
    let calls = 0;
    const enter: EnterCall = (...call) => {
      calls++;
      return enterKernel(...call);
    };
    const driver = driverOf({ enter });
    const { near, far } = pair();
    const { address } = pinned("x");
    driver.sendAll(100, piecesOf(Array.from({ length: 100 }, () => [near, address, 1])));
    expect([calls, receiveAll(far).byteLength]).toEqual([1, 100]);
  });
});

describe("its descriptor", () => {
  test("is in the ledger as long as it is open, and closing ends every watch", () => {
    const held = new HeldDescriptors(descriptorMemory(1_024));
    const driver = openUringDriver({ ledger: held });
    expect([held.count, held.mappings().length]).toEqual([1, 3]);
    const { near, far } = socketPair();
    open.push(() => libc().close(far));
    driver.watch(near, 1, 1);
    driver.wait(0);
    libc().close(near);
    expect(receiveFrom(far)).toBe(-Errno.EAGAIN);
    driver.close();
    expect([held.count, held.mappings()]).toEqual([0, []]);
    expect(receiveFrom(far)).toEqual(new Uint8Array(0));
  });

  test("and its memory go back to the system", () => {
    const mapped = (): number =>
      readFileSync("/proc/self/maps", "utf8")
        .split("\n")
        .filter((line) => line.includes("io_uring")).length;
    const before = [readdirSync("/proc/self/fd").length, mapped()];
    for (let round = 0; round < 20; round++) openUringDriver(small).close();
    expect([readdirSync("/proc/self/fd").length, mapped()]).toEqual(before);
  });

  test("dies with its thread: what it watched is held open no longer than its descriptors", async () => {
    const { near, far } = socketPair();
    open.push(() => libc().close(far));
    const file = new URL("../../support/ring-thread.ts", import.meta.url);
    const left = new LeftDescriptors({
      slots: 1,
      numbers: 1_024,
      system: realSystem,
      log: recordingLog(),
    });
    const held = left.memoryOf(0);
    const thread = new Worker(file, { workerData: { fd: near, held } });
    await once(thread, "message");
    await thread.terminate();
    const marks = new HeldDescriptors(held);
    expect([marks.count, marks.mappings().length]).toEqual([1, 3]);
    marks.hold(near);
    expect(receiveFrom(far)).toBe(-Errno.EAGAIN);
    expect(await left.close(0)).toBe(2);
    // The kernel ends the ring on a thread of its own.
    const until = performance.now() + 5_000;
    while (receiveFrom(far) === -Errno.EAGAIN && performance.now() < until) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(receiveFrom(far)).toEqual(new Uint8Array(0));
  });
});
