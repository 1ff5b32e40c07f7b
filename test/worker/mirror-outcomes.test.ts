// Goal: what comes of copies teaches of the mirror's backends what it is: a 500 is a failure, a refused dial is a
// refused dial, an idle connection that was closed is nothing.
// Method: real sockets; two backends behind the mirror, of which one is bad.

import { expect, onTestFinished, test } from "vitest";
import { noWish, parseOptions } from "../../src/model/parse-options.ts";
import { answering, okAnswer, type Peer, RawBackend, refusedAddress } from "../support/peer.ts";
import { type Script, type Served, serve } from "../support/served.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";

const fine = answering(() => okAnswer("fine"));

async function mirrored(addresses: readonly string[]): Promise<Served> {
  const served = await serve({ scripts: [fine] });
  const asked = { ...noWish, mirror: { service: "shadow", percent: 100 } };
  await served.worker.change(
    {
      kind: "route-put",
      route: { ...routeOf("all", "*"), options: parseOptions(asked, "route")! },
    },
    ...addresses.map((address) => ({
      kind: "backend-put" as const,
      backend: backendOf("shadow", address),
    })),
  );
  return served;
}

async function backend(script: Script): Promise<RawBackend> {
  const started = await RawBackend.start(script);
  onTestFinished(() => started.close());
  return started;
}

async function copies({ client, worker }: Served, count: number): Promise<void> {
  const peer = await client();
  const gone = (): number => worker.counter("mirrored") + worker.counter("mirrorDropped");
  const before = gone();
  for (let i = 1; i <= count; i++) {
    peer.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await peer.takeAnswer();
    await expect.poll(gone, { interval: 1 }).toBe(before + i);
  }
}

test("one of two that answers 500 is left out after five copies", async () => {
  const good = await backend(fine);
  const bad = await backend(answering(() => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
  const served = await mirrored([good.address, bad.address]);
  await copies(served, 60);
  const measure = (await served.worker.measures()).find((one) => one.address === bad.address);
  expect(measure).toMatchObject({ failures: 5, ejection: { reason: "HTTP 500" } });
});

test("one of two that refuses is left out at once", async () => {
  const good = await backend(fine);
  const address = await refusedAddress();
  const served = await mirrored([good.address, address]);
  await copies(served, 2);
  await copies(served, 20);
  const measure = (await served.worker.measures()).find((one) => one.address === address);
  expect(measure).toMatchObject({ failures: 1, ejection: { reason: "connect refused" } });
});

test("connections that their backend closes when they were used before eject nobody", async () => {
  const closing = async (peer: Peer): Promise<void> => {
    await peer.takeRequest();
    peer.send(okAnswer("once"));
    await peer.takeRequest();
    peer.reset();
  };
  const [good, bad] = [await backend(fine), await backend(closing)];
  const served = await mirrored([good.address, bad.address]);
  await copies(served, 80);
  const measure = (await served.worker.measures()).find((one) => one.address === bad.address);
  expect(measure?.failures).toBeGreaterThan(5);
  expect(measure?.ejections ?? 0).toBe(0);
});
