// Goal: the driver loses nothing on rings that are too small for what happens, nor when the kernel refuses.
// Method: rings of 4 and 8 entries on socket pairs. Between the driver and the kernel stands a call that can refuse.

import { describe, expect, test } from "vitest";
import { Event } from "../../../src/io/direct/driver.ts";
import { Errno } from "../../../src/io/uring/layout.ts";
import type { EnterCall } from "../../../src/io/uring/ring.ts";
import {
  allTold,
  driverOf,
  enterKernel,
  pair,
  pairs,
  piecesOf,
  slotsOf,
  small,
  told,
} from "../../support/driver-on-ring.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { pinned, receiveAll, sendTo } from "../../support/socket-pair.ts";

describe("a ring that is too small", () => {
  test("loses nothing: watches that the kernel ended are begun again", () => {
    const driver = driverOf(small);
    const many = pairs(100);
    many.forEach(({ near }, slot) => driver.watch(near, slot, 1));
    expect(slotsOf(allTold(driver))).toHaveLength(100);
    for (let round = 0; round < 5; round++) {
      for (const { far } of many) sendTo(far, "x");
      expect(slotsOf(allTold(driver))).toEqual(many.map((_, slot) => slot));
    }
  });

  test("tells of whatever happens, in any order", () => {
    const seed = Number(process.env["SEED"] ?? Math.floor(performance.timeOrigin) % 1_000_000);
    const random = new SeededRandom(seed);
    const upTo = (bound: number): number => random.below(bound);
    const driver = driverOf(small);
    const places = pairs(24).map((ends) => ({ ...ends, generation: -1, unheard: false }));
    let generation = 0;
    const { address } = pinned("y");
    const hear = (): void => {
      for (const [slot, toldGeneration, events] of told(driver)) {
        const place = places[slot]!;
        expect(toldGeneration, `seed ${seed}`).toBe(place.generation);
        if ((events & Event.Readable) !== 0) place.unheard = false;
      }
    };
    const acts: (() => void)[] = [
      () => {
        const place = places[upTo(24)]!;
        sendTo(place.far, "x");
        if (place.generation >= 0) place.unheard = true;
      },
      () => {
        const slot = upTo(24);
        const place = places[slot]!;
        if (place.generation >= 0) driver.unwatch(place.near, slot, place.generation);
        place.unheard = false;
        place.generation = -1;
        if (upTo(4) === 0) return;
        place.generation = generation++;
        place.unheard = receiveAll(place.near).byteLength > 0 && sendTo(place.far, "z") > 0;
        driver.watch(place.near, slot, place.generation);
      },
      () => {
        const count = 1 + upTo(9);
        const pieces = piecesOf(
          Array.from({ length: count }, () => [places[upTo(24)]!.near, address, 1]),
        );
        driver.sendAll(count, pieces);
        expect([...pieces.results]).toEqual(Array.from({ length: count }, () => 1));
      },
      hear,
    ];
    for (let step = 0; step < 4_000; step++) {
      acts[upTo(acts.length)]!();
      if (step % 40 !== 0) continue;
      for (let turns = 0; turns < 30; turns++) hear();
      expect(
        places.filter(({ unheard }) => unheard),
        `seed ${seed}, step ${step}`,
      ).toEqual([]);
      for (const { far, near } of places) [far, near].forEach(receiveAll);
    }
  });
});

describe("a kernel that refuses", () => {
  const refusing =
    (answers: number[]): EnterCall =>
    (...call) => {
      const answer = answers.shift();
      return answer === undefined || answer === 0 ? enterKernel(...call) : answer;
    };

  test.for([Errno.EBUSY, Errno.EAGAIN, Errno.ENOMEM])(
    "a few times with %i is asked again",
    (errno) => {
      const answers: number[] = [];
      const driver = driverOf({ ...small, enter: refusing(answers) });
      const { near, far } = pair();
      const { address } = pinned("x");
      answers.push(-errno, -errno, -errno);
      driver.sendAll(10, piecesOf(Array.from({ length: 10 }, () => [near, address, 1])));
      expect([answers, receiveAll(far).byteLength]).toEqual([[], 10]);
    },
  );

  test("for good gets no pieces: they are sent one by one, in order", () => {
    let refuses = false;
    const driver = driverOf({
      enter: (...call) => (refuses ? -Errno.ENOMEM : enterKernel(...call)),
    });
    const [first, second] = [pair(), pair()];
    refuses = true;
    driver.watch(first.near, 1, 1);
    const { address } = pinned("abcde");
    const pieces = piecesOf([0, 1, 2, 3, 4].map((at) => [second.near, address + at, 1]));
    driver.sendAll(5, pieces);
    expect([...pieces.results]).toEqual([1, 1, 1, 1, 1]);
    expect(receiveAll(second.far)).toEqual(Buffer.from("abcde"));
    expect(told(driver, 60_000)).toEqual([]);
    refuses = false;
    // The watch has waited; the pieces have not.
    expect(allTold(driver)).toEqual([[1, 1, Event.Writable]]);
    expect(receiveAll(second.far).byteLength).toBe(0);
  });

  test("for good, with no room left, is told of", () => {
    const driver = driverOf({ ...small, enter: () => -Errno.EBUSY });
    const many = pairs(5);
    expect(() => many.forEach(({ near }, slot) => driver.watch(near, slot, 1))).toThrow(
      /io_uring_enter with a full submission queue: EBUSY/,
    );
  });

  test("and has lost completions: every watch is begun again", () => {
    const answers: number[] = [];
    const driver = driverOf({ ...small, enter: refusing(answers) });
    const many = pairs(12);
    many.forEach(({ near }, slot) => driver.watch(near, slot, 1));
    allTold(driver);
    driver.unwatch(many[0]!.near, 0, 1);
    answers.push(-Errno.EBADR);
    driver.wait(60_000);
    const watched = many.map((_, slot) => slot).slice(1);
    expect(slotsOf(allTold(driver))).toEqual(watched);
    for (const { far } of many) sendTo(far, "x");
    expect(slotsOf(allTold(driver))).toEqual(watched);
    driver.unwatch(many[1]!.near, 1, 1);
    allTold(driver);
    sendTo(many[1]!.far, "y");
    expect(allTold(driver)).toEqual([]);
  });
});
