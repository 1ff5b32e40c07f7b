// Goal: what a driver tells reaches whoever watches now, in order; what is put off is done in the next turn; the loop
// waits only when nothing of ours could be kept from running.
// Method: a driver in the test's hand; the turns are those of the test's own event loop.

import { once } from "node:events";
import { connect, createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Event } from "../../../src/io/direct/driver.ts";
import { TurnLoop, type Watcher } from "../../../src/io/direct/turn-loop.ts";
import { EpollDriver } from "../../../src/io/epoll/epoll-driver.ts";
import { eventLoopFd } from "../../../src/io/ffi.ts";
import { closeFd, openListener } from "../../../src/io/sockets.ts";
import { ScriptedDriver } from "../../support/scripted-driver.ts";
import { turns } from "../../support/until.ts";

const loops: TurnLoop[] = [];
afterEach(() => {
  for (const loop of loops.splice(0)) loop.close();
});

function scripted(timerInMs = (): number => Number.POSITIVE_INFINITY): {
  readonly driver: ScriptedDriver;
  readonly loop: TurnLoop;
} {
  const driver = new ScriptedDriver();
  const loop = new TurnLoop({ driver, timerInMs, waitMsMax: 500 });
  loops.push(loop);
  return { driver, loop };
}

class Noting implements Watcher {
  readonly seen: string[];
  readonly name: string;
  goesOn = false;
  act: (() => void) | undefined;
  /** Done in its turn. */
  whenOn: (() => void) | undefined;

  constructor(name: string, seen: string[]) {
    this.name = name;
    this.seen = seen;
  }

  onEvents(events: number): void {
    this.seen.push(`${this.name} ${events}`);
    this.act?.();
  }

  onTurn(): void {
    this.seen.push(`${this.name} goes on`);
    this.whenOn?.();
  }
}

/** What is thrown next where nobody catches it, in place of the test runner's own listeners. */
function nextUncaught(): Promise<unknown> {
  return new Promise((resolve) => {
    const others = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.once("uncaughtException", (error) => {
      for (const listener of others) process.on("uncaughtException", listener);
      resolve(error);
    });
  });
}

describe("events", () => {
  test("reach those who watch, in the order of the driver", async () => {
    const { driver, loop } = scripted();
    const seen: string[] = [];
    loop.watch(100, new Noting("a", seen));
    loop.watch(101, new Noting("b", seen));
    driver.tell(101, Event.Readable);
    driver.tell(100, Event.Writable);
    await turns();
    expect(seen).toEqual(["b 1", "a 4"]);
  });

  test("that come late find nobody, though the slot and the descriptor are somebody else's by now", async () => {
    const { driver, loop } = scripted();
    const seen: string[] = [];
    const first = loop.watch(100, new Noting("first", seen));
    loop.unwatch(100, first);
    const second = loop.watch(100, new Noting("second", seen));
    expect(second.slot).toBe(first.slot);
    driver.tellAs({ ...first, events: Event.Readable });
    driver.tellAs({ ...second, events: Event.Writable });
    await turns();
    expect(seen).toEqual(["second 4"]);
  });

  test("of one who was let go within the same turn are dropped", async () => {
    const { driver, loop } = scripted();
    const seen: string[] = [];
    const one = new Noting("one", seen);
    loop.watch(100, one);
    const other = loop.watch(101, new Noting("other", seen));
    one.act = () => loop.unwatch(101, other);
    driver.tell(100, Event.Readable);
    driver.tell(101, Event.Readable);
    await turns();
    expect(seen).toEqual(["one 1"]);
  });

  test("go to the others in the next turns when one who watches throws", async () => {
    const { driver, loop } = scripted();
    const seen: string[] = [];
    const thrower = new Noting("thrower", seen);
    loop.watch(100, thrower);
    loop.watch(101, new Noting("other", seen));
    thrower.act = () => {
      driver.tell(101, Event.Readable);
      throw new Error("thrown on purpose");
    };
    const thrown = nextUncaught();
    driver.tell(100, Event.Readable);
    expect(String(await thrown)).toContain("thrown on purpose");
    await turns();
    expect(seen).toEqual(["thrower 1", "other 1"]);
  });
});

test("who goes on has its turn after the events of the next wait, once", async () => {
  const { driver, loop } = scripted();
  const seen: string[] = [];
  const one = new Noting("one", seen);
  loop.watch(100, one);
  loop.goOn(one);
  driver.tell(100, Event.Readable);
  await turns(5);
  expect(seen).toEqual(["one 1", "one goes on"]);
});

test("who asks to go on at every event, and again in its turn, has one turn between two waits", async () => {
  const { driver, loop } = scripted();
  const seen: string[] = [];
  const one = new Noting("one", seen);
  loop.watch(100, one);
  one.act = one.whenOn = () => loop.goOn(one);
  await turns(2);
  driver.waits.length = 0;
  for (let i = 0; i < 10; i++) {
    driver.tell(100, Event.Readable);
    await turns(1);
  }
  const turnsHad = seen.filter((entry) => entry === "one goes on").length;
  expect([seen.length - turnsHad, turnsHad]).toEqual([10, driver.waits.length]);
});

test("who goes on behind one that throws has its turn in the next one", async () => {
  const { loop } = scripted();
  const seen: string[] = [];
  const thrower = new Noting("thrower", seen);
  const other = new Noting("other", seen);
  loop.watch(100, thrower);
  thrower.whenOn = () => {
    throw new Error("thrown on purpose");
  };
  const thrown = nextUncaught();
  loop.goOn(thrower);
  loop.goOn(other);
  expect(String(await thrown)).toContain("thrown on purpose");
  await turns();
  expect(seen).toEqual(["thrower goes on", "other goes on"]);
  loop.goOn(other);
  await turns();
  expect(seen.at(-1)).toBe("other goes on");
  expect(seen.length).toBe(3);
});

test("the ends of a turn run once, after its events; what they add runs in the same turn", async () => {
  const { driver, loop } = scripted();
  const seen: string[] = [];
  const one = new Noting("one", seen);
  loop.watch(100, one);
  one.act = () =>
    loop.atTurnEnd(() => {
      seen.push("end");
      loop.atTurnEnd(() => seen.push("end of the end"));
    });
  driver.tell(100, Event.Readable);
  driver.tell(100, Event.Writable);
  await turns(5);
  expect(seen).toEqual(["one 1", "one 4", "end", "end", "end of the end", "end of the end"]);
});

describe("waiting", () => {
  test("lasts until the next timer, rounded up, and no longer than it may", async () => {
    let timerInMs = 12.4;
    const { driver, loop } = scripted(() => timerInMs);
    loop.watch(100, new Noting("one", []));
    await turns(4);
    expect(new Set(driver.waits)).toEqual(new Set([13]));
    timerInMs = 0;
    driver.waits.length = 0;
    await turns(4);
    expect(new Set(driver.waits)).toEqual(new Set([1]));
    timerInMs = Number.POSITIVE_INFINITY;
    driver.waits.length = 0;
    await turns(4);
    expect(new Set(driver.waits)).toEqual(new Set([500]));
  });

  test("is left out while somebody goes on, or an end has just run: promises may be due", async () => {
    const { driver, loop } = scripted();
    const one = new Noting("one", []);
    loop.watch(100, one);
    loop.goOn(one);
    await turns(2);
    expect(driver.waits[0]).toBe(0);
    await turns(4);
    driver.waits.length = 0;
    loop.atTurnEnd(() => {});
    await turns(1);
    expect(driver.waits[0]).toBe(0);
  });

  test("is left out when libuv waits, and libuv has its turn before the next one", async () => {
    const { driver, loop } = scripted();
    const one = new Noting("one", []);
    loop.watch(100, one);
    await turns(3);
    for (let i = 0; i < 20; i++) driver.tell(100, Event.Readable);
    driver.tell(eventLoopFd(), Event.Readable);
    driver.waits.length = 0;
    await turns(1);
    expect(driver.waits).toEqual([500]);
    await turns(2);
    // One turn of libuv's for what was there, one for what that began.
    expect(driver.waits).toEqual([500, 0, 500]);
  });

  test("waits for nothing while libuv has more to do than it does in a turn", async () => {
    const driver = new EpollDriver({ hold() {}, drop() {} });
    const loop = new TurnLoop({ driver, timerInMs: () => 60_000, waitMsMax: 60_000 });
    loops.push(loop);
    const { fd } = openListener({ address: "127.0.0.1", port: 0 });
    loop.watch(fd, new Noting("listener", []));
    // A server and a client of Node in the loop's own thread: new watchers, and more than one turn's bytes.
    const bytes = 5_000_000;
    const server = createServer((socket) => socket.end(Buffer.alloc(bytes)));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = server.address();
    const client = connect(typeof address === "object" ? address!.port : 0, "127.0.0.1");
    let received = 0;
    client.on("data", (data) => (received += data.length));
    await once(client, "close");
    server.close();
    closeFd(fd);
    expect(received).toBe(bytes);
  });

  test("many events in a turn are followed by another turn at once, few by a short wait", async () => {
    const { driver, loop } = scripted();
    const one = new Noting("one", []);
    loop.watch(100, one);
    await turns(3);
    for (let i = 0; i < 20; i++) driver.tell(100, Event.Readable);
    driver.waits.length = 0;
    await turns(1);
    expect(driver.waits).toEqual([500, 0]);
    driver.tell(100, Event.Readable);
    driver.waits.length = 0;
    await turns(1);
    expect(driver.waits).toEqual([500, 25]);
  });

  test("is never a short one when a timer is due before its end: timers run in libuv's turn", async () => {
    let timerInMs = 24;
    const { driver, loop } = scripted(() => timerInMs);
    loop.watch(100, new Noting("one", []));
    await turns(3);
    for (const [ms, waits] of [
      [24, [24]],
      [0, [1]],
      [25, [25, 25]],
    ] as const) {
      timerInMs = ms;
      driver.tell(100, Event.Readable);
      driver.waits.length = 0;
      await turns(1);
      expect(driver.waits).toEqual(waits);
    }
  });

  test("is left out for whoever waits for libuv's turn, in the middle of a turn as well", async () => {
    const { driver, loop } = scripted();
    const one = new Noting("one", []);
    loop.watch(100, one);
    await turns(3);
    let isThere = false;
    one.act = () => void loop.letLibuv().then(() => (isThere = true));
    driver.tell(100, Event.Readable);
    driver.waits.length = 0;
    await turns(2);
    expect(isThere).toBe(true);
    expect(driver.waits).toEqual([500, 0]);
  });

  test("events that never end leave libuv its turns", async () => {
    const { driver, loop } = scripted();
    const one = new Noting("one", []);
    loop.watch(100, one);
    one.act = () => driver.tell(100, Event.Readable);
    driver.tell(100, Event.Readable);
    await turns(1);
    expect(driver.waits).toHaveLength(16);
    loop.unwatch(100, driver.watched.get(100)!);
  });

  test("with nobody left to watch, the thread is free to end", async () => {
    const { driver, loop } = scripted();
    const seat = loop.watch(100, new Noting("one", []));
    loop.unwatch(100, seat);
    await turns(3);
    driver.waits.length = 0;
    await turns(5);
    expect(driver.waits).toEqual([]);
  });
});

test("closed, it has no more turns and its driver is closed", async () => {
  const { driver, loop } = scripted();
  loop.watch(100, new Noting("one", []));
  loop.close();
  driver.waits.length = 0;
  await turns(3);
  expect(driver.waits).toEqual([]);
  expect(driver.isClosed).toBe(true);
});

test("closed, it touches its driver no more, whoever comes or goes late", () => {
  const { driver, loop } = scripted();
  const seat = loop.watch(100, new Noting("one", []));
  loop.close();
  loop.close();
  loop.unwatch(100, seat);
  expect(driver.watched.has(100)).toBe(true);
  expect(() => loop.watch(101, new Noting("two", []))).toThrow("too late");
});
