// Goal: what a route says of tries holds on real connections, and is told: in the access log, in the answer, in the
// counters; a connection of the client outlives all of it.
// Method: real sockets, over every adapter. Orders of events: tries.test.ts, hedge.test.ts.

import { describe, expect, test } from "vitest";
import type { Retry } from "../../src/model/route-options.ts";
import { okAnswer, type Peer, refusedAddress } from "../support/peer.ts";
import { type Script, type Served, serve } from "../support/served.ts";
import { type StrictMessage, statusOf, valuesOf } from "../support/strict-http.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const busy = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";

type Deed = (peer: Peer, backend: number) => void | Promise<void>;

const answers: Deed = (peer, backend) => void peer.send(okAnswer(`from ${backend}`));

/** So many backends that answer; the first requests, to whichever of them, find these deeds instead. */
async function doing(
  count: number,
  deeds: readonly Deed[],
  retry: Retry,
  more: { readonly timeoutMs?: number; readonly addresses?: readonly string[] } = {},
): Promise<Served & { readonly hits: number[] }> {
  const hits: number[] = [];
  const script = (backend: number): Script => {
    return async (peer) => {
      while (!peer.closed) {
        await peer.takeRequest();
        const deed = deeds[hits.length] ?? answers;
        hits.push(backend);
        await deed(peer, backend);
      }
    };
  };
  const { timeoutMs, addresses = [] } = more;
  const served = await serve({
    scripts: Array.from({ length: count }, (_, backend) => script(backend)),
    addresses,
    route: { retry, ...(timeoutMs === undefined ? {} : { timeoutMs }) },
    settings: { accessLog: true },
  });
  return { ...served, hits };
}

async function ask(served: Served, client?: Peer): Promise<StrictMessage> {
  const peer = client ?? (await served.client());
  peer.send(get);
  return await peer.takeAnswer();
}

const refuses: Deed = (peer) => void peer.send(busy);
const breaks: Deed = (peer) => peer.reset();
const isSilent: Deed = () => {};

describe("tries of a route", () => {
  test("after a status: the client sees the other answer alone, on a connection that goes on", async () => {
    const served = await doing(2, [refuses, refuses], { statuses: [503], tries: 3 });
    const client = await served.client();
    for (let i = 0; i < 5; i++) {
      const answer = await ask(served, client);
      expect([statusOf(answer), answer.body.startsWith("from ")]).toEqual([200, true]);
    }
    const [first, second] = served.hits;
    const address = (at: number | undefined): string => served.backends[at ?? -1]!.address;
    expect(second).not.toBe(first);
    expect(await served.worker.line(1)).toMatchObject({
      status: 200,
      tries: 3,
      reason: "",
      retries: `status-503 ${address(first)}, status-503 ${address(second)}`,
    });
    expect(await served.worker.line(2)).not.toHaveProperty("retries");
    expect(served.worker.counter("retriesStatus")).toBe(2);
  });

  test("after a status with a large body: nothing of it comes", async () => {
    const large: Deed = (peer) =>
      void peer.send(`HTTP/1.1 503 Busy\r\nContent-Length: 300000\r\n\r\n${"x".repeat(200_000)}`);
    const served = await doing(2, [large], { statuses: [503] });
    const client = await served.client();
    expect((await ask(served, client)).body).toMatch(/^from /);
    expect((await ask(served, client)).body).toMatch(/^from /);
  });

  test("after a reset and a dial that was refused: all are told in their order", async () => {
    for (;;) {
      const refused = await refusedAddress();
      const served = await doing(2, [breaks], { tries: 4 }, { addresses: [refused] });
      expect(statusOf(await ask(served))).toBe(200);
      const line = await served.worker.line(1);
      expect(line["tries"]).toBe(1 + String(line["retries"]).split(", ").length);
      if (line["tries"] !== 3) continue;
      expect(line["retries"]).toMatch(/^(reset \S+, connect \S+|connect \S+, reset \S+)$/);
      expect(line["retries"]).toContain(`connect ${refused}`);
      return;
    }
  });

  test("after its time: another backend answers", async () => {
    const served = await doing(2, [isSilent], { perTryMs: 60 });
    const began = performance.now();
    expect(statusOf(await ask(served))).toBe(200);
    expect(performance.now() - began).toBeGreaterThanOrEqual(59);
    expect(await served.worker.line(1)).toMatchObject({ tries: 2 });
    expect(served.worker.counter("tryTimeouts")).toBe(1);
  });

  test("all over their time: 504 with its word, and the connection goes on", async () => {
    const served = await doing(2, [isSilent, isSilent], { perTryMs: 40, tries: 2 });
    const client = await served.client();
    const answer = await ask(served, client);
    expect([statusOf(answer), valuesOf(answer, "x-crosspoint-reason")]).toEqual([
      504,
      ["try-time"],
    ]);
    expect(statusOf(await ask(served, client))).toBe(200);
    expect(await served.worker.line(1)).toMatchObject({ status: 504, reason: "try-time" });
  });

  test("over the time of the whole request: 504 with its word, and the connection goes on", async () => {
    const served = await doing(
      3,
      [isSilent, isSilent, isSilent],
      { perTryMs: 60, tries: 3 },
      { timeoutMs: 100 },
    );
    const client = await served.client();
    const answer = await ask(served, client);
    expect([statusOf(answer), valuesOf(answer, "x-crosspoint-reason")]).toEqual([
      504,
      ["request-time"],
    ]);
    expect(served.hits.length).toBe(2);
    expect(statusOf(await ask(served, client))).toBe(200);
  });

  test("with a second backend: whoever answers first", async () => {
    const served = await doing(2, [isSilent], { hedgeMs: 20 });
    const client = await served.client();
    const answer = await ask(served, client);
    const [slow, quick] = served.hits;
    expect(answer.body).toBe(`from ${quick}`);
    expect(quick).not.toBe(slow);
    expect(await served.worker.line(1)).toMatchObject({
      tries: 2,
      backend: served.backends[quick!]!.address,
      retries: `hedge ${served.backends[slow!]!.address}`,
    });
    expect([served.worker.counter("hedges"), served.worker.counter("hedgesWon")]).toEqual([1, 1]);
    expect(statusOf(await ask(served, client))).toBe(200);
    const measures = await served.worker.measures();
    expect(measures.map(({ failures, inFlight }) => [failures, inFlight])).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  test("pipelined requests are answered in order, each after its own tries", async () => {
    const served = await doing(3, [refuses, isSilent, breaks], {
      statuses: [503],
      perTryMs: 50,
      tries: 4,
    });
    const client = await served.client();
    client.send(get + get + get);
    for (let i = 0; i < 3; i++) expect(statusOf(await client.takeAnswer())).toBe(200);
    expect(await served.worker.line(1)).toMatchObject({ tries: 4 });
  });
});
