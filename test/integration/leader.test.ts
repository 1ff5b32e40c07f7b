// Goal: a service that has a leader gets nothing anywhere else, and the next oldest steps in when that one goes.
// Method: a whole node, backends that say their names, over HTTP and TCP.

import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { Policy } from "../../src/gen/crosspoint/v1/router.ts";
import { type NamedBackend, startHttpBackend, startTcpBackend } from "../support/named-backend.ts";
import { httpMatch, startWholeNode, tcpMatch, type WholeNode } from "../support/whole-node.ts";

const names = ["one", "two", "three"];

/** A node with a service that these backends joined one after the other. */
async function led(match: object, start: (name: string) => Promise<NamedBackend>) {
  const node = await startWholeNode();
  const backends: NamedBackend[] = [];
  for (const name of names) {
    const backend = await start(name);
    onTestFinished(() => backend.close());
    backends.push(backend);
  }
  const { client } = node;
  await client.call("putService", { service: { name: "web", policy: Policy.LEADER } });
  await node.lead(match, backends[0]?.address ?? "", "web");
  const leave = (index: number): Promise<unknown> =>
    client.call("deregisterBackend", { service: "web", address: backends[index]?.address });
  const join = (index: number): Promise<unknown> =>
    client.call("registerBackend", {
      backend: { service: "web", address: backends[index]?.address },
    });
  await join(1);
  await join(2);
  return { node, leave, join };
}

async function overTcp({ client }: WholeNode): Promise<string> {
  const { routes } = await client.call("listRoutes");
  const match = routes[0]?.match;
  const socket = connect(match?.$case === "tcp" ? match.value.port : 0, "127.0.0.1");
  socket.write("hello\n");
  const [said] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return said.toString().trim();
}

async function overHttp(node: WholeNode): Promise<string> {
  return (await node.get("a.test")).body;
}

describe("only the leader gets traffic, and its successor when it has left", () => {
  test.for([
    ["TestLeaderRouting", httpMatch("a.test"), startHttpBackend, overHttp],
    ["TestTCPLeaderRouting", tcpMatch(), startTcpBackend, overTcp],
  ] as const)("%s", async ([, match, start, ask]) => {
    const { node, leave, join } = await led(match, start);
    const asked = async (): Promise<string[]> => {
      const answers: string[] = [];
      for (let i = 0; i < 8; i++) answers.push(await ask(node));
      return [...new Set(answers)];
    };
    expect(await asked()).toEqual([expect.stringContaining("one")]);
    await leave(0);
    expect(await asked()).toEqual([expect.stringContaining("two")]);
    // Who comes back is the youngest.
    await join(0);
    expect(await asked()).toEqual([expect.stringContaining("two")]);
    await leave(1);
    expect(await asked()).toEqual([expect.stringContaining("three")]);
  });
});
