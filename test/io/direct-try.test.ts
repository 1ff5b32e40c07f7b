// Goal: the promises of io/stream.ts hold on node:net: half-close, back-pressure, reset as distinct
// from close, and no call after the last.
// Method: real sockets; the other end is a plain socket in the test's hand.

import { Socket } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { DirectIo } from "../../src/io/direct/direct-io.ts";
import { TurnLoop } from "../../src/io/direct/turn-loop.ts";
import { EpollDriver } from "../../src/io/epoll/epoll-driver.ts";
import { closeFd, limitUnsent, listen, openListener } from "../../src/io/sockets.ts";
import type { CloseReason, Stream, StreamEvents } from "../../src/io/stream.ts";
import { Peer, RawBackend, refusedAddress } from "../support/peer.ts";
import { turns, until } from "../support/until.ts";

/** Notes everything that happens to a stream. */
class Witness implements StreamEvents {
  readonly seen: string[] = [];
  text = "";
  bytes = 0;

  onConnect(): void {
    this.seen.push("connect");
  }
  onData(bytes: Uint8Array, start: number, end: number): void {
    this.bytes += end - start;
    if (this.text.length < 100_000) {
      this.text += Buffer.from(bytes.subarray(start, end)).toString("latin1");
    }
  }
  onEnd(): void {
    this.seen.push("end");
  }
  onWritable(): void {
    this.seen.push("writable");
  }
  onClose(reason: CloseReason): void {
    this.seen.push(`close ${reason}`);
  }
}

const timers = (delayMs: number, action: () => void): (() => void) => {
  const timer = setTimeout(action, delayMs);
  return () => clearTimeout(timer);
};

function netIo(unsentBytesMax?: number): DirectIo {
  const ledger = { hold() {}, drop() {} };
  const loop = new TurnLoop({ driver: new EpollDriver(ledger), timerInMs: () => 0, waitMsMax: 0 });
  return new DirectIo({
    loop,
    ledger,
    after: timers,
    receiveBytes: 64 * 1024,
    sendQueueBytesHigh: 64 * 1024,
    unsentBytesMax,
  });
}

/** A stream that was accepted, and its client. */
async function accepted(
  take: (stream: Stream) => void = () => {},
  unsentBytesMax?: number,
): Promise<{ stream: Stream; witness: Witness; peer: Peer }> {
  const { fd, port } = openListener({ address: "127.0.0.1", port: 0 });
  if (unsentBytesMax !== undefined) limitUnsent(fd, unsentBytesMax);
  listen(fd, 16);
  const witness = new Witness();
  let stream: Stream | undefined;
  const listener = await netIo().listen({ address: "127.0.0.1", port, fd }, (got) => {
    stream = got;
    got.events = witness;
    take(got);
  });
  const peer = await Peer.connect(port);
  await until(() => stream !== undefined, "the stream");
  onTestFinished(() => {
    stream?.destroy(true);
    peer.socket.destroy();
    listener.close();
    closeFd(fd);
  });
  return { stream: stream!, witness, peer };
}

/** A stream that was dialled, and the end it reached. */
async function dialled(
  unsentBytesMax?: number,
): Promise<{ stream: Stream; witness: Witness; peer: Peer }> {
  const backend = await RawBackend.start();
  const witness = new Witness();
  const stream = netIo(unsentBytesMax).dial("127.0.0.1", backend.port, witness);
  const peer = await backend.accept();
  await until(() => witness.seen.includes("connect"), "the connection");
  onTestFinished(async () => {
    stream.destroy(true);
    await backend.close();
  });
  return { stream, witness, peer };
}

const write = (stream: Stream, text: string): boolean => {
  const bytes = Buffer.from(text, "latin1");
  return stream.write(bytes, 0, bytes.length);
};

/** What the kernel keeps then; what one send brings comes on top. */
const unsentBytes = 16 * 1024;
const acceptedLimited = () => accepted(undefined, unsentBytes);
const dialledLimited = () => dialled(unsentBytes);

describe.for([
  ["accepted", () => accepted()],
  ["dialled", () => dialled()],
  ["accepted, with few bytes unsent", acceptedLimited],
  ["dialled, with few bytes unsent", dialledLimited],
] as const)("a stream that was %s", ([, make]) => {
  test("carries bytes both ways", async () => {
    const { stream, witness, peer } = await make();
    write(stream, "hello");
    expect(await peer.takeBytes(5)).toBe("hello");
    peer.send("world");
    await until(() => witness.text === "world", "the bytes");
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
      await until(() => witness.bytes === 6 * (i + 1), "the answer");
    }
    expect(times.toSorted((a, b) => a - b)[10]).toBeLessThan(20);
  });

  test("still sends after the peer has ended, and is finished when both have", async () => {
    const { stream, witness, peer } = await make();
    peer.end();
    await until(() => witness.seen.includes("end"), "the end");
    write(stream, "late");
    expect(await peer.takeBytes(4)).toBe("late");
    stream.end();
    await until(() => witness.seen.at(-1) === "close finished", "the close");
  });

  test("still receives after it has ended", async () => {
    const { stream, witness, peer } = await make();
    stream.end();
    await peer.untilEnded();
    peer.send("late").end();
    await until(() => witness.seen.at(-1) === "close finished", "the close");
    expect(witness.text).toBe("late");
  });

  test("tells a reset from an end", async () => {
    const { witness, peer } = await make();
    peer.reset();
    await until(() => witness.seen.length > 0 && witness.seen.at(-1) !== "connect", "the close");
    expect(witness.seen.at(-1)).toBe("close reset");
    expect(witness.seen).not.toContain("end");
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

  test("says when its queue is over the mark, and once when it is empty again", async () => {
    const { stream, witness, peer } = await make();
    peer.socket.pause();
    let writes = 0;
    while (write(stream, "m".repeat(100_000))) writes++;
    expect(writes).toBeLessThan(1_000);
    expect(stream.queuedBytes).toBeGreaterThan(64 * 1024);
    expect(witness.seen).not.toContain("writable");
    peer.socket.resume();
    await until(() => witness.seen.includes("writable"), "onWritable");
    expect(stream.queuedBytes).toBe(0);
    expect(witness.seen.filter((event) => event === "writable").length).toBe(1);
  });

  test("leaves its Socket a few pieces, however many small ones a peer does not read", async () => {
    const { stream, peer } = await make();
    peer.socket.pause();
    const block = "x".repeat(64 * 1024);
    let sent = 0;
    while (stream.queuedBytes === 0) {
      write(stream, block);
      sent += block.length;
      await turns(1);
    }
    const writes = vi.spyOn(Socket.prototype, "write");
    onTestFinished(() => writes.mockRestore());
    let small = "";
    for (let i = 0; i < 2_000; i++) {
      write(stream, `${i},`);
      small += `${i},`;
      if (i % 100 === 0) await turns(1);
    }
    expect(writes.mock.calls.length).toBeLessThan(10);
    stream.end();
    peer.socket.resume();
    await peer.takeBytes(sent);
    expect(await peer.takeBytes(small.length)).toBe(small);
  });

  test("takes what it is given: the caller may use its buffer again at once", async () => {
    const { stream, peer } = await make();
    peer.socket.pause();
    const bytes = Buffer.alloc(1_000_000, "a");
    for (const letter of "abcdefgh") {
      bytes.fill(letter);
      stream.write(bytes, 0, bytes.length);
    }
    bytes.fill("z");
    peer.socket.resume();
    await until(() => peer.bytesReceived === 8_000_000, "all bytes");
    for (const [i, letter] of "abcdefgh".split("").entries()) {
      expect(peer.text[i * 1_000_000]).toBe(letter);
      expect(peer.text[i * 1_000_000 + 999_999]).toBe(letter);
    }
  });

  test("reads nothing while it is paused, and goes on after", async () => {
    const { stream, witness, peer } = await make();
    stream.pause();
    await turns(2);
    const before = witness.bytes;
    peer.send("x".repeat(10_000));
    await turns(20);
    expect(witness.bytes).toBe(before);
    stream.resume();
    await until(() => witness.bytes === before + 10_000, "the bytes");
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
    await peer.untilClosed();
    await turns(5);
    expect(witness.seen.length).toBe(before);
    expect(peer.error).toBe("ECONNRESET");
  });

  test("destroyed without a reset, the peer sees an end", async () => {
    const { stream, peer } = await make();
    stream.destroy(false);
    await peer.untilEnded();
    expect(peer.error).toBe("");
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
    await until(() => witness.seen.at(-1)?.startsWith("close") === true, "the close");
    expect(witness.text).toBe("my last words");
    expect(witness.seen.at(-1)).toBe("close reset");
    expect(witness.seen).not.toContain("end");
  });
});

describe.for([
  ["accepted", acceptedLimited],
  ["dialled", dialledLimited],
] as const)("a stream that was %s, with few bytes unsent", ([, make]) => {
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

describe("an accepted stream", () => {
  test("that is paused at once reads nothing", async () => {
    const { stream, witness, peer } = await accepted((got) => got.pause());
    peer.send("early");
    await turns(20);
    expect(witness.text).toBe("");
    stream.resume();
    await until(() => witness.text === "early", "the bytes");
  });

  test("knows who connected", async () => {
    const { stream, peer } = await accepted();
    expect(stream.remoteAddress).toBe("127.0.0.1");
    expect(stream.remotePort).toBe(peer.socket.localPort);
    expect(stream.localPort).toBe(peer.socket.remotePort);
  });
});

describe("dialling", () => {
  test("a port where nobody listens is refused", async () => {
    const port = Number((await refusedAddress()).split(":")[1]);
    const witness = new Witness();
    netIo().dial("127.0.0.1", port, witness);
    await until(() => witness.seen.length > 0, "the outcome");
    expect(witness.seen).toEqual(["close refused"]);
  });

  test("a name that does not exist is unreachable", async () => {
    const witness = new Witness();
    netIo().dial("no-such-host.invalid", 80, witness);
    await until(() => witness.seen.length > 0, "the outcome");
    expect(witness.seen).toEqual(["close unreachable"]);
  });

  test("given up, nothing more is heard of it", async () => {
    const witness = new Witness();
    const backend = await RawBackend.start();
    const stream = netIo().dial("127.0.0.1", backend.port, witness);
    stream.destroy(true);
    await turns(10);
    expect(witness.seen).toEqual([]);
    await backend.close();
  });
});

describe("a listener", () => {
  test("that closes takes what waits in its queue, and nothing after", async () => {
    const { fd, port } = openListener({ address: "127.0.0.1", port: 0 });
    listen(fd, 16);
    const early = [await Peer.connect(port), await Peer.connect(port)];
    const streams: Stream[] = [];
    const listener = await netIo().listen({ address: "127.0.0.1", port, fd }, (stream) => {
      stream.events = new Witness();
      streams.push(stream);
    });
    listener.close();
    expect(streams.length).toBe(2);
    early.push(await Peer.connect(port));
    await turns(10);
    expect(streams.length).toBe(2);
    for (const stream of streams) stream.destroy(true);
    for (const peer of early) peer.socket.destroy();
    closeFd(fd);
  });
});
