// Goal: a listener hands over every connection once, on every adapter, whoever it is from, and leaves none in the queue
// when it closes; without descriptors it rests, and goes on when there are some.
// Method: real sockets; for the descriptors a process of its own that may have few.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { closeFd, listen, openListener, probeExclusive } from "../../src/io/sockets.ts";
import { adapters } from "../support/adapters.ts";
import { listenerForBoth } from "../support/both-families.ts";
import { Peer } from "../support/peer.ts";
import { StreamWorld, write } from "../support/stream-world.ts";
import { turns, until } from "../support/until.ts";

const peersOf = (port: number, count: number): Promise<Peer[]> =>
  Promise.all(Array.from({ length: count }, () => peerOf(port)));

async function peerOf(port: number, address?: string): Promise<Peer> {
  const peer = await Peer.connect(port, address);
  onTestFinished(() => void peer.socket.destroy());
  return peer;
}

describe.for(adapters)("on $name", (adapter) => {
  const world = (): StreamWorld => new StreamWorld(adapter);

  test("hands over whoever waited before and whoever comes after, each once", async () => {
    const one = world();
    const place = { address: "127.0.0.1", ...openListener({ address: "127.0.0.1", port: 0 }) };
    onTestFinished(() => closeFd(place.fd));
    listen(place.fd, 4_096);
    const early = await peersOf(place.port, 300);
    const { accepted } = await one.listenOn(place);
    const late = await peersOf(place.port, 300);
    await until(() => accepted.length >= 600, "all of them");
    await turns(5);
    const ports = accepted.map(({ stream }) => stream!.remotePort).toSorted((a, b) => a - b);
    const expected = [...early, ...late].map(({ socket }) => socket.localPort!);
    expect(ports).toEqual(expected.toSorted((a, b) => a - b));
  });

  test("that closes takes what waits in its queue, and nothing after", async () => {
    const one = world();
    const place = { address: "127.0.0.1", ...openListener({ address: "127.0.0.1", port: 0 }) };
    onTestFinished(() => closeFd(place.fd));
    listen(place.fd, 4_096);
    const early = await peersOf(place.port, 200);
    const { listener, accepted } = await one.listenOn(place);
    listener.close();
    expect(accepted.length).toBe(200);
    listener.close();
    for (const { stream } of accepted) write(stream!, "served");
    for (const peer of early) expect(await peer.takeBytes(6)).toBe("served");
    const late = await peerOf(place.port);
    await turns(20);
    expect(accepted.length).toBe(200);
    // It waits for whoever listens next.
    const next = await one.listenOn(place);
    await until(() => next.accepted.length === 1, "the late one");
    expect(next.accepted[0]!.stream!.remotePort).toBe(late.socket.localPort);
  });

  test("that closes leaves the port free to whoever closes the socket, at once", async () => {
    const one = world();
    const place = { address: "127.0.0.1", ...openListener({ address: "127.0.0.1", port: 0 }) };
    listen(place.fd, 16);
    const { listener } = await one.listenOn(place);
    await turns(3);
    listener.close();
    closeFd(place.fd);
    expect(() => probeExclusive(place)).not.toThrow();
  });

  test("that closes while it hands over a connection still hands over those that wait", async () => {
    const one = world();
    const peers: Peer[] = [];
    const made = await one.listen(() => made.listener.close());
    peers.push(...(await peersOf(made.port, 50)));
    await turns(20);
    const count = made.accepted.length;
    expect(count).toBeGreaterThan(0);
    await peerOf(made.port);
    await turns(20);
    expect(made.accepted.length).toBe(count);
  });

  test("two that share a port share its connections, and one takes them all when the other has closed", async () => {
    const one = world();
    const first = await one.listen();
    const { fd, port } = openListener({ address: "127.0.0.1", port: first.port });
    onTestFinished(() => closeFd(fd));
    listen(fd, 4_096);
    const second = await one.listenOn({ address: "127.0.0.1", fd, port });
    await peersOf(port, 200);
    await until(() => first.accepted.length + second.accepted.length === 200, "all of them");
    expect(Math.min(first.accepted.length, second.accepted.length)).toBeGreaterThan(20);
  });

  test("a stream destroyed, or reset by its peer, while it is handed over hurts nobody", async () => {
    const one = world();
    const { port, accepted } = await one.listen((_, stream) => {
      if (accepted.length % 2 === 0) stream.destroy(accepted.length % 4 === 0);
      else write(stream, "hello");
    });
    const peers = await peersOf(port, 40);
    for (const peer of peers.slice(0, 10)) peer.reset();
    await until(() => peers.slice(10).every((peer) => peer.over || peer.text === "hello"), "them");
    expect(peers.filter((peer) => peer.text === "hello").length).toBeGreaterThanOrEqual(10);
  });

  test.for(["127.0.0.1", "::1"])(
    "on a socket for both families, %s is called so at both ends",
    async (address) => {
      const place = listenerForBoth();
      onTestFinished(() => closeFd(place.fd));
      const { accepted } = await world().listenOn(place);
      const peer = await peerOf(place.port, address);
      await until(() => accepted.length > 0, "a stream");
      const { stream } = accepted[0]!;
      expect([stream!.remoteAddress, stream!.localAddress]).toEqual([address, address]);
      expect([stream!.remotePort, stream!.localPort]).toEqual([peer.socket.localPort, place.port]);
    },
  );

  test("without descriptors it rests, loses nobody, and goes on when there are some", async () => {
    const child = spawn(
      "sh",
      [
        "-c",
        'ulimit -n 90 && exec "$@"',
        "sh",
        process.execPath,
        join(import.meta.dirname, "../support/accepting-process.ts"),
        adapter.name,
      ],
      { stdio: ["ignore", "inherit", "inherit", "ipc"] },
    );
    onTestFinished(() => void child.kill("SIGKILL"));
    const troubles: string[] = [];
    child.on("message", ({ trouble }: { trouble?: string }) => {
      if (trouble !== undefined) troubles.push(trouble);
    });
    const [{ port }] = (await once(child, "message")) as [{ port: number }];
    const peers = await peersOf(port, 150);
    const start = performance.now();
    await until(() => troubles.length > 2, "the trouble to be told");
    expect(troubles[0]).toContain("EMFILE");
    const greeted = (): number => peers.filter((peer) => peer.text === "hello").length;
    await until(() => greeted() > 10, "those that fitted to be greeted");
    expect(greeted()).toBeLessThan(100);
    // Whoever comes meanwhile waits with the others, and wakes nobody.
    const told = troubles.length;
    const resting = performance.now();
    for (let i = 0; i < 60; i++) {
      peers.push(await peerOf(port));
      await turns(20);
    }
    expect(troubles.length - told).toBeLessThan(3 + (performance.now() - resting) / 50);
    // Those that are served leave: there is room for those that wait.
    while (greeted() < peers.length) {
      for (const peer of peers) if (peer.text === "hello") peer.end();
      const served = greeted();
      await until(() => greeted() > served || peers.every((peer) => peer.over), "the next");
      if (peers.every((peer) => peer.over)) break;
    }
    expect(peers.filter((peer) => peer.error !== "").length).toBe(0);
    expect(greeted()).toBe(peers.length);
    // It rests between tries, whoever comes meanwhile: it does not spin.
    expect(troubles.length).toBeLessThan(5 + (performance.now() - start) / 50);
  });
});
