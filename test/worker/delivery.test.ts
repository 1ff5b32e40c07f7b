// Goal: a request that may be sent again reaches a backend that lives, with every byte, though others break under it;
// what may not is sent once; and neither goes on for ever.
// Method: real sockets. The backends share one count: the first so many requests find a connection that breaks,
// whichever backend they come to. What is kept meanwhile: delivery-kept.test.ts.

import { describe, expect, test } from "vitest";
import { okAnswer, type Peer, refusedAddress } from "../support/peer.ts";
import { type Served, type ServedOptions, serve } from "../support/served.ts";
import { type StrictMessage, statusOf, valuesOf } from "../support/strict-http.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";
import { turns, until } from "../support/until.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const withBody = (method: string, body: string): string =>
  `${method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunkedPut =
  "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
const upgrade = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

interface Hit {
  /** Which backend it came to. */
  readonly backend: number;
  readonly request: StrictMessage;
}

interface Breaking extends Served {
  /** Every request that came whole to any backend, in order. */
  readonly hits: readonly Hit[];
}

/** So many backends; the first `breaks` requests that come to any of them find a connection that breaks. */
async function breaking(
  count: number,
  breaks: number,
  options: ServedOptions & { readonly breakOff?: (peer: Peer) => void } = {},
): Promise<Breaking> {
  const hits: Hit[] = [];
  const breakOff = options.breakOff ?? ((peer: Peer): void => peer.reset());
  const script = (backend: number) => async (peer: Peer) => {
    while (!peer.closed) {
      const request = await peer.takeRequest();
      hits.push({ backend, request });
      if (hits.length > breaks) peer.send(okAnswer(`from ${backend}`));
      else return breakOff(peer);
    }
  };
  const scripts = Array.from({ length: count }, (_, backend) => script(backend));
  const served = await serve({ settings: { accessLog: true }, ...options, scripts });
  return { ...served, hits };
}

async function askOnce(served: Served, request: string): Promise<StrictMessage> {
  const client = await served.client();
  client.send(request);
  return await client.takeAnswer({ bodiless: request.startsWith("HEAD") });
}

describe("a new connection that breaks before a byte of the answer", () => {
  test.for([
    ["GET", get],
    ["HEAD", get.replace("GET", "HEAD")],
    ["OPTIONS", get.replace("GET", "OPTIONS")],
    ["DELETE", get.replace("GET", "DELETE")],
    ["PUT", withBody("PUT", "a body")],
    ["a PUT of 12,000 bytes", withBody("PUT", "x".repeat(12_000))],
  ] as const)("%s goes to another backend, whole", async ([, request]) => {
    const served = await breaking(2, 1);
    expect(statusOf(await askOnce(served, request))).toBe(200);
    const [first, second] = served.hits;
    expect(served.hits.length).toBe(2);
    expect(second?.backend).not.toBe(first?.backend);
    expect(second?.request).toEqual(first?.request);
    expect(await served.worker.line(1)).toMatchObject({
      status: 200,
      tries: 2,
      backend: served.backends[second!.backend]!.address,
      reason: "",
    });
    expect(served.worker.counter("upstreamRetries")).toBe(1);
    const failures = (await served.worker.measures()).map(({ failures: count }) => count);
    expect(failures[first!.backend]).toBe(1);
    expect(failures[second!.backend]).toBe(0);
  });

  test.for([
    ["FIN", (peer: Peer): unknown => peer.end()],
    ["RST", (peer: Peer): unknown => peer.reset()],
  ] as const)("by %s", async ([, breakOff]) => {
    const served = await breaking(2, 1, { breakOff: (peer) => void breakOff(peer) });
    expect(statusOf(await askOnce(served, get))).toBe(200);
  });

  test.for([
    ["POST", withBody("POST", "a body")],
    ["PATCH", withBody("PATCH", "a body")],
    ["POST without a body", get.replace("GET", "POST")],
    ["an upgrade", upgrade],
    ["a chunked PUT, which is not kept", chunkedPut],
    ["a PUT longer than what is kept", withBody("PUT", "x".repeat(17_000))],
  ] as const)("%s is sent once and answered with 502", async ([, request]) => {
    const served = await breaking(3, 1);
    const answer = await askOnce(served, request);
    expect(statusOf(answer)).toBe(502);
    expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["backend-closed"]);
    await turns(10);
    expect(served.hits.length).toBe(1);
    expect(await served.worker.line(1)).toMatchObject({ tries: 1, reason: "backend-closed" });
    expect(served.worker.counter("upstreamRetries")).toBe(0);
  });

  test.for(["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n"])(
    "after %j of an answer nothing is sent again",
    async (bytes) => {
      const breakOff = (peer: Peer): void => void peer.send(bytes).end();
      const served = await breaking(3, 1, { breakOff });
      const client = await served.client();
      client.send(get);
      expect(statusOf(await client.takeAnswer())).toBe(502);
      expect(served.hits.length).toBe(1);
    },
  );

  test("in the middle of the request's body: what came is kept, what comes follows", async () => {
    const served = await serve({ scripts: [undefined, undefined] });
    const client = await served.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\none ");
    await until(() => served.backends.some(({ peers }) => peers.length > 0), "the first try");
    const [first, other] = served.backends[0]!.peers.length > 0 ? [0, 1] : [1, 0];
    const upstream = await served.backends[first]!.accept();
    await upstream.take("one ");
    await client.sendEach(["two "]);
    await upstream.take("two ");
    upstream.reset();
    const again = await served.backends[other]!.accept();
    await again.take("one two ");
    client.send("three");
    expect(await again.take("three")).toBe("three");
    again.send(okAnswer("whole"));
    expect((await client.takeAnswer()).body).toBe("whole");
  });

  test("leaves a sole backend alone: 502 at once", async () => {
    const served = await breaking(1, 9);
    expect(statusOf(await askOnce(served, get))).toBe(502);
    expect(served.hits.length).toBe(1);
  });

  test("again and again: no more than three backends see it", async () => {
    const served = await breaking(5, 99);
    expect(statusOf(await askOnce(served, get))).toBe(502);
    expect(served.hits.length).toBe(3);
    expect(new Set(served.hits.map(({ backend }) => backend)).size).toBe(3);
    expect(await served.worker.line(1)).toMatchObject({ tries: 3, reason: "backend-closed" });
  });

  test("when all others refuse: 502, for something was sent", async () => {
    const addresses = [await refusedAddress(), await refusedAddress()];
    for (;;) {
      const served = await breaking(1, 1, { addresses });
      const answer = await askOnce(served, get);
      expect(statusOf(answer)).toBe(502);
      expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["backend-closed"]);
      expect(served.hits.length).toBe(1);
      expect(served.worker.counter("noBackend")).toBe(0);
      // Those that refuse may have been tried before it.
      if ((await served.worker.line(1))["backend"] !== served.backend.address) break;
    }
  });
});

describe("an old connection that breaks before a byte of the answer", () => {
  interface Seen {
    readonly backend: number;
    readonly id: string;
    readonly broke: boolean;
  }

  /** Every connection answers one request and breaks at the second. */
  async function aging(
    count: number,
    options: ServedOptions = {},
  ): Promise<Served & { readonly seen: readonly Seen[] }> {
    const seen: Seen[] = [];
    const script = (backend: number) => async (peer: Peer) => {
      for (const broke of [false, true]) {
        const id = valuesOf(await peer.takeRequest(), "x-id")[0] ?? "";
        seen.push({ backend, id, broke });
        if (!broke) peer.send(okAnswer(String(backend)));
      }
      peer.reset();
    };
    const scripts = Array.from({ length: count }, (_, backend) => script(backend));
    return { ...(await serve({ settings: { accessLog: true }, ...options, scripts })), seen };
  }

  /** Asks `times` times, one after the other, with the cookie of the first answer; all are answered with 200. */
  async function ask(served: Served, times: number): Promise<readonly StrictMessage[]> {
    const client = await served.client();
    const answers: StrictMessage[] = [];
    for (let id = 0; id < times; id++) {
      const cookie = cookieOf(answers[0]);
      client.send(`GET / HTTP/1.1\r\nHost: a.test\r\nX-Id: ${id}\r\n${cookie}\r\n`);
      const answer = await client.takeAnswer();
      expect(statusOf(answer)).toBe(200);
      answers.push(answer);
    }
    return answers;
  }

  const cookieOf = (answer: StrictMessage | undefined): string => {
    const set = answer === undefined ? undefined : valuesOf(answer, "set-cookie")[0];
    return set === undefined ? "" : `Cookie: ${set.split(";")[0]}\r\n`;
  };

  /** For each break, whether the request then came to the same backend; each was answered by the second. */
  function returned(seen: readonly Seen[]): readonly boolean[] {
    return seen.flatMap(({ broke, backend, id }, i) => {
      if (!broke) return [];
      const next = seen[i + 1];
      expect(next).toMatchObject({ id, broke: false });
      return [next?.backend === backend];
    });
  }

  test("goes to another backend, on a new connection", async () => {
    const served = await aging(2);
    await ask(served, 12);
    const breaks = returned(served.seen);
    expect(breaks.length).toBeGreaterThan(3);
    expect(breaks).not.toContain(true);
    expect(served.worker.counter("upstreamRetries")).toBe(breaks.length);
    // It was idle: that it was closed is no failure.
    expect((await served.worker.measures()).map(({ failures }) => failures)).toEqual([0, 0]);
  });

  test.for([
    ["there is no other", 0],
    ["the others refuse", 2],
  ] as const)("goes to the same when %s", async ([, refusing]) => {
    const addresses = [];
    for (let i = 0; i < refusing; i++) addresses.push(await refusedAddress());
    const served = await aging(1, { addresses });
    await ask(served, 40);
    const breaks = returned(served.seen);
    expect(breaks.length).toBeGreaterThan(0);
    expect(breaks).not.toContain(false);
    expect(served.worker.counter("upstreamRetries")).toBe(breaks.length);
  });

  test("goes to the same first when the client sticks to it, and no new cookie is set", async () => {
    const served = await aging(3, { sticky: true });
    const answers = await ask(served, 9);
    expect(returned(served.seen)).toEqual(Array.from({ length: 8 }, () => true));
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    for (const answer of answers.slice(1)) expect(valuesOf(answer, "set-cookie")).toEqual([]);
  });

  test("goes elsewhere when the one that the client sticks to is gone: a new cookie says so", async () => {
    const dying: ((backend: number) => Promise<void>)[] = [];
    const script = (backend: number) => async (peer: Peer) => {
      await peer.takeRequest();
      peer.send(okAnswer(String(backend)));
      await peer.takeRequest();
      // Nobody listens any more before the connection breaks.
      await dying[0]?.(backend);
    };
    const served = await serve({ sticky: true, scripts: [script(0), script(1)] });
    dying.push((backend) => served.backends[backend]!.refuse());
    const client = await served.client();
    client.send(get);
    const first = await client.takeAnswer();
    client.send(get.replace("\r\n\r\n", `\r\n${cookieOf(first)}\r\n`));
    const second = await client.takeAnswer();
    expect(statusOf(second)).toBe(200);
    expect(second.body).not.toBe(first.body);
    expect(cookieOf(second)).not.toBe("");
    expect(cookieOf(second)).not.toBe(cookieOf(first));
  });

  test("is not the same's again when it is no backend any more", async () => {
    const served = await aging(1, { addresses: [await refusedAddress()] });
    await ask(served, 1);
    const client = await served.client();
    await served.worker.change({
      kind: "backend-removed",
      ...backendOf("web", served.backend.address),
    });
    client.send(get);
    expect(statusOf(await client.takeAnswer())).toBe(503);
    expect(served.seen.length).toBe(1);
  });
});

describe("the budget of a service", () => {
  test("ends a storm: when nothing is answered, ten retries are all", async () => {
    const served = await breaking(4, 1_000);
    const client = await served.client();
    for (let i = 0; i < 50; i++) {
      client.send(get);
      expect(statusOf(await client.takeAnswer())).toBe(502);
    }
    expect(served.hits.length).toBe(60);
    expect(served.worker.counter("upstreamRetries")).toBe(10);
    expect(served.worker.counter("retriesRefused")).toBeGreaterThan(0);
  });

  test("is earned again by answers, and not lost with a new table", async () => {
    const broken = { value: true };
    const script = async (peer: Peer): Promise<void> => {
      while (!peer.closed) {
        await peer.takeRequest();
        if (broken.value) return peer.reset();
        peer.send(okAnswer("ok", "Connection: close\r\n")).end();
      }
    };
    const { client, worker, backends } = await serve({ scripts: [script, script] });
    const peer = await client();
    const ask = async (times: number): Promise<number> => {
      const before = worker.counter("upstreamRetries");
      for (let i = 0; i < times; i++) {
        peer.send(get);
        expect(statusOf(await peer.takeAnswer())).toBe(broken.value ? 502 : 200);
      }
      return worker.counter("upstreamRetries") - before;
    };
    expect(await ask(20)).toBe(10);
    await worker.replace({
      routes: [routeOf("all", "*")],
      backends: backends.map(({ address }) => backendOf("web", address)),
    });
    expect(await ask(5)).toBe(0);
    broken.value = false;
    expect(await ask(14)).toBe(0);
    broken.value = true;
    expect(await ask(5)).toBe(2);
  });
});
