// Goal: a port that is about to be a route's is held, whole, or refused with a reason.
// Method: real sockets on loopback, strangers that listen, failures of the kernel put in between.

import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import {
  closeAll,
  dial,
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

const untaken = (): boolean => false;

afterEach(closeAll);

describe("reservePort", () => {
  test("holds the port: nobody can connect to it, nobody else can listen on it", async () => {
    const { set } = await openSet();
    const { port } = await set.reservePort(await freePort(), untaken);
    expect(await dial(port)).toBe("ECONNREFUSED");
    await expect(stranger(port)).rejects.toThrow("EADDRINUSE");
    expect(set.loansOf(0).size).toBe(0);
  });

  test("gives the port back", async () => {
    const { set } = await openSet();
    const reservation = await set.reservePort(await freePort(), untaken);
    reservation.release();
    await stranger(reservation.port);
  });

  test("is refused while another call holds the port, and granted afterwards", async () => {
    const { set } = await openSet();
    const port = await freePort();
    const first = await set.reservePort(port, untaken);
    expect((await rejection(set.reservePort(port, untaken))).message).toContain("by another call");
    first.release();
    const second = await set.reservePort(port, untaken);
    first.release();
    expect((await rejection(set.reservePort(port, untaken))).message).toContain("by another call");
    second.release();
  });

  test("a release after the route came changes nothing", async () => {
    const { set } = await openSet();
    const reservation = await set.reservePort(await freePort(), untaken);
    set.apply([putRoute("db", reservation.port)]);
    reservation.release();
    expect(await dial(reservation.port)).toBe("connected");
  });

  test("is refused for a port that is in use on one of several addresses, and holds none of them", async () => {
    const { port } = await stranger();
    const { set } = await openSet({ tcpAddresses: ["::1", host] });
    expect(await rejection(set.reservePort(port, untaken))).toMatchObject({
      code: "failed-precondition",
      details: { reason: "PORT_IN_USE", resource: { type: "port", name: String(port) } },
    });
    const server = createServer().listen(port, "::1");
    await once(server, "listening");
    server.close();
  });

  test("is refused for this node's own HTTP port", async () => {
    const { set } = await openSet({ http: [{ address: host, port: 0 }] });
    const port = httpPort(set);
    expect((await rejection(set.reservePort(port, untaken))).message).toContain(
      "own HTTP listener",
    );
  });

  test("is granted for a port that a route has: another route of one write takes it over", async () => {
    const { set } = await openSet();
    const { port } = await set.reservePort(await freePort(), untaken);
    set.apply([putRoute("a", port)]);
    const before = idsOf(set, 0);
    (await set.reservePort(port, untaken)).release();
    set.apply([putRoute("b", port), removeRoute("a")]);
    expect(idsOf(set, 0)).toEqual(before);
  });

  test("finds a free port of the range: not taken, not held, not a stranger's", async () => {
    const busy = await stranger();
    const first = busy.port;
    const sockets = failing((_call, _address, port) =>
      port === first + 3 ? "EADDRINUSE" : undefined,
    );
    const { set } = await openSet({ tcpPorts: { first, last: first + 9 }, sockets });
    const ports: number[] = [];
    for (let n = 0; n < 3; n++) {
      ports.push((await set.reservePort(0, (port) => port === first + 1)).port);
    }
    expect(ports).toEqual(ports.toSorted((a, b) => a - b));
    expect(new Set(ports).size).toBe(3);
    for (const port of ports) expect([first, first + 1, first + 3]).not.toContain(port);
  });

  test("says so when the range is used up", async () => {
    const { set } = await openSet({ tcpPorts: { first: 3000, last: 3001 } });
    expect(await rejection(set.reservePort(0, () => true))).toMatchObject({
      code: "resource-exhausted",
      details: { reason: "PORT_RANGE_EXHAUSTED" },
    });
  });
});
