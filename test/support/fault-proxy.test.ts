// The relay does to bytes what it says, and nothing else: seen from a client and a server that write down all they get.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import { turns, until } from "./until.ts";

/** What one side of a link has seen. */
interface Side {
  readonly socket: Socket;
  readonly got: Buffer[];
  state: "open" | "ended" | "reset";
}

function watched(socket: Socket): Side {
  const side: Side = { socket, got: [], state: "open" };
  socket.on("data", (data: Buffer) => side.got.push(data));
  socket.on("end", () => (side.state = "ended"));
  socket.on("error", () => (side.state = "reset"));
  return side;
}

const text = (side: Side): string => Buffer.concat(side.got).toString();

let proxy: FaultProxy;
let accepted: Side[];

beforeEach(async () => {
  accepted = [];
  const server = createServer((socket) => accepted.push(watched(socket)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  proxy = await startFaultProxy({ port });
  onTestFinished(async () => {
    for (const { socket } of accepted) socket.destroy();
    await proxy.close();
    server.close();
  });
});

async function link(): Promise<{ client: Side; server: Side }> {
  const before = accepted.length;
  const socket = connect(proxy.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  const client = watched(socket);
  await until(() => accepted.length > before, "the server to accept");
  return { client, server: accepted[before]! };
}

describe("without a fault", () => {
  test("bytes and ends pass both ways", async () => {
    const { client, server } = await link();
    client.socket.write("question");
    await until(() => text(server) === "question", "the question");
    server.socket.write("answer");
    await until(() => text(client) === "answer", "the answer");
    client.socket.end();
    await until(() => server.state === "ended", "the end");
    await until(() => proxy.open === 0, "the link to be forgotten");
    expect(proxy.accepted).toBe(1);
  });

  test("a large body arrives whole through splits of every size", async () => {
    proxy.split(7, 900);
    const { client, server } = await link();
    const body = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));
    client.socket.write(body);
    server.socket.write(body);
    await until(() => text(client).length === body.toString().length, "the way down");
    await until(() => text(server).length === body.toString().length, "the way up");
    expect(Buffer.concat(client.got).equals(body)).toBe(true);
    expect(Buffer.concat(server.got).equals(body)).toBe(true);
  });
});

test("a refused connection is refused by the kernel, open links stay, and heal accepts again", async () => {
  const { client, server } = await link();
  proxy.refuse();
  const late = connect(proxy.port, "127.0.0.1");
  const [error] = await once(late, "error");
  expect((error as NodeJS.ErrnoException).code).toBe("ECONNREFUSED");
  client.socket.write("still");
  await until(() => text(server) === "still", "the open link");
  await proxy.heal();
  await link();
});

test("cut resets both sides of every link", async () => {
  const links = [await link(), await link()];
  proxy.cut();
  for (const { client, server } of links) {
    await until(() => client.state === "reset" && server.state === "reset", "two resets");
  }
  expect(proxy.open).toBe(0);
});

test.for([0, 1, 5, 9])("cutAfter lets exactly %i bytes through", async (bytes) => {
  proxy.split(1, 3);
  const { client, server } = await link();
  proxy.cutAfter(bytes, "up");
  client.socket.write("0123456789");
  await until(() => client.state === "reset", "the cut");
  await until(() => server.state === "reset", "the cut on the other side");
  expect(text(server)).toBe("0123456789".slice(0, bytes));
});

test("cutAfter counts each new link from its beginning", async () => {
  proxy.cutAfter(3, "up");
  for (const _ of [1, 2]) {
    const { client, server } = await link();
    client.socket.write("abcdef");
    await until(() => server.state === "reset", "the cut");
    expect(text(server)).toBe("abc");
  }
});

test("a black hole swallows data and ends; healing cuts the links that lost something", async () => {
  const { client, server } = await link();
  proxy.blackhole();
  client.socket.write("lost");
  server.socket.write("lost");
  client.socket.destroy();
  await turns(20);
  expect([text(server), server.state]).toEqual(["", "open"]);
  await proxy.heal();
  await until(() => server.state === "reset", "the cut");
});

test("deafened links swallow, and new ones are healthy", async () => {
  const old = await link();
  proxy.deafen();
  old.client.socket.write("lost");
  const late = await link();
  late.client.socket.write("heard");
  await until(() => text(late.server) === "heard", "the new link");
  old.client.socket.destroy();
  await turns(20);
  expect([text(old.server), old.server.state]).toEqual(["", "open"]);
});

test("dropAnswers lets the question through and loses the answer", async () => {
  const { client, server } = await link();
  proxy.dropAnswers();
  client.socket.write("write");
  await until(() => text(server) === "write", "the question");
  server.socket.write("done");
  await turns(20);
  expect(text(client)).toBe("");
});

test("a stall holds one direction back and lets it go on in order", async () => {
  const { client, server } = await link();
  proxy.stall("down");
  server.socket.write("first ");
  server.socket.end("second");
  client.socket.write("up");
  await until(() => text(server) === "up", "the other direction");
  await turns(20);
  expect([text(client), client.state]).toEqual(["", "open"]);
  proxy.release();
  await until(() => client.state === "ended", "the end");
  expect(text(client)).toBe("first second");
});

test("a delay keeps the order", async () => {
  proxy.delay(20);
  const { client, server } = await link();
  const startedMs = performance.now();
  client.socket.write("a");
  await turns();
  client.socket.write("b");
  await until(() => text(server) === "ab", "both");
  expect(performance.now() - startedMs).toBeGreaterThan(19);
});

test("split is felt by the reader: many small pieces instead of one", async () => {
  proxy.split(3, 4, "up");
  const { client, server } = await link();
  client.socket.write("x".repeat(40));
  await until(() => text(server).length === 40, "all");
  expect(server.got.length).toBeGreaterThan(5);
});

test("new connections go to the new target, open ones stay where they are", async () => {
  const { client, server } = await link();
  const other = createServer((socket) => socket.end("other"));
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  onTestFinished(() => void other.close());
  proxy.target = { port: (other.address() as AddressInfo).port };
  const late = watched(connect(proxy.port, "127.0.0.1"));
  await until(() => text(late) === "other", "the new target");
  client.socket.write("old");
  await until(() => text(server) === "old", "the old target");
});
