// Goal: a batch neither loses, doubles nor reorders a byte, whatever its targets do while they are sent;
// and it asks for the end of a turn once.
// Method: targets that note what they get, and act meanwhile as a case says; turns ended by hand; then
// random histories beside a plain list.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PinnedAddress } from "../../src/io/ffi.ts";
import { type BatchTarget, SendBatch } from "../../src/io/net/send-batch.ts";

/** As in send-batch.ts. */
const arenaBytes = 1024 * 1024;
const pieceBytesMax = 16 * 1024;
const piecesMax = 4096;

/** A batch, who was sent what in order ("a:hello"), and the turns it asked for. */
class World {
  readonly sent: string[] = [];
  readonly turns: (() => void)[] = [];
  readonly batch = new SendBatch((action) => void this.turns.push(action));

  endTurn(): void {
    for (const action of this.turns.splice(0)) action();
  }

  /** Notes what it gets, after it has done what is asked once: the bytes must last that long. */
  target(name: string, ...actions: (() => void)[]): BatchTarget {
    return {
      sendGathered: (bytes, at, length) => {
        actions.shift()?.();
        this.sent.push(`${name}:${textOf(bytes.subarray(at, at + length))}`);
      },
    };
  }

  add(target: BatchTarget, text: string): boolean {
    const bytes = Buffer.from(`<${text}>`, "latin1");
    return this.batch.add(target, bytes, 1, 1 + text.length);
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

test("what one turn added leaves at its end, in order, and pieces in a row for one target as one", () => {
  const world = new World();
  const [a, b] = [world.target("a"), world.target("b")];
  for (const text of ["one ", "two"]) world.add(a, text);
  world.add(b, "three");
  world.add(a, "four");
  expect(world.sent).toEqual([]);
  world.endTurn();
  expect(world.sent).toEqual(["a:one two", "b:three", "a:four"]);
  world.add(a, "five");
  world.endTurn();
  expect(world.sent.slice(3)).toEqual(["a:five"]);
});

test("the caller's bytes were copied", () => {
  const world = new World();
  const bytes = Buffer.from("x".repeat(100));
  world.batch.add(world.target("a"), bytes, 0, 100);
  bytes.fill("y");
  world.batch.flush();
  expect(world.sent).toEqual([`a:${"x".repeat(100)}`]);
});

test("the address is that of the bytes", () => {
  const addresses: PinnedAddress[] = [];
  const target = (): BatchTarget => ({
    sendGathered: (_bytes, at, _length, address) => void addresses.push(address - at),
  });
  const world = new World();
  for (let i = 0; i < 3; i++) world.add(target(), "abc");
  world.batch.flush();
  expect(addresses).toHaveLength(3);
  expect(new Set(addresses).size).toBe(1);
});

test("asks for the end of a turn once, however often it is flushed before", () => {
  const world = new World();
  const a = world.target("a");
  for (const text of ["1", "2", "3"]) {
    world.add(a, text);
    world.batch.flush();
  }
  expect(world.turns).toHaveLength(1);
  world.endTurn();
  expect(world.turns).toHaveLength(0);
  world.add(a, "4");
  expect(world.turns).toHaveLength(1);
  world.endTurn();
  expect(world.sent).toEqual(["a:1", "a:2", "a:3", "a:4"]);
});

test("asks for nothing when there is nothing to send", () => {
  const world = new World();
  world.batch.flush();
  expect(world.batch.add(world.target("a"), new Uint8Array(0), 0, 0)).toBe(true);
  world.batch.flush();
  expect(world.sent.join("")).toBe("a:");
});

describe("what does not fit", () => {
  test.for([
    [pieceBytesMax, true],
    [pieceBytesMax + 1, false],
  ] as const)("a piece of %i bytes is taken: %s", ([length, isTaken]) => {
    const world = new World();
    const target = world.target("a");
    expect(world.batch.add(target, new Uint8Array(length + 2), 2, length + 2)).toBe(isTaken);
    world.endTurn();
    expect(world.sent.join("")).toHaveLength(isTaken ? length + 2 : 0);
  });

  test("a full arena is sent early, whole and in order", () => {
    const world = new World();
    const targets = [world.target("a"), world.target("b")];
    const fill = arenaBytes / pieceBytesMax;
    for (let i = 0; i < fill; i++) {
      world.add(targets[i % 2]!, String.fromCharCode(33 + i).repeat(pieceBytesMax));
    }
    expect(world.sent).toEqual([]);
    world.add(targets[0]!, "!");
    expect(world.sent).toHaveLength(fill);
    world.endTurn();
    expect(world.sent.map((each) => each.slice(0, 3))).toEqual([
      ...Array.from({ length: fill }, (_, i) => `${"ab"[i % 2]}:${String.fromCharCode(33 + i)}`),
      "a:!",
    ]);
    expect(world.sent.every((each, i) => each.length === (i < fill ? pieceBytesMax + 2 : 3))).toBe(
      true,
    );
  });

  test("so is one that holds as many pieces as it may", () => {
    const world = new World();
    const targets = [world.target("a"), world.target("b")];
    for (let i = 0; i < piecesMax; i++) world.add(targets[i % 2]!, `${i}`);
    expect(world.sent).toEqual([]);
    world.add(targets[0]!, "last");
    expect(world.sent).toHaveLength(piecesMax);
    world.endTurn();
    expect(world.sent).toHaveLength(piecesMax + 1);
    expect(world.sent.slice(-2)).toEqual([`b:${piecesMax - 1}`, "a:last"]);
    expect(world.turns).toHaveLength(0);
  });
});

describe("a target that acts while it is sent", () => {
  test("and adds: to itself and to others, behind all that wait", () => {
    const world = new World();
    const b = world.target("b");
    const a: BatchTarget = world.target("a", () => {
      world.add(b, "b2");
      world.add(a, "a2");
      world.add(a, "a3");
    });
    world.add(a, "a1");
    world.add(b, "b1");
    world.batch.flush();
    // b's pieces stand in a row.
    expect(world.sent).toEqual(["a:a1", "b:b1b2", "a:a2a3"]);
    world.endTurn();
    expect(world.sent).toHaveLength(3);
  });

  test("and adds to itself as the last one: nothing joins what is on its way already", () => {
    const world = new World();
    const a: BatchTarget = world.target("a", () => world.add(a, "two"));
    world.add(a, "one");
    world.endTurn();
    expect(world.sent).toEqual(["a:one", "a:two"]);
    expect(world.turns).toHaveLength(0);
  });

  test("and flushes: the rest is sent, nothing twice", () => {
    const world = new World();
    const a = world.target("a", () => world.batch.flush());
    world.add(a, "a1");
    world.add(world.target("b"), "b1");
    world.add(a, "a2");
    world.batch.flush();
    // A target takes its bytes after its action here: what the inner flush sent comes first.
    expect(world.sent).toEqual(["b:b1", "a:a2", "a:a1"]);
    world.endTurn();
    expect(world.sent).toHaveLength(3);
  });

  test("and flushes, then adds: its own bytes are not written over", () => {
    const world = new World();
    const b = world.target("b");
    const a = world.target("a", () => {
      world.batch.flush();
      world.add(b, "overwrite");
    });
    world.add(a, "precious!");
    world.batch.flush();
    expect(world.sent).toEqual(["a:precious!", "b:overwrite"]);
  });

  test("and adds more than the arena holds: it is told to send itself, and the bytes stay whole", () => {
    const world = new World();
    const fresh = (i: number): BatchTarget => world.target(`b${i}`);
    const taken: boolean[] = [];
    const a = world.target("a", () => {
      for (let i = 0; i <= arenaBytes / pieceBytesMax; i++) {
        taken.push(world.add(fresh(i), "x".repeat(pieceBytesMax)));
      }
    });
    world.add(a, "precious");
    world.batch.flush();
    // One piece beside "precious" fits no more, and no more comes free before the flush ends.
    const fitting = arenaBytes / pieceBytesMax - 1;
    expect(taken).toEqual([...Array<boolean>(fitting).fill(true), false, false]);
    expect(world.sent).toHaveLength(fitting + 1);
    expect(world.sent).toContain("a:precious");
    expect(world.add(fresh(0), "again")).toBe(true);
    world.endTurn();
    expect(world.sent.at(-1)).toBe("b0:again");
  });

  test("and adds each time it is sent: the flush ends all the same", () => {
    const world = new World();
    let refused = 0;
    const stubborn: BatchTarget = {
      sendGathered: () => void (world.add(stubborn, "more") || refused++),
    };
    world.add(stubborn, "first");
    world.batch.flush();
    expect(refused).toBe(1);
  });

  test("and throws: those behind it are sent at the end of the turn", () => {
    const world = new World();
    const broken: BatchTarget = {
      sendGathered: () => {
        throw new Error("broken");
      },
    };
    world.add(broken, "lost");
    world.add(world.target("b"), "kept");
    expect(() => world.endTurn()).toThrow("broken");
    expect(world.sent).toEqual([]);
    world.endTurn();
    expect(world.sent).toEqual(["b:kept"]);
  });
});

/** What a history does: at its top, or inside of a send. */
type Step =
  | { readonly kind: "add"; readonly to: number; readonly length: number }
  | { readonly kind: "flush" }
  | { readonly kind: "turn" };

const add = fc.record({
  kind: fc.constant("add" as const),
  to: fc.nat(2),
  length: fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 1, max: 200 }) },
    { weight: 2, arbitrary: fc.integer({ min: 10_000, max: pieceBytesMax }) },
  ),
});
const flush = fc.record({ kind: fc.constant("flush" as const) });
const turn = fc.record({ kind: fc.constant("turn" as const) });
const top: fc.Arbitrary<Step> = fc.oneof({ weight: 20, arbitrary: add }, flush, turn);
const inner: fc.Arbitrary<Step> = fc.oneof({ weight: 4, arbitrary: add }, flush);

test("random histories: every target gets its bytes once and in order, and one turn is asked for", () => {
  fc.assert(
    fc.property(
      fc.array(top, { maxLength: 150 }),
      fc.array(fc.array(inner, { maxLength: 4 }), { maxLength: 40 }),
      (steps, meanwhile) => {
        const turns: (() => void)[] = [];
        const batch = new SendBatch((action) => void turns.push(action));
        const wanted = [0, 1, 2].map((): number[] => []);
        const got = [0, 1, 2].map((): number[] => []);
        let mark = 0;
        const targets = [0, 1, 2].map(
          (id): BatchTarget => ({
            // As NetStream does: first the kernel takes the bytes, then somebody is told.
            sendGathered: (bytes, at, length) => {
              got[id]!.push(...bytes.subarray(at, at + length));
              meanwhile.pop()?.forEach(take);
            },
          }),
        );
        const endTurn = (): void => {
          for (const action of turns.splice(0)) action();
        };
        function take(step: Step): void {
          if (step.kind === "turn") return endTurn();
          if (step.kind === "flush") return batch.flush();
          const bytes = new Uint8Array(step.length).fill(mark++ % 251);
          wanted[step.to]!.push(...bytes);
          if (batch.add(targets[step.to]!, bytes, 0, step.length)) return;
          batch.flush();
          got[step.to]!.push(...bytes);
        }
        for (const step of steps) {
          take(step);
          expect(turns.length).toBeLessThanOrEqual(1);
        }
        endTurn();
        for (const id of [0, 1, 2])
          expect(Buffer.from(got[id]!).equals(Buffer.from(wanted[id]!))).toBe(true);
      },
    ),
    { numRuns: 100 },
  );
});
