// Goal: a ring does what its operations say, also when a queue is full, when completions come late, and when the kernel refuses.
// Method: real rings, small enough to be filled, on socket pairs. Refusals that this kernel does not make are put in its mouth.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { libc } from "../../../src/io/ffi.ts";
import { CQE_MORE, Errno } from "../../../src/io/uring/layout.ts";
import { generationsMax, Ring, type RingOptions, slotsMax } from "../../../src/io/uring/ring.ts";
import {
  pinned,
  receiveAll,
  receiveFrom,
  type SocketPair,
  sendTo,
  socketPair,
} from "../../support/socket-pair.ts";

const POLLIN = 0x1;
const POLLOUT = 0x4;
const [watching, ending, sending] = [1, 2, 3];

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0).toReversed()) close();
});

function ringOf(options: Partial<RingOptions> = {}): Ring {
  const ring = Ring.open({ submissions: 8, completions: 16, ...options });
  open.push(() => ring.close());
  return ring;
}

function pair(): SocketPair {
  const ends = socketPair();
  open.push(() => [ends.near, ends.far].forEach((fd) => libc().close(fd)));
  return ends;
}

const pairs = (count: number): SocketPair[] => Array.from({ length: count }, pair);

interface Completion {
  readonly kind: number;
  readonly slot: number;
  readonly generation: number;
  readonly result: number;
  readonly more: boolean;
}

/** Everything that can be read at the moment. */
function completions(ring: Ring): Completion[] {
  const all: Completion[] = [];
  while (ring.next()) {
    const { kind, slot, generation, result, flags } = ring;
    all.push({ kind, slot, generation, result, more: (flags & CQE_MORE) !== 0 });
  }
  return all;
}

function due(ring: Ring): Completion[] {
  ring.wait(0);
  return completions(ring);
}

describe.for([true, false])("a ring (without an array of indices: %s)", (withoutArray) => {
  test("tells of a descriptor again and again, until it is cancelled", () => {
    const ring = ringOf({ withoutArray });
    const { near, far } = pair();
    const watch = { kind: watching, slot: slotsMax - 1, generation: generationsMax - 1 };
    ring.poll(near, POLLIN, watch.kind, watch.slot, watch.generation);
    expect(due(ring)).toEqual([]);
    for (const text of ["one", "two", "three"]) {
      sendTo(far, text);
      expect(due(ring)).toEqual([{ ...watch, result: POLLIN, more: true }]);
      expect(due(ring)).toEqual([]);
    }
    ring.cancel(watch.kind, watch.slot, watch.generation, ending);
    expect(due(ring)).toEqual([{ ...watch, result: -Errno.ECANCELED, more: false }]);
    sendTo(far, "four");
    expect(due(ring)).toEqual([]);
  });

  test("goes round many times", () => {
    const ring = ringOf({ withoutArray });
    const { near, far } = pair();
    const { address } = pinned("x");
    for (let round = 1; round <= 200; round++) {
      ring.send(near, address, 1, sending, round, round);
      expect(ring.submit()).toBe(0);
      const sent = { kind: sending, slot: round, generation: round, result: 1, more: false };
      expect(completions(ring)).toEqual([sent]);
    }
    expect(receiveAll(far).byteLength).toBe(200);
  });
});

describe("polling", () => {
  test("tells of what is so already", () => {
    const ring = ringOf();
    const { near, far } = pair();
    sendTo(far, "early");
    ring.poll(near, POLLIN | POLLOUT, watching, 1, 1);
    expect(due(ring).map(({ result }) => result)).toEqual([POLLIN | POLLOUT]);
  });

  test("of a descriptor that is none completes with the reason", () => {
    const ring = ringOf();
    ring.poll(99_999, POLLIN, watching, 1, 1);
    expect(due(ring)).toEqual([
      { kind: watching, slot: 1, generation: 1, result: -9, more: false },
    ]);
  });

  test("is cancelled by slot and generation, and nobody else's is", () => {
    const ring = ringOf();
    const { near, far } = pair();
    ring.poll(near, POLLIN, watching, 5, 1);
    ring.poll(near, POLLIN, watching, 5, 2);
    ring.cancel(watching, 5, 1, ending);
    ring.cancel(watching, 5, 3, ending);
    // ENOENT (2): there was nothing to end.
    const told = due(ring).map(({ kind, generation, result }) => [kind, generation, result]);
    expect(told).toHaveLength(2);
    expect(told).toContainEqual([watching, 1, -Errno.ECANCELED]);
    expect(told).toContainEqual([ending, 3, -2]);
    sendTo(far, "x");
    expect(due(ring).map(({ generation }) => generation)).toEqual([2]);
  });

  test("an event that came before the cancellation is read after it, with its generation", () => {
    const ring = ringOf();
    const { near, far } = pair();
    ring.poll(near, POLLIN, watching, 5, 1);
    ring.submit();
    sendTo(far, "late");
    ring.wait(0);
    ring.cancel(watching, 5, 1, ending);
    ring.poll(near, POLLIN, watching, 5, 2);
    ring.wait(0);
    const seen = completions(ring).map(({ generation, result }) => `${generation}: ${result}`);
    expect(seen.toSorted((a, b) => a.localeCompare(b))).toEqual([
      `1: ${-Errno.ECANCELED}`,
      `1: ${POLLIN}`,
      `2: ${POLLIN}`,
    ]);
  });

  test("holds a closed descriptor's connection open, until it is cancelled", () => {
    const ring = ringOf();
    const { near, far } = socketPair();
    open.push(() => libc().close(far));
    ring.poll(near, POLLIN, watching, 1, 1);
    ring.wait(0);
    libc().close(near);
    expect(receiveFrom(far)).toBe(-Errno.EAGAIN);
    ring.cancel(watching, 1, 1, ending);
    ring.wait(0);
    expect(receiveFrom(far)).toEqual(new Uint8Array(0));
  });

  test("of everything ends before the ring is closed", () => {
    const ring = ringOf();
    const all = Array.from({ length: 5 }, socketPair);
    all.forEach(({ near }, slot) => ring.poll(near, POLLIN, watching, slot, 1));
    ring.wait(0);
    for (const { near, far } of all) {
      open.push(() => libc().close(far));
      libc().close(near);
    }
    ring.cancelEverything(ending);
    expect(due(ring).map(({ result }) => result)).toEqual(all.map(() => -Errno.ECANCELED));
    for (const { far } of all) expect(receiveFrom(far)).toEqual(new Uint8Array(0));
  });
});

describe("sending", () => {
  test("is over when the call returns: the bytes may be overwritten at once", () => {
    const ring = ringOf();
    const { near, far } = pair();
    const piece = pinned(8_000);
    const expected: number[] = [];
    for (let round = 1; round <= 10; round++) {
      piece.bytes.fill(round);
      ring.send(near, piece.address, piece.bytes.byteLength, sending, round, 0);
      ring.submit();
      piece.bytes.fill(255);
      expect(completions(ring).map(({ result }) => result)).toEqual([8_000]);
      expected.push(...Array.from({ length: 8_000 }, () => round));
    }
    expect(Buffer.compare(receiveAll(far), Uint8Array.from(expected))).toBe(0);
  });

  test("to a full socket takes a part, then nothing, and waits for nothing", () => {
    const ring = ringOf();
    const { near, far } = pair();
    const piece = pinned(4 * 1024 * 1024);
    piece.bytes.fill(1);
    for (let slot = 0; slot < 3; slot++) {
      ring.send(near, piece.address, piece.bytes.byteLength, sending, slot, 0);
    }
    ring.submit();
    piece.bytes.fill(2);
    const [first, ...others] = completions(ring).map(({ result }) => result);
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(piece.bytes.byteLength);
    expect(others).toEqual([-Errno.EAGAIN, -Errno.EAGAIN]);
    const got = receiveAll(far);
    expect([got.byteLength, got.every((byte) => byte === 1)]).toEqual([first, true]);
    expect(due(ring)).toEqual([]);
  });

  test("fails where the peer has left, without a signal, and where memory is none of ours", () => {
    const ring = ringOf();
    const { near } = pair();
    const gone = socketPair();
    libc().close(gone.far);
    open.push(() => libc().close(gone.near));
    const { address } = pinned("x");
    ring.send(gone.near, address, 1, sending, 1, 0);
    ring.send(near, 64, 1, sending, 2, 0);
    ring.send(near, address, 1, sending, 3, 0);
    ring.submit();
    expect(completions(ring).map(({ slot, result }) => [slot, result])).toEqual([
      [1, -32],
      [2, -14],
      [3, 1],
    ]);
  });
});

describe("a full queue", () => {
  test("of submissions is handed over, and filling it goes on", () => {
    const ring = ringOf({ submissions: 4, completions: 64 });
    const many = pairs(21);
    many.forEach(({ near }, slot) => ring.poll(near, POLLIN, watching, slot, 1));
    expect([ring.queued, ring.room]).toEqual([1, 3]);
    for (const { far } of many) sendTo(far, "x");
    expect(due(ring).map(({ slot }) => slot)).toEqual(many.map((_, slot) => slot));
  });

  test("of completions loses none: what found no room comes when there is room", () => {
    const ring = ringOf({ submissions: 4, completions: 8 });
    const many = pairs(30);
    many.forEach(({ near }, slot) => ring.poll(near, POLLIN, watching, slot, 1));
    ring.submit();
    for (const { far } of many) sendTo(far, "x");
    ring.wait(0);
    expect(ring.overflowed).toBe(true);
    const seen = completions(ring);
    expect(seen).toHaveLength(8);
    for (let turns = 0; ring.overflowed && turns < 10; turns++) seen.push(...due(ring));
    expect(seen.map(({ slot }) => slot).toSorted((a, b) => a - b)).toEqual(
      many.map((_, slot) => slot),
    );
    // Those that found no room are over, and say so.
    const over = seen.filter(({ more }) => !more);
    expect(over.length).toBeGreaterThan(0);
    for (const { far } of many) sendTo(far, "y");
    const again = due(ring);
    while (ring.overflowed) again.push(...due(ring));
    const told = new Set(again.map(({ slot }) => slot));
    for (const { slot, more } of seen) expect(told.has(slot)).toBe(more);
  });
});

describe("waiting", () => {
  test("ends by itself when its time is over", () => {
    const ring = ringOf();
    const from = performance.now();
    expect(ring.wait(30)).toBe(-Errno.ETIME);
    expect(performance.now() - from).toBeGreaterThanOrEqual(29);
  });

  test("ends at once when something is there, whatever the time", () => {
    const ring = ringOf();
    const { near, far } = pair();
    ring.poll(near, POLLIN, watching, 1, 1);
    sendTo(far, "x");
    for (const ms of [0.5, 100_000, 2 ** 40, Number.POSITIVE_INFINITY]) {
      expect(ring.wait(ms)).toBe(0);
    }
    expect(completions(ring)).toHaveLength(1);
  });

  test("ends with -EINTR when a signal comes", async () => {
    const script = `
      import { libc, pin } from "./src/io/ffi.ts";
      import { Ring } from "./src/io/uring/ring.ts";
      process.on("SIGALRM", () => {});
      const ring = Ring.open({ submissions: 8, completions: 16 });
      const after50ms = BigInt64Array.of(0n, 0n, 0n, 50_000n);
      const setitimer = process.arch === "x64" ? 38 : 103;
      libc().syscall(setitimer, 0, pin(new Uint8Array(after50ms.buffer)), 0, 0, 0, 0);
      console.log(ring.wait(20_000));
    `;
    const arguments_ = ["--input-type=module-typescript", "-e", script];
    const { stdout } = await promisify(execFile)(process.execPath, arguments_);
    expect(stdout).toBe(`${-Errno.EINTR}\n`);
  });
});

describe("a kernel that refuses", () => {
  test.for([Errno.EBUSY, Errno.EAGAIN, Errno.ENOMEM])(
    "with %i is told of, and asked again",
    (errno) => {
      const real = ringOf();
      let refuses = true;
      const calls: number[] = [];
      const ring = ringOf({
        submissions: 2,
        completions: 4,
        enter: (_ring, submit) => {
          calls.push(submit);
          return refuses ? -errno : submit;
        },
      });
      expect(real.submit()).toBe(0);
      ring.poll(0, POLLIN, watching, 1, 1);
      ring.poll(0, POLLIN, watching, 2, 1);
      expect(ring.submit()).toBe(-errno);
      expect(() => ring.poll(0, POLLIN, watching, 3, 1)).toThrow(/with a full submission queue/);
      expect([ring.queued, ring.wait(0)]).toEqual([2, -errno]);
      refuses = false;
      ring.poll(0, POLLIN, watching, 3, 1);
      expect(ring.queued).toBe(1);
      expect(calls).toEqual([2, 2, 2, 2]);
    },
  );

  test("is asked again at once after a signal, and for what it left", () => {
    const answers = [-Errno.EINTR, 1, 2];
    const ring = ringOf({ submissions: 4, enter: () => answers.shift() ?? 0 });
    for (const slot of [1, 2, 3]) ring.poll(0, POLLIN, watching, slot, 1);
    expect([ring.submit(), ring.queued, answers]).toEqual([0, 0, []]);
  });

  test("and takes nothing, without a word, is not asked for ever", () => {
    const ring = ringOf({ enter: () => 0 });
    ring.poll(0, POLLIN, watching, 1, 1);
    expect(ring.submit()).toBe(-Errno.EAGAIN);
  });

  test("lets entries be taken back that it has not taken", () => {
    const ring = ringOf();
    const { near, far } = pair();
    const { address } = pinned("abc");
    for (const slot of [0, 1, 2]) ring.send(near, address + slot, 1, sending, slot, 0);
    ring.takeBack(2);
    expect(() => ring.takeBack(2)).toThrow("2 of 1 entries cannot be taken back");
    ring.submit();
    expect(completions(ring).map(({ slot }) => slot)).toEqual([0]);
    expect(receiveAll(far)).toEqual(Buffer.from("a"));
  });
});

describe("wrong arguments are refused before they reach the kernel", () => {
  const { address } = pinned("x");
  test.for<[string, (ring: Ring) => void]>([
    ["a negative descriptor", (ring) => ring.poll(-1, POLLIN, watching, 1, 1)],
    ["half a descriptor", (ring) => ring.send(1.5, address, 1, sending, 1, 1)],
    ["the ring itself", (ring) => ring.poll(ring.fd, POLLIN, watching, 1, 1)],
    ["a kind that is none", (ring) => ring.poll(1, POLLIN, 8, 1, 1)],
    ["a slot that is too high", (ring) => ring.poll(1, POLLIN, watching, slotsMax, 1)],
    ["a negative slot", (ring) => ring.cancel(watching, -1, 1, ending)],
    ["a generation that is too high", (ring) => ring.poll(1, POLLIN, watching, 1, generationsMax)],
    ["half a generation", (ring) => ring.cancel(watching, 1, 0.5, ending)],
    ["no address", (ring) => ring.send(1, 0, 1, sending, 1, 1)],
    ["an address that is none", (ring) => ring.send(1, Number.NaN, 1, sending, 1, 1)],
    ["an address of the kernel", (ring) => ring.send(1, 2 ** 63, 1, sending, 1, 1)],
    ["a negative length", (ring) => ring.send(1, address, -1, sending, 1, 1)],
    ["a length of 2 GiB", (ring) => ring.send(1, address, 2 ** 31, sending, 1, 1)],
  ])("%s", ([, ask]) => {
    const ring = ringOf();
    expect(() => ask(ring)).toThrow(/EINVAL/);
    expect(ring.queued).toBe(0);
  });

  test.for([
    { submissions: 0, completions: 16 },
    { submissions: 3, completions: 16 },
    { submissions: 8, completions: 12 },
    { submissions: 16, completions: 16 },
    { submissions: 131_072, completions: 262_144 },
  ])("sizes %o", (sizes) => {
    expect(() => Ring.open(sizes)).toThrow(/EINVAL/);
  });
});

test("a ring that is closed is used no more, and may be closed again", () => {
  const ring = ringOf();
  ring.close();
  ring.close();
  expect(() => ring.wait(0)).toThrow("the ring is closed");
  expect(ring.next()).toBe(false);
});
