// Goal: a fleet that cannot start says why and leaves nothing running; one that leaves cuts no more than it must.
// Method: as in fleet.test.ts.

import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import {
  closeAll,
  greeting,
  never,
  soon,
  startFleet,
  states,
  stub,
} from "../support/stub-fleet.ts";

afterEach(closeAll);

describe("a fleet that cannot start", () => {
  test.for([
    {
      name: "because the worker's file cannot be loaded",
      options: { workerFile: new URL("../support/failing-worker.ts", import.meta.url) },
      message: "bad module state",
    },
    {
      name: "because a worker dies of the first table",
      options: { first: [stub("bad", "die-at-start")] },
      message: "cannot start with this table",
    },
    {
      name: "because a worker refuses the first table",
      options: { first: [stub("bad", "nack")] },
      message: "it refused its first table: the stub refuses a snapshot",
    },
  ])("says so and leaves nothing running: $name", async ({ options, message }) => {
    await expect(startFleet(options)).rejects.toThrow(message);
  });
});

describe("draining", () => {
  test("refuses new connections, lets open ones finish, and counts none as cut", async () => {
    const { fleet, port } = await startFleet();
    const { socket } = await greeting(port);
    const drained = fleet.drain(10_000);
    await soon(() => fleet.status().some(({ state }) => state === "drained"));
    await expect(greeting(port)).rejects.toThrow("ECONNREFUSED");
    socket.write("last words");
    expect(String((await once(socket, "data"))[0])).toBe("last words");
    socket.end();
    expect(await drained).toBe(0);
    expect(states(fleet)).toEqual(["drained", "drained"]);
  });

  test("cuts what is open at the deadline and says how much", async () => {
    const { fleet, port } = await startFleet();
    const { socket } = await greeting(port);
    const closed = once(socket, "close");
    expect(await fleet.drain(30)).toBe(1);
    await closed;
  });

  test("ends a worker that is stuck, soon after the deadline", async () => {
    const { fleet } = await startFleet();
    fleet.stallWorker(0, 60_000);
    expect(await fleet.drain(20)).toBe(0);
    expect(states(fleet)).toEqual(["drained", "drained"]);
    expect(fleet.status()[0]!.lastFailure).toBe("it had not drained at the deadline");
  });

  test("right after a crash ends the replacement too, whatever it is doing", async () => {
    for (let round = 0; round < 5; round++) {
      const { fleet } = await startFleet();
      fleet.crashWorker(0);
      await soon(() => fleet.status()[0]!.state !== "serving");
      await fleet.drain(50);
      expect(states(fleet)).toEqual(["drained", "drained"]);
    }
  });

  test("whoever waits for a revision hears that no worker runs", async () => {
    const { fleet, source } = await startFleet();
    const waiting = fleet.whenServed(source.write(stub("s", "silent")), never);
    await fleet.drain(0);
    expect((await waiting)[0]!.reason).toBe("no worker is running");
    await expect(fleet.explain({ kind: "tcp", port: 1 }, never)).rejects.toThrow(
      "no worker serves",
    );
  });
});
