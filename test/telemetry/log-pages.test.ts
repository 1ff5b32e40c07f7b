// Goal: a page has one owner at a time, and a log that nobody takes away is full instead of growing.
// Method: the two ends of one memory, as two threads have them.

import { expect, test } from "vitest";
import { accessLogPageBytes, accessLogPagesMax } from "../../src/limits.ts";
import { AccessField } from "../../src/telemetry/access-fields.ts";
import { AccessLog } from "../../src/telemetry/access-log.ts";
import { Counter, countersByteLength, countersIn } from "../../src/telemetry/counters.ts";
import { LogPages, logPagesByteLength } from "../../src/telemetry/log-pages.ts";

function bothEnds(): { worker: LogPages; main: LogPages } {
  const memory = new SharedArrayBuffer(logPagesByteLength);
  return { worker: new LogPages(memory), main: new LogPages(memory) };
}

test("what one end writes into a page the other end reads there", () => {
  const { worker, main } = bothEnds();
  worker.take();
  const page = worker.take();
  worker.bytesOf(page).set([1, 2, 3]);
  expect([...main.bytesOf(page).subarray(0, 4)]).toEqual([1, 2, 3, 0]);
  expect(main.bytesOf(page).length).toBe(accessLogPageBytes);
});

test("every page is taken once; a released one is taken again", () => {
  const { worker, main } = bothEnds();
  const taken = Array.from({ length: accessLogPagesMax }, () => worker.take());
  expect(taken.toSorted((a, b) => a - b)).toEqual(taken.map((_, index) => index));
  expect(worker.take()).toBe(-1);
  main.release(taken[5]!);
  expect(worker.take()).toBe(taken[5]);
  expect(worker.take()).toBe(-1);
});

test("lines that find no page are dropped and counted, and lines go on once a page is free", () => {
  const { worker, main } = bothEnds();
  const counters = countersIn(new SharedArrayBuffer(countersByteLength));
  const sent: number[] = [];
  const system = { wallMs: () => 1_790_000_000_000 };
  const log = new AccessLog({ pages: worker, counters, system, send: (page) => sent.push(page) });
  const line = (): void => {
    log.begin();
    log.textField(AccessField.client, "192.0.2.1");
    log.end();
  };
  for (let i = 0; i < accessLogPagesMax; i++) {
    line();
    log.flush();
  }
  expect([sent.length, counters[Counter.logLinesDropped]]).toEqual([accessLogPagesMax, 0]);
  line();
  line();
  log.flush();
  expect([sent.length, counters[Counter.logLinesDropped]]).toEqual([accessLogPagesMax, 2]);
  main.release(sent[0]!);
  line();
  log.flush();
  expect([sent.at(-1), counters[Counter.logLinesDropped]]).toEqual([sent[0], 2]);
});
