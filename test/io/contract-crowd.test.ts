// Goal: thousands of connections that come and go at once, whose descriptors' numbers the kernel gives out again within
// the same turn, never hear of one another, on every adapter.
// Method: real sockets; every byte tells whose it is; streams are destroyed inside the callbacks of others, and new ones
// dialled at the same place.

import { describe, expect, onTestFinished, test } from "vitest";
import { adapters } from "../support/adapters.ts";
import { blackHole, Peer, RawBackend } from "../support/peer.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { StreamWorld, type Witness, write } from "../support/stream-world.ts";
import { turns, until } from "../support/until.ts";

const seed = Number(process.env["SEED"] ?? 1);

describe.for(adapters)("on $name", (adapter) => {
  test("2,000 connections in waves, ended in every way at either side, each hear their own", async () => {
    const random = new SeededRandom(seed);
    const world = new StreamWorld(adapter);
    const { port, accepted } = await world.listen((witness) => {
      witness.reactions.data = (stream, bytes) => stream.write(bytes, 0, bytes.length);
      witness.reactions.end = (stream) => stream.end();
    });
    let unheard = 0;
    for (let wave = 0; wave < 4; wave++) {
      const one = async (index: number): Promise<void> => {
        const peer = await Peer.connect(port);
        const name = `${wave}:${index};`;
        peer.send(name);
        if (random.chance(0.2)) return peer.reset();
        const echo = await peer.take(";").catch(() => "");
        // Only whoever was destroyed here has no answer.
        if (echo === "") unheard++;
        else expect(echo).toBe(name);
        if (random.chance(0.3)) peer.reset();
        else peer.end();
        await peer.untilClosed();
        expect(peer.text).toBe("");
      };
      const all = Promise.all(Array.from({ length: 500 }, (_, index) => one(index)));
      const destroyed = accepted.length + 100;
      await until(() => accepted.length >= destroyed, "a part of the wave");
      for (const { stream } of accepted.slice(-30)) stream!.destroy(random.chance(0.5));
      await all;
    }
    // Who resets while it waits in the queue is not handed over.
    await until(() => accepted.length > 1_500, "them");
    expect(unheard).toBeLessThanOrEqual(4 * 30);
    const isOver = ({ isClosed, stream }: Witness): boolean => isClosed || stream!.isDestroyed;
    await until(() => accepted.every(isOver), "every stream's end");
    for (const { text } of accepted) expect(text).toMatch(/^(?:\d:\d+;)?$/);
    expect(new Set(accepted.map(({ text }) => text).filter(Boolean)).size).toBe(
      accepted.filter(({ text }) => text !== "").length,
    );
  });

  test.for(["destroyed", "reset by the peer"] as const)(
    "whoever takes the number of one that was %s hears nothing of its late bytes",
    async (how) => {
      const world = new StreamWorld(adapter);
      const backend = await RawBackend.start();
      onTestFinished(() => backend.close());
      const hole = Number((await blackHole()).split(":")[1]);
      for (let round = 0; round < 8; round++) {
        const { port, accepted } = await world.listen();
        const peers = await Promise.all(Array.from({ length: 50 }, () => Peer.connect(port)));
        await until(() => accepted.length === 50, "the streams");
        const fresh: Witness[] = [];
        // These connect for ever: whatever they hear is somebody else's.
        const connecting: Witness[] = [];
        // The first that hears destroys all the others, whose bytes are waiting in the same turn, and dials as many.
        const takeOver = (from: unknown): void => {
          for (const { stream } of accepted) {
            if (stream === from) continue;
            stream!.destroy(true);
            const isThird = fresh.length === 2 * connecting.length;
            if (isThird) connecting.push(world.dial("127.0.0.1", hole));
            else fresh.push(world.dial("127.0.0.1", backend.port));
          }
          for (const { reactions } of accepted) {
            delete reactions.data;
            delete reactions.close;
          }
        };
        for (const { reactions } of accepted) {
          reactions.data = takeOver;
          if (how === "reset by the peer") reactions.close = takeOver;
        }
        for (const peer of peers) {
          if (how === "destroyed") peer.send("of the old one").end();
          else peer.reset();
        }
        await until(() => fresh.length > 0 || accepted.every(({ isClosed }) => isClosed), "it");
        for (const { stream } of fresh) write(stream!, "new;");
        await until(() => fresh.every(({ seen }) => seen.includes("connect")), "the new ones");
        await turns(3);
        for (const { seen, text } of fresh) expect([seen, text]).toEqual([["connect"], ""]);
        await until(
          () => backend.peers.filter(({ text }) => text === "new;").length === fresh.length,
          "what the new ones sent",
        );
        for (const { seen } of connecting) expect(seen).toEqual([]);
        for (const { stream } of [...fresh, ...connecting]) stream!.destroy(true);
        for (const peer of peers) peer.socket.destroy();
        await until(() => backend.peers.every((peer) => peer.closed), "their end");
        backend.peers.length = 0;
        expect(fresh.length).toBeGreaterThanOrEqual(how === "destroyed" ? 30 : 0);
      }
    },
  );
});
