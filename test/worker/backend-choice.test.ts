// Goal: each backend is tried at most once per request, at most four of them, and its load is counted
// exactly while it is in use.

import { describe, expect, test } from "vitest";
import { parseRevision } from "../../src/model/revision.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { BackendChoice } from "../../src/worker/backend-choice.ts";
import type { PrefacedClient } from "../../src/worker/client-prefaces.ts";
import { recordingContext } from "../support/recording-context.ts";
import { RecordingStream } from "../support/recording-stream.ts";
import { backendOf, putRoute } from "../support/table-fixtures.ts";

const client: PrefacedClient = { ends: new RecordingStream(), prefaces: undefined };

function made(count: number) {
  const { context, counter } = recordingContext();
  const builder = RouteTable.build();
  builder.add([
    putRoute("all", "*"),
    ...Array.from({ length: count }, (_, i) => ({
      kind: "backend-put" as const,
      backend: backendOf("web", `10.0.0.${i + 1}:80`),
    })),
  ]);
  const table = builder.finish(parseRevision(1));
  const service = table.service("web")!;
  const load = (): number =>
    service.backends.reduce((sum, { endpoint }) => sum + endpoint.inFlight, 0);
  return {
    context,
    counter,
    service,
    load,
    choice: new BackendChoice(context),
  };
}

describe("the next backend", () => {
  test.for([
    [0, 0],
    [1, 1],
    [3, 3],
    [4, 4],
    [9, 4],
  ] as const)("of %i: %i different ones, then nobody", ([count, tries]) => {
    const { choice, service, counter, load } = made(count);
    choice.begin(service, client);
    const seen = new Set();
    for (let i = 0; i < tries; i++) {
      seen.add(choice.next(undefined));
      expect(load()).toBe(1);
    }
    expect(seen.size).toBe(tries);
    expect(seen.has(undefined)).toBe(false);
    expect(choice.next(undefined)).toBeUndefined();
    expect(choice.tries).toBe(tries);
    expect(counter("upstreamTries")).toBe(tries);
    expect(load()).toBe(0);
  });

  test("is the preferred one first, and not again", () => {
    const { choice, service } = made(3);
    const preferred = service.backends[2]!;
    choice.begin(service, client);
    expect(choice.next(preferred)).toBe(preferred);
    expect(choice.next(preferred)).not.toBe(preferred);
    expect(choice.next(preferred)).not.toBe(preferred);
  });

  test("is not a preferred one that was removed", () => {
    const { choice, service } = made(2);
    const preferred = service.backends[1]!;
    preferred.removed = true;
    let chosen = 0;
    for (let i = 0; i < 50; i++) {
      choice.begin(service, client);
      if (choice.next(preferred) === service.backends[0]) chosen++;
      choice.done();
    }
    expect(chosen).toBeGreaterThan(0);
  });

  test("begins anew with every request", () => {
    const { choice, service } = made(1);
    for (let i = 0; i < 3; i++) {
      choice.begin(service, client);
      expect(choice.next(undefined)).toBe(service.backends[0]);
      expect(choice.next(undefined)).toBeUndefined();
    }
    choice.reset();
    expect(choice.tries).toBe(0);
    expect(choice.next(undefined)).toBeUndefined();
  });
});

describe("a retry", () => {
  /** A request that was sent to its first backend. */
  function sent(count: number, preferred?: number) {
    const all = made(count);
    all.choice.begin(all.service, client);
    const first = all.choice.next(
      preferred === undefined ? undefined : all.service.backends[preferred],
    )!;
    return { ...all, first };
  }

  test("goes to one that was not tried, and is counted", () => {
    const { choice, first, load, counter } = sent(3);
    const second = choice.retry("reset", false, false);
    expect(second).toBeDefined();
    expect(second).not.toBe(first);
    expect([choice.tries, choice.wasSent, load()]).toEqual([2, true, 1]);
    const third = choice.retry("reset", false, false);
    expect([first, second]).not.toContain(third);
    expect(choice.retry("reset", false, false)).toBeUndefined();
    expect(counter("upstreamRetries")).toBe(2);
    expect(counter("retriesRefused")).toBe(0);
  });

  test.for([
    ["was old, and there is no other", 1, true, false, true],
    ["was new, and there is no other", 1, false, false, false],
    ["was old, and there is another", 2, true, false, false],
    ["was old, and the client sticks to it", 2, true, true, true],
    ["was new, though the client sticks to it", 2, false, true, false],
  ] as const)("to the same when its connection %s", ([, count, reused, stays, isSame]) => {
    const { choice, first, load, counter } = sent(count);
    expect(choice.retry("reset", reused, stays) === first).toBe(isSame);
    if (!isSame) return;
    expect([choice.tries, load(), first.requestsTotal]).toEqual([2, 1, 2]);
    expect(counter("upstreamTries")).toBe(2);
    // Its new connection broke as well: once is enough.
    expect(choice.retry("reset", false, stays)).not.toBe(first);
  });

  test("to the same after those that could not be dialled, and not to one that was removed", () => {
    for (const isRemoved of [false, true]) {
      const { choice, first, service } = sent(2);
      const other = choice.retry("reset", true, false);
      expect(other).not.toBe(first);
      first.removed = isRemoved;
      expect(service.backends).toContain(other);
      expect(choice.next(undefined)).toBe(isRemoved ? undefined : first);
      expect(choice.next(undefined)).toBeUndefined();
    }
  });

  test("makes four tries with the dials that failed", () => {
    const { choice } = sent(9);
    choice.next(undefined);
    choice.next(undefined);
    expect(choice.retry("reset", true, true)).toBeDefined();
    expect(choice.retry("reset", true, true)).toBeUndefined();
    expect(choice.tries).toBe(4);
  });

  test("is forgotten with the request", () => {
    const { choice, service, first } = sent(1);
    choice.retry("reset", true, false);
    choice.done();
    choice.begin(service, client);
    expect(choice.wasSent).toBe(false);
    expect(choice.next(undefined)).toBe(first);
    expect(choice.next(undefined)).toBeUndefined();
  });

  test("costs five answers after a new connection, one after an old one, and of nothing ten", () => {
    const { choice, service, counter } = made(2);
    const spend = (reused: boolean): number => {
      for (let retries = 0; ; retries++) {
        choice.begin(service, client);
        choice.next(undefined);
        if (choice.retry("reset", reused, false) === undefined) return retries;
      }
    };
    expect(spend(false)).toBe(10);
    for (let i = 0; i < 10; i++) choice.succeeded();
    expect(spend(false)).toBe(2);
    for (let i = 0; i < 10; i++) choice.succeeded();
    expect(spend(true)).toBe(10);
    expect(counter("retriesRefused")).toBe(3);
    expect(counter("upstreamRetries")).toBe(22);
  });
});

describe("the outcome", () => {
  test("is remembered with the backend: a failure in words, until it succeeds", () => {
    const { choice, service } = made(1);
    const backend = service.backends[0]!;
    choice.begin(service, client);
    choice.next(undefined);
    choice.failed("connect refused");
    choice.done();
    choice.failed("nobody is in use");
    expect(backend).toMatchObject({
      requestsTotal: 1,
      failuresTotal: 1,
      lastFailure: "connect refused",
    });
    choice.begin(service, client);
    choice.next(undefined);
    choice.succeeded();
    choice.done();
    expect(backend).toMatchObject({ requestsTotal: 2, failuresTotal: 1, lastFailure: "" });
  });

  test("ends the load once, however often it is said", () => {
    const { choice, service, load } = made(1);
    choice.begin(service, client);
    choice.next(undefined);
    choice.done();
    choice.done();
    expect(load()).toBe(0);
  });
});
