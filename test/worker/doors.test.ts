// Goal: a full listener makes room by closing whoever has waited longest, resets the new one when nobody
// waits, and keeps exact books whatever happens; a walk over all sessions is rare.

import { describe, expect, test } from "vitest";
import { listenerRow, Row } from "../../src/channel/connection-counts.ts";
import { roomLookMs } from "../../src/limits.ts";
import { Door, Room } from "../../src/worker/doors.ts";
import type { WorkerLimits } from "../../src/worker/make-context.ts";
import { type Session, Sessions } from "../../src/worker/sessions.ts";
import { recordingContext } from "../support/recording-context.ts";

const busy = Number.POSITIVE_INFINITY;

class FakeSession implements Session {
  waitingSinceMs: number;
  readonly name: string;
  readonly #sessions: Sessions;
  readonly #closed: string[];

  constructor(name: string, waitingSinceMs: number, sessions: Sessions, closed: string[]) {
    this.name = name;
    this.waitingSinceMs = waitingSinceMs;
    this.#sessions = sessions;
    this.#closed = closed;
    sessions.add(this);
  }

  drain(): void {}

  destroy(): void {
    this.#sessions.remove(this);
  }

  giveWay(): void {
    this.#closed.push(this.name);
    this.destroy();
  }
}

function made(limits: Partial<WorkerLimits> = {}) {
  const recording = recordingContext(limits);
  const { context } = recording;
  const sessions = new Sessions(context.counters);
  const room = new Room(context, sessions);
  const doors = [new Door(context, room, listenerRow(0)), new Door(context, room, listenerRow(1))];
  const closed: string[] = [];
  const come = (
    name: string,
    waitingSinceMs: number,
    door = doors[0]!,
  ): FakeSession | undefined => {
    if (!door.enter()) return undefined;
    return sessions.enter(door, () => new FakeSession(name, waitingSinceMs, sessions, closed));
  };
  const total = (row: number): number => context.connections.total(row);
  return { ...recording, sessions, doors, come, closed, total };
}

describe("a full listener", () => {
  test("closes the connection that has waited longest", () => {
    const { come, closed, total, limited, counter } = made({ connectionsPerListenerMax: 3 });
    come("younger", 20);
    come("oldest", 10);
    come("busy", busy);
    expect(come("new", 30)?.name).toBe("new");
    expect(closed).toEqual(["oldest"]);
    come("newer", 40);
    expect(closed).toEqual(["oldest", "younger"]);
    expect(total(listenerRow(0))).toBe(3);
    expect([limited("connections-per-listener"), counter("roomMade")]).toEqual([2, 2]);
  });

  test("turns the new one away when nobody waits, and counts nothing of it", () => {
    const { come, closed, total, limited, counter, sessions } = made({
      connectionsPerListenerMax: 2,
    });
    come("a", busy);
    come("b", busy);
    expect(come("c", 5)).toBeUndefined();
    expect(closed).toEqual([]);
    expect([total(Row.Node), total(listenerRow(0)), sessions.count]).toEqual([2, 2, 2]);
    expect([limited("connections-per-listener"), counter("roomMade")]).toEqual([1, 0]);
    expect(counter("connectionsAccepted")).toBe(2);
  });

  test("takes nothing from another listener", () => {
    const { come, doors, closed } = made({ connectionsPerListenerMax: 1 });
    come("theirs", 1, doors[1]);
    come("ours", busy);
    expect(come("new", 5)).toBeUndefined();
    expect(closed).toEqual([]);
  });

  test("lets whoever has begun to work since the last walk go on", () => {
    const { come, closed } = made({ connectionsPerListenerMax: 16 });
    const all = Array.from({ length: 16 }, (_, i) => come(String(i), i)!);
    come("16", 16);
    expect(closed).toEqual(["0"]);
    // Found by that walk, and busy now.
    all[1]!.waitingSinceMs = busy;
    come("17", 17);
    expect(closed).toEqual(["0", "2"]);
  });
});

describe("a full node", () => {
  test("closes the connection that has waited longest, of whatever listener", () => {
    const { come, doors, closed, total, limited } = made({ connectionsPerNodeMax: 2 });
    come("theirs", 1, doors[1]);
    come("ours", 2);
    come("new", 3);
    expect(closed).toEqual(["theirs"]);
    expect([total(Row.Node), total(listenerRow(0)), total(listenerRow(1))]).toEqual([2, 2, 0]);
    expect(limited("connections-per-node")).toBe(1);
  });

  test("does not count for it what the listener turned away", () => {
    const { come, total } = made({ connectionsPerNodeMax: 5, connectionsPerListenerMax: 1 });
    come("a", busy);
    for (let i = 0; i < 10; i++) expect(come("b", busy)).toBeUndefined();
    expect(total(Row.Node)).toBe(1);
  });
});

test("a walk that found nobody is not repeated at once: a flood must not have us walk all day", () => {
  const { come, sessions, system } = made({ connectionsPerListenerMax: 2 });
  let walks = 0;
  const entries = sessions.entries.bind(sessions);
  sessions.entries = () => {
    walks++;
    return entries();
  };
  const first = come("a", busy);
  come("b", busy);
  for (let i = 0; i < 100; i++) come("flood", busy);
  expect(walks).toBe(1);
  first!.waitingSinceMs = 3;
  system.advance(roomLookMs);
  expect(come("good", busy)?.name).toBe("good");
  expect(walks).toBe(2);
});

test("one walk serves many: a flood of 800 over 400 that wait takes few walks", () => {
  const { come, sessions, closed } = made({ connectionsPerListenerMax: 400 });
  let walks = 0;
  const entries = sessions.entries.bind(sessions);
  sessions.entries = () => {
    walks++;
    return entries();
  };
  for (let i = 0; i < 1_200; i++) expect(come(String(i), i)).toBeDefined();
  expect(closed).toHaveLength(800);
  expect(walks).toBe(16);
});

test("who was found is forgotten a second later", () => {
  const { come, sessions, pass } = made({ connectionsPerListenerMax: 16 });
  for (let i = 0; i < 17; i++) come(String(i), i);
  let walks = 0;
  const entries = sessions.entries.bind(sessions);
  sessions.entries = () => {
    walks++;
    return entries();
  };
  pass(2_000);
  come("later", 18);
  expect(walks).toBe(1);
});
