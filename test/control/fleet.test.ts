// Goal: every worker serves every change; a worker that dies takes its connections along and nothing else.
// Method: real threads and real sockets with a small worker (test/support/stub-worker.ts) that accepts,
// greets with its id and revision, and misbehaves on demand.

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Fleet } from "../../src/control/fleet.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Counter } from "../../src/telemetry/counters.ts";
import {
  closeAll,
  freePort,
  greeting,
  host,
  inMs,
  never,
  soon,
  startFleet,
  states,
  stub,
} from "../support/stub-fleet.ts";
import { putRoute, removeRoute, routeOf } from "../support/table-fixtures.ts";

afterEach(closeAll);

describe("a fleet", () => {
  test("serves the table in every worker once it has started", async () => {
    const { fleet, port } = await startFleet();
    expect(states(fleet)).toEqual(["serving", "serving"]);
    expect(fleet.servedRevision).toBe(1);
    expect(await greeting(port)).toMatchObject({ revision: 1 });
  });

  test("serves a change in every worker when the wait for it returns", async () => {
    const { fleet, source, port } = await startFleet();
    for (let n = 0; n < 200; n++) {
      const revision = source.write(putRoute(`r${n}`, `r${n}.example.com`));
      expect(await fleet.whenServed(revision, never)).toEqual([]);
      expect((await greeting(port)).revision).toBe(revision);
    }
  });

  test("turns a burst into few messages", async () => {
    const { fleet, source } = await startFleet({ workers: 1 });
    let revision = parseRevision(0);
    for (let n = 0; n < 1_000; n++) revision = source.write(putRoute("r", `r${n}.example.com`));
    expect(await fleet.whenServed(revision, never)).toEqual([]);
    const applied = totalOf(fleet, Counter.changesApplied);
    // The first snapshot, the first change, all the others.
    expect(applied).toBe(3);
  });

  test("serves what changes without a revision, and knows who does not yet", async () => {
    const { fleet, source } = await startFleet({ workers: 1 });
    source.writeAt(1, putRoute("found", "found.example.com"));
    source.writeAt(1, stub("bad", "nack"));
    await soon(() => fleet.status()[0]!.lastNack !== undefined);
    await soon(() => fleet.status()[0]!.servedPosition === 2);
    expect(fleet.status()[0]).toMatchObject({ servedRevision: 1, lastNack: { revision: 1 } });
    expect(fleet.latest).toEqual({ position: 3, revision: 1 });
    // Revision 1 is served, whatever became of the rest.
    expect(await fleet.whenServed(parseRevision(1), never)).toEqual([]);
    const applied = totalOf(fleet, Counter.changesApplied);
    source.writeAt(1, removeRoute("bad"));
    await soon(() => fleet.status()[0]!.servedPosition === 4);
    expect(totalOf(fleet, Counter.changesApplied)).toBe(applied + 1);
  });

  test("takes a table whose revisions are counted anew", async () => {
    const { fleet, source, port } = await startFleet();
    let revision = parseRevision(0);
    for (let n = 0; n < 20; n++) revision = source.write(putRoute("r", `r${n}.example.com`));
    expect(await fleet.whenServed(revision, never)).toEqual([]);
    source.writeAt(3, removeRoute("r"));
    expect(await fleet.whenServed(parseRevision(3), never)).toEqual([]);
    expect([(await greeting(port)).revision, fleet.servedRevision]).toEqual([3, 3]);
    expect(await fleet.whenServed(source.write(putRoute("r", "r.example.com")), never)).toEqual([]);
    expect(fleet.servedRevision).toBe(4);
  });

  test("opens a TCP route's port before it says that it is served, and closes it likewise", async () => {
    const { fleet, source } = await startFleet();
    const port = await freePort();
    expect(await fleet.whenServed(source.write(putRoute("db", port)), never)).toEqual([]);
    const { socket, worker } = await greeting(port);
    expect([1, 2]).toContain(worker);
    expect(await fleet.whenServed(source.write(removeRoute("db")), never)).toEqual([]);
    await expect(greeting(port)).rejects.toThrow("ECONNREFUSED");
    // The connection that was open carries on.
    socket.write("still here");
    expect(String((await once(socket, "data"))[0])).toBe("still here");
  });

  test("lends a port that comes free later without a change of the table", async () => {
    const stranger = createServer().listen(0, host);
    await once(stranger, "listening");
    const { port } = stranger.address() as { port: number };
    const { fleet, source } = await startFleet();
    await fleet.whenServed(source.write(putRoute("db", port)), never);
    expect(fleet.problems()).toMatchObject([{ port }]);
    stranger.close();
    await soon(() => fleet.problems().length === 0);
    expect(await greeting(port)).toMatchObject({ revision: 2 });
  });

  test("a route whose port somebody else has is not served; other changes are, and it is once the port is free", async () => {
    const stranger = createServer().listen(0, host);
    await once(stranger, "listening");
    const { port } = stranger.address() as { port: number };
    const { fleet, source } = await startFleet();
    const revision = parseRevision(17);
    const matchRevision = parseRevision(15);
    const route = { ...routeOf("db", port), revision, matchRevision };
    const waiting = fleet.whenServed(parseRevision(17), never);
    source.writeAt(17, { kind: "route-put", route });
    const reason = `route db is not served: port ${port} on ${host} is in use by another program: stop it or choose another port`;
    const lag = { node: "n1", servedRevision: 17, reason };
    expect(await waiting).toEqual([lag]);
    source.writeAt(18, putRoute("other", "other.example.com"));
    expect(await fleet.whenServed(parseRevision(18), never)).toEqual([]);
    const later = { ...lag, servedRevision: 18 };
    for (const asked of [17, 15]) {
      expect(await fleet.whenServed(parseRevision(asked), never)).toEqual([later]);
    }
    expect(await fleet.whenServed(parseRevision(16), never)).toEqual([]);
    expect(fleet.unserved()).toEqual([
      { revision: 17, reason },
      { revision: 15, reason },
    ]);
    stranger.close();
    await soon(() => fleet.unserved().length === 0);
    expect(await fleet.whenServed(revision, never)).toEqual([]);
  });

  test("a route that a worker cannot listen for is not served", async () => {
    const { fleet, source } = await startFleet({ workers: 1 });
    const revision = parseRevision(17);
    const labels = { stub: "deaf" };
    const route = { ...routeOf("db", await freePort()), revision, matchRevision: revision, labels };
    source.writeAt(17, { kind: "route-put", route });
    expect(await fleet.whenServed(revision, never)).toEqual([
      {
        node: "n1",
        servedRevision: 17,
        reason: "route db is not served: worker 0 cannot listen: the stub is deaf",
      },
    ]);
  });

  test("says which workers lag when the wait ends too early", async () => {
    const { fleet, source } = await startFleet();
    const revision = source.write(stub("s", "silent"));
    expect(await fleet.whenServed(revision, inMs(20))).toEqual([
      {
        node: "n1",
        servedRevision: 1,
        reason:
          "worker 0 has not acknowledged revision 2 (serves 1); worker 1 has not acknowledged revision 2 (serves 1)",
      },
    ]);
    const [lag] = await fleet.whenServed(parseRevision(9), inMs(20));
    expect(lag!.reason).toContain(
      "revision 9 has not come back from the store yet (this node is at 2)",
    );
  });

  test("says at once that a revision was refused, and why, also to who comes later", async () => {
    const { fleet, source, log } = await startFleet();
    const revision = source.write(stub("bad", "nack"));
    const lag = [
      {
        node: "n1",
        servedRevision: 1,
        reason: expect.stringContaining(
          "refused revision 2: the stub refuses a snapshot (serves 1)",
        ),
      },
    ];
    expect(await fleet.whenServed(revision, never)).toEqual(lag);
    expect(await fleet.whenServed(revision, never)).toEqual(lag);
    expect(fleet.status().flatMap(({ lastNack }) => lastNack?.revision ?? [])).toContain(2);
    expect(fleet.servedRevision).toBe(1);
    expect(log.messages()).toContain("a worker refused a revision");
    expect(await fleet.whenServed(source.write(removeRoute("bad")), never)).toEqual([]);
  });

  test("logs what a worker says of itself that people should know", async () => {
    const { fleet, source, log } = await startFleet();
    expect(await fleet.whenServed(source.write(stub("odd", "troubled")), never)).toEqual([]);
    const said = log.entries.filter(({ message }) => message.startsWith("a worker does not serve"));
    expect(said).toContainEqual({
      level: "warn",
      message: "a worker does not serve as it should",
      fields: { worker: 0, reason: "the stub is troubled" },
    });
  });

  test("repairs a delta that does not fit with a snapshot", async () => {
    const { fleet, source } = await startFleet();
    expect(await fleet.whenServed(source.write(stub("odd", "nack-delta")), never)).toEqual([]);
    expect(fleet.servedRevision).toBe(2);
  });

  test("asks one worker to explain and all to measure", async () => {
    const { fleet } = await startFleet();
    expect(await fleet.explain({ kind: "tcp", port: 1 }, never)).toMatchObject({
      revision: 1,
      route: "r",
    });
    expect(await fleet.measure("web", never)).toEqual([
      {
        service: "web",
        address: "10.0.0.1:80",
        inFlight: 2,
        total: 20,
        failures: 4,
        lastFailure: "refused",
        byWorker: expect.any(Map),
      },
    ]);
    await expect(fleet.measure("none", inMs(20))).rejects.toThrow("did not answer in time");
  });
});

describe("the key of sticky cookies", () => {
  test("reaches every worker, and each that comes later before it serves", async () => {
    const { fleet, source, port } = await startFleet();
    expect((await greeting(port)).sealsWith).toBe(0);
    fleet.setStickyKeys({ current: new Uint8Array(32).fill(9), previous: undefined });
    // What was posted before the change is known when the change is served.
    expect(await fleet.whenServed(source.write(putRoute("r", "r.example.com")), never)).toEqual([]);
    const heard = new Map<number, number>();
    while (heard.size < 2) {
      const { worker, sealsWith } = await greeting(port);
      heard.set(worker, sealsWith);
    }
    expect([...heard.values()]).toEqual([9, 9]);
    fleet.crashWorker(0);
    await soon(() => fleet.status()[0]!.workerId === 3 && fleet.status()[0]!.state === "serving");
    for (;;) {
      const { worker, sealsWith } = await greeting(port);
      if (worker !== 3) continue;
      expect(sealsWith).toBe(9);
      break;
    }
  });
});

describe("a worker that ends", () => {
  test("is replaced; its socket's queue and the other worker's connections live on", async () => {
    const { fleet, source, port } = await startFleet();
    const held = new Map<number, Socket>();
    while (held.size < 2) {
      const { worker, socket } = await greeting(port);
      held.set(worker, socket);
    }
    const cut = once(held.get(1)!, "close");
    fleet.crashWorker(0);
    const during = Array.from({ length: 20 }, () => greeting(port));
    await cut;
    const answers = await Promise.all(during);
    expect(new Set(answers.map(({ worker }) => worker))).not.toContain(0);
    await soon(() => fleet.status()[0]!.workerId === 3 && fleet.status()[0]!.state === "serving");
    expect(fleet.status()[0]).toMatchObject({
      workerId: 3,
      restarts: 1,
      servedRevision: 1,
      lastFailure: "told to crash",
    });
    held.get(2)!.write("still here");
    expect(String((await once(held.get(2)!, "data"))[0])).toBe("still here");
    expect(await fleet.whenServed(source.write(putRoute("r", "r.example.com")), never)).toEqual([]);
  });

  test("loses no new connection, 10 times in a row, with changes in between", async () => {
    const { fleet, source, port } = await startFleet();
    const running = { yes: true };
    let connections = 0;
    const load = (async () => {
      while (running.yes) {
        const { socket } = await greeting(port);
        socket.resetAndDestroy();
        connections++;
      }
    })();
    for (let round = 0; round < 10; round++) {
      const before = fleet.status()[round % 2]!.workerId;
      fleet.crashWorker(round % 2);
      const revision = source.write(putRoute("r", `r${round}.example.com`));
      await soon(() => fleet.status()[round % 2]!.workerId !== before);
      await soon(() => states(fleet).every((state) => state === "serving"));
      expect(await fleet.whenServed(revision, never)).toEqual([]);
    }
    running.yes = false;
    await load;
    expect(connections).toBeGreaterThan(10);
    expect(fleet.status().map(({ restarts }) => restarts)).toEqual([5, 5]);
  });

  test("is replaced too when its task ends by itself, in another thread", async () => {
    const { fleet, source, port } = await startFleet({ workers: 1 });
    const { thread } = await greeting(port);
    source.write(stub("q", "quit"));
    await soon(() => fleet.status()[0]!.workerId === 2);
    expect(fleet.status()[0]!.lastFailure).toContain("ended without being told to");
    source.write(removeRoute("q"));
    await soon(() => fleet.servedRevision === 3);
    expect((await greeting(port)).thread).not.toBe(thread);
  });

  test("holds no port open that no route wants any more", async () => {
    const { fleet, source } = await startFleet({ workers: 1 });
    const port = await freePort();
    await fleet.whenServed(source.write(putRoute("db", port)), never);
    source.write(removeRoute("db"), stub("s", "silent"));
    expect(await greeting(port)).toMatchObject({ worker: 1 });
    fleet.crashWorker(0);
    await soon(() => fleet.status()[0]!.workerId === 2);
    await expect(greeting(port)).rejects.toThrow("ECONNREFUSED");
  });

  test("counts on: what it had counted is kept", async () => {
    const { fleet, port } = await startFleet({ workers: 1 });
    await greeting(port);
    const accepted = (): number => totalOf(fleet, Counter.connectionsAccepted);
    expect(accepted()).toBe(1);
    fleet.crashWorker(0);
    await soon(() => fleet.status()[0]!.restarts === 1);
    expect(accepted()).toBe(1);
    await greeting(port);
    expect(accepted()).toBe(2);
  });

  test("is ended and replaced when it falls silent", async () => {
    const { fleet, port } = await startFleet({ workers: 1 });
    fleet.stallWorker(0, 60_000);
    const waiting = greeting(port);
    await soon(() => fleet.status()[0]!.workerId === 2);
    expect(fleet.status()[0]!.lastFailure).toMatch(/silent for \d+ ms/);
    expect((await waiting).worker).toBe(2);
  });
});

/** Over live and ended workers. */
function totalOf(fleet: Fleet, counter: number): number {
  const { retired, live } = fleet.counters();
  return live.reduce((sum, { counters }) => sum + counters[counter]!, retired[counter]!);
}
