// Goal: a pipe gets the room that it is to have, and never less than it had.
// Method: real pipes; the kernel is asked how much there is (F_GETPIPE_SZ, fcntl(2)).

import { expect, onTestFinished, test } from "vitest";
import { libc } from "../../src/io/ffi.ts";
import { closeFd } from "../../src/io/sockets.ts";
import { growPipe, openPipe, pipeEnds } from "../../src/io/splice.ts";

const F_GETPIPE_SZ = 1032;
const kibibyte = 1024;

test("a pipe grows, and does not shrink", () => {
  expect(openPipe()).toBe(0);
  const ends = [...pipeEnds];
  onTestFinished(() => {
    for (const fd of ends) closeFd(fd);
  });
  const room = (): number => libc().fcntl(ends[0]!, F_GETPIPE_SZ, 0);
  expect(room()).toBeGreaterThan(0);
  growPipe(ends[1]!, 256 * kibibyte);
  expect(room()).toBe(256 * kibibyte);
  growPipe(ends[1]!, 128 * kibibyte);
  expect(room()).toBe(256 * kibibyte);
});
