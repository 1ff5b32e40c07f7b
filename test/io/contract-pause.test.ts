// Goal: a paused stream reads nothing, on every adapter, whenever it was paused and however often; what comes meanwhile
// comes after. A stalled reader stops a writer, and gets everything, in order.
// Method: real sockets; the other end is a plain socket in the test's hand.

import { describe, expect, test } from "vitest";
import type { Stream } from "../../src/io/stream.ts";
import { adapters } from "../support/adapters.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type Reactions, StreamWorld, type World, write } from "../support/stream-world.ts";
import { turns, until } from "../support/until.ts";

const unsentBytesMax = 16 * 1024;
const mebibyte = 1024 * 1024;

/** Bytes whose place shows: no two blocks of them are the same. */
function pattern(length: number, seed: number): Buffer {
  const random = new SeededRandom(seed);
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE(random.below(2 ** 32), at);
  return bytes;
}

describe.for(adapters)("on $name", (adapter) => {
  const world = (): StreamWorld => new StreamWorld(adapter);
  const limited = (): StreamWorld => new StreamWorld(adapter, { unsentBytesMax });

  describe.for<readonly [string, (reactions?: Reactions) => Promise<World>]>([
    ["accepted", (reactions) => world().accepted(reactions)],
    ["dialled", (reactions) => world().dialled(reactions)],
  ])("a stream that was %s", ([, make]) => {
    test("reads nothing while it is paused, and goes on after", async () => {
      const { stream, witness, peer } = await make();
      stream.pause();
      await turns(2);
      peer.send("x".repeat(10_000));
      await turns(20);
      expect(witness.bytes).toBe(0);
      stream.resume();
      await witness.untilBytes(10_000);
    });

    test("paused as soon as it stands, before there is anything to read, reads nothing", async () => {
      const { stream, witness, peer } = await make({ connect: (one) => one.pause() });
      peer.send("early");
      await turns(20);
      expect(witness.text).toBe("");
      stream.resume();
      await until(() => witness.text === "early", "the bytes");
    });

    test("paused while it reads, hears no more than it was reading", async () => {
      const { stream, witness, peer } = await make({ data: (one) => one.pause() });
      peer.send(pattern(mebibyte, 1)).end();
      const calls: number[] = [];
      while (!witness.seen.includes("end")) {
        const before = witness.bytes;
        await until(() => witness.bytes > before || witness.seen.includes("end"), "more");
        calls.push(witness.bytes - before);
        await turns(3);
        expect(witness.bytes - before).toBe(calls.at(-1));
        expect(calls.at(-1)).toBeLessThanOrEqual(64 * 1024);
        stream.resume();
      }
      expect(witness.received.equals(pattern(mebibyte, 1))).toBe(true);
    });

    test("paused and resumed in any order and number, loses nothing", async () => {
      const { stream, witness, peer } = await make({
        data: (one, bytes) => {
          if (bytes[0]! % 2 === 0) one.pause();
          if (bytes[0]! % 3 === 0) one.resume();
          if (bytes[0]! % 5 === 0) one.pause();
        },
      });
      const random = new SeededRandom(7);
      const bytes = pattern(4 * mebibyte, 2);
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + 1 + random.below(100_000));
        peer.send(bytes.subarray(at, end));
        at = end;
        for (let i = random.below(6); i > 0; i--) {
          if (random.chance(0.5)) stream.pause();
          else stream.resume();
        }
        if (random.chance(0.7)) await turns(random.below(3));
      }
      peer.end();
      const resumed = (): boolean => {
        stream.resume();
        return witness.seen.includes("end");
      };
      await until(resumed, "the end");
      expect(witness.received.equals(bytes)).toBe(true);
    });

    test("hears of an end behind bytes when it is resumed, and not before", async () => {
      const { stream, witness, peer } = await make();
      stream.pause();
      peer.send("last").end();
      await turns(20);
      const before = [witness.text, witness.seen.filter((event) => event !== "connect")];
      expect(before).toEqual(["", []]);
      stream.resume();
      await witness.until("end");
      expect(witness.text).toBe("last");
      // Both directions are still to be ended: it is not closed.
      write(stream, "answer");
      expect(await peer.takeBytes(6)).toBe("answer");
      stream.pause();
      stream.end();
      await witness.untilClosed();
      expect(witness.seen.at(-1)).toBe("close finished");
    });

    test("reset while it is paused, is closed once, at the latest when it is resumed", async () => {
      const { stream, witness, peer } = await make();
      stream.pause();
      await turns(2);
      peer.reset();
      await turns(20);
      stream.resume();
      await witness.untilClosed();
      await turns(3);
      expect(witness.seen.filter((event) => event !== "connect")).toEqual(["close reset"]);
    });

    test("reset while it is paused, and sent to, is closed though nobody resumes it", async () => {
      const { stream, witness, peer } = await make();
      stream.pause();
      await turns(2);
      peer.reset();
      await turns(3);
      for (let i = 0; i < 200 && !witness.isClosed; i++) {
        write(stream, "anybody?");
        await turns(1);
      }
      await witness.untilClosed();
      expect(witness.seen.at(-1)).toBe("close reset");
    });

    test("destroyed while it is paused, is gone", async () => {
      const { stream, witness, peer } = await make();
      stream.pause();
      peer.send("x".repeat(100_000));
      await turns(5);
      stream.destroy(true);
      stream.resume();
      await peer.untilClosed();
      await turns(3);
      expect([peer.error, witness.bytes]).toEqual(["ECONNRESET", 0]);
    });

    test("pausing does not keep it from sending", async () => {
      const { stream, witness, peer } = await make();
      stream.pause();
      const bytes = pattern(mebibyte, 3);
      peer.socket.pause();
      while (stream.write(bytes, 0, bytes.length));
      peer.socket.resume();
      await witness.until("writable");
      stream.end();
      await peer.untilEnded();
      expect(peer.text.startsWith(bytes.toString("latin1"))).toBe(true);
    });
  });

  test.for(["front", "back"] as const)(
    "8 MiB pass from one stream to another, whose reader stalls: all of it, in order, and the sender waits; from the %s",
    async (from) => {
      const { front, back, queuedMost } = await relay(limited());
      const [sender, reader] = from === "front" ? [front, back] : [back, front];
      const bytes = pattern(8 * mebibyte, 4);
      reader.socket.pause();
      const all = sender.socket.write(bytes, () => sender.end());
      expect(all).toBe(false);
      await turns(200);
      // What two kernels hold on the way is some 100 KiB to each side, and never the whole.
      expect(reader.bytesReceived).toBe(0);
      expect(sender.socket.writableLength).toBeGreaterThan(0);
      for (let i = 0; i < 20; i++) {
        reader.socket.resume();
        await turns(3);
        reader.socket.pause();
        await turns(3);
      }
      reader.socket.resume();
      await reader.untilEnded();
      expect(Buffer.from(reader.text, "latin1").equals(bytes)).toBe(true);
      expect(queuedMost()).toBeLessThanOrEqual(128 * 1024);
      reader.end();
      await sender.untilEnded();
    },
  );

  test("8 MiB pass both ways at once, with readers that stall in turn", async () => {
    const { front, back } = await relay(limited());
    const [there, here] = [pattern(8 * mebibyte, 5), pattern(8 * mebibyte, 6)];
    front.send(there).end();
    back.send(here).end();
    for (let i = 0; !front.ended || !back.ended; i++) {
      front.socket[i % 3 === 0 ? "pause" : "resume"]();
      back.socket[i % 5 === 0 ? "pause" : "resume"]();
      await turns(2);
      if (i > 20_000) throw new Error("it does not end");
    }
    expect(Buffer.from(back.text, "latin1").equals(there)).toBe(true);
    expect(Buffer.from(front.text, "latin1").equals(here)).toBe(true);
  });

  describe.for<readonly [string, () => Promise<World>]>([
    ["accepted", () => limited().accepted()],
    ["dialled", () => limited().dialled()],
  ])("a stream that was %s, with few bytes unsent", ([, make]) => {
    test("leaves little in the kernel of a reader that takes nothing", async () => {
      const { stream, peer } = await make();
      peer.socket.pause();
      // The peer's kernel takes what it takes within these turns. What is on its way to it comes to some 100 KiB; an
      // unlimited kernel keeps megabytes besides.
      for (let i = 0; i < 200; i++) {
        if (stream.queuedBytes === 0) write(stream, "x".repeat(64 * 1024));
        await turns(1);
      }
      expect(stream.queuedBytes).toBeGreaterThan(0);
      expect(stream.unacknowledgedBytes - stream.queuedBytes).toBeLessThan(256 * 1024);
    });

    test("brings a reader everything, in order, that stops again and again", async () => {
      const { stream, witness, peer } = await make();
      let sent = "";
      for (let i = 0; i < 200; i++) {
        if (i % 20 === 0) peer.socket.pause();
        if (i % 20 === 10) peer.socket.resume();
        const piece = `${i}`.padStart(4, "0").repeat(1 + ((i * 7919) % 20_000));
        const before = witness.seen.length;
        const more = write(stream, piece);
        sent += piece;
        if (more) await turns(1);
        else {
          peer.socket.resume();
          await until(() => witness.seen.slice(before).includes("writable"), "onWritable");
        }
      }
      stream.end();
      peer.socket.resume();
      await peer.untilEnded();
      expect(peer.text === sent).toBe(true);
    });
  });
});

/** An accepted stream tied to a dialled one, as a session ties them: pause when the other is full, go on when it is not. */
async function relay(world: StreamWorld): Promise<{
  readonly front: World["peer"];
  readonly back: World["peer"];
  readonly queuedMost: () => number;
}> {
  const ends: { front?: Stream; back?: Stream } = {};
  let most = 0;
  const towards = (to: "front" | "back", own: "front" | "back"): Reactions => ({
    data: (stream, bytes) => {
      const other = ends[to]!;
      if (!other.write(bytes, 0, bytes.length)) stream.pause();
      most = Math.max(most, other.queuedBytes);
    },
    end: () => ends[to]!.end(),
    writable: () => ends[to === "front" ? "front" : "back"]?.resume(),
    connect: (stream) => void (ends[own] = stream),
  });
  const accepted = await world.accepted(towards("back", "front"));
  const dialled = await world.dialled(towards("front", "back"));
  return { front: accepted.peer, back: dialled.peer, queuedMost: () => most };
}
