// Goal: what src/io/stream.ts promises of a stream holds on every adapter: bytes as they were, half-close, reset as
// distinct from close, back-pressure, and no call after the last. Pausing, dialling, listening and crowds: beside this.
// Method: real sockets; the other end is a plain socket in the test's hand. What is promised of every call at any time
// is checked by test/support/stream-world.ts in all of them.

import { describe, expect, test } from "vitest";
import { adapters, askedAdapter, testedAdapter } from "../support/adapters.ts";
import { StreamWorld, type World, write } from "../support/stream-world.ts";
import { turns, until } from "../support/until.ts";
import { descriptorOf, sendUrgently } from "../support/urgent.ts";

/** What the kernel keeps then; what one send brings comes on top. */
const unsentBytesMax = 16 * 1024;

test("the adapter that is asked for is there", () => {
  const [adapter] = adapters;
  expect(adapter?.lacks(), `CROSSPOINT_TEST_IO=${askedAdapter}`).toBeUndefined();
  expect(testedAdapter()).toBe(adapter?.name);
});

describe.for(adapters)("on $name", (adapter) => {
  const world = (): StreamWorld => new StreamWorld(adapter);
  const limited = (): StreamWorld => new StreamWorld(adapter, { unsentBytesMax });
  type Make = (reactions?: Parameters<StreamWorld["dialled"]>[0]) => Promise<World>;

  describe.for<readonly [string, Make]>([
    ["accepted", (reactions) => world().accepted(reactions)],
    ["dialled", (reactions) => world().dialled(reactions)],
    ["accepted, with few bytes unsent", (reactions) => limited().accepted(reactions)],
    ["dialled, with few bytes unsent", (reactions) => limited().dialled(reactions)],
  ])("a stream that was %s", ([, make]) => {
    test("carries bytes both ways", async () => {
      const { stream, witness, peer } = await make();
      write(stream, "hello");
      expect(await peer.takeBytes(5)).toBe("hello");
      peer.send("world");
      await until(() => witness.text === "world", "the bytes");
    });

    test("reads past urgent data (MSG_OOB, tcp(7))", async () => {
      const { witness, peer } = await make();
      const fd = descriptorOf(peer.socket);
      // In one go: the first read finds all three, and stops at the mark.
      sendUrgently(fd, "before", false);
      sendUrgently(fd, "!", true);
      sendUrgently(fd, "behind", false);
      // io_uring does not tell of marks: what is behind one waits for what comes next.
      const first = adapter.name === "uring" ? "before" : "beforebehind";
      await until(
        () => witness.text.startsWith(first),
        () => `the rest of ${witness.text}`,
      );
      sendUrgently(fd, "again", false);
      await until(
        () => witness.text === "beforebehindagain",
        () => `more than ${witness.text}`,
      );
    });

    test("sends on at once, though what it sent before is not acknowledged (TCP_NODELAY)", async () => {
      const { stream, witness, peer } = await make();
      const times: number[] = [];
      for (let i = 0; i < 21; i++) {
        const start = performance.now();
        write(stream, "head");
        await peer.takeBytes(4);
        write(stream, "body");
        await peer.takeBytes(4);
        times.push(performance.now() - start);
        // Who answers acknowledges with the answer, and else 40 ms later.
        peer.send("answer");
        await witness.untilBytes(6 * (i + 1));
      }
      expect(times.toSorted((a, b) => a - b)[10]).toBeLessThan(20);
    });

    test("still sends after the peer has ended, and is finished when both have", async () => {
      const { stream, witness, peer } = await make();
      peer.end();
      await witness.until("end");
      write(stream, "late");
      expect(await peer.takeBytes(4)).toBe("late");
      stream.end();
      await witness.untilClosed();
      expect(witness.seen.at(-1)).toBe("close finished");
    });

    test("still receives after it has ended, more than one read at that", async () => {
      const { stream, witness, peer } = await make();
      stream.end();
      await peer.untilEnded();
      peer.send("late").send("x".repeat(300_000)).end();
      await witness.untilClosed();
      expect(witness.seen.slice(-2)).toEqual(["end", "close finished"]);
      expect(witness.text).toBe(`late${"x".repeat(300_000)}`);
    });

    test("ends twice as once", async () => {
      const { stream, witness, peer } = await make();
      write(stream, "last");
      stream.end();
      stream.end();
      await peer.untilEnded();
      stream.end();
      peer.end();
      await witness.untilClosed();
      expect([peer.text, peer.error, witness.seen.at(-1)]).toEqual(["last", "", "close finished"]);
    });

    test("tells a reset from an end", async () => {
      const { witness, peer } = await make();
      peer.reset();
      await witness.untilClosed();
      expect(witness.seen.at(-1)).toBe("close reset");
      expect(witness.seen).not.toContain("end");
    });

    test("tells of a reset that follows the end of the peer", async () => {
      const { stream, witness, peer } = await make();
      peer.end();
      await witness.until("end");
      peer.socket.resetAndDestroy();
      await turns(3);
      // Whoever has ended and is gone shows when it is sent to.
      for (let i = 0; i < 200 && !witness.isClosed; i++) {
        write(stream, "anybody?");
        await turns(1);
      }
      await witness.untilClosed();
      expect(witness.seen.at(-1)).toBe("close reset");
    });

    test("sends everything that was queued before its FIN", async () => {
      const { stream, peer } = await make();
      const text = "q".repeat(3_000_000);
      peer.socket.pause();
      for (let i = 0; i < 4; i++) write(stream, text);
      stream.end();
      await turns(5);
      peer.socket.resume();
      await peer.untilEnded();
      expect(peer.bytesReceived).toBe(4 * text.length);
    });

    test("is reset with a full queue and a FIN that waits, when its peer is", async () => {
      const { stream, witness, peer } = await make();
      peer.socket.pause();
      write(stream, "q".repeat(12_000_000));
      stream.end();
      await turns(5);
      peer.reset();
      await witness.untilClosed();
      expect(witness.seen.at(-1)).toBe("close reset");
      expect(witness.seen).not.toContain("writable");
    });

    test("says when its queue is over the mark, and once when it is empty again", async () => {
      const { stream, witness, peer } = await make();
      peer.socket.pause();
      let writes = 0;
      while (write(stream, "m".repeat(100_000))) writes++;
      expect(writes).toBeLessThan(1_000);
      // More than one piece waits.
      for (let i = 0; i < 3; i++) write(stream, "m".repeat(50_000));
      expect(stream.queuedBytes).toBeGreaterThan(64 * 1024 + 150_000);
      expect(stream.unacknowledgedBytes).toBeGreaterThanOrEqual(stream.queuedBytes);
      expect(witness.seen).not.toContain("writable");
      peer.socket.resume();
      await witness.until("writable");
      expect(stream.queuedBytes).toBe(0);
      await until(() => stream.unacknowledgedBytes === 0, "everything to be acknowledged");
      expect(witness.seen.filter((event) => event === "writable").length).toBe(1);
    });

    test("takes what it is given: the caller may use its buffer again at once", async () => {
      const { stream, peer } = await make();
      peer.socket.pause();
      const bytes = Buffer.alloc(1_000_000, "a");
      for (const letter of "abcdefgh") {
        bytes.fill(letter);
        stream.write(bytes, 0, bytes.length);
      }
      for (let i = 0; i < 1_000; i++) {
        bytes.fill(i % 251, 0, 100);
        stream.write(bytes, 0, 1 + (i % 100));
      }
      bytes.fill("z");
      peer.socket.resume();
      const small = Array.from({ length: 1_000 }, (_, i) => Buffer.alloc(1 + (i % 100), i % 251));
      const smallBytes = Buffer.concat(small);
      await until(() => peer.bytesReceived === 8_000_000 + smallBytes.length, "all bytes");
      for (const [i, letter] of "abcdefgh".split("").entries()) {
        const part = peer.text.slice(i * 1_000_000, (i + 1) * 1_000_000);
        expect(part === letter.repeat(1_000_000)).toBe(true);
      }
      expect(peer.text.slice(8_000_000) === smallBytes.toString("latin1")).toBe(true);
    });

    test("hears nothing after it was destroyed, and the peer sees the reset", async () => {
      const { stream, witness, peer } = await make();
      const before = witness.seen.length;
      stream.destroy(true);
      stream.destroy(true);
      write(stream, "nobody");
      stream.end();
      stream.pause();
      stream.resume();
      expect([stream.queuedBytes, stream.unacknowledgedBytes]).toEqual([0, 0]);
      await peer.untilClosed();
      await turns(5);
      expect(witness.seen.length).toBe(before);
      expect(peer.error).toBe("ECONNRESET");
    });

    test("destroyed without a reset, the peer sees an end, behind what was written", async () => {
      const { stream, peer } = await make();
      write(stream, "goodbye");
      stream.destroy(false);
      await peer.untilEnded();
      expect([peer.text, peer.error]).toEqual(["goodbye", ""]);
    });

    test("destroyed with a full queue, it is gone at once", async () => {
      const { stream, witness, peer } = await make();
      peer.socket.pause();
      write(stream, "q".repeat(12_000_000));
      await turns(3);
      stream.destroy(true);
      peer.socket.resume();
      await peer.untilClosed();
      expect(peer.bytesReceived).toBeLessThan(12_000_000);
      expect(peer.error).toBe("ECONNRESET");
      expect(witness.isClosed).toBe(false);
    });

    test("hands over what the peer sent before it reset, even when a write finds the reset first", async () => {
      const { stream, witness, peer } = await make();
      write(stream, "unread");
      await turns(2);
      peer.send("my last words");
      peer.socket.pause();
      // The end of the peer and our write meet: no turn of the event loop in between.
      peer.reset();
      for (let i = 0; i < 3; i++) write(stream, "into the void");
      await witness.untilClosed();
      expect(witness.text).toBe("my last words");
      expect(witness.seen.at(-1)).toBe("close reset");
      expect(witness.seen).not.toContain("end");
    });

    test("does what it is asked inside its callbacks, and hears nothing from inside a call", async () => {
      const order: string[] = [];
      const reply = "R".repeat(500_000);
      const { witness, peer } = await make({
        connect: (stream) => void write(stream, "connected;"),
        data: (stream, bytes) => {
          stream.pause();
          stream.resume();
          write(stream, bytes.toString("latin1"));
          if (!order.includes("data")) order.push("data");
        },
        end: (stream) => {
          order.push("end");
          while (write(stream, reply));
        },
        writable: (stream) => {
          order.push("writable");
          write(stream, "writable;");
          stream.end();
        },
        close: (stream) => {
          order.push("close");
          write(stream, "nobody");
          stream.pause();
          stream.resume();
          stream.end();
          stream.destroy(true);
        },
      });
      peer.send("echo;").socket.pause();
      peer.end();
      await witness.until("end");
      peer.socket.resume();
      await witness.untilClosed();
      await peer.untilEnded();
      expect(order).toEqual(["data", "end", "writable", "close"]);
      expect(witness.seen.at(-1)).toBe("close finished");
      expect(peer.text.replaceAll(/R+/g, "R")).toBe("connected;echo;Rwritable;");
    });

    test.for(["data", "end", "writable"] as const)(
      "destroyed inside its callback for %s, nothing comes after",
      async (event) => {
        const { stream, witness, peer } = await make({
          [event]: (one: World["stream"]) => one.destroy(true),
        });
        if (event === "writable") {
          peer.socket.pause();
          while (write(stream, "m".repeat(100_000)));
          peer.socket.resume();
        } else peer.send(event === "data" ? "x".repeat(1_000_000) : "").end();
        await peer.untilClosed();
        await turns(5);
        expect(witness.isClosed).toBe(false);
        if (event === "data") expect(witness.bytes).toBeLessThanOrEqual(64 * 1024);
      },
    );

    test("tells whoever is its listener now, from the very next event on", async () => {
      const { stream, witness, peer } = await make({ data: (one) => (one.events = second) });
      const second = world().witness({ end: (one) => (one.events = witness) });
      second.stream = witness.stream;
      const bytes = "x".repeat(300_000);
      peer.send(bytes).end();
      await second.until("end");
      stream.end();
      await witness.untilClosed();
      expect(witness.bytes + second.bytes).toBe(bytes.length);
      expect(witness.bytes).toBeLessThanOrEqual(64 * 1024);
      expect(second.seen).toEqual(["end"]);
    });
  });
});
