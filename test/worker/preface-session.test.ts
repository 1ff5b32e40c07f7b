// Goal: a connection from whoever must say whose it is goes on as that client's, from its first byte after
// the preface; without one, whole, right and in time, nothing of it goes on. Others are never asked.
// Method: real sockets; what the backend got, and the counters.

import { describe, expect, test } from "vitest";
import { badPrefaces, binary, ipv6Ends, record } from "../protocol/preface-like.ts";
import { answering, okAnswer, type Peer } from "../support/peer.ts";
import { type Served, type ServedOptions, serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { turns, until } from "../support/until.ts";

const fromHere = { proxyProtocol: ["127.0.0.0/8"] };
const line = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
const request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const named = { for: "192.0.2.1", port: "443" };

/** Answers each request with what its forwarding fields say. */
const telling = answering((got) =>
  okAnswer(
    `${valuesOf(got, "x-forwarded-for").join()}|${valuesOf(got, "x-forwarded-port").join()}`,
  ),
);

function prefaced(options: ServedOptions = {}): Promise<Served> {
  return serve({ scripts: [telling], ...options, settings: { ...fromHere, ...options.settings } });
}

async function bodyOf(peer: Peer): Promise<string> {
  const answer = await peer.takeAnswer();
  expect(statusOf(answer)).toBe(200);
  return answer.body;
}

describe("HTTP behind a preface (TestHTTPProxyProtocol)", () => {
  test.for([
    ["a line", line, named],
    ["a binary one", binary(), named],
    ["an IPv6 line", "PROXY TCP6 2001:db8::1 ::1 1 80\r\n", { for: "2001:db8::1", port: "80" }],
    [
      "a binary IPv6 one",
      binary({ familyTransport: 0x21, ends: ipv6Ends }),
      { for: "2001:db8::1", port: "443" },
    ],
    ["one with records", binary({ records: record(1, "http/1.1") }), named],
  ] as const)("%s names the client, whatever the pieces", async ([, preface, told]) => {
    const { client, worker } = await prefaced();
    const text = preface + request + request;
    const cuts = [0, 1, 5, preface.length - 1, preface.length, preface.length + 3, text.length];
    for (const cut of cuts) {
      const peer = await client();
      await peer.sendEach([text.slice(0, cut), text.slice(cut)]);
      expect(await bodyOf(peer)).toBe(`${told.for}|${told.port}`);
      expect(await bodyOf(peer)).toBe(`${told.for}|${told.port}`);
      peer.socket.destroy();
    }
    expect(worker.counter("prefacesAccepted")).toBe(cuts.length);
    expect(worker.counter("prefacesRefused")).toBe(0);
    expect(worker.counter("connectionsAccepted")).toBe(cuts.length);
    await worker.reaches("connectionsOpen", 0);
  });

  test("PP-05: byte by byte, and nothing happens before it is whole", async () => {
    const { client, backend } = await prefaced();
    const peer = await client();
    await peer.sendEach(line);
    expect(backend.peers.length).toBe(0);
    await peer.sendEach(request);
    expect(await bodyOf(peer)).toBe("192.0.2.1|443");
  });

  test.for([
    ["UNKNOWN", "PROXY UNKNOWN\r\n"],
    ["LOCAL", binary({ versionCommand: 0x20 })],
    ["UNIX", binary({ familyTransport: 0x31, ends: "\0".repeat(216) })],
  ])("PP-03: with %s, the peer itself is the client", async ([, preface]) => {
    const { client, worker } = await prefaced();
    const peer = (await client()).send(`${preface}${request}`);
    expect(await bodyOf(peer)).toBe(`127.0.0.1|${worker.httpPort}`);
  });

  test("the access log has the named client", async () => {
    const { client, worker } = await prefaced({ settings: { accessLog: true } });
    const peer = (await client()).send(`${line}${request}`);
    await bodyOf(peer);
    expect(await worker.line(1)).toMatchObject({ client: "192.0.2.1" });
  });

  test.for([
    ["the client is trusted", "192.0.2.0/24", "203.0.113.5, 192.0.2.1|443"],
    ["only the proxy before us is", "127.0.0.0/8", "192.0.2.1|443"],
  ] as const)("forwarding fields count when %s", async ([, range, told]) => {
    const { client } = await prefaced({ settings: { trustForwarded: [range] } });
    const claim = request.replace("\r\n\r\n", "\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n");
    const peer = (await client()).send(`${line}${claim}`);
    expect(await bodyOf(peer)).toBe(told);
  });

  test("a second preface is no preface but a bad request", async () => {
    const { client } = await prefaced();
    const peer = (await client()).send(`${line}${line}${request}`);
    expect(statusOf(await peer.takeAnswer())).toBe(400);
  });
});

describe("what is closed without a word (TestParse_BadHeader)", () => {
  const bad = badPrefaces.filter(([name]) => !name.includes("the bound"));

  test.for(bad)("%s", async ([, text]) => {
    const { client, backend, worker } = await prefaced();
    // The end decides for those whose length asks for more than there is.
    const peer = (await client()).send(text + request).end();
    await peer.untilEnded();
    expect(peer.text).toBe("");
    expect(backend.peers.length).toBe(0);
    await worker.reaches("prefacesRefused", 1);
    await worker.reaches("connectionsOpen", 0);
    expect(worker.counter("requestsTotal")).toBe(0);
    expect(worker.counter("malformedRequests")).toBe(0);
  });

  test("one longer than the bound", async () => {
    const { client, worker } = await prefaced();
    const peer = (await client()).send(binary({ length: 16 * 1024 }));
    await peer.untilEnded();
    await worker.reaches("prefacesRefused", 1);
  });

  test.for([
    ["nothing", ""],
    ["half of one", line.slice(0, 20)],
  ] as const)("PP-05: %s, and then silence", async ([, text]) => {
    const { client, worker, backend } = await prefaced({ limits: { prefaceMsMax: 50 } });
    const peer = (await client()).send(text);
    await peer.untilEnded();
    expect(peer.text).toBe("");
    expect(backend.peers.length).toBe(0);
    expect(worker.counter("prefacesRefused")).toBe(1);
    expect(worker.limited("preface-time")).toBe(1);
  });

  test("the time is for the whole preface: it does not begin anew with each byte", async () => {
    const { client, worker } = await prefaced({ limits: { prefaceMsMax: 100 } });
    const peer = (await client()).send(binary({ length: 16_000 }));
    for (let sent = 0; sent < 15_000 && !peer.over; sent++) await peer.sendEach(["\0"]);
    await peer.untilEnded();
    expect(worker.counter("prefacesRefused")).toBe(1);
  });

  test.for(["end", "reset"] as const)("half of one and a client that leaves (%s)", async (how) => {
    const { client, worker } = await prefaced();
    const peer = (await client()).send("PROXY");
    await worker.reaches("connectionsOpen", 1);
    await turns(5);
    peer[how]();
    await worker.reaches("prefacesRefused", 1);
    await worker.reaches("connectionsOpen", 0);
  });

  test.for(["end", "reset"] as const)(
    "a look whether we are there is not counted (%s)",
    async (how) => {
      const { client, worker } = await prefaced();
      const peer = await client();
      await worker.reaches("connectionsOpen", 1);
      peer[how]();
      await worker.reaches("connectionsOpen", 0);
      expect(worker.counter("prefacesRefused")).toBe(0);
    },
  );
});

describe("PP-04: whoever is not named is never asked (TestPassthrough)", () => {
  test("a request without a preface is served", async () => {
    const { client, worker } = await serve({ scripts: [telling] });
    const peer = (await client()).send(request);
    expect(await bodyOf(peer)).toBe(`127.0.0.1|${worker.httpPort}`);
    expect(worker.counter("prefacesAccepted")).toBe(0);
  });

  test.for([line, binary()])("an HTTP client's preface is a bad request", async (preface) => {
    const { client, worker, backend } = await prefaced({
      settings: { proxyProtocol: ["10.0.0.0/8", "::/0"] },
    });
    const peer = (await client()).send(`${preface}${request}`);
    expect(statusOf(await peer.takeAnswer())).toBe(400);
    expect(backend.peers.length).toBe(0);
    expect(worker.counter("prefacesAccepted") + worker.counter("prefacesRefused")).toBe(0);
  });

  test("a TCP client's preface is the backend's to read", async () => {
    const { tcpClient, backend } = await serve();
    (await tcpClient()).send(`${line}hello`);
    const upstream = await backend.accept();
    expect(await upstream.takeBytes(line.length + 5)).toBe(`${line}hello`);
  });
});

describe("TCP behind a preface", () => {
  test.for([line, binary()])("the backend gets what follows it, both ways", async (preface) => {
    const { tcpClient, backend, worker } = await serve({
      settings: { ...fromHere, accessLog: true },
    });
    const peer = (await tcpClient()).send(preface.slice(0, 9));
    await turns(5);
    expect(backend.peers.length).toBe(0);
    peer.send(`${preface.slice(9)}hello`);
    const upstream = await backend.accept();
    expect(await upstream.takeBytes(5)).toBe("hello");
    upstream.send("welcome").end();
    expect(await peer.takeBytes(7)).toBe("welcome");
    peer.send("bye").end();
    expect(await upstream.takeBytes(3)).toBe("bye");
    expect(await worker.line(1)).toMatchObject({ client: "192.0.2.1", bytes_in: 8, bytes_out: 7 });
    expect(worker.counter("connectionsAccepted")).toBe(1);
    expect(worker.open()).toEqual({});
  });

  test("nothing behind it yet: the backend is connected all the same", async () => {
    const { tcpClient, backend } = await serve({ settings: fromHere });
    const peer = (await tcpClient()).send(line);
    (await backend.accept()).send("220 ready");
    expect(await peer.takeBytes(9)).toBe("220 ready");
  });

  test("without one, the connection is closed and no backend sees it", async () => {
    const { tcpClient, backend, worker } = await serve({ settings: fromHere });
    const peer = (await tcpClient()).send("SSH-2.0-x\r\n");
    await peer.untilEnded();
    expect(backend.peers.length).toBe(0);
    expect(worker.counter("prefacesRefused")).toBe(1);
    expect(worker.open()).toEqual({});
  });
});

describe("a worker that leaves", () => {
  test("gives what is on its way a little time, and answers it", async () => {
    const { client, worker, backend } = await prefaced();
    const peer = (await client()).send(line.slice(0, 10));
    await worker.reaches("connectionsOpen", 1);
    const drained = worker.drain(5_000);
    await turns(5);
    peer.send(`${line.slice(10)}${request}`);
    const answer = await peer.takeAnswer();
    expect(valuesOf(answer, "connection")).toEqual(["close"]);
    expect(backend.peers.length).toBe(1);
    peer.end();
    expect((await drained).cut).toBe(0);
  });

  test("does not wait for a preface that does not come", async () => {
    const { client, worker } = await prefaced({ limits: { firstRequestMsMax: 50 } });
    const peer = await client();
    await worker.reaches("connectionsOpen", 1);
    const drained = worker.drain(60_000);
    await until(() => peer.over, "the close");
    expect((await drained).cut).toBe(0);
  });

  test("hands over a session that leaves as well: one without a request does not stay", async () => {
    const { client, worker } = await prefaced({ limits: { firstRequestMsMax: 300 } });
    const peer = (await client()).send(line.slice(0, 10));
    await worker.reaches("connectionsOpen", 1);
    const drained = worker.drain(60_000);
    await turns(5);
    peer.send(line.slice(10));
    await worker.reaches("prefacesAccepted", 1);
    await until(() => peer.over, "the close");
    peer.end();
    expect((await drained).cut).toBe(0);
  });

  test("cuts it at the deadline", async () => {
    const { client, worker } = await prefaced();
    const peer = await client();
    await worker.reaches("connectionsOpen", 1);
    expect((await worker.drain(0)).cut).toBe(1);
    await peer.untilClosed();
  });
});
