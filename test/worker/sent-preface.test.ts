// Goal: a backend whose service wants a preface hears whose connection it is before anything else, and
// never gets a request of anybody else on that connection.
// Method: real sockets; the bytes as the backend got them.

import { describe, expect, onTestFinished, test } from "vitest";
import { parseServiceName } from "../../src/model/names.ts";
import { Policy, type ProxyProtocol, ProxyProtocol as Version } from "../../src/model/service.ts";
import { readPreface } from "../../src/protocol/proxy-preface.ts";
import { OneWorker } from "../support/one-worker.ts";
import { okAnswer, Peer, RawBackend, refusedAddress } from "../support/peer.ts";
import { type Served, type ServedOptions, serve } from "../support/served.ts";
import { valuesOf } from "../support/strict-http.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";
import { turns, until } from "../support/until.ts";

const web = parseServiceName("web");
const settingsOf = (proxyProtocol: ProxyProtocol) => ({
  name: web,
  policy: undefined,
  proxyProtocol,
});
const sending = (version: ProxyProtocol, options: ServedOptions = {}): Promise<Served> =>
  serve({ services: [settingsOf(version)], ...options });

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi";

/** Takes the preface off what the backend received. */
async function takePreface(upstream: Peer, version: ProxyProtocol) {
  const length = version === Version.V1 ? undefined : 28;
  const text =
    length === undefined ? await upstream.take("\r\n") : await upstream.takeBytes(length);
  const bytes = Buffer.from(text, "latin1");
  const reading = readPreface(bytes, 0, bytes.length, 107);
  if (reading.kind !== "whole") throw new Error(JSON.stringify(text));
  expect(reading.end).toBe(bytes.length);
  expect(reading.preface.version).toBe(version === Version.V1 ? 1 : 2);
  return reading.preface.ends;
}

const endsOf = (client: Peer, port: number) => ({
  source: "127.0.0.1",
  sourcePort: client.socket.localPort,
  destination: "127.0.0.1",
  destinationPort: port,
});

describe.each([Version.V1, Version.V2])("PROXY %s to a backend", (version) => {
  test("comes once, before the first request of a connection", async () => {
    const { client, backend, worker } = await sending(version);
    const peer = await client();
    peer.send(get);
    const upstream = await backend.accept();
    expect(await takePreface(upstream, version)).toEqual(endsOf(peer, worker.httpPort));
    for (const next of [post, get, ""]) {
      const request = await upstream.takeRequest();
      expect(valuesOf(request, "x-forwarded-for")).toEqual(["127.0.0.1"]);
      upstream.send(okAnswer("x"));
      expect((await peer.takeAnswer()).body).toBe("x");
      peer.send(next);
    }
    expect(upstream.text).toBe("");
    expect(backend.peers.length).toBe(1);
    expect(worker.counter("upstreamReused")).toBe(2);
    peer.socket.destroy();
    // Nobody else may use it: it is closed with its client, not after its idle time.
    await upstream.untilEnded();
    await worker.reaches("upstreamOpen", 0);
    expect(worker.open()).toEqual({});
  });

  test("of one client is never another's: not even of the same address", async () => {
    const { client, backend, worker } = await sending(version);
    const peers = [await client(), await client(), await client()];
    for (const peer of peers) {
      peer.send(get);
      const upstream = await backend.accept();
      expect(await takePreface(upstream, version)).toEqual(endsOf(peer, worker.httpPort));
      await upstream.takeRequest();
      upstream.send(okAnswer("x"));
      await peer.takeAnswer();
    }
    await worker.reaches("upstreamIdle", 3);
    for (const [i, peer] of peers.entries()) {
      peer.send(get);
      await backend.peers[i]!.takeRequest();
      backend.peers[i]!.send(okAnswer(`${i}`));
      expect((await peer.takeAnswer()).body).toBe(`${i}`);
    }
    expect(backend.peers.length).toBe(3);
  });

  test("of one client goes to each backend, over a connection of its own there", async () => {
    const { client, backends, worker } = await sending(version, {
      services: [{ ...settingsOf(version), policy: Policy.RoundRobin }],
      scripts: [undefined, undefined],
    });
    const peer = await client();
    const seen: number[] = [];
    for (let i = 0; i < 7; i++) {
      peer.send(get);
      await until(() => backends.some((one) => one.peers[0]?.text.includes("GET ")), "the request");
      const at = backends.findIndex((one) => one.peers[0]?.text.includes("GET "));
      const upstream = backends[at]!.peers[0]!;
      if (!seen.includes(at)) await takePreface(upstream, version);
      seen.push(at);
      await upstream.takeRequest();
      upstream.send(okAnswer(`${at}`));
      expect((await peer.takeAnswer()).body).toBe(`${at}`);
    }
    expect(backends.map(({ peers }) => peers.length)).toEqual([1, 1]);
    expect(new Set(seen.map((at, i) => (at + i) % 2)).size).toBe(1);
    await worker.reaches("upstreamIdle", 2);
    peer.socket.destroy();
    await worker.reaches("upstreamOpen", 0);
    expect(worker.open()).toEqual({});
  });

  test("names an IPv6 client and the address that it came to", async () => {
    const raw = await RawBackend.start();
    const worker = await OneWorker.start({
      address: "::1",
      routes: [routeOf("all", "*")],
      services: [settingsOf(version)],
      backends: [backendOf("web", raw.address)],
    });
    const peer = await Peer.connect(worker.httpPort, "::1");
    onTestFinished(async () => {
      peer.socket.destroy();
      await worker.close();
      await raw.close();
    });
    peer.send(get);
    const bytes = Buffer.from(await (await raw.accept()).take("GET "), "latin1");
    expect(readPreface(bytes, 0, bytes.length, 107)).toMatchObject({
      preface: { ends: { source: "::1", destination: "::1", destinationPort: worker.httpPort } },
    });
  });

  test("comes anew when the request moves to another connection", async () => {
    const { client, backend, worker } = await sending(version, {
      addresses: [await refusedAddress()],
    });
    const peer = await client();
    for (let i = 0; i < 4; i++) {
      peer.send(get);
      const upstream = await backend.accept();
      expect(await takePreface(upstream, version)).toEqual(endsOf(peer, worker.httpPort));
      await upstream.takeRequest();
      upstream.send(okAnswer("x", "Connection: close\r\n")).end();
      await peer.takeAnswer();
    }
  });

  test("comes before a request that is sent again because an idle connection died", async () => {
    const { client, backend, worker } = await sending(version);
    const peer = (await client()).send(get);
    const first = await backend.accept();
    await takePreface(first, version);
    await first.takeRequest();
    first.send(okAnswer("1"));
    await peer.takeAnswer();
    peer.send(get);
    await first.takeRequest();
    first.reset();
    const second = await backend.accept();
    expect(await takePreface(second, version)).toEqual(endsOf(peer, worker.httpPort));
    await second.takeRequest();
    second.send(okAnswer("2"));
    expect((await peer.takeAnswer()).body).toBe("2");
  });

  test("of a TCP route comes before the client's bytes, also when there are none", async () => {
    const { tcpClient, backend, worker } = await sending(version);
    const peer = await tcpClient();
    const upstream = await backend.accept();
    expect(await takePreface(upstream, version)).toEqual(endsOf(peer, worker.tcpPort));
    upstream.send("220 ready");
    expect(await peer.takeBytes(9)).toBe("220 ready");
    peer.send("hello").end();
    expect(await upstream.takeBytes(5)).toBe("hello");
    upstream.end();
    await worker.reaches("connectionsOpen", 0);
    expect(worker.open()).toEqual({});
  });

  test("comes before an upgrade, and not again behind it", async () => {
    const { client, backend } = await sending(version);
    const upgrade = "Connection: upgrade\r\nUpgrade: echo\r\n\r\n";
    const peer = (await client()).send(get.replace("\r\n\r\n", `\r\n${upgrade}`));
    const upstream = await backend.accept();
    await takePreface(upstream, version);
    await upstream.takeRequest();
    upstream.send(`HTTP/1.1 101 Switching Protocols\r\n${upgrade}`);
    await peer.takeHead();
    peer.send("raw");
    expect(await upstream.takeBytes(3)).toBe("raw");
  });

  test.for([
    ["HTTP", "client"],
    ["TCP", "tcpClient"],
  ] as const)("says what the preface before us said (%s)", async ([, which]) => {
    const served = await sending(version, { settings: { proxyProtocol: ["127.0.0.0/8"] } });
    const peer = await served[which]();
    peer.send(`PROXY TCP6 2001:db8::1 2001:db8::2 1 443\r\n${get}`);
    const upstream = await served.backend.accept();
    const bytes = Buffer.from(await upstream.take("GET "), "latin1");
    expect(readPreface(bytes, 0, bytes.length, 107)).toMatchObject({
      end: bytes.length - 4,
      preface: {
        ends: {
          source: "2001:db8::1",
          sourcePort: 1,
          destination: "2001:db8::2",
          destinationPort: 443,
        },
      },
    });
  });
});

describe("a change of the setting", () => {
  test("counts from the next connection on; idle ones of before are not mixed up", async () => {
    const { client, backend, worker } = await serve();
    const peer = await client();
    const exchange = async (upstream: Peer, body: string): Promise<void> => {
      await upstream.takeRequest();
      upstream.send(okAnswer(body));
      expect((await peer.takeAnswer()).body).toBe(body);
    };
    peer.send(get);
    const plain = await backend.accept();
    await exchange(plain, "plain");
    for (const version of [Version.V1, Version.V2]) {
      await worker.change({ kind: "service-put", service: settingsOf(version) });
      peer.send(get);
      const upstream = await backend.accept();
      await takePreface(upstream, version);
      await exchange(upstream, version);
    }
    await worker.change({ kind: "service-put", service: { name: web, policy: undefined } });
    peer.send(get);
    await exchange(plain, "plain again");
    await worker.change({ kind: "service-put", service: settingsOf(Version.V1) });
    peer.send(get);
    await exchange(backend.peers[1]!, "v1 again");
    expect(backend.peers.length).toBe(3);
    await worker.reaches("upstreamIdle", 3);
  });

  test("another client without a preface gets the plain connection, never a named one", async () => {
    const { client, backend, worker } = await sending(Version.V1);
    const peer = (await client()).send(get);
    const named = await backend.accept();
    await takePreface(named, Version.V1);
    await named.takeRequest();
    named.send(okAnswer("x"));
    await peer.takeAnswer();
    await worker.change({ kind: "service-put", service: { name: web, policy: undefined } });
    for (const one of [peer, await client()]) {
      one.send(get);
      await turns(5);
    }
    const fresh = [await backend.accept(), await backend.accept()];
    for (const upstream of fresh) expect((await upstream.takeHead()).startsWith("GET ")).toBe(true);
    expect(named.text).toBe("");
  });
});
