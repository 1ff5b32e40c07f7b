// Goal: with one of three backends refusing, failing, resetting or stuck, few requests are hurt until it is left out
// and none afterwards; what happened is told with its reason; another service with the same address is not touched.
// Method: a worker on real sockets, requests one after the other, each on a connection of its own.

import { describe, expect, test } from "vitest";
import { parseServiceName } from "../../src/model/names.ts";
import { answering, okAnswer, RawBackend, refusedAddress } from "../support/peer.ts";
import { type Script, type Served, serve } from "../support/served.ts";
import { statusOf } from "../support/strict-http.ts";
import { backendOf } from "../support/table-fixtures.ts";
import { until } from "../support/until.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const works = answering(() => okAnswer("answer"));
const fails = answering(() => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
const resets: Script = async (peer) => {
  await peer.takeRequest();
  peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").reset();
};
const closes: Script = async (peer) => {
  await peer.takeRequest();
  peer.reset();
};
const isStuck: Script = async (peer) => {
  for (;;) await peer.takeRequest();
};

/** How many of `count` requests did not get their answer. */
async function hurt({ client }: Served, count: number, request = get): Promise<number> {
  let bad = 0;
  for (let i = 0; i < count; i++) {
    const peer = await client();
    peer.send(request);
    await until(
      () => peer.text.endsWith("answer") || peer.over,
      () => `an answer: ${peer.text}`,
    );
    if (!peer.text.endsWith("answer")) bad += 1;
    peer.socket.destroy();
  }
  return bad;
}

const question = {
  kind: "http",
  method: "GET",
  host: "a.test",
  path: "/",
  headers: {},
  clientAddress: "",
} as const;

describe("one of three backends", () => {
  test.for([
    ["answers 500", fails, "HTTP 500", get],
    ["resets in the middle of its answer", resets, "", get],
    ["resets before its answer", closes, "", post],
  ] as const)("%s: five requests are hurt, then none", async ([, script, reason, request]) => {
    const served = await serve({ scripts: [works, works, script] });
    expect(await hurt(served, 60, request)).toBe(5);
    const measure = (await served.worker.measures()).find(({ ejection }) => ejection !== undefined);
    expect(measure).toMatchObject({
      address: served.backends[2]!.address,
      ejections: 1,
      failures: 5,
    });
    expect(measure?.ejection?.forMs).toBeGreaterThan(5_000);
    if (reason !== "") expect(measure?.ejection?.reason).toBe(reason);
    const { steps } = await served.worker.explain(question);
    const told = new RegExp(`gets nothing: ejected for \\d+ ms: ${measure?.ejection?.reason}`);
    expect(steps.join("\n")).toMatch(told);
    expect(await hurt(served, 60, request)).toBe(0);
  });

  test.for([
    ["resets in the middle of its answer", resets],
    ["answers 500", fails],
  ] as const)("leads and %s: five requests are hurt, then none", async ([, script]) => {
    let leader: number | undefined;
    const asked: Script = async (peer) => {
      leader ??= peer.socket.localPort;
      await (peer.socket.localPort === leader ? script(peer) : works(peer));
    };
    const served = await serve({
      scripts: [asked, asked, asked],
      services: [{ name: parseServiceName("web"), policy: "leader" }],
    });
    expect(await hurt(served, 30)).toBe(5);
    expect(await hurt(served, 30)).toBe(0);
  });

  test("leads and refuses: the next oldest serves, also when it has failed before", async () => {
    const asked: number[] = [];
    const answers: Script = async (peer) => {
      for (;;) {
        await peer.takeRequest();
        asked.push(peer.socket.localPort!);
        // Fewer in a row than would leave it out.
        const isBad = asked.length % 4 === 1;
        peer.send(isBad ? "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" : okAnswer("answer"));
      }
    };
    const served = await serve({
      scripts: [answers, answers, answers],
      addresses: ["0.0.0.0:1"],
      services: [{ name: parseServiceName("web"), policy: "leader" }],
    });
    for (let i = 0; i < 20; i++) {
      const peer = await served.client();
      peer.send(get);
      await peer.takeAnswer();
      peer.socket.destroy();
    }
    expect(new Set(asked).size).toBe(1);
  });

  test("refuses: nobody is hurt, and it is dialled once", async () => {
    const address = await refusedAddress();
    const served = await serve({ scripts: [works, works], addresses: [address] });
    expect(await hurt(served, 60, post)).toBe(0);
    const measure = (await served.worker.measures()).find((one) => one.address === address);
    expect(measure).toMatchObject({
      total: 1,
      failures: 1,
      ejection: { reason: "connect refused" },
    });
  });

  test("is stuck: as many requests are hurt as wait at a time, and five of them", async () => {
    const served = await serve({
      scripts: [works, works, isStuck],
      limits: { responseHeadMsMax: 200 },
      services: [{ name: parseServiceName("web"), policy: "round-robin" }],
    });
    expect(await hurt(served, 40)).toBe(5);
    expect(await hurt(served, 20)).toBe(0);
    const measure = (await served.worker.measures()).find(({ ejection }) => ejection !== undefined);
    expect(measure?.ejection?.reason).toBe("timeout");
  });

  test("that answers 501 or 404 is as good as any", async () => {
    const serving = answering(() => "HTTP/1.1 501 No\r\nContent-Length: 0\r\n\r\n");
    const served = await serve({ scripts: [works, works, serving] });
    await hurt(served, 60);
    expect((await served.worker.measures()).some(({ ejections }) => ejections !== undefined)).toBe(
      false,
    );
  });

  test("whose clients leave has failed in nothing", async () => {
    const served = await serve({ scripts: [isStuck, isStuck, isStuck] });
    for (let i = 0; i < 30; i++) {
      const peer = await served.client();
      peer.send(get);
      await served.worker.reaches("upstreamOpen", 1);
      peer.reset();
      await served.worker.reaches("upstreamOpen", 0);
    }
    for (const measure of await served.worker.measures()) {
      expect(measure).toMatchObject({ failures: 0, lastFailure: "" });
      expect(measure.ejection).toBeUndefined();
    }
  });
});

test("all backends refuse: 503 at once, and the first that is back serves the next request", async () => {
  const served = await serve({ scripts: [works, works, works] });
  expect(await hurt(served, 6)).toBe(0);
  const { port } = served.backends[1]!;
  for (const backend of served.backends) await backend.refuse();
  for (let i = 0; i < 20; i++) {
    const peer = await served.client();
    const startMs = performance.now();
    peer.send(get);
    expect(statusOf(await peer.takeAnswer())).toBe(503);
    expect(performance.now() - startMs).toBeLessThan(200);
    peer.socket.destroy();
  }
  for (const { failures } of await served.worker.measures()) expect(failures).toBeGreaterThan(10);
  const back = await RawBackend.start(works, port);
  expect(await hurt(served, 20)).toBe(0);
  await back.close();
});

test("another service with the same address goes its own way", async () => {
  const served = await serve({ scripts: [works, works, fails] });
  const bad = served.backends[2]!.address;
  await served.worker.change(
    { kind: "backend-put", backend: backendOf("other", bad) },
    { kind: "backend-put", backend: backendOf("other", served.backends[0]!.address) },
  );
  expect(await hurt(served, 60)).toBe(5);
  const measures = await served.worker.measures();
  const ejected = measures.filter(({ ejection }) => ejection !== undefined);
  expect(ejected.map(({ service, address }) => `${service} ${address}`)).toEqual([`web ${bad}`]);
});

test("latencies and connections of each backend are told", async () => {
  const served = await serve({ scripts: [works] });
  await hurt(served, 5);
  const [measure] = await served.worker.measures();
  expect(measure?.latencies?.reduce((sum, count) => sum + count, 0)).toBe(5);
  expect(measure?.connectionsOpen).toBe(served.worker.counter("upstreamOpen"));
});
