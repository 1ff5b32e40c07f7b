// Goal: what streams send in a turn leaves at its end, in order and as one piece each; what is not taken is told, with
// the place of the rest; nothing that comes later overtakes it.
// Method: a driver in the test's hand.

import { describe, expect, test } from "vitest";
import { Outbox, type Sender } from "../../../src/io/direct/outbox.ts";
import { ScriptedDriver } from "../../support/scripted-driver.ts";

class Taking implements Sender {
  piece = -1;
  fd: number;
  readonly seen: string[] = [];

  constructor(fd: number) {
    this.fd = fd;
  }

  onUnsent(sent: number, bytes: Uint8Array, at: number, length: number): void {
    const rest = bytes.subarray(at + Math.max(0, sent), at + length);
    this.seen.push(`${sent} of ${length}, rest ${Buffer.from(rest).toString()}`);
  }

  onFlushed(): void {
    this.seen.push("flushed");
  }
}

function world(): { driver: ScriptedDriver; outbox: Outbox; endTurn: () => void } {
  const driver = new ScriptedDriver();
  const ends: (() => void)[] = [];
  const outbox = new Outbox(driver, (action) => ends.push(action));
  return {
    driver,
    outbox,
    endTurn: () => {
      for (const end of ends.splice(0)) end();
    },
  };
}

function add(outbox: Outbox, sender: Sender, text: string): boolean {
  const bytes = Buffer.from(`..${text}..`);
  return outbox.add(sender, bytes, 2, bytes.length - 2);
}

describe("an outbox", () => {
  test("sends at the end of the turn, pieces of one stream as one", () => {
    const { driver, outbox, endTurn } = world();
    const [a, b] = [new Taking(10), new Taking(11)];
    add(outbox, a, "head");
    add(outbox, a, "body");
    add(outbox, b, "other");
    expect(driver.sent).toEqual([]);
    endTurn();
    expect(driver.sent).toEqual([
      [
        [10, 8],
        [11, 5],
      ],
    ]);
    expect([a.piece, b.piece]).toEqual([-1, -1]);
    expect([...a.seen, ...b.seen]).toEqual([]);
  });

  test("takes no second piece of a stream behind another's: its first might not be taken whole", () => {
    const { driver, outbox } = world();
    const [a, b] = [new Taking(10), new Taking(11)];
    driver.answers.set(10, 3);
    add(outbox, a, "first");
    add(outbox, b, "other");
    expect(add(outbox, a, "second")).toBe(false);
    expect(driver.sent).toHaveLength(1);
    expect(a.seen).toEqual(["3 of 5, rest st"]);
  });

  test("tells what was not taken, whole or in part", () => {
    const { driver, outbox } = world();
    const [none, some] = [new Taking(10), new Taking(11)];
    driver.answers.set(10, -11).set(11, 2);
    add(outbox, none, "nothing");
    add(outbox, some, "part");
    outbox.flush();
    expect(none.seen).toEqual(["-11 of 7, rest nothing"]);
    expect(some.seen).toEqual(["2 of 4, rest rt"]);
  });

  test("refuses what is too large for a copy, when everything before has left", () => {
    const { driver, outbox } = world();
    const a = new Taking(10);
    add(outbox, a, "small");
    expect(outbox.add(a, new Uint8Array(16 * 1024 + 1), 0, 16 * 1024 + 1)).toBe(false);
    expect(driver.sent).toEqual([[[10, 5]]]);
    expect(outbox.add(a, new Uint8Array(16 * 1024), 0, 16 * 1024)).toBe(true);
  });

  test("sends early when it is full, in bytes or in pieces", () => {
    const { driver, outbox } = world();
    const piece = new Uint8Array(16 * 1024);
    const senders = Array.from({ length: 65 }, (_, i) => new Taking(i));
    const taken = senders.map((sender) => outbox.add(sender, piece, 0, piece.length));
    expect(taken.indexOf(false)).toBe(64);
    expect(driver.sent[0]).toHaveLength(64);

    const many = Array.from({ length: 1025 }, (_, i) => new Taking(i));
    const takenMany = many.map((sender) => add(outbox, sender, "x"));
    expect(takenMany.indexOf(false)).toBe(1024);
    expect(driver.sent[1]).toHaveLength(1024);
  });

  test("says when a piece has left to whoever asked, once", () => {
    const { outbox } = world();
    const a = new Taking(10);
    add(outbox, a, "last");
    outbox.afterFlush(a);
    expect(a.seen).toEqual([]);
    outbox.flush();
    outbox.flush();
    add(outbox, a, "more");
    outbox.flush();
    expect(a.seen).toEqual(["flushed"]);
  });
});
