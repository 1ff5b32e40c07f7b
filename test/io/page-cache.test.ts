// Goal: the kernel forgets what it cached of a file, the file's bytes stay, and a bad descriptor harms nobody.

import { execFileSync } from "node:child_process";
import { type FileHandle, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { dropCached } from "../../src/io/page-cache.ts";

/** Where files are on a disk: what is in memory alone, as a tmpfs at /tmp, cannot be dropped. */
let directory: string;
let file: FileHandle;
beforeEach(async () => {
  directory = await mkdtemp("/var/tmp/crosspoint-");
  file = await open(join(directory, "access.log"), "a+");
});
afterEach(async () => {
  await file.close();
  await rm(directory, { recursive: true });
});

/** Pages of the file in the page cache (fincore of util-linux). */
function pagesCached(): number {
  const path = join(directory, "access.log");
  return Number(execFileSync("fincore", ["-n", "-o", "PAGES", path], { encoding: "utf8" }));
}

test("drops what is on the disk, and loses no byte of it", async () => {
  const bytes = Buffer.alloc(256 * 1024, "line\n");
  await file.write(bytes);
  await file.sync();
  expect(pagesCached()).toBe(64);
  await dropCached(file.fd, 0, bytes.length);
  expect(pagesCached()).toBe(0);
  expect(await readFile(join(directory, "access.log"))).toEqual(bytes);
});

test("takes no offence at a descriptor that is not open", async () => {
  await expect(dropCached(-1, 0, 4096)).resolves.toBeUndefined();
});
