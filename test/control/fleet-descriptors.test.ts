// Goal: a connection that a worker used by number ends with the worker, and with it nothing else.
// Method: real threads; a worker whose descriptors nobody but the main thread can close (number-worker.ts).

import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type { Fleet } from "../../src/control/fleet.ts";
import { Counter } from "../../src/telemetry/counters.ts";
import { closeAll, host, soon, startFleet } from "../support/stub-fleet.ts";

afterEach(closeAll);

const workerFile = new URL("../support/number-worker.ts", import.meta.url);
const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

/** A client that has been said hello to, and whether its connection is over. */
async function client(port: number): Promise<{ readonly over: () => boolean }> {
  const socket: Socket = connect(port, host);
  onTestFinished(() => void socket.destroy());
  let over = false;
  socket.on("close", () => (over = true)).on("error", () => {});
  await once(socket, "data");
  socket.resume();
  return { over: () => over };
}

const clientsOf = (port: number, count: number): Promise<Awaited<ReturnType<typeof client>>[]> =>
  Promise.all(Array.from({ length: count }, () => client(port)));

const leftOf = (fleet: Fleet): number => fleet.counters().retired[Counter.descriptorsLeft]!;
const isServing = (fleet: Fleet, workerId: number): boolean =>
  fleet.status().some((one) => one.workerId === workerId && one.state === "serving");

describe("connections by number", () => {
  test.for<{ how: string; end: (fleet: Fleet) => void }>([
    { how: "dies of an exception", end: (fleet) => fleet.crashWorker(0) },
    { how: "is terminated", end: (fleet) => fleet.endWorker(0) },
    {
      how: "is terminated while it is busy",
      end: (fleet) => {
        fleet.stallWorker(0, 60_000);
        fleet.endWorker(0);
      },
    },
  ])("end when their worker $how, and are counted", async ({ end }) => {
    const { fleet, port, log } = await startFleet({ workers: 1, workerFile });
    const clients = await clientsOf(port, 40);
    end(fleet);
    await soon(() => clients.every(({ over }) => over()));
    await soon(() => isServing(fleet, 2));
    expect(leftOf(fleet)).toBe(40);
    const line = log.entries.find(({ message }) => message === "closed what a worker left open");
    expect(line).toMatchObject({ level: "info", fields: { slot: 0, descriptors: 40 } });
  });

  test("of the other worker live on, and the replacement's are its own", async () => {
    const { fleet, port } = await startFleet({ workers: 2, workerFile });
    const first = await clientsOf(port, 40);
    fleet.crashWorker(0);
    await soon(() => isServing(fleet, 3));
    const left = leftOf(fleet);
    await soon(() => first.filter(({ over }) => over()).length === left);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(40);
    const later = await clientsOf(port, 40);
    fleet.crashWorker(1);
    await soon(() => isServing(fleet, 4));
    await soon(() => first.every(({ over }) => over()));
    const livingOn = later.filter(({ over }) => !over()).length;
    expect(leftOf(fleet)).toBe(80 - livingOn);
    fleet.crashWorker(0);
    await soon(() => later.every(({ over }) => over()));
  });

  test("leave nothing behind, six workers later", async () => {
    const { fleet, port } = await startFleet({ workers: 1, workerFile });
    let before = 0;
    for (let round = 1; round <= 6; round++) {
      const clients = await clientsOf(port, 5);
      fleet.crashWorker(0);
      await soon(() => clients.every(({ over }) => over()) && isServing(fleet, round + 1));
      if (round === 3) before = openDescriptors();
    }
    expect(openDescriptors()).toBeLessThanOrEqual(before);
    expect(leftOf(fleet)).toBe(30);
  });

  test("that a drained worker leaves are closed once its thread is gone", async () => {
    const { fleet, port, log } = await startFleet({ workers: 1, workerFile });
    const clients = await clientsOf(port, 5);
    expect(await fleet.drain(1_000)).toBe(5);
    await soon(() => clients.every(({ over }) => over()));
    const line = log.entries.find(({ message }) => message === "closed what a worker left open");
    expect(line).toMatchObject({ fields: { slot: 0, descriptors: 1 } });
  });
});
