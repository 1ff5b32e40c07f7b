// Goal: all of a log but its end is given up, each part twice, and never by more than one call at a time.

import { expect, test } from "vitest";
import { CacheTrim } from "../../src/telemetry/cache-trim.ts";

const mebibyte = 1024 * 1024;

function setUp(lengthBefore: number): {
  trim: CacheTrim;
  calls: [from: number, to: number][];
  answer: () => Promise<void>;
} {
  const calls: [number, number][] = [];
  let resolve = (): void => {};
  const trim = new CacheTrim(7, lengthBefore * mebibyte, (fd, offset, length) => {
    expect(fd).toBe(7);
    calls.push([offset / mebibyte, (offset + length) / mebibyte]);
    return new Promise((done) => (resolve = done));
  });
  const answer = async (): Promise<void> => {
    resolve();
    await trim.settled();
  };
  return { trim, calls, answer };
}

test("leaves the last 16 MiB and what was there before, and takes each part a second time", async () => {
  const { trim, calls, answer } = setUp(100);
  for (let i = 0; i < 28 * 2; i++) {
    trim.appended(mebibyte / 2);
    await answer();
  }
  expect(calls).toEqual([
    [96, 104],
    [100, 108],
    [104, 112],
  ]);
});

test("waits for one call before the next, which makes up for what came meanwhile", async () => {
  const { trim, calls, answer } = setUp(0);
  trim.appended(20 * mebibyte);
  trim.appended(9 * mebibyte);
  trim.appended(9 * mebibyte);
  expect(calls).toEqual([[0, 4]]);
  await answer();
  trim.appended(mebibyte);
  expect(calls).toEqual([
    [0, 4],
    [0, 23],
  ]);
});

test("is settled when no call runs", async () => {
  const { trim, answer } = setUp(0);
  await trim.settled();
  trim.appended(20 * mebibyte);
  let settled = false;
  const settling = trim.settled().then(() => (settled = true));
  await Promise.resolve();
  expect(settled).toBe(false);
  await answer();
  await settling;
  expect(settled).toBe(true);
});
