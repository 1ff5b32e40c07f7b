// Goal: what the kernel moves from one stream to another arrives as if it had been copied: whole, in order, no faster than
// its reader takes it, and with the same ends; and no pipe is left behind.
// Method: real sockets with slow, stalled, ending and resetting peers; content that tells where it belongs; a ledger that
// knows every descriptor.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  PatternReader,
  type RelayPair,
  RelayWorld,
  sendPattern,
} from "../../support/relay-world.ts";
import { turns, until } from "../../support/until.ts";
import { descriptorOf, sendUrgently } from "../../support/urgent.ts";

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

async function opened(...limits: Parameters<typeof RelayWorld.open>): Promise<RelayWorld> {
  const world = await RelayWorld.open(...limits);
  onTestFinished(() => world.close());
  return world;
}

/** One direction relayed; what the sink reads is checked. */
async function relaying(...limits: Parameters<typeof RelayWorld.open>) {
  const world = await opened(...limits);
  const pair = await world.pair();
  expect(pair.from.stream.relayTo?.(pair.to.stream, pair.from)).toBe(true);
  return { world, ...pair };
}

/** The sink reads nothing, and both pipe and kernel are full. */
async function stalled() {
  const made = await relaying();
  const sent = sendPattern(made.source, 0, 32 * mebibyte);
  await until(() => made.to.stream.queuedBytes > 0, "a pipe that is not taken");
  return { ...made, sent };
}

describe("relayed bytes", () => {
  test("come behind what was written before, whole and in order", async () => {
    const { from, to, source, sink } = await relaying();
    to.stream.write(Buffer.from("before "), 0, 7);
    source.write("relayed");
    let text = "";
    sink.on("data", (data: Buffer) => (text += data.toString())).resume();
    await until(() => text.length >= 14, "both");
    expect(text).toBe("before relayed");
    expect([from.copied, from.relayed]).toEqual([0, 7]);
  });

  test("come behind what was written in the same turn", async () => {
    const { world, from, to, source, sink } = await relaying();
    const other = await world.pair();
    other.from.stream.relayTo?.(other.to.stream, other.from);
    from.stream.pause();
    source.write("relayed");
    await until(() => source.writableLength === 0, "what waits to be relayed");
    await turns(20);
    // In one turn: events first, then what they put off.
    other.from.whenRelayed = () => {
      to.stream.write(Buffer.from("before "), 0, 7);
      from.stream.resume();
    };
    other.source.write("go");
    let text = "";
    sink.on("data", (data: Buffer) => (text += data.toString())).resume();
    await until(() => text.length >= 14, "both");
    expect([text, from.relayed]).toEqual(["before relayed", 7]);
  });

  test("pass without being seen: 32 MiB, byte for byte, and hold no pipe when they are through", async () => {
    const { world, from, to, source, sink } = await relaying();
    const reader = new PatternReader(sink);
    void sendPattern(source, 0, 32 * mebibyte);
    await reader.untilBytes(32 * mebibyte);
    expect([reader.bytes, reader.wrongAt]).toEqual([32 * mebibyte, -1]);
    expect([from.copied, from.relayed]).toEqual([0, 32 * mebibyte]);
    expect(to.stream.queuedBytes).toBe(0);
    // Two connections, and the one pipe that is kept for the next.
    await until(() => world.held.size === world.ownDescriptors + 2 + 2, "one pipe");
  });

  test("both ways at once", async () => {
    const { from, to, source, sink } = await relaying();
    expect(to.stream.relayTo?.(from.stream, to)).toBe(true);
    const readers = [new PatternReader(source), new PatternReader(sink)];
    for (const socket of [source, sink]) void sendPattern(socket, 0, 16 * mebibyte);
    for (const reader of readers) await reader.untilBytes(16 * mebibyte);
    expect(readers.map(({ bytes, wrongAt }) => [bytes, wrongAt])).toEqual(
      readers.map(() => [16 * mebibyte, -1]),
    );
  });

  test("wait in one pipe for a reader that takes nothing; the source is not read, and nobody is busy", async () => {
    const { world, from, to, sink, sent } = await stalled();
    expect(to.stream.queuedBytes).toBeLessThanOrEqual(64 * kibibyte);
    expect(to.stream.unacknowledgedBytes).toBeGreaterThan(to.stream.queuedBytes);
    const relayed = from.relayed;
    // The test's own sockets are in the same thread: their last news may still come in. Busy would be for good.
    const before = world.waits.length;
    await until(
      () => world.waits.length >= before + 20 && world.waits.slice(-20).every((ms) => ms > 0),
      "twenty turns that wait",
    );
    expect(from.relayed).toBe(relayed);
    const reader = new PatternReader(sink);
    await sent;
    await reader.untilBytes(32 * mebibyte);
    expect([reader.wrongAt, from.copied, from.relayed]).toEqual([-1, 0, 32 * mebibyte]);
    expect(to.stream.queuedBytes).toBe(0);
  });

  test("wait for a queue that is below its high mark, and go on when it has gone out", async () => {
    const world = await opened();
    const { from, to, source, sink } = await world.pair();
    const piece = Buffer.alloc(4 * kibibyte, "x");
    let written = 0;
    while (to.stream.queuedBytes === 0) {
      expect(to.stream.write(piece, 0, piece.length)).toBe(true);
      written += piece.length;
      await turns(1);
    }
    from.stream.relayTo?.(to.stream, from);
    source.write("relayed");
    await turns(20);
    expect([from.relayed, from.copied]).toEqual([0, 0]);
    let text = "";
    sink.on("data", (data: Buffer) => (text += data.toString())).resume();
    await until(() => text.length === written + 7, "all");
    expect(text.slice(-8)).toBe("xrelayed");
  });

  test("what is written behind a pipe stays behind it, and an end behind both", async () => {
    const { from, to, source, sink } = await stalled();
    from.stream.pause();
    const passed = from.relayed;
    const late = Buffer.from("late");
    expect(to.stream.write(late, 0, late.length)).toBe(false);
    to.stream.end();
    const pieces: Buffer[] = [];
    sink.on("data", (data: Buffer) => pieces.push(data)).resume();
    let ended = false;
    sink.on("end", () => (ended = true));
    await until(() => ended, "the end");
    const all = Buffer.concat(pieces);
    expect([all.length, all.subarray(-4).toString()]).toEqual([passed + 4, "late"]);
    expect(to.seen).toEqual(["connect", "writable"]);
    source.destroy();
  });

  test("a half-close comes behind the last of them, and the other direction lives", async () => {
    const { from, to, source, sink } = await relaying();
    source.end(Buffer.alloc(3 * mebibyte, "x"));
    await turns(20);
    let bytes = 0;
    let ended = false;
    sink.on("data", (data: Buffer) => (bytes += data.length)).resume();
    sink.on("end", () => (ended = true));
    await until(() => ended, "the end");
    expect(bytes).toBe(3 * mebibyte);
    let answer = "";
    source.on("data", (data: Buffer) => (answer += data.toString())).resume();
    sink.end("answer");
    await until(() => answer === "answer", "the answer");
    await until(() => from.seen.includes("finished") && to.seen.includes("finished"), "both ends");
    expect(from.seen).toEqual(["connect", "end", "finished"]);
  });

  test("urgent data among them stops nothing (MSG_OOB): what is behind its mark is read", async () => {
    const { from, source, sink } = await relaying();
    const fd = descriptorOf(source);
    sendUrgently(fd, "before", false);
    sendUrgently(fd, "!", true);
    sendUrgently(fd, "behind", false);
    let text = "";
    sink.on("data", (data: Buffer) => (text += data.toString())).resume();
    await until(
      () => text === "beforebehind",
      () => `the rest of ${text}`,
    );
    source.write("again");
    await until(
      () => text === "beforebehindagain",
      () => `more than ${text}`,
    );
    expect(from.relayed + from.copied).toBe(text.length);
  });

  test("stopped: what comes is told again, behind what is on its way", async () => {
    const { from, to, source, sink } = await stalled();
    const relayed = from.relayed;
    from.stream.stopRelay?.();
    const reader = new PatternReader(sink, () => from.stream.resume());
    await reader.untilBytes(32 * mebibyte);
    expect([reader.wrongAt, from.relayed, from.copied]).toEqual([
      -1,
      relayed,
      32 * mebibyte - relayed,
    ]);
    expect(to.stream.queuedBytes).toBe(0);
    source.destroy();
  });

  test("stopped from inside what it tells", async () => {
    const { from, source, sink } = await relaying();
    from.whenRelayed = () => from.stream.stopRelay?.();
    const reader = new PatternReader(sink, () => from.stream.resume());
    void sendPattern(source, 0, 4 * mebibyte);
    await reader.untilBytes(4 * mebibyte);
    expect([reader.wrongAt, from.relayed + from.copied]).toEqual([-1, 4 * mebibyte]);
    expect(from.copied).toBeGreaterThan(0);
  });
});

describe("an end in the middle", () => {
  test("the source resets: it is told, and what is in the pipe still arrives", async () => {
    const { world, from, to, source, sink } = await stalled();
    const relayed = from.relayed;
    source.resetAndDestroy();
    const reader = new PatternReader(sink);
    await reader.untilBytes(relayed);
    await until(() => from.seen.includes("reset"), "the reset");
    expect(reader.wrongAt).toBe(-1);
    expect(reader.bytes).toBeGreaterThanOrEqual(relayed);
    to.stream.destroy(false);
    world.io.close();
    expect(world.held.size).toBe(world.ownDescriptors);
  });

  test("the sink resets: the target is told, the pipe is closed", async () => {
    const { world, from, to, sink } = await stalled();
    sink.resetAndDestroy();
    await until(() => to.seen.includes("reset"), "the reset");
    expect(to.stream.queuedBytes).toBe(0);
    from.stream.destroy(true);
    // What was in it comes to nobody else.
    const next = await world.pair();
    next.from.stream.relayTo?.(next.to.stream, next.from);
    const reader = new PatternReader(next.sink);
    void sendPattern(next.source, 0, mebibyte);
    await reader.untilBytes(mebibyte);
    expect([reader.bytes, reader.wrongAt]).toEqual([mebibyte, -1]);
    for (const end of [next.from, next.to]) end.stream.destroy(true);
    world.io.close();
    expect(world.held.size).toBe(world.ownDescriptors);
  });

  test.for(["from", "to"] as const)(
    "%s is destroyed: its peer sees it, pipes are given back",
    async (who) => {
      const { world, from, to, source, sink } = await stalled();
      const readers = { from: new PatternReader(source), to: new PatternReader(sink) };
      const gone = who === "from" ? from : to;
      gone.stream.destroy(true);
      await until(() => readers[who].closed, "the peer to hear of it");
      expect(gone.seen).toEqual(["connect"]);
      (who === "from" ? to : from).stream.destroy(true);
      world.io.close();
      expect(world.held.size).toBe(world.ownDescriptors);
    },
  );

  test.for(["from", "to"] as const)("%s is destroyed from inside what it tells", async (who) => {
    const { world, from, to, source } = await relaying();
    from.whenRelayed = () => (who === "from" ? from : to).stream.destroy(true);
    source.write(Buffer.alloc(mebibyte));
    await until(() => from.relayed > 0, "bytes");
    const { relayed } = from;
    await turns(20);
    // To a target that is gone bytes are handed on as ever: they are lost there.
    expect(from.relayed).toBe(relayed);
    from.stream.destroy(true);
    to.stream.destroy(true);
    world.io.close();
    expect(world.held.size).toBe(world.ownDescriptors);
  });
});

describe("pipes", () => {
  test("each slow reader holds one, a few are kept, and no more than the bound are open", async () => {
    const world = await opened({ pipesMax: 6, pipesKeptMax: 2 });
    const pairs: RelayPair[] = [];
    for (let i = 0; i < 5; i++) pairs.push(await world.pair());
    const base = world.ownDescriptors + 2 * pairs.length;
    for (const { from, to, source } of pairs) {
      from.stream.relayTo?.(to.stream, from);
      void sendPattern(source, 0, 32 * mebibyte);
    }
    await until(() => pairs.every(({ to }) => to.stream.queuedBytes > 0), "five pipes");
    expect(world.held.size).toBe(base + 2 * 5);
    const readers = pairs.map(({ sink }) => new PatternReader(sink));
    for (const reader of readers) await reader.untilBytes(32 * mebibyte);
    expect(readers.map(({ wrongAt }) => wrongAt)).toEqual([-1, -1, -1, -1, -1]);
    await until(() => world.held.size === base + 2 * 2, "two that are kept");
    world.io.close();
    expect(world.held.size).toBe(base);
  });

  test("beyond the bound bytes are copied; they arrive all the same", async () => {
    const world = await opened({ pipesMax: 1 });
    const [first, second] = [await world.pair(), await world.pair()];
    first.from.stream.relayTo?.(first.to.stream, first.from);
    void sendPattern(first.source, 0, 8 * mebibyte);
    await until(() => first.to.stream.queuedBytes > 0, "the only pipe to be in use");
    second.from.stream.relayTo?.(second.to.stream, second.from);
    const reader = new PatternReader(second.sink, () => second.from.stream.resume());
    void sendPattern(second.source, 0, 8 * mebibyte);
    await reader.untilBytes(8 * mebibyte);
    expect([reader.wrongAt, second.from.relayed, second.from.copied]).toEqual([
      -1,
      0,
      8 * mebibyte,
    ]);
  });

  test("where there are no descriptors for one, bytes are copied, and moved again when there are", () => {
    const script = join(import.meta.dirname, "../../support/relay-process.ts");
    const command = 'ulimit -n 100; exec "$0" "$1"';
    const { status, stdout, stderr } = spawnSync("sh", ["-c", command, process.execPath, script], {
      encoding: "utf8",
    });
    expect(`${stdout}${stderr}`).toBe("");
    expect(status).toBe(0);
  });

  test("a worker that has none relays nothing, and says so", async () => {
    const world = await opened();
    const { from } = await world.pair();
    expect(from.stream.relayTo?.({} as typeof from.stream, from)).toBe(false);
    from.stream.destroy(true);
    expect(from.stream.relayTo?.(from.stream, from)).toBe(false);
  });
});
