// Goal: whatever a crash, a disk or a person did to the copy, it is read whole or not at all, and never stops a node.
// Method: real files: cut at every byte, flipped bits, other formats, directories in the way.

import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Copy, CopyFile } from "../../src/etcd/copy-file.ts";
import { realSystem } from "../../src/system.ts";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { range } from "./followed-fixture.ts";

const copy: Copy = {
  clusterId: "14841639068965178418",
  revision: 41,
  headerRevision: 99,
  entries: [
    { key: "/p/a", text: 'x\n"é\u2028', bytes: 9, createRevision: 2, modRevision: 40, lease: "0" },
    {
      key: "/p/\u00ff",
      text: undefined,
      bytes: 5_000_000,
      createRevision: 3,
      modRevision: 41,
      lease: "7",
    },
    { key: "/p/empty", text: "", bytes: 0, createRevision: 3, modRevision: 3, lease: "0" },
  ],
  good: [{ key: "/p/\u00ff", text: "1", bytes: 1, createRevision: 3, modRevision: 30, lease: "7" }],
  unreadable: ["/p/\u00ff"],
};

function fileIn(directory: string): CopyFile {
  return new CopyFile(join(directory, "state", "copy"), range, realSystem);
}

async function written(): Promise<CopyFile> {
  const file = fileIn(temporaryDirectory());
  await file.write(copy);
  return file;
}

describe("CopyFile", () => {
  test("reads what it wrote, to the last sign", async () => {
    const file = await written();
    expect(await file.read()).toEqual({ kind: "copy", copy });
  });

  test("is for its owner alone, and leaves nothing beside it", async () => {
    const file = await written();
    expect(statSync(file.path).mode & 0o777).toBe(0o600);
    expect(await readdir(join(file.path, ".."))).toEqual(["copy"]);
  });

  test("replaces an older copy, and a torn one beside it with another mode", async () => {
    const file = await written();
    writeFileSync(`${file.path}.new`, "torn");
    chmodSync(`${file.path}.new`, 0o644);
    await file.write({ ...copy, revision: 42 });
    expect(await file.read()).toMatchObject({ copy: { revision: 42 } });
    expect(statSync(file.path).mode & 0o777).toBe(0o600);
  });

  test("holds more than one piece, and more than one turn", async () => {
    const file = fileIn(temporaryDirectory());
    const entries = Array.from({ length: 10_001 }, (_, n) => ({
      ...copy.entries[0]!,
      key: `/p/${n}`,
    }));
    await file.write({ ...copy, entries });
    expect(await file.read()).toEqual({ kind: "copy", copy: { ...copy, entries } });
  });

  test("is none when there is none", async () => {
    expect(await fileIn(temporaryDirectory()).read()).toEqual({ kind: "none" });
  });

  test("is bad when cut at any byte", async () => {
    const file = await written();
    const whole = readFileSync(file.path);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(file.path, whole.subarray(0, length));
      expect(await file.read(), `cut at ${length}`).toMatchObject({ kind: "bad" });
    }
  });

  test("is bad when any byte was changed", async () => {
    const file = await written();
    const whole = readFileSync(file.path);
    for (let at = 0; at < whole.length; at++) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      writeFileSync(file.path, changed);
      expect(await file.read(), `byte ${at}`).toMatchObject({ kind: "bad" });
    }
  });

  test("is bad with something behind it", async () => {
    const file = await written();
    writeFileSync(file.path, Buffer.concat([readFileSync(file.path), Buffer.from("\n")]));
    expect(await file.read()).toMatchObject({ kind: "bad" });
  });

  const strangers = [
    { name: "empty", text: "", why: "not a copy" },
    { name: "something else", text: "SQLite format 3\0\n", why: "not a copy" },
    { name: "null", text: "null\n", why: "not a copy" },
    {
      name: "a later format",
      text: '{"format":"crosspoint-etcd-copy","version":2}\n',
      why: "format 2; this version reads format 1",
    },
    {
      name: "an incomplete head",
      text: '{"format":"crosspoint-etcd-copy","version":1,"key":"/p/"}\n',
      why: "incomplete",
    },
  ];
  test.for(strangers)("is bad when it is $name, and says so", async ({ text, why }) => {
    const file = await written();
    writeFileSync(file.path, text);
    expect(await file.read()).toEqual({ kind: "bad", why: expect.stringContaining(why) });
  });

  test("is bad when it is a copy of another prefix", async () => {
    const file = await written();
    const other = new CopyFile(file.path, { key: "/q/", end: "/q0" }, realSystem);
    expect(await other.read()).toEqual({ kind: "bad", why: "it is a copy of /p/, not of /q/" });
  });

  test("is bad when a directory is in its place, and cannot be written then", async () => {
    const file = fileIn(temporaryDirectory());
    mkdirSync(file.path, { recursive: true });
    expect(await file.read()).toEqual({ kind: "bad", why: expect.stringContaining("EISDIR") });
    await expect(file.write(copy)).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
  });

  test("rejects when it cannot write beside the old copy, which stays", async () => {
    const file = await written();
    mkdirSync(`${file.path}.new`);
    await expect(file.write({ ...copy, revision: 42 })).rejects.toThrow("EISDIR");
    expect(await file.read()).toEqual({ kind: "copy", copy });
  });

  test("is moved aside for somebody to look at", async () => {
    const file = await written();
    expect(await file.moveAside()).toBe(`${file.path}.bad`);
    expect(await file.read()).toEqual({ kind: "none" });
    expect(await file.moveAside()).toBeUndefined();
  });
});
