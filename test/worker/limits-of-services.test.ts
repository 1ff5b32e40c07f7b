// Goal: a service with limits serves everybody in the order of coming who may wait, and tells the others at once or in
// time; whoever leaves makes room. Method: real sockets; the backends answer when the test says so.

import { describe, expect, test } from "vitest";
import { parseAddress } from "../../src/model/address.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { get, limited, nextRequest, waiting } from "../support/limited-service.ts";
import { okAnswer, type Peer, refusedAddress } from "../support/peer.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { turns, until } from "../support/until.ts";

/** Head and body of a request of which the body has so many bytes. */
async function nextBody(peer: Peer, bytes: number): Promise<Peer> {
  await until(() => peer.text.length > bytes, "a body");
  return peer;
}

describe("one request at a time", () => {
  test("twenty clients are served in the order of coming", async () => {
    const served = await limited({ requests: 1, queue: 100 });
    const clients: Peer[] = [];
    for (let id = 0; id < 20; id++) {
      const client = await served.client();
      clients.push(client);
      client.send(get(id));
      if (id > 0) await waiting(served, id);
    }
    for (let id = 0; id < 20; id++) {
      const { peer, path } = await nextRequest(served);
      expect(path).toBe(`/${id}`);
      await turns(3);
      // Nobody else is let in meanwhile.
      const texts = served.backend.peers.map(({ text }) => text).join("");
      expect(texts).toBe("");
      peer.send(okAnswer(String(id)));
      expect((await clients[id]!.takeAnswer()).body).toBe(String(id));
    }
    expect(served.backend.peers.length).toBe(1);
    expect(served.worker.counter("waitedTotal")).toBe(19);
    const line = await served.worker.line(20);
    expect(line["queued_ms"]).toBeGreaterThan(0);
    expect(line["duration_ms"]).toBeGreaterThanOrEqual(Number(line["queued_ms"]));
    expect(await served.worker.line(1)).not.toHaveProperty("queued_ms");
  });

  test("who comes when the line is full gets 503 at once, and the connection stays", async () => {
    const served = await limited({ requests: 1, queue: 1 });
    const [first, second, third] = [
      await served.client(),
      await served.client(),
      await served.client(),
    ];
    first.send(get(1));
    await served.backend.accept();
    second.send(get(2));
    await waiting(served, 1);
    third.send(get(3));
    const refused = await third.takeAnswer();
    expect(statusOf(refused)).toBe(503);
    expect(valuesOf(refused, "x-crosspoint-reason")).toEqual(["service-full"]);
    expect(valuesOf(refused, "retry-after")).toEqual(["1"]);
    expect(served.worker.counter("serviceFull")).toBe(1);
    const { peer } = await nextRequest(served);
    peer.send(okAnswer("1"));
    expect(statusOf(await first.takeAnswer())).toBe(200);
    third.send(get(4));
    (await nextRequest(served)).peer.send(okAnswer("2"));
    expect(statusOf(await second.takeAnswer())).toBe(200);
    (await nextRequest(served)).peer.send(okAnswer("4"));
    expect((await third.takeAnswer()).body).toBe("4");
  });

  test("without a line nobody waits", async () => {
    const served = await limited({ requests: 1 });
    const [first, second] = [await served.client(), await served.client()];
    first.send(get(1));
    await served.backend.accept();
    second.send(get(2));
    expect(statusOf(await second.takeAnswer())).toBe(503);
    expect(served.worker.counter("waitedTotal")).toBe(0);
  });

  test("who has waited too long gets 503, and the next one its place", async () => {
    const served = await limited({ requests: 1, queue: 10, queueMs: 150 });
    const [first, second] = [await served.client(), await served.client()];
    first.send(get(1));
    await served.backend.accept();
    second.send(get(2));
    const late = await second.takeAnswer();
    expect([statusOf(late), valuesOf(late, "x-crosspoint-reason")]).toEqual([503, ["queue-time"]]);
    expect(served.worker.counter("queueTooLong")).toBe(1);
    const line = await served.worker.line(1);
    expect(line).toMatchObject({ status: 503, reason: "queue-time", tries: 0, backend: "" });
    expect(line["queued_ms"]).toBeGreaterThanOrEqual(150);
    expect(line["queued_ms"]).toBeLessThan(1_000);
  });

  test("who leaves while it waits is taken out", async () => {
    const served = await limited({ requests: 1, queue: 10 });
    const [first, second, third] = [
      await served.client(),
      await served.client(),
      await served.client(),
    ];
    first.send(get(1));
    await served.backend.accept();
    second.send(get(2));
    await waiting(served, 1);
    third.send(get(3));
    await waiting(served, 2);
    second.reset();
    await waiting(served, 1);
    (await nextRequest(served)).peer.send(okAnswer("1"));
    const { peer, path } = await nextRequest(served);
    expect(path).toBe("/3");
    peer.send(okAnswer("3"));
    expect((await third.takeAnswer()).body).toBe("3");
    expect(await served.worker.line(1)).toMatchObject({ status: 499, reason: "client-closed" });
  });

  test("a backend that dies makes room: the others go on to the one that lives", async () => {
    const served = await limited({ requests: 1, queue: 10 }, { scripts: [undefined, undefined] });
    const clients = [await served.client(), await served.client(), await served.client()];
    for (const [id, client] of clients.entries()) {
      client.send(`POST /${id} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
      if (id > 0) await waiting(served, id);
    }
    const first = await nextRequest(served);
    const dying = served.backends.findIndex(({ peers }) => peers.includes(first.peer));
    await served.backends[dying]!.refuse();
    expect(statusOf(await clients[0]!.takeAnswer())).toBe(502);
    for (const id of [1, 2]) {
      const { peer, path } = await nextRequest(served, [first.peer]);
      expect(path).toBe(`/${id}`);
      peer.send(okAnswer(String(id)));
      expect((await clients[id]!.takeAnswer()).body).toBe(String(id));
    }
  });

  test("a service without backends does not hold what waited: 503 no-backend", async () => {
    const served = await limited({ requests: 1, queue: 10 });
    const [first, second] = [await served.client(), await served.client()];
    first.send(get(1));
    const { peer } = await nextRequest(served);
    second.send(get(2));
    await waiting(served, 1);
    await served.worker.change({
      kind: "backend-removed",
      service: parseServiceName("web"),
      address: parseAddress(served.backend.address),
    });
    peer.send(okAnswer("1"));
    expect(statusOf(await first.takeAnswer())).toBe(200);
    const answer = await second.takeAnswer();
    expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["no-backend"]);
  });
});

describe("bodies and connections while one waits", () => {
  test("a body is held up to a bound, then not read; it comes whole in the end", async () => {
    const served = await limited({ requests: 1, queue: 10 });
    const [first, second] = [await served.client(), await served.client()];
    first.send(get(1));
    const { peer } = await nextRequest(served);
    const body = "x".repeat(300_000);
    second.send(`POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
    await waiting(served, 1);
    second.send(body);
    await turns(20);
    expect(served.worker.counter("bytesFromClients")).toBeLessThan(200_000);
    peer.send(okAnswer("1"));
    const { text } = await nextBody(peer, body.length);
    expect(text).toContain(body);
    peer.send(okAnswer("2"));
    expect((await second.takeAnswer()).body).toBe("2");
  });

  test("Expect: 100-continue waits for its backend's word", async () => {
    const served = await limited({ requests: 1, queue: 10 });
    const [first, second] = [await served.client(), await served.client()];
    first.send(get(1));
    const { peer } = await nextRequest(served);
    second.send("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    await waiting(served, 1);
    await turns(5);
    expect(second.text).toBe("");
    peer.send(okAnswer("1"));
    expect(await peer.takeHead()).toContain("POST /2");
    peer.send("HTTP/1.1 100 Continue\r\n\r\n");
    expect(await second.takeHead()).toContain("100");
    second.send("body");
    expect(await peer.take("body")).toContain("body");
    peer.send(okAnswer("2"));
    expect((await second.takeAnswer()).body).toBe("2");
  });

  test("pipelined requests wait one after the other, and keep their order", async () => {
    const served = await limited({ requests: 1, queue: 10 });
    const [first, second] = [await served.client(), await served.client()];
    first.send(get(1));
    const { peer } = await nextRequest(served);
    second.send(get("a") + get("b") + get("c"));
    await waiting(served, 1);
    peer.send(okAnswer("1"));
    for (const id of ["a", "b", "c"]) {
      const { peer: at, path } = await nextRequest(served);
      expect(path).toBe(`/${id}`);
      at.send(okAnswer(id));
      expect((await second.takeAnswer()).body).toBe(id);
    }
  });

  test("a client that has ended its side is served all the same", async () => {
    const served = await limited({ requests: 1, queue: 10 });
    const [first, second] = [await served.client(), await served.client()];
    first.send(get(1));
    const { peer } = await nextRequest(served);
    second.send(get(2)).end();
    await waiting(served, 1);
    await turns(5);
    peer.send(okAnswer("1"));
    (await nextRequest(served)).peer.send(okAnswer("2"));
    expect((await second.takeAnswer()).body).toBe("2");
  });

  test("a worker that drains serves who waits", async () => {
    const served = await limited({ requests: 1, queue: 10 });
    const [first, second] = [await served.client(), await served.client()];
    first.send(get(1));
    const { peer } = await nextRequest(served);
    second.send(get(2));
    await waiting(served, 1);
    const drained = served.worker.drain(5_000);
    peer.send(okAnswer("1"));
    (await nextRequest(served)).peer.send(okAnswer("2"));
    const answer = await second.takeAnswer();
    expect([answer.body, valuesOf(answer, "connection")]).toEqual(["2", ["close"]]);
    first.end();
    second.end();
    expect((await drained).cut).toBe(0);
  });
});

describe("limits of backends", () => {
  test("requests: others are tried, and no backend gets more", async () => {
    const served = await limited(
      { requestsPerBackend: 2, queue: 100 },
      { scripts: [undefined, undefined, undefined] },
    );
    const clients: Peer[] = [];
    for (let id = 0; id < 8; id++) {
      const client = await served.client();
      clients.push(client);
      client.send(get(id));
    }
    await waiting(served, 2);
    expect(served.backends.map(({ peers }) => peers.length)).toEqual([2, 2, 2]);
    const { peer } = await nextRequest(served);
    const at = served.backends.findIndex(({ peers }) => peers.includes(peer));
    peer.send(okAnswer("x"));
    await waiting(served, 1);
    await turns(3);
    // The place that was made was taken, at that backend, on the connection that was idle.
    expect(served.backends[at]!.peers.length).toBe(2);
    expect(peer.text).toContain("GET /");
  });

  test("connections: one that is idle is used, or waited for; there are never more", async () => {
    const served = await limited({ connectionsPerBackend: 1, queue: 100 });
    const clients: Peer[] = [];
    for (let id = 0; id < 5; id++) {
      const client = await served.client();
      clients.push(client);
      client.send(`POST /${id} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
      if (id > 0) await waiting(served, id);
    }
    for (let id = 0; id < 5; id++) {
      const { peer, path } = await nextRequest(served);
      expect(path).toBe(`/${id}`);
      peer.send(okAnswer(String(id)));
      expect((await clients[id]!.takeAnswer()).body).toBe(String(id));
    }
    expect(served.backend.peers.length).toBe(1);
  });

  test("connections: one that the backend closes makes room for another", async () => {
    const served = await limited({ connectionsPerBackend: 1, queue: 100 });
    const [first, second] = [await served.client(), await served.client()];
    first.send(get(1));
    const { peer } = await nextRequest(served);
    second.send(get(2));
    await waiting(served, 1);
    peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1").end();
    expect((await first.takeAnswer()).body).toBe("1");
    const next = await nextRequest(served);
    expect(next.peer).not.toBe(peer);
    next.peer.send(okAnswer("2"));
    expect((await second.takeAnswer()).body).toBe("2");
  });
});

test("limits that are taken away let everybody go", async () => {
  const served = await limited({ requests: 1, queue: 10 });
  const clients = [await served.client(), await served.client(), await served.client()];
  for (const [id, client] of clients.entries()) client.send(get(id));
  await waiting(served, 2);
  await served.worker.change({
    kind: "service-put",
    service: { name: parseServiceName("web"), policy: undefined },
  });
  await waiting(served, 0);
  await until(() => served.backend.peers.length === 3, "all three");
});

test("a refused dial lets the next one try", async () => {
  const served = await limited(
    { requests: 1, requestsPerBackend: 1, queue: 10 },
    { addresses: [await refusedAddress()] },
  );
  for (let id = 0; id < 10; id++) {
    const client = await served.client();
    client.send(get(id));
    (await nextRequest(served)).peer.send(okAnswer(String(id)));
    expect((await client.takeAnswer()).body).toBe(String(id));
  }
});
