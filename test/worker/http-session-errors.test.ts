// Goal: every case of interface.md's table gets its answer, with the reason in X-Crosspoint-Reason and
// in the access log; and the answer arrives even when the client was still sending.
// Method: real sockets, small limits.

import { describe, expect, test } from "vitest";
import { answering, okAnswer, refusedAddress } from "../support/peer.ts";
import { type ServedOptions, serve } from "../support/served.ts";
import { type StrictMessage, statusOf, valuesOf } from "../support/strict-http.ts";
import { removeRoute } from "../support/table-fixtures.ts";
import { turns, until } from "../support/until.ts";

const get = "GET /path?q HTTP/1.1\r\nHost: a.test\r\n\r\n";
const reasonOf = (answer: StrictMessage): string =>
  valuesOf(answer, "x-crosspoint-reason")[0] ?? "";

const silent = async (): Promise<void> => {};
const hangUp: NonNullable<ServedOptions["scripts"]>[number] = async (peer) => {
  await peer.takeRequest();
  peer.socket.destroy();
};

interface Case {
  readonly name: string;
  readonly served?: ServedOptions;
  readonly send: string;
  readonly status: number;
  readonly reason: string;
  /** The connection goes on. */
  readonly stays?: boolean;
}

const cases: readonly Case[] = [
  {
    name: "no backend",
    served: { scripts: [] },
    send: get,
    status: 503,
    reason: "no-backend",
    stays: true,
  },
  {
    name: "a backend that breaks off",
    served: { scripts: [hangUp] },
    send: get,
    status: 502,
    reason: "backend-closed",
    stays: true,
  },
  {
    name: "a backend that answers nonsense",
    served: { scripts: [answering(() => "SSH-2.0-OpenSSH_9.2\r\n\r\n")] },
    send: get,
    status: 502,
    reason: "backend-malformed",
    stays: true,
  },
  {
    name: "a backend that is too slow",
    served: { scripts: [silent], limits: { responseHeadMsMax: 40 } },
    send: get,
    status: 504,
    reason: "backend-slow",
    stays: true,
  },
  {
    name: "a head that does not come",
    served: { limits: { requestHeadMsMax: 40 } },
    send: "GET / HTTP/1.1\r\nHost:",
    status: 408,
    reason: "request-slow",
  },
  {
    name: "a body that does not come",
    served: { limits: { bodyIdleMsMax: 40 } },
    send: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab",
    status: 408,
    reason: "request-slow",
  },
  {
    name: "a malformed head",
    send: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    status: 400,
    reason: "request-malformed",
  },
  {
    name: "a target that is too long",
    send: `GET /${"x".repeat(9_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    status: 414,
    reason: "request-malformed",
  },
  {
    name: "a head that is too long",
    send: `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(17_000)}\r\n\r\n`,
    status: 431,
    reason: "request-malformed",
  },
  {
    name: "a version from the future",
    send: "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    status: 505,
    reason: "request-malformed",
  },
  {
    name: "an unknown coding",
    send: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    status: 501,
    reason: "request-malformed",
  },
  {
    name: "an unknown expectation",
    send: "GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n",
    status: 417,
    reason: "request-malformed",
  },
];

describe("an error answer", () => {
  test.for(cases)("$status for $name", async ({ served, send, status, reason, stays }) => {
    const { client, worker } = await serve({ ...served, settings: { accessLog: true } });
    const peer = await client();
    peer.send(send);
    const answer = await peer.takeAnswer();
    expect(statusOf(answer)).toBe(status);
    expect(reasonOf(answer)).toBe(reason);
    expect(valuesOf(answer, "content-type")).toEqual(["text/plain; charset=utf-8"]);
    expect(answer.body).toMatch(new RegExp(`^${status} .+\\n$`));
    expect(valuesOf(answer, "retry-after")).toEqual(status === 503 ? ["1"] : []);
    expect(valuesOf(answer, "connection")).toEqual(stays === true ? [] : ["close"]);
    if (stays !== true) await peer.untilEnded();
    const line = await worker.line(1);
    expect(line["status"]).toBe(status);
    expect(String(line["reason"])).toMatch(new RegExp(`^${reason}(: .+)?$`));
    const failed = reason.startsWith("backend-") ? 1 : 0;
    for (const backend of await worker.measures()) expect(backend.failures).toBe(failed);
    expect(worker.counter("requestsInFlight")).toBe(0);
    expect(worker.counter(status >= 500 ? "responses5xx" : "responses4xx")).toBe(1);
  });

  test("404 for no route, and the next request is answered", async () => {
    const { client, worker } = await serve({ settings: { accessLog: true } });
    await worker.change(removeRoute("all"));
    const peer = await client();
    for (let i = 1; i <= 2; i++) {
      peer.send(get);
      const answer = await peer.takeAnswer();
      expect(statusOf(answer)).toBe(404);
      expect(reasonOf(answer)).toBe("no-route");
      expect(await worker.line(i)).toMatchObject({ route: "", backend: "", tries: 0 });
    }
    expect(worker.counter("noRoute")).toBe(2);
  });

  test("503 when all refuse, and nothing was sent (TestNoResponsiveBackends)", async () => {
    const { client, worker } = await serve({
      scripts: [],
      addresses: [await refusedAddress(), await refusedAddress()],
      settings: { accessLog: true },
    });
    const peer = await client();
    peer.send(get);
    const answer = await peer.takeAnswer();
    expect(statusOf(answer)).toBe(503);
    expect(reasonOf(answer)).toBe("no-backend-reachable");
    expect(valuesOf(answer, "retry-after")).toEqual(["1"]);
    expect(await worker.line(1)).toMatchObject({ tries: 2, reason: "no-backend-reachable" });
    expect((await worker.measures()).map(({ failures }) => failures)).toEqual([1, 1]);
  });

  test("a 404 behind an answered request is logged with no tries of its own", async () => {
    const { client, worker } = await serve({
      scripts: [answering(() => okAnswer("ok"))],
      settings: { accessLog: true },
    });
    const peer = await client();
    peer.send(get);
    await peer.takeAnswer();
    await worker.change(removeRoute("all"));
    peer.send(get);
    expect(statusOf(await peer.takeAnswer())).toBe(404);
    expect(await worker.line(2)).toMatchObject({ status: 404, tries: 0, revision: 2 });
  });

  test.for([
    ["application/json", true],
    ["application/problem+json, */*", false],
    ["text/html, application/json", false],
    ["application/json, text/plain", true],
    ["*/*", false],
  ] as const)("is JSON for Accept: %s: %s", async ([accept, json]) => {
    const { client } = await serve({ scripts: [] });
    const peer = await client();
    peer.send(`GET / HTTP/1.1\r\nHost: a\r\nAccept: ${accept}\r\n\r\n`);
    const answer = await peer.takeAnswer();
    expect(valuesOf(answer, "content-type")[0]).toContain(json ? "application/json" : "text/plain");
    if (json) {
      expect(JSON.parse(answer.body)).toEqual({
        status: 503,
        reason: "no-backend",
        message: expect.stringContaining("backend"),
      });
    }
  });

  test("to HEAD has no body, but its length", async () => {
    const { client } = await serve({ scripts: [] });
    const peer = await client();
    peer.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").send(get);
    const answer = await peer.takeAnswer({ bodiless: true });
    expect(Number(valuesOf(answer, "content-length")[0])).toBeGreaterThan(10);
    expect(statusOf(await peer.takeAnswer())).toBe(503);
  });

  test("405 for CONNECT, with what is allowed; what follows is not taken for requests", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send(`CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n${get}`);
    const answer = await peer.takeAnswer();
    expect(statusOf(answer)).toBe(405);
    expect(valuesOf(answer, "allow")[0]).toContain("GET");
    await peer.untilEnded();
    expect(peer.text).toBe("");
    expect(backend.peers).toEqual([]);
  });

  test("is not lost to a reset when the client goes on sending", async () => {
    const { client, worker } = await serve({ limits: { lingerMsMax: 60_000 } });
    const peer = await client();
    peer.socket.pause();
    peer.send(`GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`);
    // Closing with these unread would reset the connection and throw the answer away.
    for (let i = 0; i < 20; i++) {
      peer.send("x".repeat(50_000));
      await turns(2);
    }
    peer.socket.resume();
    expect(statusOf(await peer.takeAnswer())).toBe(400);
    peer.end();
    await worker.reaches("connectionsOpen", 0);
    expect(peer.error).toBe("");
  });

  test("does not keep a client for ever that neither reads nor leaves", async () => {
    const { client, worker } = await serve({ limits: { lingerMsMax: 40 } });
    const peer = await client();
    peer.send("nonsense\r\n\r\n");
    expect(statusOf(await peer.takeAnswer())).toBe(400);
    await worker.reaches("connectionsOpen", 0);
  });
});

describe("the access log", () => {
  test("has one line per request, with what was routed where", async () => {
    const { backend, client, worker } = await serve({
      scripts: [answering(() => okAnswer("body"))],
      settings: { accessLog: true },
    });
    const peer = await client();
    const id = "0123456789abcdefghij";
    peer.send(
      `POST /path?q=1 HTTP/1.1\r\nHost: A.test\r\nX-Request-Id: ${id}\r\nContent-Length: 3\r\n\r\nabc`,
    );
    await peer.takeAnswer();
    expect(await worker.line(1)).toMatchObject({
      client: "127.0.0.1",
      method: "POST",
      host: "A.test",
      path: "/path?q=1",
      protocol: "http/1.1",
      status: 200,
      bytes_in: 3,
      bytes_out: 4,
      route: "all",
      service: "web",
      backend: backend.address,
      tries: 1,
      revision: 1,
      reason: "",
      request_id: id,
    });
    expect(worker.counter("bytesToClients")).toBe(4);
  });

  test("says when a client has left, and what it had got", async () => {
    const { backend, client, worker } = await serve({ settings: { accessLog: true } });
    const peer = await client();
    peer.send(get);
    const upstream = await backend.accept();
    await upstream.takeRequest();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n12345");
    await until(() => peer.text.endsWith("12345"), "the beginning of the body");
    peer.reset();
    expect(await worker.line(1)).toMatchObject({
      status: 200,
      reason: "client-closed",
      bytes_out: 5,
      tries: 1,
    });
    expect(worker.counter("clientAborts")).toBe(1);
  });

  test("says 499 when a client has left before its answer", async () => {
    const { backend, client, worker } = await serve({ settings: { accessLog: true } });
    const peer = await client();
    peer.send(get);
    await (await backend.accept()).takeRequest();
    peer.reset();
    expect(await worker.line(1)).toMatchObject({ status: 499, reason: "client-closed" });
  });
});

describe("a limit that refuses or cuts", () => {
  const noAnswer: NonNullable<ServedOptions["scripts"]>[number] = async (peer) => {
    await peer.takeRequest();
  };
  test.for([
    ["head-time", { limits: { requestHeadMsMax: 40 } }, "GET / HT", "request-slow"],
    [
      "answer-time",
      { scripts: [noAnswer], limits: { responseHeadMsMax: 40 } },
      get,
      "backend-slow",
    ],
    ["request-time", { scripts: [noAnswer], limits: { requestMsMax: 40 } }, get, "backend-slow"],
    [
      "body-bytes",
      { limits: { bodyBytesMax: 4 } },
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
      "request-too-large",
    ],
    ["head-bytes", {}, `${get.slice(0, -2)}X: ${"y".repeat(20_000)}\r\n\r\n`, "request-malformed"],
  ] as const)("%s: the access log names it", async ([limit, served, send, reason]) => {
    const { client, worker } = await serve({ ...served, settings: { accessLog: true } });
    const peer = (await client()).send(send);
    const answer = await peer.takeAnswer();
    expect(reasonOf(answer)).toBe(reason);
    expect(answer.body).toContain(`limit ${limit}`);
    const line = await worker.line(1);
    expect(line["reason"]).toMatch(new RegExp(`^${reason}: (?:.*, )?limit ${limit}$`));
    expect(worker.limited(limit)).toBe(1);
  });
});
