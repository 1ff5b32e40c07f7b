// Goal: a slow, full or missing disk costs lines, which are counted, and never time or an exception.

import { chmod, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { accessLogQueueBytesMax } from "../../src/limits.ts";
import { AccessLogSink, lineAppender, type Outlet } from "../../src/telemetry/access-log-sink.ts";
import { recordingLog } from "../support/recording-log.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "crosspoint-"));
});
afterEach(async () => {
  await chmod(directory, 0o700);
  await rm(directory, { recursive: true });
});

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** An outlet whose every write waits to be told how it ends. */
function manualOutlet(): {
  outlet: Outlet;
  taken: string[];
  settle: (error?: Error) => Promise<void>;
} {
  const taken: string[] = [];
  const waiting: ((error?: Error) => void)[] = [];
  return {
    taken,
    outlet: {
      write: (lines) =>
        new Promise((resolve, reject) => {
          taken.push(Buffer.from(lines).toString());
          waiting.push((error) => (error === undefined ? resolve() : reject(error)));
        }),
      close: () => Promise.resolve(),
    },
    settle: async (error) => {
      waiting.shift()?.(error);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** 24 MiB, one batch after the other. */
async function writeLong(sink: AccessLogSink): Promise<void> {
  const lines = Buffer.alloc(512 * 1024, "x\n");
  for (let i = 0; i < 48; i++) await new Promise<void>((done) => sink.write(lines, done));
}

const ignored = (): void => {};

describe("AccessLogSink to a file", () => {
  test("appends batches in their order, to what was there", async () => {
    const destination = join(directory, "access.log");
    for (const line of ["one\n", "two\n"]) {
      const sink = await AccessLogSink.open({ destination, log: recordingLog() });
      sink.write(bytes(line), ignored);
      sink.write(bytes("more\n"), ignored);
      await sink.close();
    }
    expect(await readFile(destination, "utf8")).toBe("one\nmore\ntwo\nmore\n");
  });

  test("names the file that cannot be opened, and what to do", async () => {
    const destination = join(directory, "missing", "access.log");
    await expect(AccessLogSink.open({ destination, log: recordingLog() })).rejects.toMatchObject({
      code: "failed-precondition",
      message: expect.stringMatching(/missing\/access\.log.*ENOENT.*name a file/) as unknown,
    });
  });

  test("goes on in a new file after a rotation, with every line in one of the two", async () => {
    const destination = join(directory, "access.log");
    const sink = await AccessLogSink.open({ destination, log: recordingLog() });
    sink.write(bytes("before\n"), ignored);
    await rename(destination, `${destination}.1`);
    sink.write(bytes("still before\n"), ignored);
    await sink.reopen();
    sink.write(bytes("after\n"), ignored);
    await sink.close();
    expect(await readFile(`${destination}.1`, "utf8")).toContain("before\n");
    expect(await readFile(destination, "utf8")).toContain("after\n");
    const both =
      (await readFile(`${destination}.1`, "utf8")) + (await readFile(destination, "utf8"));
    expect(both).toBe("before\nstill before\nafter\n");
  });

  test("keeps the old file when the new one cannot be opened, and says so", async () => {
    const log = recordingLog();
    const manual = manualOutlet();
    let opened = 0;
    const sink = await AccessLogSink.open({
      destination: "access.log",
      log,
      openOutlet: () =>
        opened++ === 0 ? Promise.resolve(manual.outlet) : Promise.reject(new Error("EACCES")),
    });
    await sink.reopen();
    sink.write(bytes("line\n"), ignored);
    await manual.settle();
    expect(manual.taken).toEqual(["line\n"]);
    expect(log.messages()).toEqual(["access log was not reopened"]);
  });

  test("trims what is cached of a long file, and closes it only when that is done", async () => {
    const destination = join(directory, "access.log");
    const dropped: number[] = [];
    const dropping = Promise.withResolvers<void>();
    const sink = await AccessLogSink.open({
      destination,
      log: recordingLog(),
      dropCached: (fd) => (dropped.push(fd), dropping.promise),
    });
    await writeLong(sink);
    expect(dropped).toHaveLength(1);
    let closed = false;
    const closing = sink.close().then(() => (closed = true));
    // Longer than closing a file takes: opening, reading and closing it.
    await readFile(destination);
    expect(closed).toBe(false);
    dropping.resolve();
    await closing;
  });

  test("trims nothing of what is no file", async () => {
    const dropped: number[] = [];
    const sink = await AccessLogSink.open({
      destination: "/dev/null",
      log: recordingLog(),
      dropCached: (fd) => (dropped.push(fd), Promise.resolve()),
    });
    await writeLong(sink);
    await sink.close();
    expect(dropped).toEqual([]);
  });

  test("writes to a full disk: lines are counted, the state is logged once", async () => {
    const log = recordingLog();
    const sink = await AccessLogSink.open({ destination: "/dev/full", log });
    sink.write(bytes("a\nb\n"), ignored);
    sink.write(bytes("c\n"), ignored);
    await sink.close();
    expect(sink.linesDropped).toBe(3);
    expect(log.entries).toMatchObject([
      {
        level: "error",
        fields: { destination: "/dev/full", reason: expect.stringMatching("ENOSPC") as unknown },
      },
    ]);
  });
});

async function slowSink(): Promise<{
  sink: AccessLogSink;
  log: ReturnType<typeof recordingLog>;
  manual: ReturnType<typeof manualOutlet>;
}> {
  const log = recordingLog();
  const manual = manualOutlet();
  const sink = await AccessLogSink.open({
    destination: "access.log",
    log,
    openOutlet: () => Promise.resolve(manual.outlet),
  });
  return { sink, log, manual };
}

describe("lineAppender", () => {
  test("begins a line of its own after a disk that was full took half a line", async () => {
    let text = "";
    let room = 3;
    const write = lineAppender({
      write: ((data: Uint8Array | string, at = 0) => {
        const part = Buffer.from(data).subarray(at, at + room);
        if (room === 0) return Promise.reject(new Error("ENOSPC"));
        text += part.toString();
        room -= part.length;
        return Promise.resolve({ bytesWritten: part.length, buffer: data });
      }) as Parameters<typeof lineAppender>[0]["write"],
    });
    await expect(write(bytes("first\n"))).rejects.toThrow("ENOSPC");
    room = 100;
    await write(bytes("second\n"));
    await write(bytes("third\n"));
    expect(text).toBe("fir\nsecond\nthird\n");
  });
});

describe("AccessLogSink to something slow", () => {
  test("queues up to its bound, drops and counts the rest, and recovers", async () => {
    const { sink, log, manual } = await slowSink();
    const half = Buffer.alloc(accessLogQueueBytesMax / 2, "x\n");
    sink.write(half, ignored);
    sink.write(half, ignored);
    sink.write(bytes("lost\nlost\n"), ignored);
    sink.write(bytes("lost\n"), ignored);
    expect(sink.linesDropped).toBe(3);
    expect(manual.taken).toHaveLength(1);
    await manual.settle();
    expect(log.messages()).toEqual(["access log lines are dropped; traffic goes on"]);
    await manual.settle();
    expect(log.messages().slice(1)).toEqual(["access log is written again"]);
    sink.write(bytes("kept\n"), ignored);
    await manual.settle();
    expect(manual.taken.at(-1)).toBe("kept\n");
    expect(sink.linesDropped).toBe(3);
  });

  test("gives every batch back once: written, refused by the disk, or too much", async () => {
    const { sink, manual } = await slowSink();
    const given: string[] = [];
    const half = Buffer.alloc(accessLogQueueBytesMax / 2, "x\n");
    sink.write(half, () => given.push("first"));
    sink.write(half, () => given.push("second"));
    sink.write(bytes("lost\n"), () => given.push("too much"));
    expect(given).toEqual(["too much"]);
    await manual.settle();
    expect(given).toEqual(["too much", "first"]);
    await manual.settle(new Error("ENOSPC"));
    expect(given).toEqual(["too much", "first", "second"]);
    await sink.close();
    sink.write(bytes("late\n"), () => given.push("late"));
    expect(given.at(-1)).toBe("late");
  });

  test("does not close before what waits is written", async () => {
    const { sink, manual } = await slowSink();
    sink.write(bytes("one\n"), ignored);
    sink.write(bytes("two\n"), ignored);
    let closed = false;
    const closing = sink.close().then(() => (closed = true));
    await manual.settle();
    expect(closed).toBe(false);
    await manual.settle();
    await closing;
    expect(manual.taken).toEqual(["one\n", "two\n"]);
  });

  test("closes what a rotation opens after the end", async () => {
    const opened: { closed: boolean }[] = [];
    const opening = Promise.withResolvers<void>();
    const sink = await AccessLogSink.open({
      destination: "access.log",
      log: recordingLog(),
      openOutlet: async () => {
        if (opened.length > 0) await opening.promise;
        const outlet = { closed: false };
        opened.push(outlet);
        return {
          write: () => Promise.resolve(),
          close: () => {
            outlet.closed = true;
            return Promise.resolve();
          },
        };
      },
    });
    const reopened = sink.reopen();
    await sink.close();
    opening.resolve();
    await reopened;
    expect(opened).toEqual([{ closed: true }, { closed: true }]);
  });

  test("writes nothing to a file that a second rotation passed over", async () => {
    const written: string[] = [];
    const firstWrite = Promise.withResolvers<void>();
    const secondClose = Promise.withResolvers<void>();
    let opened = 0;
    const sink = await AccessLogSink.open({
      destination: "access.log",
      log: recordingLog(),
      openOutlet: () => {
        const file = opened++;
        return Promise.resolve({
          write: (lines) => {
            written.push(`${file}: ${Buffer.from(lines).toString()}`);
            return file === 0 ? firstWrite.promise : Promise.resolve();
          },
          close: () => (file === 1 ? secondClose.promise : Promise.resolve()),
        });
      },
    });
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    sink.write(bytes("slow\n"), ignored);
    const reopened = [sink.reopen()];
    await turn();
    reopened.push(sink.reopen());
    await turn();
    sink.write(bytes("next\n"), ignored);
    firstWrite.resolve();
    await turn();
    secondClose.resolve();
    await Promise.all(reopened);
    await sink.close();
    expect(written).toEqual(["0: slow\n", "2: next\n"]);
  });

  test("drops and counts what comes after it was closed", async () => {
    const { sink, manual } = await slowSink();
    await sink.close();
    sink.write(bytes("late\n"), ignored);
    expect(sink.linesDropped).toBe(1);
    expect(manual.taken).toEqual([]);
  });
});
