// Goal: interim answers pass both ways in time, and a connection changes its protocol only when both
// sides have said so; then it is a pipe, with half-close and early bytes, until both are done.
// Method: real sockets, the backend's answers given byte for byte.

import { describe, expect, test } from "vitest";
import { parseServiceName } from "../../src/model/names.ts";
import type { Service } from "../../src/model/service.ts";
import type { TcpSettings } from "../../src/model/service-options.ts";
import { answering, okAnswer, refusedAddress } from "../support/peer.ts";
import { type Served, serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { turns, until } from "../support/until.ts";

const upgrade = (protocol: string, fields = ""): string =>
  `GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${fields}\r\n`;
const webSocket = upgrade(
  "websocket",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
);
const switching = (protocol: string): string =>
  `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`;

/** Both ends of a connection that has changed its protocol. */
async function switched(served: Served) {
  const client = await served.client();
  client.send(webSocket);
  const upstream = await served.backend.accept();
  await upstream.takeRequest();
  upstream.send(switching("websocket"));
  await client.takeHead();
  return { client, upstream };
}

describe("100 Continue", () => {
  const expecting =
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";

  test("goes to the client when the backend says so, and the body follows", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    for (let i = 0; i < 2; i++) {
      peer.send(expecting);
      const upstream = i === 0 ? await backend.accept() : backend.peers[0]!;
      expect(await upstream.takeHead()).toContain("Expect: 100-continue");
      upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
      expect(await peer.takeHead()).toBe("HTTP/1.1 100 Continue\r\n\r\n");
      peer.send("body");
      expect(await upstream.takeBytes(4)).toBe("body");
      upstream.send(okAnswer("done"));
      expect((await peer.takeAnswer()).body).toBe("done");
    }
  });

  test("is not waited for by a client that sends at once", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send(`${expecting}body`);
    const upstream = await backend.accept();
    await upstream.takeHead();
    expect(await upstream.takeBytes(4)).toBe("body");
    upstream.send(`HTTP/1.1 100 Continue\r\n\r\n${okAnswer("done")}`);
    expect((await peer.takeAnswer()).body).toBe("done");
  });

  test("refused: the final answer goes to the client, and the connection ends", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send(expecting);
    const upstream = await backend.accept();
    await upstream.takeHead();
    upstream.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    const answer = await peer.takeAnswer();
    expect(statusOf(answer)).toBe(417);
    expect(valuesOf(answer, "connection")).toEqual(["close"]);
    await peer.untilEnded();
    await upstream.untilEnded();
  });

  test("passed over by a final answer in chunks: it says that the connection ends, for the body may never come", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send(expecting);
    const upstream = await backend.accept();
    await upstream.takeHead();
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    expect(valuesOf(await peer.takeAnswer(), "connection")).toEqual(["close"]);
    await peer.untilEnded();
    await upstream.untilEnded();
  });

  test("never said: it is the backend that was slow (504), not the client (408)", async () => {
    const { client } = await serve({ limits: { bodyIdleMsMax: 40 } });
    const peer = await client();
    peer.send(expecting);
    expect(statusOf(await peer.takeAnswer())).toBe(504);
  });

  test("does not go to a client of HTTP/1.0", async () => {
    const { client } = await serve({
      scripts: [answering(() => `HTTP/1.1 100 Continue\r\n\r\n${okAnswer("ok")}`)],
    });
    const peer = await client();
    peer.send("GET / HTTP/1.0\r\n\r\n");
    expect(await peer.takeHead()).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe("103 Early Hints", () => {
  test("reaches the client before the final answer, with its fields", async () => {
    const { backend, client } = await serve();
    const peer = await client();
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const upstream = await backend.accept();
    await upstream.takeRequest();
    upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n");
    const hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
    expect(await peer.takeHead()).toBe(hints);
    upstream.send(okAnswer("page"));
    expect((await peer.takeAnswer()).body).toBe("page");
  });

  test("more than a hundred of them are too many", async () => {
    const hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(101);
    const { client, worker } = await serve({
      scripts: [answering(() => hints + okAnswer("page"))],
    });
    const peer = await client();
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(statusOf(await peer.takeAnswer())).toBe(502);
    expect(worker.counter("malformedResponses")).toBe(1);
  });
});

describe("an upgrade", () => {
  test("asks the backend and no more; 101 goes to the client (TestHTTPWebsocket)", async () => {
    const served = await serve();
    const client = await served.client();
    client.send(webSocket);
    const upstream = await served.backend.accept();
    const request = await upstream.takeRequest();
    expect(valuesOf(request, "connection")).toEqual(["upgrade"]);
    expect(valuesOf(request, "upgrade")).toEqual(["websocket"]);
    upstream.send(switching("websocket"));
    const head = await client.takeHead();
    expect(head).toMatch(/^HTTP\/1\.1 101 /);
    expect(head).toContain("Upgrade: websocket\r\n");
    expect(served.worker.counter("upgradedOpen")).toBe(1);
    client.send("ping");
    expect(await upstream.takeBytes(4)).toBe("ping");
    upstream.send("pong");
    expect(await client.takeBytes(4)).toBe("pong");
  });

  test("works on a connection that carried requests before", async () => {
    const served = await serve();
    const client = await served.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const upstream = await served.backend.accept();
    await upstream.takeRequest();
    upstream.send(okAnswer("page"));
    await client.takeAnswer();
    client.send(webSocket);
    await upstream.takeRequest();
    upstream.send(switching("websocket"));
    await client.takeHead();
    client.send("x");
    expect(await upstream.takeBytes(1)).toBe("x");
  });

  test("to any protocol, named in any case (TestHTTPHijackUpgrade, TestUpgradeHeaderIsCaseInsensitive)", async () => {
    const served = await serve();
    const client = await served.client();
    client.send(
      "GET / HTTP/1.1\r\nHost: a\r\ncOnnection: keep-alive, uPgrade\r\nuPGRADE: Some-Proto/1\r\n\r\n",
    );
    const upstream = await served.backend.accept();
    expect(valuesOf(await upstream.takeRequest(), "upgrade")).toEqual(["Some-Proto/1"]);
    upstream.send(switching("Some-Proto/1"));
    expect(await client.takeHead()).toContain("Upgrade: Some-Proto/1");
  });

  test("bytes that come early on either side are not lost, and not early at the other end", async () => {
    const served = await serve();
    const client = await served.client();
    client.send(`${webSocket}from the client`);
    const upstream = await served.backend.accept();
    await upstream.takeRequest();
    await turns(5);
    expect(upstream.text).toBe("");
    upstream.send(`${switching("websocket")}from the backend`);
    await client.takeHead();
    expect(await client.takeBytes(16)).toBe("from the backend");
    expect(await upstream.takeBytes(15)).toBe("from the client");
  });

  test("whose head comes byte by byte, early bytes with it", async () => {
    const served = await serve();
    const client = await served.client();
    client.send(webSocket);
    const upstream = await served.backend.accept();
    await upstream.takeRequest();
    await upstream.sendEach(`${switching("websocket")}early`);
    await client.takeHead();
    expect(await client.takeBytes(5)).toBe("early");
  });

  test.for(["client", "backend"] as const)(
    "a half-close by the %s is passed on, the other way lives",
    async (who) => {
      const served = await serve();
      const { client, upstream } = await switched(served);
      const [first, second] = who === "client" ? [client, upstream] : [upstream, client];
      first.send("last words").end();
      expect(await second.takeBytes(10)).toBe("last words");
      await until(() => second.ended, "the half-close at the other end");
      second.send("still here");
      expect(await first.takeBytes(10)).toBe("still here");
      second.end();
      await served.worker.reaches("upgradedOpen", 0);
      await served.worker.reaches("upstreamOpen", 0);
      await served.worker.reaches("connectionsOpen", 0);
    },
  );

  test("a client that had ended its side before the 101 is heard of by the backend", async () => {
    const served = await serve();
    const client = await served.client();
    client.send(`${webSocket}bye`).end();
    const upstream = await served.backend.accept();
    await upstream.takeRequest();
    await turns(5);
    upstream.send(switching("websocket"));
    expect(await upstream.takeBytes(3)).toBe("bye");
    await upstream.untilEnded();
  });

  test.for(["client", "backend"] as const)("a reset by the %s is passed on", async (who) => {
    const served = await serve();
    const { client, upstream } = await switched(served);
    const [first, second] = who === "client" ? [client, upstream] : [upstream, client];
    first.reset();
    await second.untilClosed();
    expect(second.error).toBe("ECONNRESET");
    await served.worker.reaches("upgradedOpen", 0);
  });

  test("refused: the answer goes to the client, and the connection carries on", async () => {
    const { client } = await serve({ scripts: [answering(() => okAnswer("no websocket here"))] });
    const peer = await client();
    for (const request of [webSocket, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"]) {
      peer.send(request);
      expect((await peer.takeAnswer()).body).toBe("no websocket here");
    }
  });

  test("refused, with early bytes behind it: they are never taken for a request", async () => {
    const { backend, client } = await serve({
      scripts: [answering(() => okAnswer("no websocket here"))],
    });
    const peer = await client();
    peer.send(`${webSocket}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
    const answer = await peer.takeAnswer();
    expect(valuesOf(answer, "connection")).toEqual(["close"]);
    await peer.untilEnded();
    expect(peer.text).toBe("");
    expect(backend.peers.length).toBe(1);
    expect(backend.peers[0]!.text).toBe("");
  });

  test.for([
    ["no-backend", { scripts: [] }],
    ["no-backend-reachable", { scripts: [], addresses: ["127.0.0.1:1"] }],
    ["upgraded-limit", { limits: { upgradedConnectionsMax: 0 } }],
  ] as const)(
    "refused by us with %s: early bytes are never taken for a request, without them the connection carries on",
    async ([reason, options]) => {
      const { client } = await serve(options);
      const peer = await client();
      const reasonOf = async (): Promise<string | undefined> =>
        valuesOf(await peer.takeAnswer(), "x-crosspoint-reason")[0];
      peer.send(webSocket);
      expect(await reasonOf()).toBe(reason);
      await peer.sendEach(webSocket.split(""));
      expect(await reasonOf()).toBe(reason);
      peer.send(`${webSocket}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
      expect(await reasonOf()).toBe(reason);
      await peer.untilEnded();
      expect(peer.text).toBe("");
    },
  );

  test.for([
    ["that nobody asked for", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", switching("websocket")],
    ["that names no protocol", webSocket, "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ])("a 101 %s is a 502, and raw bytes go nowhere", async ([, request, answer]) => {
    const { client } = await serve({ scripts: [answering(() => `${answer}POISON`)] });
    const peer = await client();
    peer.send(request!);
    const got = await peer.takeAnswer();
    expect(statusOf(got)).toBe(502);
    expect(valuesOf(got, "x-crosspoint-reason")).toEqual(["backend-malformed"]);
    expect(peer.text).not.toContain("POISON");
  });

  test("tries another backend while nothing was sent", async () => {
    const { client, worker } = await serve({
      scripts: [answering(() => switching("websocket"))],
      addresses: [await refusedAddress(), await refusedAddress()],
    });
    for (let i = 0; i < 10; i++) {
      const peer = await client();
      peer.send(webSocket);
      expect(await peer.takeHead()).toMatch(/^HTTP\/1\.1 101 /);
    }
    expect(worker.counter("upgradedOpen")).toBe(10);
  });

  test("is one line in the access log, written when it ends, with the bytes of both ways", async () => {
    const served = await serve({ settings: { accessLog: true } });
    const { client, upstream } = await switched(served);
    client.send("12345");
    upstream.send("123");
    await upstream.takeBytes(5);
    await client.takeBytes(3);
    expect(served.worker.lines).toEqual([]);
    client.end();
    upstream.end();
    expect(await served.worker.line(1)).toMatchObject({
      status: 101,
      bytes_in: 5,
      bytes_out: 3,
      tries: 1,
    });
    expect(served.worker.counter("responses1xx")).toBe(1);
  });

  test("silent both ways for too long, it is cut", async () => {
    const served = await serve({
      limits: { tunnelIdleMsMax: 40 },
      settings: { accessLog: true },
    });
    const { client, upstream } = await switched(served);
    await client.untilClosed();
    await upstream.untilClosed();
    await served.worker.reaches("upgradedOpen", 0);
    expect(served.worker.limited("tunnel-idle-time")).toBe(1);
    expect(await served.worker.line(1)).toMatchObject({ reason: "idle: limit tunnel-idle-time" });
  });

  describe("with TCP settings of the service", () => {
    const service = (tcp: TcpSettings): Service => ({
      name: parseServiceName("web"),
      policy: undefined,
      options: { tcp },
    });

    test("idle_time: silent for longer, it is cut, and says by what", async () => {
      const served = await serve({
        services: [service({ idleMs: 40 })],
        settings: { accessLog: true },
      });
      const { client, upstream } = await switched(served);
      await client.untilClosed();
      await upstream.untilClosed();
      expect(await served.worker.line(1)).toMatchObject({
        reason: "idle: idle_time of the service",
      });
    });

    test("connect_tries hold for what asks to be upgraded, and for no other request", async () => {
      const served = await serve({
        scripts: [],
        addresses: [await refusedAddress(), await refusedAddress()],
        services: [service({ connectTries: 1 })],
        settings: { accessLog: true },
      });
      const client = await served.client();
      const plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
      for (const request of [plain, webSocket, plain]) {
        client.send(request);
        await client.takeAnswer();
      }
      await served.worker.line(3);
      expect(served.worker.lines.map(({ tries }) => tries)).toEqual([2, 1, 2]);
    });
  });
});
