// Goal: the PROXY protocol works through a whole node: who is allowed to speak it, what backends are told,
// and that a setting of a service reaches every worker.
// Method: real sockets, several workers; two nodes behind each other.

import { describe, expect, onTestFinished, test } from "vitest";
import { readPreface } from "../../src/protocol/proxy-preface.ts";
import { binary } from "../protocol/preface-like.ts";
import { answering, okAnswer, Peer, RawBackend } from "../support/peer.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { httpMatch, startWholeNode, tcpMatch, type WholeNode } from "../support/whole-node.ts";

const line = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
const request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const tries = 6;

async function backend(script?: (peer: Peer) => Promise<void>): Promise<RawBackend> {
  const made = await RawBackend.start(script);
  onTestFinished(() => made.close());
  return made;
}

async function connect(port: number): Promise<Peer> {
  const peer = await Peer.connect(port);
  onTestFinished(() => void peer.socket.destroy());
  return peer;
}

const telling = answering((got) => okAnswer(valuesOf(got, "x-forwarded-for").join()));
const allowed = { proxyProtocol: ["127.0.0.0/8"] };

async function relayPort(node: WholeNode, service: string): Promise<number> {
  const { route } = await node.client.call("addRoute", { route: { match: tcpMatch(), service } });
  return route?.match?.$case === "tcp" ? route.match.value.port : 0;
}

const metric = async (node: WholeNode, name: string): Promise<number> => {
  const { body } = await node.admin("/metrics");
  return Number(new RegExp(`^crosspoint_${name} (\\d+)$`, "m").exec(body)?.[1]);
};

describe("accepting", () => {
  test("TestHTTPProxyProtocol: every worker takes the client from the preface, and counts", async () => {
    const node = await startWholeNode(allowed);
    await node.lead(httpMatch("a.test"), (await backend(telling)).address);
    for (let i = 0; i < tries; i++) {
      const peer = await connect(node.httpPort);
      peer.send(`${i % 2 === 0 ? line : binary()}${request}`);
      expect((await peer.takeAnswer()).body).toBe("192.0.2.1");
    }
    const bare = await connect(node.httpPort);
    await bare.send(request).untilEnded();
    expect(bare.text).toBe("");
    expect(await metric(node, "proxy_prefaces_accepted_total")).toBe(tries);
    expect(await metric(node, "proxy_prefaces_refused_total")).toBe(1);
    expect(await metric(node, "requests_total")).toBe(tries);
  });

  test("TestPassthrough: without the setting, or from elsewhere, nobody's bytes are read as one", async () => {
    for (const ranges of [[], ["192.0.2.0/24"]]) {
      const node = await startWholeNode({ proxyProtocol: ranges });
      await node.lead(httpMatch("a.test"), (await backend(telling)).address);
      expect((await node.get("a.test")).body).toBe("127.0.0.1");
      const peer = await connect(node.httpPort);
      peer.send(`${line}${request}`);
      expect(statusOf(await peer.takeAnswer())).toBe(400);
      const echo = await backend();
      await node.client.call("registerBackend", {
        backend: { service: "tcp", address: echo.address },
      });
      (await connect(await relayPort(node, "tcp"))).send(line);
      expect(await (await echo.accept()).takeBytes(line.length)).toBe(line);
    }
  });
});

describe("sending", () => {
  test("a service's setting holds when the call returns, in every worker, and ends the same way", async () => {
    const node = await startWholeNode();
    const raw = await backend();
    await node.lead(httpMatch("a.test"), raw.address, "web");
    const port = await relayPort(node, "web");
    for (const version of [1, 2, 0]) {
      await node.client.call("putService", { service: { name: "web", proxyProtocol: version } });
      for (let i = 0; i < tries; i++) {
        const peer = await connect(i % 2 === 0 ? port : node.httpPort);
        peer.send(request);
        const bytes = Buffer.from(await (await raw.accept()).take("GET "), "latin1");
        const reading = readPreface(bytes, 0, bytes.length, 107);
        if (version === 0) expect(bytes.toString()).toBe("GET ");
        else {
          expect(reading).toMatchObject({
            kind: "whole",
            end: bytes.length - 4,
            preface: { version, ends: { source: "127.0.0.1", sourcePort: peer.socket.localPort } },
          });
        }
        peer.socket.destroy();
      }
    }
  });

  test("a node behind a node knows the first one's client, over HTTP and TCP", async () => {
    const inner = await startWholeNode(allowed);
    const outer = await startWholeNode(allowed);
    const raw = await backend(telling);
    await inner.lead(httpMatch("*"), raw.address);
    for (const version of [1, 2]) {
      await outer.client.call("putService", { service: { name: "in", proxyProtocol: version } });
      if (version === 1) await outer.lead(httpMatch("*"), `127.0.0.1:${inner.httpPort}`, "in");
      for (let i = 0; i < tries; i++) {
        const peer = await connect(outer.httpPort);
        const client = `192.0.2.${i + 1}`;
        peer.send(line.replace("192.0.2.1", client) + request + request);
        for (let k = 0; k < 2; k++) expect((await peer.takeAnswer()).body).toBe(client);
        peer.socket.destroy();
      }
    }
    const port = await relayPort(outer, "in");
    const peer = await connect(port);
    peer.send(line + request);
    expect((await peer.takeAnswer()).body).toBe("192.0.2.1");
  });
});
