// Goal: with keepAlive the kernel asks a silent peer, on every adapter and both kinds of streams, after the time and as often as
// keep-alive.ts says; without it nobody is asked.
// Method: what the kernel tells of its own timers and options.

import { describe, expect, test } from "vitest";
import { libc } from "../../src/io/ffi.ts";
import { keepAliveTimes } from "../../src/io/keep-alive.ts";
import { closeFd, keepAlive, openDialling } from "../../src/io/sockets.ts";
import { adapters } from "../support/adapters.ts";
import { StreamWorld } from "../support/stream-world.ts";
import { keepAliveLeftMs } from "../support/tcp-timers.ts";

test.for([
  [1, { idleS: 1, intervalS: 1, probes: 6 }],
  [1_000, { idleS: 1, intervalS: 1, probes: 6 }],
  [1_001, { idleS: 2, intervalS: 2, probes: 6 }],
  [9_000, { idleS: 9, intervalS: 9, probes: 6 }],
  [60_000, { idleS: 60, intervalS: 10, probes: 6 }],
  [7_200_000, { idleS: 7_200, intervalS: 10, probes: 6 }],
] as const)("%d ms of silence", ([idleMs, times]) => {
  expect(keepAliveTimes(idleMs)).toEqual(times);
});

test("the kernel is told all three, and to ask at all", () => {
  const fd = openDialling("127.0.0.1");
  const option = (level: number, name: number): number => {
    const value = new Int32Array(1);
    libc().getsockopt(fd, level, name, value, Int32Array.of(4));
    return value[0]!;
  };
  // SO_KEEPALIVE of SOL_SOCKET; TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT of IPPROTO_TCP.
  expect(option(1, 9)).toBe(0);
  keepAlive(fd, { idleS: 33, intervalS: 7, probes: 4 });
  expect([option(1, 9), option(6, 4), option(6, 5), option(6, 6)]).toEqual([1, 33, 7, 4]);
  closeFd(fd);
});

describe.for(adapters)("on $name", (adapter) => {
  test.for(["accepted", "dialled"] as const)("a stream that was %s", async (kind) => {
    const { stream, peer } = await new StreamWorld(adapter)[kind]();
    const { remotePort = 0, localPort = 0 } = peer.socket;
    // The stream's end, seen from the other one.
    const leftMs = (): number | undefined => keepAliveLeftMs(remotePort, localPort);
    expect(leftMs()).toBeUndefined();
    stream.keepAlive?.(90_000);
    expect(leftMs()).toBeGreaterThan(60_000);
    expect(leftMs()).toBeLessThanOrEqual(90_000);
    stream.destroy(true);
    stream.keepAlive?.(1_000);
  });
});
