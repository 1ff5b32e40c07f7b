// Goal: what an adapter by number holds is open and its own at every moment, and given up in the end: else the main
// thread would close a stranger's descriptor after this one's thread has died, or leave a client waiting.
// Method: a ledger that asks the kernel whenever it is told; connections that come, go, break and cannot be made.

import { once } from "node:events";
import { fstatSync, readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { DirectIo } from "../../src/io/direct/direct-io.ts";
import type { Driver } from "../../src/io/direct/driver.ts";
import { TurnLoop } from "../../src/io/direct/turn-loop.ts";
import { EpollDriver } from "../../src/io/epoll/epoll-driver.ts";
import { closeFd, listen, openListener } from "../../src/io/sockets.ts";
import type { Stream, StreamEvents } from "../../src/io/stream.ts";
import { openUringDriver } from "../../src/io/uring/uring-driver.ts";
import { realSystem } from "../../src/system.ts";
import { until } from "../support/until.ts";

const host = "127.0.0.1";

/** Throws when it is told of what is not open, twice of the same, or of the end of what it does not know. */
class StrictLedger {
  readonly held = new Set<number>();
  readonly mapped = new Map<number, number>();
  readonly told: string[] = [];

  hold(fd: number): void {
    if (this.held.has(fd)) this.told.push(`${fd} is held twice`);
    this.held.add(fd);
    this.#isOpen(fd, "held");
  }

  drop(fd: number): void {
    if (!this.held.delete(fd)) this.told.push(`${fd} was not held`);
    this.#isOpen(fd, "dropped");
  }

  holdMapping(address: number, length: number): void {
    this.mapped.set(address, length);
    this.#isMapped(address, "mapped");
  }

  dropMapping(address: number): void {
    if (!this.mapped.delete(address)) this.told.push(`${address} was not mapped`);
    this.#isMapped(address, "unmapped");
  }

  #isOpen(fd: number, what: string): void {
    try {
      fstatSync(fd);
    } catch {
      this.told.push(`${fd} was not open when it was ${what}`);
    }
  }

  #isMapped(address: number, what: string): void {
    const begins = `${address.toString(16)}-`;
    const maps = readFileSync("/proc/self/maps", "utf8").split("\n");
    const isThere = maps.some((line) => line.replace(/^0+/, "").startsWith(begins));
    if (!isThere) this.told.push(`${begins} was not there when it was ${what}`);
  }
}

const drivers: Readonly<Record<Driver["name"], (ledger: StrictLedger) => Driver>> = {
  epoll: (ledger) => new EpollDriver(ledger),
  uring: (ledger) => openUringDriver({ ledger }),
};

function world(name: Driver["name"]) {
  const ledger = new StrictLedger();
  const loop = new TurnLoop({ driver: drivers[name](ledger), timerInMs: () => 1, waitMsMax: 1 });
  const io = new DirectIo({
    loop,
    ledger,
    after: (delayMs, action) => realSystem.after(delayMs, action),
    receiveBytes: 4_096,
    sendQueueBytesHigh: 65_536,
    unsentBytesMax: undefined,
  });
  return { ledger, loop, io };
}

/** Answers an end with an end, and counts. */
function counting(): StreamEvents & { connected: number; closed: number; stream?: Stream } {
  const events: ReturnType<typeof counting> = {
    connected: 0,
    closed: 0,
    onConnect: () => void events.connected++,
    onData() {},
    onEnd: () => events.stream?.end(),
    onWritable() {},
    onClose: () => void events.closed++,
  };
  return events;
}

describe.for(["epoll", "uring"] as const)("the ledger of %s", (name) => {
  test("knows of each accepted connection from its beginning to its end", async () => {
    const { ledger, loop, io } = world(name);
    const own = ledger.held.size;
    const lent = openListener({ address: host, port: 0 });
    onTestFinished(() => closeFd(lent.fd));
    listen(lent.fd, 64);
    const all: ReturnType<typeof counting>[] = [];
    const listener = await io.listen({ address: host, ...lent }, (stream) => {
      const events = Object.assign(counting(), { stream });
      const index = all.push(Object.assign(events)) - 1;
      stream.events = events;
      // Some end at once, in order or not; the others when their client does.
      if (index % 4 === 0) stream.destroy(true);
      if (index % 4 === 1) stream.destroy(false);
      if (index % 4 === 2) stream.end();
    });
    const clients: Socket[] = Array.from({ length: 40 }, () => connect(lent.port, host));
    for (const client of clients) client.on("error", () => {});
    await until(() => all.length === 40, "all to be accepted");
    for (const [index, client] of clients.entries())
      if (index % 2 === 0) client.end();
      else client.resetAndDestroy();
    await until(
      () => ledger.held.size === own,
      () => `${ledger.held.size} are held`,
    );
    for (const client of clients) client.destroy();
    listener.close();
    loop.close();
    expect([ledger.told, [...ledger.held], [...ledger.mapped]]).toEqual([[], [], []]);
  });

  test("knows of each dialled connection, and of those that could not be made", async () => {
    const { ledger, loop, io } = world(name);
    const own = ledger.held.size;
    const server = createServer((socket) => socket.on("error", () => {}).resume());
    server.listen(0, host);
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const { fd, port: deaf } = openListener({ address: host, port: 0 });
    onTestFinished(() => closeFd(fd));
    const good = Array.from({ length: 20 }, () => {
      const events = counting();
      return Object.assign(events, { stream: io.dial(host, port, events) });
    });
    const bad = Array.from({ length: 20 }, () => {
      const events = counting();
      io.dial(host, deaf, events);
      return events;
    });
    // Given up before anybody knows.
    for (let n = 0; n < 5; n++) io.dial(host, port, counting()).destroy(n % 2 === 0);
    expect(ledger.held.size).toBeGreaterThan(own);
    await until(() => good.every(({ connected }) => connected === 1), "all to connect");
    await until(() => bad.every(({ closed }) => closed === 1), "all to be refused");
    expect(ledger.held.size).toBe(own + 20);
    for (const [index, { stream }] of good.entries()) stream.destroy(index % 2 === 0);
    expect(ledger.held.size).toBe(own);
    server.close();
    loop.close();
    expect([ledger.told, [...ledger.held], [...ledger.mapped]]).toEqual([[], [], []]);
  });
});

test("the ledger knows all that a ring has mapped", () => {
  const ours = (): number =>
    readFileSync("/proc/self/maps", "utf8")
      .split("\n")
      .filter((line) => line.includes("io_uring")).length;
  const before = ours();
  const ledger = new StrictLedger();
  const driver = openUringDriver({ ledger });
  // Both rings in one, the entries, and a page of ours.
  expect([ours() - before, ledger.mapped.size]).toEqual([2, 3]);
  driver.close();
  expect([ours() - before, ledger.mapped.size, ledger.told]).toEqual([0, 0, []]);
});
