// Goal: ports are taken whole, lent to workers, and given back without resetting anybody.
// Method: real sockets on loopback; a fake clock for the retries; failures of the kernel put in between.

import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type { ListenerSet } from "../../src/control/listeners.ts";
import { type SocketCalls, socketCalls } from "../../src/control/socket-group.ts";
import { errnoName, pin, SocketError } from "../../src/io/ffi.ts";
import { acceptOne, closeFd, outputQueue, PeerAddress, sendPinned } from "../../src/io/sockets.ts";
import { portRetryMsMin, unlimited } from "../../src/limits.ts";
import {
  closeAll,
  dial,
  ending,
  failing,
  freePort,
  host,
  httpPort,
  idsOf,
  openSet,
  rejection,
  stranger,
} from "../support/listener-set.ts";
import { putRoute, removeRoute } from "../support/table-fixtures.ts";

const nobody = new Set<number>();
const untaken = (): boolean => false;

afterEach(closeAll);

/** A connection that the set's first worker would accept, from a client that reads nothing. */
async function acceptedOf(set: ListenerSet, port: number): Promise<number> {
  const client = connect(port, host).pause();
  onTestFinished(() => void client.destroy());
  await once(client, "connect");
  const fds = [...set.loansOf(0).values()].flatMap(({ fd, port: its }) =>
    fd === undefined || its !== port ? [] : [fd],
  );
  const fd = acceptOne(fds[0]!, new PeerAddress());
  if (fd < 0) throw new Error(`nobody was accepted: ${errnoName(fd)}`);
  onTestFinished(() => closeFd(fd));
  return fd;
}

/** Bytes that the kernel keeps of a connection whose peer reads nothing. */
function keptBytes(fd: number): number {
  const bytes = new Uint8Array(64 * 1024);
  const at = pin(bytes);
  for (let sent = 0; sent >= 0; ) sent = sendPinned(fd, at, bytes.length);
  return outputQueue(fd);
}

describe.for(["HTTP", "TCP"])("what the kernel keeps of a connection to an %s listener", (kind) => {
  async function kept(unsentBytesMax?: number): Promise<number> {
    const limits = unsentBytesMax === undefined ? {} : { unsentBytesMax };
    const http = [{ address: host, port: 0 }];
    const { set } = await openSet({ http, slots: 1, limits });
    set.start();
    if (kind === "HTTP") return keptBytes(await acceptedOf(set, httpPort(set)));
    const port = await freePort();
    set.apply([putRoute("db", port)]);
    return keptBytes(await acceptedOf(set, port));
  }

  test("is little by default, and as much as it likes when there is no limit", async () => {
    const [byDefault, none] = [await kept(), await kept(unlimited)];
    expect(byDefault).toBeLessThan(256 * 1024);
    expect(none).toBeGreaterThan(1024 * 1024);
  });
});

describe("HTTP listeners", () => {
  test("with port 0, every worker's socket has the port that the first was given", async () => {
    const { set } = await openSet({ http: [{ address: host, port: 0 }] });
    set.start();
    const port = httpPort(set);
    expect(port).toBeGreaterThan(0);
    const loans = [0, 1].flatMap((slot) => [...set.loansOf(slot).values()]);
    expect(loans).toMatchObject([
      { protocol: "http", address: host, port },
      { protocol: "http", address: host, port },
    ]);
    expect(new Set(loans.map(({ fd }) => fd)).size).toBe(2);
    expect(new Set(loans.map(({ id }) => id)).size).toBe(2);
  });

  test("nobody can connect before the start, and then clients wait", async () => {
    const { set } = await openSet({ http: [{ address: host, port: 0 }] });
    const port = httpPort(set);
    expect(await dial(port)).toBe("ECONNREFUSED");
    set.start();
    expect(await dial(port)).toBe("connected");
  });

  test.for([
    { name: "listens alone", options: {} },
    { name: "would share the port", options: { reusePort: true } },
  ])("a port on which somebody $name is refused, naming it", async ({ options }) => {
    const { port } = await stranger(0, options);
    const error = await rejection(openSet({ http: [{ address: host, port }] }));
    expect(error).toMatchObject({
      code: "failed-precondition",
      details: { reason: "PORT_IN_USE" },
    });
    expect(error.message).toContain(`port ${port} on ${host}`);
  });

  test("a privileged port is refused with what to do", async () => {
    const sockets = failing(() => "EACCES");
    const error = await rejection(openSet({ http: [{ address: host, port: 80 }], sockets }));
    expect(error).toMatchObject({ details: { reason: "PORT_PRIVILEGED" } });
    expect(error.message).toContain("from 1024 on");
  });

  test("a failure gives the earlier listeners back", async () => {
    const { port: taken } = await stranger();
    const free = await freePort();
    await rejection(
      openSet({
        http: [
          { address: host, port: free },
          { address: host, port: taken },
        ],
      }),
    );
    await stranger(free);
  });
});

describe("a machine without IPv6", () => {
  const sockets = failing((_call, address) => (address === "::" ? "EAFNOSUPPORT" : undefined));

  test("does without [::], saying so once", async () => {
    const { set, log } = await openSet({
      http: [
        { address: host, port: 0 },
        { address: "::", port: 0 },
      ],
      tcpAddresses: [host, "::"],
      sockets,
    });
    expect(set.http.map(({ address }) => address)).toEqual([host]);
    expect(log.messages()).toHaveLength(1);
    const { port } = await set.reservePort(await freePort(), untaken);
    set.apply([putRoute("db", port)]);
    expect([...set.loansOf(0).values()].map(({ address }) => address)).toEqual([host]);
  });

  test("refuses to start when nothing is left to listen on", async () => {
    const error = await rejection(openSet({ http: [{ address: "::", port: 0 }], sockets }));
    expect(error.message).toContain("none of the HTTP listeners");
  });
});

test("an address of another machine is refused at the start", async () => {
  const error = await rejection(openSet({ tcpAddresses: ["203.0.113.9"] }));
  expect(error.message).toContain("no address 203.0.113.9");
});

describe("routes", () => {
  test("a TCP route's clients wait in the queue of a worker's socket", async () => {
    const { set } = await openSet({ slots: 1 });
    const port = await freePort();
    set.apply([putRoute("db", port)]);
    expect(await dial(port)).toBe("connected");
    const [loan] = set.loansOf(0).values();
    expect(loan).toMatchObject({ protocol: "tcp", address: host, port });
    const fd = acceptOne(loan!.fd!, new PeerAddress());
    expect(fd).toBeGreaterThan(0);
    closeFd(fd);
  });

  test("changes that do not touch the port leave its loans alone", async () => {
    const { set } = await openSet();
    const port = await freePort();
    set.apply([putRoute("db", port)]);
    const { version } = set;
    const before = idsOf(set, 1);
    set.apply([
      putRoute("db", port, "other"),
      putRoute("web", "a.example.com"),
      removeRoute("none"),
    ]);
    expect([set.version, idsOf(set, 1)]).toEqual([version, before]);
  });

  test("a removed route's sockets stay open until their worker has stopped, and end in order", async () => {
    const { set } = await openSet({ slots: 1 });
    const port = await freePort();
    set.apply([putRoute("db", port)]);
    const [id] = idsOf(set, 0);
    set.apply([removeRoute("db")]);
    expect(set.loansOf(0).size).toBe(0);
    set.settle(0, new Set([id!]));
    const waiting = connect(port, host);
    await once(waiting, "connect");
    const end = ending(waiting);
    set.settle(0, nobody);
    expect(await end).toBe("end");
    expect(await dial(port)).toBe("ECONNREFUSED");
  });

  test("each worker's socket is closed when that worker has stopped", async () => {
    const { set } = await openSet();
    const port = await freePort();
    set.apply([putRoute("db", port)]);
    set.apply([removeRoute("db")]);
    set.settle(0, nobody);
    expect(await dial(port)).toBe("connected");
    set.settle(1, nobody);
    expect(await dial(port)).toBe("ECONNREFUSED");
  });

  test("a route that comes back before its sockets are closed gets new ones", async () => {
    const { set, log } = await openSet({ slots: 1 });
    const port = await freePort();
    set.apply([putRoute("db", port)]);
    const [before] = set.loansOf(0).values();
    set.apply([removeRoute("db")]);
    set.apply([putRoute("db", port)]);
    const [after] = set.loansOf(0).values();
    expect(log.messages()).toEqual([]);
    expect(after!.id).not.toBe(before!.id);
    expect(after!.fd).not.toBe(before!.fd);
    set.settle(0, new Set([after!.id]));
    expect(await dial(port)).toBe("connected");
  });

  test("a route that moves to another port takes the first one's sockets along", async () => {
    const { set } = await openSet({ slots: 1 });
    const [from, to] = [await freePort(), await freePort()];
    set.apply([putRoute("db", from)]);
    set.apply([putRoute("db", to)]);
    set.settle(0, new Set(idsOf(set, 0)));
    expect([await dial(from), await dial(to)]).toEqual(["ECONNREFUSED", "connected"]);
  });
});

describe("a stored route whose port somebody else has", () => {
  test("is set aside, stops nothing else, and is served once the port is free", async () => {
    const { server, port } = await stranger();
    const { set, system, log } = await openSet();
    let told = 0;
    set.onLoans = () => told++;
    const other = await freePort();
    set.apply([putRoute("db", port), putRoute("cache", other)]);
    expect(await dial(other)).toBe("connected");
    expect(set.problems()).toEqual([
      { port, reason: expect.stringContaining("in use by another program") },
    ]);
    system.advance(portRetryMsMin * 8);
    expect(log.messages()).toEqual(["a TCP route's port is not served"]);
    expect([told, set.loansOf(0).size]).toEqual([0, 1]);
    server.close();
    await once(server, "close");
    const { version } = set;
    system.advance(portRetryMsMin * 16);
    expect(set.problems()).toEqual([]);
    expect([told, set.loansOf(0).size]).toEqual([1, 2]);
    expect(set.version).toBeGreaterThan(version);
    expect(await dial(port)).toBe("connected");
    expect(system.timerCount).toBe(0);
  });

  test("is tried no more once the route is removed", async () => {
    const { port } = await stranger();
    const { set, system } = await openSet();
    set.apply([putRoute("db", port)]);
    expect(system.timerCount).toBe(1);
    set.apply([removeRoute("db")]);
    expect([system.timerCount, set.problems()]).toEqual([0, []]);
  });

  test("is set aside too when the stranger comes between the reservation and the route", async () => {
    let late = false;
    const sockets: SocketCalls = {
      ...socketCalls,
      listen(fd, backlog) {
        if (late) throw new SocketError("listen", 98, "too late");
        socketCalls.listen(fd, backlog);
      },
    };
    const { set } = await openSet({ sockets });
    const { port } = await set.reservePort(await freePort(), untaken);
    late = true;
    set.apply([putRoute("db", port)]);
    expect(set.problems()).toMatchObject([{ port }]);
    await stranger(port);
  });
});

describe("without sockets by number", () => {
  const sockets: SocketCalls = {
    ...socketCalls,
    socketsAvailable: () => false,
    socketsUnavailableReason: () => "no koffi",
  };

  test("loans have no descriptor, port 0 is still a real port, and the log says what is lost", async () => {
    const { set, log } = await openSet({ http: [{ address: host, port: 0 }], sockets });
    set.start();
    const [loan] = set.loansOf(1).values();
    expect(loan).toMatchObject({ protocol: "http", fd: undefined });
    expect(loan!.port).toBeGreaterThan(0);
    expect(log.entries).toMatchObject([{ level: "warn", fields: { reason: "no koffi" } }]);
  });

  test("a port that somebody has is refused all the same", async () => {
    const { port } = await stranger();
    const { set } = await openSet({ sockets });
    expect(await rejection(set.reservePort(port, untaken))).toMatchObject({
      details: { reason: "PORT_IN_USE" },
    });
    const { port: free } = await set.reservePort(await freePort(), untaken);
    set.apply([putRoute("db", free)]);
    expect([...set.loansOf(0).values()]).toMatchObject([{ port: free, fd: undefined }]);
  });
});

test("closing leaves no socket behind and resets nobody", async () => {
  const { set } = await openSet({ http: [{ address: host, port: 0 }], slots: 1 });
  set.start();
  const http = httpPort(set);
  const tcp = await freePort();
  set.apply([putRoute("db", tcp)]);
  const [loan] = set.loansOf(0).values();
  const waiting = connect(tcp, host);
  await once(waiting, "connect");
  const end = ending(waiting);
  set.close();
  expect(await end).toBe("end");
  expect([await dial(http), await dial(tcp)]).toEqual(["ECONNREFUSED", "ECONNREFUSED"]);
  expect(errnoName(acceptOne(loan!.fd!, new PeerAddress()))).toBe("EBADF");
});
