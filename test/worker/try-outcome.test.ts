// Goal: what comes of a try reaches its backend as it is: a head that comes well brings back who was left out, a
// connection that was old when it broke proves nothing, and clients and second tries go where requests succeed.

import { describe, expect, test } from "vitest";
import { parseRevision } from "../../src/model/revision.ts";
import type { BackendState } from "../../src/routing/backend-state.ts";
import { failingOf } from "../../src/routing/ejection.ts";
import { LatencyAverage } from "../../src/routing/latency-average.ts";
import { anybody } from "../../src/routing/picker.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { betterThan } from "../../src/routing/second-choice.ts";
import { isEjected } from "../../src/routing/usable-backends.ts";
import { BackendChoice } from "../../src/worker/backend-choice.ts";
import { recordingContext } from "../support/recording-context.ts";
import { RecordingStream } from "../support/recording-stream.ts";
import { backendOf, putRoute } from "../support/table-fixtures.ts";

function made() {
  const { context, system } = recordingContext();
  const builder = RouteTable.build(context.upkeep);
  builder.add([
    putRoute("all", "*"),
    ...[1, 2, 3].map((i) => ({
      kind: "backend-put" as const,
      backend: backendOf("web", `10.0.0.${i}:80`),
    })),
  ]);
  context.table = builder.finish(parseRevision(1));
  const service = context.table.service("web")!;
  const bad = service.backends[1]!;
  const begin = (preferred?: BackendState): BackendChoice => {
    const choice = new BackendChoice(context);
    choice.begin(service, { ends: new RecordingStream(), prefaces: undefined });
    choice.next(preferred);
    return choice;
  };
  const fail = (times: number, isOld = false): void => {
    for (let i = 0; i < times; i++) {
      const choice = begin(bad);
      choice.failed("reset", bad, isOld);
      choice.done();
    }
  };
  return { context, service, bad, begin, fail, system };
}

describe("a backend that was left out", () => {
  test("is back with the head of the answer to the request that tries it, and out again when that breaks off", () => {
    const { bad, begin, fail, system } = made();
    fail(5);
    expect(isEjected(bad)).toBe(true);
    system.advance(10_001);
    const trial = begin();
    expect(trial.current).toBe(bad);
    expect(begin().current).not.toBe(bad);
    trial.answered(200);
    expect(isEjected(bad)).toBe(false);
    trial.failed("reset");
    expect(isEjected(bad)).toBe(true);
    trial.done();
    expect(bad.record?.failing?.trials).toBe(0);
  });

  test("does not wait for a request that stays without an answer: after half a minute another one tries it", () => {
    const { bad, begin, fail, system } = made();
    fail(5);
    system.advance(10_001);
    const slow = begin();
    expect(slow.current).toBe(bad);
    system.advance(29_000);
    expect(begin().current).not.toBe(bad);
    system.advance(1_001);
    const another = begin();
    expect(another.current).toBe(bad);
    expect(begin().current).not.toBe(bad);
    another.answered(200);
    expect(isEjected(bad)).toBe(false);
    for (const choice of [slow, another]) choice.done();
    expect(bad.record?.failing?.trials).toBe(0);
  });

  test("is not back with an answer that says 500", () => {
    const { bad, begin, fail, system } = made();
    fail(5);
    system.advance(10_001);
    begin().answered(500);
    expect(bad.standing.ejectedUntilMs).toBeGreaterThan(system.monotonicMs() + 15_000);
  });

  test("gets no client that belongs to it", () => {
    const { bad, begin, fail } = made();
    expect(begin(bad).current).toBe(bad);
    fail(5);
    expect(begin(bad).current).not.toBe(bad);
  });
});

test("where the others fail some requests as well, one failure of a request that tries it again is no proof", () => {
  const { service, bad, begin, fail, system } = made();
  fail(9);
  system.advance(10_001);
  for (const other of service.backends) {
    if (other === bad) continue;
    const failing = failingOf(other, system.monotonicMs());
    for (let i = 0; i < 40; i++) {
      if (i % 5 === 0) failing.failed(system.monotonicMs());
      else failing.succeeded(system.monotonicMs());
    }
  }
  const first = begin();
  expect(first.current).toBe(bad);
  first.answered(500);
  first.done();
  expect(bad.standing.ejectedUntilMs).toBeLessThan(system.monotonicMs());
  begin().answered(500);
  expect(bad.standing.ejectedUntilMs).toBeGreaterThan(system.monotonicMs());
});

test.for([true, false])(
  "what comes after the worker stood still says nothing of a backend, noticed by its wheel: %s",
  (isNoticed) => {
    const { context, bad, begin, fail, system } = made();
    const { wheel } = context;
    const latency = (bad.latency = new LatencyAverage());
    wheel.advance(system.monotonicMs());
    const choices = Array.from({ length: 20 }, () => begin(bad));
    const slow = begin(bad);
    system.advance(30_000);
    if (isNoticed) wheel.advance(system.monotonicMs());
    for (const choice of choices) {
      choice.failed("connection closed");
      choice.done();
    }
    slow.answered(200);
    slow.succeeded();
    slow.done();
    expect([isEjected(bad), latency.isKnown, bad.failuresTotal]).toEqual([false, false, 20]);
    // What is sent from then on does.
    fail(5);
    expect([isEjected(bad), latency.isKnown]).toEqual([true, true]);
  },
);

test("connections that were old when they broke eject nobody, and are counted as failures", () => {
  const { bad, fail } = made();
  fail(50, true);
  expect(isEjected(bad)).toBe(false);
  expect(bad.failuresTotal).toBe(50);
});

test("connections for which we lack a descriptor or a port are no failures of their backend", () => {
  const { bad, begin } = made();
  for (const message of ["connect: EMFILE", "connect: EADDRNOTAVAIL"]) {
    const choice = begin(bad);
    choice.connectFailed("exhausted", message);
    choice.done();
  }
  expect(isEjected(bad)).toBe(false);
  expect(bad.failuresTotal).toBe(0);
  expect(bad.lastFailure).toBe("");
});

test("a second try goes to a backend whose last request did not fail, if there is one", () => {
  const { service, bad } = made();
  const [first, , third] = service.backends;
  failingOf(bad, 0).failed(0);
  const question = { ...anybody(() => 0.99), tried: [first!], triedCount: 1 };
  expect(betterThan(bad, service.usable, question)).toBe(third);
  failingOf(third!, 0).failed(0);
  failingOf(first!, 0).failed(0);
  expect(betterThan(bad, service.usable, question)).toBe(bad);
});
