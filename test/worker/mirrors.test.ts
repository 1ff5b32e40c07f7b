// Goal: a mirror's service gets whole copies and nobody notices: neither the client nor the backend, whatever the
// mirror does, or does not.
// Method: real sockets; a mirror that answers in every way that there is, or in none.

import { describe, expect, onTestFinished, test } from "vitest";
import { parseAddress } from "../../src/model/address.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { noWish, type OptionsWish, parseOptions } from "../../src/model/parse-options.ts";
import { ProxyProtocol } from "../../src/model/service.ts";
import {
  answering,
  blackHole,
  okAnswer,
  type Peer,
  RawBackend,
  refusedAddress,
} from "../support/peer.ts";
import { type Script, type Served, type ServedOptions, serve } from "../support/served.ts";
import { statusOf, valuesOf } from "../support/strict-http.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";
import { turns, until } from "../support/until.ts";

interface Mirrored extends Served {
  readonly mirror: RawBackend;
}

interface Mirroring extends ServedOptions {
  /** What the mirror does; undefined: the test answers by hand. */
  readonly script?: Script;
  readonly percent?: number;
  /** In place of the mirror's own. */
  readonly address?: string;
  readonly wish?: Partial<OptionsWish>;
}

const fine = answering(({ startLine }) => okAnswer(startLine.split(" ")[1]!));

async function mirrored(options: Mirroring = {}): Promise<Mirrored> {
  const { script, percent = 100, address, wish, ...rest } = options;
  const mirror = await RawBackend.start(script);
  const served = await serve({ scripts: [fine], ...rest });
  onTestFinished(() => mirror.close());
  const asked = { ...noWish, mirror: { service: "shadow", percent }, ...wish };
  await served.worker.change(
    {
      kind: "route-put",
      route: { ...routeOf("all", "*"), options: parseOptions(asked, "route")! },
    },
    { kind: "backend-put", backend: backendOf("shadow", address ?? mirror.address) },
  );
  return { ...served, mirror };
}

/** Asks, and checks that the answer is the backend's. */
async function ask(client: Peer, path = "/", fields = "", body = ""): Promise<void> {
  const method = body === "" ? "GET" : "POST";
  client.send(`${method} ${path} HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n${body}`);
  const answer = await client.takeAnswer();
  expect([statusOf(answer), answer.body]).toEqual([200, path]);
}

const lengthOf = (body: string): string => `Content-Length: ${body.length}\r\n`;
const chunksOf = (body: string, size: number): string => {
  const chunks = body.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
  return `${chunks.map((one) => `${one.length.toString(16)}\r\n${one}\r\n`).join("")}0\r\n\r\n`;
};

describe("a copy", () => {
  test("is what the backend got, marked, and its answer reaches nobody", async () => {
    const { client, mirror, backend, worker } = await mirrored({
      scripts: [undefined],
      wish: { rewrite: { pathPrefix: "/new", host: "" } },
    });
    const peer = await client();
    peer.send("GET /x?y=1 HTTP/1.1\r\nHost: a.test:81\r\nX-Crosspoint-Mirror: 0\r\nX-A: 1\r\n\r\n");
    const original = await (await backend.accept()).takeHead();
    const shadow = await mirror.accept();
    const copy = await shadow.takeHead();
    const mark = "X-Crosspoint-Mirror: ";
    const unmarked = (head: string): string =>
      head.replaceAll(/^X-Crosspoint-Mirror:.*\r\n/gim, "");
    expect(copy).toMatch(/^GET \/new\/x\?y=1 HTTP\/1.1\r\nHost: a.test:81\r\n/);
    expect(unmarked(copy)).toBe(unmarked(original));
    expect(copy.split(mark)).toHaveLength(2);
    expect(copy).toMatch(`${mark}1\r\n\r\n`);
    shadow.send(okAnswer("from the mirror"));
    await worker.reaches("mirrored", 1);
    expect(peer.text).toBe("");
    backend.peers[0]!.send(okAnswer("from the backend"));
    expect((await peer.takeAnswer()).body).toBe("from the backend");
    expect([worker.counter("requestsTotal"), worker.counter("responses2xx")]).toEqual([1, 1]);
  });

  test("goes out on a connection that was used before", async () => {
    const { client, mirror, worker } = await mirrored({ script: fine });
    const peer = await client();
    for (let i = 1; i <= 5; i++) {
      await ask(peer, `/${i}`);
      await worker.reaches("mirrored", i);
    }
    expect(mirror.peers).toHaveLength(1);
    expect((await worker.measures()).find(({ service }) => service === "shadow")).toMatchObject({
      total: 5,
      inFlight: 0,
      failures: 0,
    });
  });

  test("is the last on its connection when it may be taken for two requests (CL.0)", async () => {
    const { client, mirror, worker } = await mirrored({ script: fine });
    const peer = await client();
    for (let i = 1; i <= 3; i++) {
      peer.send(`GET /${i} HTTP/1.1\r\nHost: a.test\r\n${lengthOf("hello")}\r\nhello`);
      expect(statusOf(await peer.takeAnswer())).toBe(200);
      await worker.reaches("mirrored", i);
    }
    expect(mirror.peers).toHaveLength(3);
  });

  const bodies = ["x", "y".repeat(3_000), "z".repeat(64 * 1024)];

  test.for(bodies)("has the whole body, case %#", async (body) => {
    const copies: string[] = [];
    const script = answering((copy) => {
      copies.push(copy.body);
      return okAnswer("");
    });
    const { client, mirror, worker } = await mirrored({ script });
    await ask(await client(), "/l", lengthOf(body), body);
    await worker.reaches("mirrored", 1);
    const chunked = chunksOf(body, 1_000);
    await ask(await client(), "/c", "Transfer-Encoding: chunked\r\n", chunked);
    await worker.reaches("mirrored", 2);
    expect(copies).toEqual([body, body]);
    expect([mirror.peers.length, worker.counter("mirrorDropped")]).toEqual([1, 0]);
  });

  test("has the body byte for byte, however it came", async () => {
    const { client, mirror, backend } = await mirrored({ scripts: [undefined] });
    const body = "0123456789".repeat(200);
    for (const [fields, sent] of [
      [lengthOf(body), body],
      ["Transfer-Encoding: chunked\r\n", chunksOf(body, 7)],
    ] as const) {
      const peer = await client();
      peer.send(`POST / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);
      await peer.sendEach(sent.match(/[^]{1,300}/g) ?? []);
      const original = await (await backend.accept()).takeRequest();
      const copy = await (await mirror.accept()).takeRequest();
      expect([original.body, copy.body]).toEqual([body, body]);
      peer.socket.destroy();
    }
  });

  test("does not ask whether its body may come", async () => {
    const { client, mirror, backend } = await mirrored({ scripts: [undefined] });
    const peer = await client();
    peer.send(
      "PUT / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    const upstream = await backend.accept();
    expect(await upstream.takeHead()).toMatch(/expect: 100-continue/i);
    await turns(3);
    expect(mirror.peers).toEqual([]);
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
    await peer.take("\r\n\r\n");
    peer.send("ok");
    const copy = await (await mirror.accept()).takeRequest();
    expect([valuesOf(copy, "expect"), copy.body]).toEqual([[], "ok"]);
  });

  test("begins with a preface where its service wants one, and its connection is the client's alone", async () => {
    const service = {
      name: parseServiceName("shadow"),
      policy: undefined,
      proxyProtocol: ProxyProtocol.V1,
    };
    const { client, mirror, worker } = await mirrored({ services: [service] });
    const peer = await client();
    for (const count of [1, 2]) {
      await ask(peer);
      const shadow = await mirror.accept();
      expect(await shadow.take("\r\n")).toMatch(/^PROXY TCP4 127.0.0.1 127.0.0.1 \d+ \d+\r\n$/);
      await shadow.takeRequest();
      shadow.send(okAnswer(""));
      await worker.reaches("mirrored", count);
    }
    // The one to the route's own backend.
    expect(worker.counter("upstreamIdle")).toBe(1);
  });
});

describe("which requests are copied", () => {
  test("so many of a hundred", async () => {
    const { client, worker } = await mirrored({ script: fine, percent: 30 });
    const peer = await client();
    for (let i = 0; i < 400; i++) await ask(peer);
    await until(() => worker.counter("upstreamTries") - 400 === worker.counter("mirrored"), "ends");
    // Beyond five standard deviations to each side: once in a million runs.
    expect(worker.counter("mirrored")).toBeGreaterThan(70);
    expect(worker.counter("mirrored")).toBeLessThan(170);
    expect(worker.counter("mirrorDropped")).toBe(0);
  });

  test("not one whose body is too large, known before or not", async () => {
    const { client, mirror, worker } = await mirrored({ script: fine });
    const body = "x".repeat(64 * 1024 + 1);
    await ask(await client(), "/l", lengthOf(body), body);
    expect(worker.counter("mirrorDropped")).toBe(1);
    const chunked = chunksOf(body, 9_000);
    await ask(await client(), "/c", "Transfer-Encoding: chunked\r\n", chunked);
    expect(worker.counter("mirrorDropped")).toBe(2);
    expect(mirror.peers).toEqual([]);
  });

  test("not an upgrade", async () => {
    const { client, mirror, backend, worker } = await mirrored({ scripts: [undefined] });
    const peer = await client();
    peer.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    (await backend.accept()).send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
    );
    await peer.take("\r\n\r\n");
    await turns(3);
    expect([mirror.peers, worker.counter("mirrorDropped")]).toEqual([[], 0]);
  });

  test("not one that ends before it is whole", async () => {
    const { client, mirror, backend, worker } = await mirrored({ scripts: [undefined] });
    const peer = await client();
    peer.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n12345");
    await backend.accept();
    peer.reset();
    await worker.reaches("mirrorDropped", 1);
    expect(mirror.peers).toEqual([]);
  });

  test("no more than so many at the same time", async () => {
    const { client, mirror, worker } = await mirrored({ limits: { mirrorsInFlightMax: 2 } });
    const peer = await client();
    for (let i = 0; i < 5; i++) await ask(peer);
    expect(worker.counter("mirrorDropped")).toBe(3);
    for (let i = 0; i < 2; i++) (await mirror.accept()).send(okAnswer(""));
    await worker.reaches("mirrored", 2);
    await ask(peer);
    expect(worker.counter("mirrorDropped")).toBe(3);
  });

  test("also one that its own backend breaks off", async () => {
    const { client, mirror, backend, worker } = await mirrored({ scripts: [undefined] });
    const peer = await client();
    peer.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx");
    const upstream = await backend.accept();
    await upstream.takeRequest();
    upstream.reset();
    expect(statusOf(await peer.takeAnswer())).toBe(502);
    const shadow = await mirror.accept();
    await shadow.takeRequest();
    shadow.send(okAnswer(""));
    await worker.reaches("mirrored", 1);
  });
});

const large = `HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n${"x".repeat(5_000_000)}`;

/** What a mirror may do, and whether it counts as an answer; the connection is used again for those that end so. */
const doings: readonly (readonly [string, Script, "mirrored" | "mirrorDropped"])[] = [
  [
    "answers by chunks",
    answering(() => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunksOf("ab", 1)}`),
    "mirrored",
  ],
  ["answers without a body", answering(() => "HTTP/1.1 204 No Content\r\n\r\n"), "mirrored"],
  ["answers at length", answering(() => large), "mirrored"],
  [
    "says other things before",
    answering(() => `HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\n\r\n${okAnswer("x")}`),
    "mirrored",
  ],
  ["answers byte by byte", bytewise(okAnswer("slow")), "mirrored"],
  ["closes behind its answer", closing("HTTP/1.1 200 OK\r\n\r\nall of it"), "mirrored"],
  ["fails", answering(() => "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"), "mirrored"],
  ["says more than asked for", answering(() => `${okAnswer("a")}${okAnswer("b")}`), "mirrored"],
  ["talks nonsense", answering(() => "what?\r\n\r\n"), "mirrorDropped"],
  [
    "talks nonsense in its body",
    answering(() => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "mirrorDropped",
  ],
  [
    "never ends a head",
    answering(() => `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}`),
    "mirrorDropped",
  ],
  [
    "switches protocols",
    answering(() => "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
    "mirrorDropped",
  ],
  ["breaks off", closing("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), "mirrorDropped"],
  ["hangs up", closing(""), "mirrorDropped"],
  ["resets", (peer) => Promise.resolve(peer.reset()), "mirrorDropped"],
  ["says nothing", () => Promise.resolve(), "mirrorDropped"],
];

/** Whose connection carries the next copy as well. */
const inOrder = new Set([
  "answers by chunks",
  "answers without a body",
  "answers at length",
  "says other things before",
  "answers byte by byte",
  "fails",
]);

function bytewise(text: string): Script {
  return async (peer) => {
    for (;;) {
      await peer.takeRequest();
      await peer.sendEach(text);
    }
  };
}

function closing(text: string): Script {
  return async (peer) => {
    await peer.takeRequest();
    peer.send(text).end();
  };
}

describe("whatever the mirror does, requests are answered by their backend", () => {
  test.for(doings)("it %s", async ([what, script, outcome]) => {
    const { client, worker, mirror } = await mirrored({ script, limits: { mirrorMsMax: 400 } });
    const peer = await client();
    for (let i = 1; i <= 3; i++) {
      await ask(peer, `/${i}`, lengthOf("body"), "body");
      await worker.reaches(outcome, i);
    }
    const all = worker.counter("mirrored") + worker.counter("mirrorDropped");
    expect([worker.counter(outcome), all]).toEqual([3, 3]);
    const measure = (await worker.measures()).find(({ service }) => service === "shadow");
    const failures = outcome === "mirrored" && what !== "fails" ? 0 : 3;
    expect(measure).toMatchObject({ total: 3, inFlight: 0, failures });
    expect(measure?.lastFailure === "timeout").toBe(what === "says nothing");
    expect(worker.counter("responses5xx") + worker.counter("malformedResponses")).toBe(0);
    expect(mirror.peers).toHaveLength(inOrder.has(what) ? 1 : 3);
  });

  test("nobody listens there", async () => {
    const { client, worker } = await mirrored({ address: await refusedAddress() });
    const peer = await client();
    for (let i = 1; i <= 3; i++) {
      await ask(peer);
      await worker.reaches("mirrorDropped", i);
    }
  });

  test("no connection to it comes about", async () => {
    const { client, worker } = await mirrored({
      address: await blackHole(),
      limits: { connectMsMax: 100 },
    });
    await ask(await client());
    await worker.reaches("mirrorDropped", 1);
  });

  test("it has no backend", async () => {
    const { client, worker, mirror } = await mirrored();
    await worker.change({
      kind: "backend-removed",
      service: parseServiceName("shadow"),
      address: parseAddress(mirror.address),
    });
    await ask(await client());
    expect(worker.counter("mirrorDropped")).toBe(1);
  });

  test("a worker that leaves gives up its copies", async () => {
    const { client, worker, mirror } = await mirrored();
    await ask(await client());
    const shadow = await mirror.accept();
    await worker.drain(0);
    expect([worker.open(), worker.counter("mirrorDropped")]).toEqual([{}, 1]);
    await shadow.untilEnded();
  });
});
