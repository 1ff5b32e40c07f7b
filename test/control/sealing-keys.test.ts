// Goal: a node seals with the operator's key, else the store's, else its own; what it learns it keeps, and what it
// sealed before it still opens.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { StickyKeys } from "../../src/channel/messages.ts";
import { SealingKeys } from "../../src/control/sealing-keys.ts";
import { encodeSealingKey, type SealingKey } from "../../src/store/sealing-key.ts";
import type { SharedSealingKey } from "../../src/store/shared-sealing-key.ts";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { recordingLog } from "../support/recording-log.ts";

const keyOf = (n: number): SealingKey => new Uint8Array(32).fill(n);

/** A store's key in memory; `holds` until somebody offers another. */
class FakeShared implements SharedSealingKey {
  readonly offered: SealingKey[] = [];
  current: SealingKey | undefined;
  /** What an offer finds when it is made. */
  found: SealingKey | undefined;
  listeners = new Set<(key: SealingKey) => void>();

  constructor(holds?: SealingKey) {
    this.current = holds;
  }

  subscribe(listener: (key: SealingKey) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  offer(key: SealingKey): Promise<void> {
    this.offered.push(key);
    if (this.found !== undefined) this.become(this.found);
    return Promise.resolve();
  }

  become(key: SealingKey): void {
    this.current = key;
    for (const listener of this.listeners) listener(key);
  }
}

async function opened(options: { readonly file?: string; readonly directory?: string } = {}) {
  const log = recordingLog();
  const { file, directory } = options;
  const sealing = await SealingKeys.open({ file, directory, log });
  const heard: StickyKeys[] = [];
  sealing.subscribe((keys) => heard.push(keys));
  return { sealing, heard, log };
}

const kept = (directory: string): Buffer => readFileSync(join(directory, "sealing.key"));

describe("the key", () => {
  test("is the node's own where no store shares one, kept on disk", async () => {
    const directory = temporaryDirectory();
    const { sealing, heard } = await opened({ directory });
    await sealing.share(undefined);
    expect(sealing.keys).toEqual({
      current: Uint8Array.from(kept(directory)),
      previous: undefined,
    });
    expect((await opened({ directory })).sealing.keys).toEqual(sealing.keys);
    expect(heard).toEqual([]);
  });

  test("is a passing one where nothing is kept", async () => {
    const { sealing } = await opened();
    expect(sealing.keys.current).toHaveLength(32);
    expect(sealing.keys).not.toEqual((await opened()).sealing.keys);
  });

  test("is offered to a store that has none", async () => {
    const directory = temporaryDirectory();
    const shared = new FakeShared();
    const { sealing, heard } = await opened({ directory });
    await sealing.share(shared);
    expect(shared.offered).toEqual([Uint8Array.from(kept(directory))]);
    expect(heard).toEqual([]);
  });

  test("of the store comes first, and is on disk when the node has started", async () => {
    const directory = temporaryDirectory();
    const shared = new FakeShared(keyOf(7));
    const { sealing, log } = await opened({ directory });
    const own = sealing.keys.current;
    await sealing.share(shared);
    expect(sealing.keys).toEqual({ current: keyOf(7), previous: own });
    expect(kept(directory)).toEqual(Buffer.from(keyOf(7)));
    expect(readdirSync(directory)).toEqual(["sealing.key"]);
    expect(log.messages()).toEqual([
      "sticky cookies are sealed with the key of the store from now on",
    ]);
    const again = await opened({ directory });
    await again.sealing.share(shared);
    expect([again.sealing.keys, again.heard]).toEqual([
      { current: keyOf(7), previous: undefined },
      [],
    ]);
  });

  test("that another node put first is taken when ours is offered", async () => {
    const directory = temporaryDirectory();
    const shared = new FakeShared();
    shared.found = keyOf(7);
    const { sealing } = await opened({ directory });
    await sealing.share(shared);
    expect(sealing.keys.current).toEqual(keyOf(7));
    expect(kept(directory)).toEqual(Buffer.from(keyOf(7)));
  });

  test("that changes while the node runs is told with the one before, and kept", async () => {
    const directory = temporaryDirectory();
    const shared = new FakeShared(keyOf(7));
    const { sealing, heard } = await opened({ directory });
    await sealing.share(shared);
    shared.become(keyOf(8));
    shared.become(keyOf(8));
    shared.become(keyOf(9));
    expect(heard.slice(1)).toEqual([
      { current: keyOf(8), previous: keyOf(7) },
      { current: keyOf(9), previous: keyOf(8) },
    ]);
    await sealing.close();
    expect(kept(directory)).toEqual(Buffer.from(keyOf(9)));
    shared.become(keyOf(10));
    expect(sealing.keys.current).toEqual(keyOf(9));
    expect(shared.listeners.size).toBe(0);
  });

  test("of a store is used although it cannot be kept, and that is told", async () => {
    const directory = join(temporaryDirectory(), "state");
    const { sealing, log } = await opened({ directory });
    rmSync(directory, { recursive: true });
    writeFileSync(directory, "in the way");
    await sealing.share(new FakeShared(keyOf(7)));
    expect(sealing.keys.current).toEqual(keyOf(7));
    expect(log.entries.at(-1)).toMatchObject({
      level: "warn",
      message: expect.stringContaining("is not kept"),
      fields: { file: join(directory, "sealing.key") },
    });
  });

  test("is in no line of the log, in no form", async () => {
    const directory = temporaryDirectory();
    const shared = new FakeShared(keyOf(7));
    const { sealing, log } = await opened({ directory });
    await sealing.share(shared);
    rmSync(directory, { recursive: true });
    writeFileSync(directory, "in the way");
    shared.become(keyOf(8));
    await sealing.close();
    rmSync(directory);
    mkdirSync(directory);
    const said = JSON.stringify(log.entries);
    for (const key of [keyOf(7), keyOf(8)]) {
      expect(said).not.toContain(encodeSealingKey(key));
      expect(said).not.toContain(Buffer.from(key).toString("hex"));
    }
  });
});

describe("an operator's own key (--sealing-key)", () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => 255 - i);
  test.for([
    ["32 bytes", Buffer.from(key)],
    ["44 characters of base64", Buffer.from(encodeSealingKey(key))],
    ["base64 with a line end", Buffer.from(`${encodeSealingKey(key)}\n`)],
    ["64 characters of hexadecimal", Buffer.from(`${Buffer.from(key).toString("hex")}\r\n`)],
  ] as const)("may be %s", async ([, bytes]) => {
    const file = join(temporaryDirectory(), "own.key");
    writeFileSync(file, bytes);
    const { sealing } = await opened({ file });
    expect(sealing.keys).toEqual({ current: key, previous: undefined });
  });

  test("comes before the store's, which gets nothing and is not listened to; no file is made", async () => {
    const directory = temporaryDirectory();
    const file = join(temporaryDirectory(), "own.key");
    writeFileSync(file, key);
    const shared = new FakeShared(keyOf(7));
    const { sealing, heard } = await opened({ file, directory });
    await sealing.share(shared);
    shared.become(keyOf(8));
    expect(sealing.keys).toEqual({ current: key, previous: undefined });
    expect([shared.offered, shared.listeners.size, heard]).toEqual([[], 0, []]);
    expect(readdirSync(directory)).toEqual([]);
  });

  test.for<[string, (file: string) => void, RegExp]>([
    ["is not there", () => {}, /--sealing-key: cannot read .*own\.key: ENOENT.*; name a file/],
    ["is a directory", (file) => mkdirSync(file), /cannot read .*own\.key: EISDIR/],
    [
      "is too short",
      (file) => writeFileSync(file, "short"),
      /own\.key holds 5 bytes that are no key: it must be 32 bytes, or those as 44 characters of base64 or 64 of hexadecimal \(openssl rand/,
    ],
    ["is empty", (file) => writeFileSync(file, ""), /own\.key holds 0 bytes that are no key/],
    [
      "is base64 of 31 bytes",
      (file) => writeFileSync(file, Buffer.alloc(31).toString("base64")),
      /own\.key holds 44 bytes that are no key/,
    ],
    [
      "does not end soon",
      (file) => writeFileSync(file, Buffer.alloc(100_000)),
      /own\.key holds more than 1024 bytes that are no key/,
    ],
  ])("that %s is named with what to do", async ([, make, message]) => {
    const file = join(temporaryDirectory(), "own.key");
    make(file);
    await expect(opened({ file })).rejects.toMatchObject({
      code: "failed-precondition",
      message: expect.stringMatching(message),
    });
  });

  test("of a device without an end is refused too", async () => {
    await expect(opened({ file: "/dev/zero" })).rejects.toThrow(/more than 1024 bytes/);
  });
});
