// Goal: whoever has more for a worker than it can take gets the same part of every turn for good, or all others would wait
// longer with each turn.
// Method: a real socket at the other end, filled again within every read; turns are told apart by the driver's waits.

import { describe, expect, onTestFinished, test } from "vitest";
import { DirectIo } from "../../../src/io/direct/direct-io.ts";
import type { Driver } from "../../../src/io/direct/driver.ts";
import { TurnLoop } from "../../../src/io/direct/turn-loop.ts";
import { EpollDriver } from "../../../src/io/epoll/epoll-driver.ts";
import { libc, pin } from "../../../src/io/ffi.ts";
import {
  beginConnect,
  closeFd,
  listen,
  openDialling,
  openListener,
  sendPinned,
} from "../../../src/io/sockets.ts";
import type { Stream } from "../../../src/io/stream.ts";
import { openUringDriver } from "../../../src/io/uring/uring-driver.ts";
import { realSystem } from "../../../src/system.ts";
import { adapters } from "../../support/adapters.ts";
import { until } from "../../support/until.ts";

const ledger = { hold() {}, drop() {}, holdMapping() {}, dropMapping() {} };
const receiveBytes = 4096;
const SHUT_RDWR = 2;

/** `perTurn`: what was counted in each turn; the last one is under way. */
function world(driver: Driver) {
  const perTurn: number[] = [0];
  const wait = driver.wait.bind(driver);
  driver.wait = (ms) => {
    perTurn.push(0);
    return wait(ms);
  };
  const loop = new TurnLoop({ driver, timerInMs: () => 1, waitMsMax: 1 });
  const io = new DirectIo({
    loop,
    ledger,
    after: (delayMs, action) => realSystem.after(delayMs, action),
    receiveBytes,
    sendQueueBytesHigh: 16 * 1024,
    unsentBytesMax: undefined,
  });
  const count = (): void => void (perTurn[perTurn.length - 1]! += 1);
  const { fd, port } = openListener({ address: "127.0.0.1", port: 0 });
  listen(fd, 4096);
  onTestFinished(() => {
    loop.close();
    closeFd(fd);
  });
  return { io, perTurn, count, place: { address: "127.0.0.1", fd, port } };
}

/** A client by number; over loopback it stands at once. */
function rawClient(port: number): number {
  const fd = openDialling("127.0.0.1");
  expect(beginConnect(fd, "127.0.0.1", port)).toBe(0);
  return fd;
}

const listening = { onConnect() {}, onEnd() {}, onWritable() {}, onClose() {} };
const most = (counts: readonly number[]): number => Math.max(...counts);

describe.for(adapters.filter(({ name }) => name !== "net"))("on $name", ({ name }) => {
  const opened = () =>
    world(name === "uring" ? openUringDriver({ ledger }) : new EpollDriver(ledger));

  test("a client that always has more is read as often in the last turn as in the first", async () => {
    const { io, perTurn, count, place } = opened();
    const bytes = pin(Buffer.allocUnsafeSlow(64 * 1024));
    let stream: Stream | undefined;
    const client = rawClient(place.port);
    onTestFinished(() => closeFd(client));
    const fill = (): void => {
      while (sendPinned(client, bytes, 64 * 1024) > 0);
    };
    await io.listen(place, (accepted) => {
      stream = accepted;
      accepted.events = {
        ...listening,
        onData: () => {
          count();
          fill();
        },
      };
    });
    fill();
    await until(() => perTurn.filter((reads) => reads > 0).length > 200, "200 turns with reads");
    stream?.destroy(true);
    // Four with its event, and four when it goes on.
    expect(most(perTurn)).toBeLessThanOrEqual(8);
  });

  test("a flood of clients is accepted from as often in the last turn as in the first", async () => {
    const { io, perTurn, count, place } = opened();
    const connect = (): void => {
      const client = rawClient(place.port);
      libc().shutdown(client, SHUT_RDWR);
      closeFd(client);
    };
    let isFlood = true;
    const listener = await io.listen(place, (accepted) => {
      count();
      accepted.destroy(true);
      if (isFlood) connect();
    });
    for (let i = 0; i < 200; i++) connect();
    await until(() => perTurn.filter((accepts) => accepts > 0).length > 20, "20 turns");
    isFlood = false;
    expect(most(perTurn)).toBeLessThanOrEqual(128);
    listener.close();
  });

  test("a listener that closes in the middle of a flood comes to an end", async () => {
    const { io, place } = opened();
    let accepted = 0;
    const listener = await io.listen(place, (stream) => {
      stream.destroy(true);
      // Else a listener that goes on for ever would hold up this thread.
      if (++accepted < 10_000) closeFd(rawClient(place.port));
    });
    for (let i = 0; i < 50; i++) closeFd(rawClient(place.port));
    listener.close();
    expect(accepted).toBeGreaterThan(50);
    expect(accepted).toBeLessThanOrEqual(8_192);
  });
});
