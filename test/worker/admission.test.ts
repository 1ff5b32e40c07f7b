// Goal: who may not come, or comes too often, is told so, before a redirect, an answer or a backend; counted and
// logged. Rates hold over all workers.
// Method: real sockets; two workers with the memory of one node.

import { describe, expect, onTestFinished, test } from "vitest";
import { rateMemory } from "../../src/channel/rate-buckets.ts";
import { noWish, type OptionsWish, parseOptions } from "../../src/model/parse-options.ts";
import type { Route } from "../../src/model/route.ts";
import { OneWorker } from "../support/one-worker.ts";
import { answering, okAnswer, Peer } from "../support/peer.ts";
import { type Served, serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { routeOf } from "../support/table-fixtures.ts";

type Wish = Partial<OptionsWish>;

function guarded(name: string, match: string | number, wish: Wish): Route {
  return { ...routeOf(name, match), options: parseOptions({ ...noWish, ...wish }, "route")! };
}

const nobody: Wish = { access: { allow: ["192.0.2.0/24"], deny: [] } };
const rate = (requests: number, key: "route" | "client" = "route", perMs = 3_600_000): Wish => ({
  rateLimit: { requests, perMs, burst: 0, key },
});
const get = "GET / HTTP/1.1\r\nHost: a.test\r\n";

async function serving(wish: Wish, settings: object = {}): Promise<Served> {
  const served = await serve({
    scripts: [answering(() => okAnswer("fine"))],
    settings: { accessLog: true, ...settings },
  });
  await served.worker.change({ kind: "route-put", route: guarded("all", "*", wish) });
  return served;
}

async function asked(client: Peer, fields = "") {
  client.send(`${get}${fields}\r\n`);
  return await client.takeAnswer();
}

describe("access", () => {
  test("of others is refused with 403, on a connection that stays, and no backend hears of it", async () => {
    const { worker, client, backend } = await serving(nobody);
    const peer = await client();
    for (const count of [1, 2]) {
      const answer = await asked(peer);
      expect(statusOf(answer)).toBe(403);
      expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["access-denied"]);
      expect(answer.body).toBe("403 Forbidden: this address may not come here\n");
      expect(worker.counter("accessDenied")).toBe(count);
      expect(await worker.line(count)).toMatchObject({
        status: 403,
        reason: "access-denied",
        route: "all",
        backend: "",
      });
    }
    expect(backend.peers).toEqual([]);
  });

  test("comes before a redirect and a fixed answer, and has the route's page", async () => {
    const { worker, client } = await serving(nobody);
    const fixed = { status: 200, contentType: "", body: "hello", headers: {} };
    const pages = [{ status: 403, contentType: "", body: "<p>members</p>" }];
    const { service: _, ...route } = guarded("all", "*", { ...nobody, answer: fixed, pages });
    await worker.change({ kind: "route-put", route: { ...route, service: undefined } });
    const answer = await asked(await client());
    expect([statusOf(answer), answer.body]).toEqual([403, "<p>members</p>"]);
  });

  test("goes by the client behind a trusted proxy", async () => {
    const { client } = await serving(nobody, { trustForwarded: ["127.0.0.0/8"] });
    const peer = await client();
    const statusFor = async (value: string): Promise<number> =>
      statusOf(await asked(peer, `X-Forwarded-For: ${value}\r\n`));
    expect(await statusFor("192.0.2.7")).toBe(200);
    expect(await statusFor("192.0.2.7, 127.0.0.2")).toBe(200);
    expect(await statusFor("192.0.2.7, 198.51.100.1")).toBe(403);
    expect(await statusFor("192.0.2.7, unknown")).toBe(403);
  });

  test("is not opened by what a stranger says of itself", async () => {
    const { client } = await serving(nobody);
    const answer = await asked(await client(), "X-Forwarded-For: 192.0.2.7\r\n");
    expect(statusOf(answer)).toBe(403);
  });

  test("with the body of a refused request unread ends the connection", async () => {
    const { client } = await serving(nobody);
    const peer = await client();
    peer.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n");
    const answer = await peer.takeAnswer();
    expect([statusOf(answer), valuesOf(answer, "connection")]).toEqual([403, ["close"]]);
  });

  test("to a TCP route is closed at once, counted and logged", async () => {
    const { worker, tcpClient, backend } = await serve({ settings: { accessLog: true } });
    const route = guarded("relay", worker.tcpPort, nobody);
    await worker.change({ kind: "route-put", route });
    await (await tcpClient()).untilEnded();
    expect(await worker.line(1)).toMatchObject({ reason: "access-denied", route: "relay" });
    expect([worker.counter("accessDenied"), worker.open(), backend.peers]).toEqual([1, {}, []]);
    const allowed = guarded("relay", worker.tcpPort, {
      access: { allow: ["127.0.0.1"], deny: [] },
    });
    await worker.change({ kind: "route-put", route: allowed });
    await tcpClient();
    await backend.accept();
  });

  test("goes by the address that a PROXY protocol preface names, for both kinds of routes", async () => {
    const { worker, client, tcpClient, backend } = await serving(nobody, {
      proxyProtocol: ["127.0.0.0/8"],
    });
    const relay = guarded("relay", worker.tcpPort, nobody);
    await worker.change({ kind: "route-put", route: relay });
    for (const [from, status] of [
      ["192.0.2.7", 200],
      ["198.51.100.7", 403],
    ] as const) {
      const preface = `PROXY TCP4 ${from} 10.0.0.1 4711 80\r\n`;
      const peer = await client();
      peer.send(preface);
      expect(statusOf(await asked(peer))).toBe(status);
      const before = backend.peers.length;
      const pipe = await tcpClient();
      pipe.send(preface);
      if (status === 200) await worker.reaches("tcpConnectionsOpen", 1);
      else {
        await pipe.untilEnded();
        expect(backend.peers.length).toBe(before);
      }
    }
  });
});

describe("a rate", () => {
  test("refuses what is over it with 429, a time to wait and the route's page", async () => {
    const pages = [{ status: 429, contentType: "text/plain", body: "slower" }];
    const { worker, client } = await serving({ ...rate(2, "route", 60_000), pages });
    const peer = await client();
    expect(statusOf(await asked(peer))).toBe(200);
    expect(statusOf(await asked(peer))).toBe(200);
    const answer = await asked(peer);
    expect([statusOf(answer), answer.body]).toEqual([429, "slower"]);
    expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["rate-limited"]);
    expect(valuesOf(answer, "retry-after")).toEqual(["30"]);
    expect(await worker.line(3)).toMatchObject({ status: 429, reason: "rate-limited" });
    expect(worker.counter("rateLimited")).toBe(1);
  });

  test("is kept when the route changes in something else", async () => {
    const { worker, client } = await serving(rate(1));
    const peer = await client();
    expect(statusOf(await asked(peer))).toBe(200);
    const route = { ...guarded("all", "*", rate(1)), labels: { changed: "yes" } };
    await worker.change({ kind: "route-put", route });
    expect(statusOf(await asked(peer))).toBe(429);
  });

  test("does not count who is denied", async () => {
    const { worker, client } = await serving({ ...nobody, ...rate(1) });
    const peer = await client();
    for (let i = 0; i < 3; i++) expect(statusOf(await asked(peer))).toBe(403);
    await worker.change({ kind: "route-put", route: guarded("all", "*", rate(1)) });
    expect(statusOf(await asked(peer))).toBe(200);
  });

  test("of each client leaves the others alone", async () => {
    const settings = { trustForwarded: ["127.0.0.0/8"] };
    const { client } = await serving(rate(1, "client"), settings);
    const peer = await client();
    const statuses: number[] = [];
    for (const value of ["192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2"]) {
      statuses.push(statusOf(await asked(peer, `X-Forwarded-For: ${value}\r\n`)));
    }
    expect(statuses).toEqual([200, 200, 429, 200, 429]);
  });

  test("of connections closes what is over it", async () => {
    const { worker, tcpClient, backend } = await serve({ settings: { accessLog: true } });
    const route = guarded("relay", worker.tcpPort, rate(2, "client"));
    await worker.change({ kind: "route-put", route });
    for (let i = 0; i < 2; i++) {
      await tcpClient();
      await backend.accept();
    }
    await (await tcpClient()).untilEnded();
    expect(await worker.line(1)).toMatchObject({ reason: "rate-limited", route: "relay" });
    expect(worker.counter("rateLimited")).toBe(1);
  });

  test("is that of all workers, and outlives one of them", async () => {
    const rates = rateMemory(11);
    const fixed = { status: 200, contentType: "", body: "hello", headers: {} };
    const { service: _, ...route } = guarded("all", "*", { ...rate(9), answer: fixed });
    const start = async (): Promise<OneWorker> => {
      const options = { routes: [{ ...route, service: undefined }], rates };
      return await OneWorker.start(options);
    };
    const countOf = async (worker: OneWorker, requests: number): Promise<number> => {
      const peer = await Peer.connect(worker.httpPort);
      let count = 0;
      for (let i = 0; i < requests; i++) if (statusOf(await asked(peer)) === 200) count++;
      peer.socket.destroy();
      return count;
    };
    const first = await start();
    const second = await start();
    onTestFinished(() => second.close());
    expect(await countOf(first, 4)).toBe(4);
    expect(await countOf(second, 4)).toBe(4);
    await first.close();
    const third = await start();
    onTestFinished(() => third.close());
    expect(await countOf(third, 4)).toBe(1);
    expect(await countOf(second, 4)).toBe(0);
  });

  test("lets through, and counts as uncounted, whom there is no place for", async () => {
    const rates = rateMemory(12, 8);
    const limit = rate(1, "client");
    const fixed = { status: 200, contentType: "", body: "hello", headers: {} };
    const { service: _, ...route } = guarded("all", "*", { ...limit, answer: fixed });
    const worker = await OneWorker.start({
      routes: [{ ...route, service: undefined }],
      rates,
      settings: { trustForwarded: ["127.0.0.0/8"] },
    });
    onTestFinished(() => worker.close());
    const peer = await Peer.connect(worker.httpPort);
    onTestFinished(() => void peer.socket.destroy());
    for (let i = 0; i < 10; i++) {
      expect(statusOf(await asked(peer, `X-Forwarded-For: 192.0.2.${i}\r\n`))).toBe(200);
    }
    expect(worker.counter("rateUncounted")).toBe(2);
  });
});
