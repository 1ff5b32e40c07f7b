// Goal: one key for whoever shares a directory, readable by its owner only, and a clear word when it is none.
// Method: real files; nodes that start at once are threads of one process and processes of their own.

import { execFile } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { loadSealingKey, passingSealingKey } from "../../src/control/sealing-key.ts";
import { temporaryDirectory } from "../store/temporary-directory.ts";

const module = new URL("../../src/control/sealing-key.ts", import.meta.url).href;
const modeOf = (path: string): number => statSync(path).mode & 0o777;

describe("the key of a state directory", () => {
  test("is made once, 32 random bytes, for its owner's eyes only", async () => {
    const directory = join(temporaryDirectory(), "deep", "state");
    const key = await loadSealingKey(directory);
    expect(key).toHaveLength(32);
    expect(new Set(key).size).toBeGreaterThan(8);
    expect(readdirSync(directory)).toEqual(["sealing.key"]);
    expect(modeOf(join(directory, "sealing.key"))).toBe(0o600);
    expect(modeOf(directory)).toBe(0o700);
    expect(await loadSealingKey(directory)).toEqual(key);
    expect(await loadSealingKey(temporaryDirectory())).not.toEqual(key);
  });

  test("leaves the mode of a directory that is there", async () => {
    const directory = temporaryDirectory();
    chmodSync(directory, 0o755);
    await loadSealingKey(directory);
    expect(modeOf(directory)).toBe(0o755);
  });

  test("is one for all nodes that start at once in one process", async () => {
    const directory = temporaryDirectory();
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadSealingKey(directory)));
    expect(new Set(keys.map(String)).size).toBe(1);
    expect(readdirSync(directory)).toEqual(["sealing.key"]);
  });

  test("is one for all processes that start at once", async () => {
    const directory = temporaryDirectory();
    const script = `const { loadSealingKey } = await import(${JSON.stringify(module)});
      console.log(String(await loadSealingKey(process.argv[1])));`;
    const run = () =>
      promisify(execFile)(process.execPath, ["--input-type=module", "-e", script, directory]);
    const keys = await Promise.all([run(), run(), run()]);
    expect(new Set(keys.map(({ stdout }) => stdout)).size).toBe(1);
    expect(readdirSync(directory)).toEqual(["sealing.key"]);
  });

  test("is made although an earlier start was killed in the middle of it, under the same process id", async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, `sealing.key.${process.pid}`), "half");
    expect(await loadSealingKey(directory)).toHaveLength(32);
  });
});

describe("a key that cannot be used is named with the file and what to do", () => {
  const key = (directory: string): string => join(directory, "sealing.key");
  test.for<[string, (directory: string) => void, RegExp]>([
    [
      "it is too short",
      (directory) => writeFileSync(key(directory), "short"),
      /sealing\.key holds 5 bytes, not a key of 32: restore it, or remove it/,
    ],
    [
      "it is empty",
      (directory) => writeFileSync(key(directory), ""),
      /sealing\.key holds 0 bytes, not a key of 32/,
    ],
    [
      "it is too long",
      (directory) => writeFileSync(key(directory), Buffer.alloc(33)),
      /sealing\.key holds 33 bytes, not a key of 32/,
    ],
    [
      "it is a directory",
      (directory) => mkdirSync(key(directory)),
      /cannot use the sealing key .*sealing\.key: EISDIR.*\(--state\)/,
    ],
    [
      "it is a link to itself",
      (directory) => symlinkSync("sealing.key", key(directory)),
      /cannot use the sealing key .*sealing\.key: ELOOP.*\(--state\)/,
    ],
  ])("%s", async ([, make, message]) => {
    const directory = temporaryDirectory();
    make(directory);
    await expect(loadSealingKey(directory)).rejects.toMatchObject({
      code: "failed-precondition",
      message: expect.stringMatching(message),
    });
  });

  test("the directory is a file", async () => {
    const directory = join(temporaryDirectory(), "state");
    writeFileSync(directory, "");
    await expect(loadSealingKey(directory)).rejects.toMatchObject({
      code: "failed-precondition",
      message: expect.stringMatching(/state\/sealing\.key: .*\(--state\)/),
    });
    expect(readFileSync(directory, "utf8")).toBe("");
  });

  test("the directory takes no file", async () => {
    // /proc takes none from anybody, root included.
    await expect(loadSealingKey("/proc")).rejects.toMatchObject({
      code: "failed-precondition",
      message: expect.stringContaining("cannot use the sealing key /proc/sealing.key: ENOENT"),
    });
  });
});

test("a node without files gets a key of its own each time", () => {
  expect(passingSealingKey()).toHaveLength(32);
  expect(passingSealingKey()).not.toEqual(passingSealingKey());
});
