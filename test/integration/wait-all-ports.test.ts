// Goal: nobody is told that every node serves a TCP route while one of them cannot have its port; and such a route is
// in the way of no other change.
// Method: two whole nodes on one etcd, and on one host: only one of them can bind a port.

import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Config } from "../../src/config.ts";
import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { routeFields } from "../support/rpc-node.ts";
import { startWholeNode, tcpMatch, type WholeNode } from "../support/whole-node.ts";

let etcd: EtcdServer;
let prefixes = 0;

beforeAll(async () => void (etcd = await startEtcd()));
afterAll(() => etcd.stop());

interface Pair {
  readonly a: WholeNode;
  readonly b: WholeNode;
}

async function startPair(): Promise<Pair> {
  const prefix = `/ports-${++prefixes}`;
  const files = { caFile: undefined, certFile: undefined, keyFile: undefined };
  const user = { user: undefined, password: undefined, passwordFile: undefined };
  const setting = { endpoints: [etcd.endpoint], ...files, ...user };
  const config = (nodeName: string): Partial<Config> => ({
    store: { kind: "etcd", etcd: setting, prefix },
    nodeName,
    workers: 1,
    stateDir: temporaryDirectory(),
  });
  const a = await startWholeNode(config("node-a"));
  const b = await startWholeNode(config("node-b"));
  return { a, b };
}

const db = (port: number, more: object = {}): object => ({
  name: `db-${port}`,
  match: tcpMatch(port),
  service: "db",
  ...more,
});

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => resolve((socket.destroy(), true)));
    socket.on("error", () => resolve(false));
  });
}

test("a port that only one of two nodes can have", async () => {
  const { a, b } = await startPair();
  const first = await a.client.call("addRoute", { route: db(0, { name: "" }), wait: Wait.ALL });
  const port = first.route?.match?.$case === "tcp" ? first.route.match.value.port : 0;
  const refused = [
    { node: "node-b", reason: expect.stringContaining(`port ${port} on 127.0.0.1`) },
  ];
  expect(await connects(port)).toBe(true);
  expect(first.lagging).toMatchObject(refused);

  // It is in nobody's way, asked from either side, and many at once.
  const others = await Promise.all(
    Array.from({ length: 20 }, async (_, n) => {
      const { client } = n % 2 === 0 ? a : b;
      const { lagging } = await client.call("addRoute", {
        route: routeFields(`h${n}.example.com`),
        wait: Wait.ALL,
      });
      return lagging;
    }),
  );
  expect(others.flat()).toEqual([]);

  // "It is so already" is no less a claim.
  const route = { ...first.route, revision: undefined };
  for (const { client } of [a, b]) {
    const again = await client.call("addRoute", { route, wait: Wait.ALL });
    expect(again.lagging).toMatchObject(refused);
  }
});

test("asked while newer changes come from everywhere, each port is told to who asked for it", async () => {
  const { a, b } = await startPair();
  const { first } = a.config.tcpPorts;
  const ports = Array.from({ length: 16 }, (_, n) => first + 60 + n);
  const noise = Array.from({ length: 40 }, (_, n) =>
    (n % 2 === 0 ? a : b).client.call("addRoute", {
      route: routeFields(`n${n}.example.com`),
      wait: n % 4 < 2 ? Wait.ALL : Wait.NONE,
    }),
  );
  const answers = await Promise.all(
    ports.map((port, n) =>
      (n % 2 === 0 ? a : b).client.call("addRoute", { route: db(port), wait: Wait.ALL }),
    ),
  );
  await Promise.all(noise);
  for (const [n, { lagging }] of answers.entries()) {
    expect(lagging).toMatchObject([
      {
        node: n % 2 === 0 ? "node-b" : "node-a",
        reason: expect.stringContaining(`port ${ports[n]} on 127.0.0.1`),
      },
    ]);
  }
});
