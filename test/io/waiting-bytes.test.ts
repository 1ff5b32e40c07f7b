// Goal: bytes that wait come out as they went in, in one piece, and the buffer has little to spare.

import { expect, test } from "vitest";
import { WaitingBytes } from "../../src/io/net/waiting-bytes.ts";

test("what was added comes out once, in order", () => {
  const waiting = new WaitingBytes();
  expect(waiting.take()).toBeUndefined();
  let expected = "";
  for (let i = 0; i < 3_000; i++) {
    const text = `${i},`;
    waiting.add(Buffer.from(`<${text}>`), 1, text.length + 1);
    expected += text;
  }
  expect(waiting.length).toBe(expected.length);
  expect(waiting.take()?.toString()).toBe(expected);
  expect([waiting.length, waiting.take()]).toEqual([0, undefined]);
});

test("what was taken is the taker's, whatever is added then", () => {
  const waiting = new WaitingBytes();
  waiting.add(Buffer.from("abc"), 0, 3);
  const taken = waiting.take();
  waiting.add(Buffer.from("xyz"), 0, 3);
  expect(taken?.toString()).toBe("abc");
});

test("what is added is copied: its buffer may be used again at once", () => {
  const waiting = new WaitingBytes();
  const source = Buffer.from("abc");
  waiting.add(source, 0, 3);
  source.fill("x");
  expect(waiting.take()?.toString()).toBe("abc");
});

test.for([1, 100, 5_000, 80_000])("at most 4 KiB are spare behind pieces of %i bytes", (size) => {
  const waiting = new WaitingBytes();
  const piece = Buffer.alloc(size);
  while (waiting.length < 80_000) waiting.add(piece, 0, size);
  const { length } = waiting;
  expect(waiting.take()!.buffer.byteLength - length).toBeLessThanOrEqual(4096);
});
