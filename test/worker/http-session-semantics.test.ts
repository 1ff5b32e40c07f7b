// Goal: what RFC 9110 and RFC 7239 ask of whoever forwards holds on real connections: time, way, who asked,
// how far; and a client or a side that is gone keeps nothing open for long.
// Method: real sockets; messages as the other end got them.

import { describe, expect, test } from "vitest";
import { answering, okAnswer, type Peer } from "../support/peer.ts";
import { type Served, serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { backendOf } from "../support/table-fixtures.ts";
import { until } from "../support/until.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const quick = { clientEndedMsMax: 200, tunnelHalfClosedMsMax: 200 };

async function asked(served: Served, request = get): Promise<{ client: Peer; upstream: Peer }> {
  const client = await served.client();
  client.send(request);
  const upstream = await served.backend.accept();
  await upstream.takeRequest();
  return { client, upstream };
}

describe("Date", () => {
  test("is the time of the answer where the backend gave none, and in answers of our own", async () => {
    const { client } = await serve({ scripts: [answering(() => okAnswer("x"))] });
    const peer = await client();
    const before = Math.floor(Date.now() / 1_000) * 1_000;
    for (const request of [get, "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", "?"]) {
      peer.send(request);
      if (request === "?") peer.end();
      const [date = "", ...more] = valuesOf(await peer.takeAnswer(), "date");
      expect(more).toEqual([]);
      expect(new Date(date).toUTCString()).toBe(date);
      expect(Date.parse(date)).toBeGreaterThanOrEqual(before);
      expect(Date.parse(date)).toBeLessThanOrEqual(Date.now());
    }
  });
});

describe("Via", () => {
  test("is there when it is on, both ways, and names no version but that of the message", async () => {
    for (const via of ["edge", undefined]) {
      const served = await serve({ settings: { via } });
      const client = await served.client();
      client.send("GET / HTTP/1.0\r\nVia: 1.1 other\r\n\r\n");
      const upstream = await served.backend.accept();
      const ours = via === undefined ? [] : ["1.0 edge"];
      expect(valuesOf(await upstream.takeRequest(), "via")).toEqual(["1.1 other", ...ours]);
      upstream.send(okAnswer("", "Via: 1.1 inner\r\n"));
      const back = via === undefined ? [] : ["1.1 edge"];
      expect(valuesOf(await client.takeAnswer(), "via")).toEqual(["1.1 inner", ...back]);
    }
  });

  test("breaks a circle: a route that leads back here is 508, and nothing stays open", async () => {
    const { worker, client } = await serve({ scripts: [], settings: { via: "crosspoint" } });
    const backend = backendOf("web", `127.0.0.1:${worker.httpPort}`);
    await worker.change({ kind: "backend-put", backend });
    const peer = await client();
    peer.send(get);
    const answer = await peer.takeAnswer();
    expect(statusOf(answer)).toBe(508);
    expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["request-loop"]);
    expect(worker.counter("requestsTotal")).toBe(6);
    peer.socket.destroy();
    await worker.change({ kind: "backend-removed", ...backend });
    await worker.reaches("connectionsOpen", 0);
  });
});

describe("Forwarded", () => {
  test("of a stranger never arrives; ours does when it is on", async () => {
    for (const forwarded of [false, true]) {
      const served = await serve({ settings: { forwarded } });
      const client = await served.client();
      client.send("GET / HTTP/1.1\r\nHost: a.test:81\r\nForwarded: for=192.0.2.43\r\n\r\n");
      const upstream = await served.backend.accept();
      expect(valuesOf(await upstream.takeRequest(), "forwarded")).toEqual(
        forwarded ? ['for=127.0.0.1;proto=http;host="a.test:81"'] : [],
      );
    }
  });

  test("of a trusted proxy is continued", async () => {
    const settings = { forwarded: true, trustForwarded: ["127.0.0.0/8"] };
    const served = await serve({ settings });
    const client = await served.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=192.0.2.43;proto=https\r\n\r\n");
    const upstream = await served.backend.accept();
    expect(valuesOf(await upstream.takeRequest(), "forwarded")).toEqual([
      "for=192.0.2.43;proto=https",
      "for=127.0.0.1;proto=http;host=a",
    ]);
  });
});

describe("OPTIONS that may go no further", () => {
  test("is answered here, its body is not taken for a request, and the connection goes on", async () => {
    const { client, worker } = await serve({ scripts: [answering(() => okAnswer("next"))] });
    const peer = await client();
    peer.send(`OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n${get}`);
    const answer = await peer.takeAnswer();
    expect([statusOf(answer), answer.body]).toEqual([200, ""]);
    expect(valuesOf(answer, "allow")[0]).toContain("OPTIONS");
    expect((await peer.takeAnswer()).body).toBe("next");
    const content = "Content-Length: 40\r\nMax-Forwards: 0\r\n";
    peer.send(`OPTIONS / HTTP/1.1\r\nHost: a\r\n${content}\r\n${get.padEnd(40)}`);
    expect(valuesOf(await peer.takeAnswer(), "connection")).toEqual(["close"]);
    await peer.untilEnded();
    expect(peer.text).toBe("");
    expect(worker.counter("requestsTotal")).toBe(3);
  });
});

describe("a method that goes nowhere", () => {
  test("TRACE: 405 with what is allowed, and no malformed request", async () => {
    const { client, worker } = await serve({ scripts: [], settings: { accessLog: true } });
    const peer = await client();
    peer.send("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nCookie: s=1\r\n\r\n");
    const answer = await peer.takeAnswer();
    expect(statusOf(answer)).toBe(405);
    expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["method-refused"]);
    expect(answer.body).not.toContain("s=1");
    expect(worker.counter("malformedRequests")).toBe(0);
    expect(await worker.line(1)).toMatchObject({ status: 405, reason: "method-refused" });
  });
});

describe("a client that closes without a reset", () => {
  test.for([
    ["before its answer", ""],
    [
      "in the middle of it (TestHTTPCloseNotify)",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    ],
  ] as const)("%s: a silent backend hears of it", async ([, begun]) => {
    const served = await serve({ limits: quick, settings: { accessLog: true } });
    const { client, upstream } = await asked(served);
    if (begun !== "") {
      upstream.send(begun);
      await client.take("1\r\na\r\n");
    }
    // Nothing unread: the kernel says FIN.
    client.socket.destroy();
    await upstream.untilEnded();
    await served.worker.reaches("connectionsOpen", 0);
    expect(served.worker.open()).toEqual({});
    expect(served.worker.counter("clientAborts")).toBe(1);
    const status = begun === "" ? 499 : 200;
    const reason = "client-closed: limit client-ended-time";
    expect(await served.worker.line(1)).toMatchObject({ status, reason });
    expect(served.worker.limited("client-ended-time")).toBe(1);
  });

  test("a backend that speaks finds out at once", async () => {
    const served = await serve();
    const { client, upstream } = await asked(served);
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    await client.take("1\r\na\r\n");
    client.socket.destroy();
    // The first piece brings the reset, the second meets it; clientEndedMsMax is 5 s here.
    const startMs = Date.now();
    await until(() => {
      upstream.send("1\r\nb\r\n");
      return upstream.over;
    }, "the backend to hear of it");
    expect(Date.now() - startMs).toBeLessThan(3_000);
  });
});

describe("a half-closed tunnel", () => {
  test.for(["client", "backend"] as const)("ended by the %s, then silent: is cut", async (who) => {
    const served = await serve({ limits: quick });
    const client = await served.tcpClient();
    client.send("x");
    const upstream = await served.backend.accept();
    await upstream.takeBytes(1);
    const [first, second] = who === "client" ? [client, upstream] : [upstream, client];
    first.send("bye").end();
    expect(await second.takeBytes(3)).toBe("bye");
    await until(() => second.ended, "the half-close");
    await first.untilClosed();
    // It waited for an answer that does not come whole: it must not look so.
    expect([first.error, second.error]).toEqual(["ECONNRESET", ""]);
    await served.worker.reaches("tcpConnectionsOpen", 0);
    expect(served.worker.open()).toEqual({});
  });

  test("after an upgrade: the same", async () => {
    const served = await serve({ limits: quick });
    const { client, upstream } = await asked(
      served,
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
    );
    upstream.send("HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    await client.takeHead();
    client.end();
    await upstream.untilEnded();
    await served.worker.reaches("upgradedOpen", 0);
    expect(served.worker.open()).toEqual({});
  });
});
