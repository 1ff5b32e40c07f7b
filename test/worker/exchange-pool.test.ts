// Goal: an exchange is one connection's while its request is under way, and then anybody's: nothing of one client's
// request reaches another's, whatever ends it.
// Method: connections on recorded streams, one worker; the pool is watched.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { parseRevision } from "../../src/model/revision.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import type { Exchange } from "../../src/worker/exchange.ts";
import { HttpSession } from "../../src/worker/http-session.ts";
import { Sessions } from "../../src/worker/sessions.ts";
import { recordingContext } from "../support/recording-context.ts";
import { RecordingStream } from "../support/recording-stream.ts";
import { backendOf, putRoute } from "../support/table-fixtures.ts";
import { turns } from "../support/until.ts";

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a.test\r\n\r\n`;
const ok = (body: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const upgrade = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/** A worker, how many of its exchanges are lent, and how many it has made. */
function made(exchangesIdleMax = 256) {
  const recording = recordingContext({ exchangesIdleMax });
  const { context, dialled } = recording;
  const builder = RouteTable.build();
  builder.add([
    putRoute("all", "*"),
    { kind: "backend-put", backend: backendOf("web", "10.0.0.1:80") },
  ]);
  context.table = builder.finish(parseRevision(1));
  const sessions = new Sessions(context.counters);
  const seen = new Set<Exchange>();
  let lent = 0;
  const pool = context.exchanges;
  const lend = pool.lend.bind(pool);
  const giveBack = pool.giveBack.bind(pool);
  pool.lend = (client) => {
    const exchange = lend(client);
    seen.add(exchange);
    lent++;
    return exchange;
  };
  pool.giveBack = (exchange) => {
    lent--;
    giveBack(exchange);
  };
  return {
    ...recording,
    lent: () => lent,
    makings: () => seen.size,
    client: () => {
      const stream = new RecordingStream();
      return { stream, session: new HttpSession(context, sessions, stream) };
    },
    /** The backend's end of the last request; connected. */
    backend: () => {
      const stream = dialled.at(-1)!;
      stream.events.onConnect();
      return stream;
    },
  };
}

describe("an exchange", () => {
  test("is lent from a whole head to the end of its answer, and the same one to the next", () => {
    const { client, backend, lent, makings } = made();
    const [one, other] = [client().stream, client().stream];
    one.receive("GET / HTT");
    expect(lent()).toBe(0);
    one.receive("P/1.1\r\nHost: a.test\r\n\r\n");
    expect(lent()).toBe(1);
    const upstream = backend();
    upstream.receive(ok("for one").slice(0, -1));
    expect(lent()).toBe(1);
    upstream.receive("e");
    expect(lent()).toBe(0);
    other.receive(get("/other"));
    expect([lent(), makings()]).toEqual([1, 1]);
    upstream.receive(ok("for the other"));
    expect(one.text.endsWith("for one")).toBe(true);
    expect(other.text.endsWith("for the other")).toBe(true);
    expect(lent()).toBe(0);
  });

  test("is another one while the first is under way", () => {
    const { client, backend, dialled, makings } = made();
    const [one, other] = [client().stream, client().stream];
    one.receive(get("/one"));
    const first = backend();
    other.receive(get("/other"));
    const second = backend();
    expect([dialled.length, makings()]).toEqual([2, 2]);
    second.receive(ok("for the other"));
    expect([one.text, other.text.endsWith("for the other")]).toEqual(["", true]);
    first.receive(ok("for one"));
    expect(one.text.endsWith("for one")).toBe(true);
  });

  test("is lent again within the call that ends it, when a request waits behind", () => {
    const { client, backend, lent, makings } = made();
    const { stream } = client();
    stream.receive(get("/first") + get("/second") + get("/third"));
    const upstream = backend();
    for (const answer of ["1", "2", "3"]) upstream.receive(ok(answer));
    expect(stream.writes.map((written) => written.at(-1))).toEqual(["1", "2", "3"]);
    expect(upstream.text.match(/GET \/\w+/g)).toEqual(["GET /first", "GET /second", "GET /third"]);
    expect([lent(), makings()]).toEqual([0, 1]);
  });

  test("that was answered here is given back at once", () => {
    const { client, context, lent } = made();
    context.table = RouteTable.build().finish(parseRevision(2));
    const { stream } = client();
    stream.receive(get("/1") + get("/2"));
    expect(stream.text.match(/HTTP\/1.1 404/g)).toHaveLength(2);
    expect(lent()).toBe(0);
  });

  test.for(["while it is dialled", "before it answers", "within its answer"])(
    "whose client leaves its backend %s does not answer the next client",
    (when) => {
      const { client, dialled, lent, makings, counter } = made();
      const one = client().stream;
      one.receive(get("/one"));
      const { events } = dialled[0]!;
      if (when !== "while it is dialled") events.onConnect();
      if (when === "within its answer") dialled[0]!.receive(ok("half").slice(0, -2));
      one.events.onClose("reset", "");
      expect([lent(), counter("requestsInFlight"), counter("clientAborts")]).toEqual([0, 0, 1]);
      const other = client().stream;
      other.receive(get("/other"));
      expect([lent(), makings(), dialled.length]).toEqual([1, 1, 2]);
      // No adapter does this after a destroy; if one did, it must not be believed.
      dialled[0]!.receive(ok("not yours"));
      events.onClose("reset", "");
      dialled[1]!.events.onConnect();
      dialled[1]!.receive(ok("yours"));
      expect(other.text).toMatch(/^HTTP\/1.1 200 [^]*\r\n\r\nyours$/);
      expect(lent()).toBe(0);
    },
  );

  test("that led to an upgrade is kept until the tunnel ends", () => {
    const { client, backend, lent, makings } = made();
    const { stream } = client();
    stream.receive(upgrade);
    const upstream = backend();
    upstream.receive("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    expect(lent()).toBe(1);
    const other = client().stream;
    other.receive(get("/other"));
    backend().receive(ok("x"));
    expect([lent(), makings()]).toEqual([1, 2]);
    stream.events.onClose("finished", "");
    expect(lent()).toBe(1);
    upstream.events.onClose("finished", "");
    expect(lent()).toBe(0);
  });

  test("that led to an upgrade tells that its backend did its part", () => {
    const { client, backend, dialled, context } = made();
    const [service] = context.table.services();
    const backends = service?.backends ?? [];
    client().stream.receive(upgrade);
    dialled[0]!.events.onClose("refused", "");
    expect(backends[0]).toMatchObject({ failuresTotal: 1, lastFailure: "connect refused" });
    client().stream.receive(upgrade);
    backend().receive("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    expect(backends[0]).toMatchObject({ failuresTotal: 1, lastFailure: "" });
  });

  test.for(["linger", "tunnel", "answer", "head"])(
    "is given back when the worker cuts a connection in its %s",
    (when) => {
      const { client, backend, lent, counter } = made();
      const { stream, session } = client();
      if (when === "tunnel") {
        stream.receive(upgrade);
        backend().receive("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
      } else if (when === "head") stream.receive("GET / HT");
      else stream.receive(when === "linger" ? "nonsense\r\n\r\n" : get("/"));
      for (let times = 0; times < 2; times++) session.destroy();
      expect([lent(), counter("connectionsOpen"), counter("requestsInFlight")]).toEqual([0, 0, 0]);
      expect([counter("upstreamOpen"), counter("upgradedOpen")]).toEqual([0, 0]);
      expect(stream.calls.at(-1)).toBe("reset");
    },
  );
});

test.for(["answered", "upgraded", "aborted"])(
  "one that was given back keeps nothing of the connection whose request was %s: its memory is free",
  async (end) => {
    const { client, backend, dialled, lent, makings } = made();
    const ended = (): WeakRef<RecordingStream> => {
      const { stream } = client();
      stream.receive(end === "upgraded" ? upgrade : get("/"));
      const upstream = backend();
      if (end === "answered") upstream.receive(ok("x"));
      if (end === "upgraded") {
        upstream.receive("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
      }
      stream.events.onClose("reset", "");
      dialled.length = 0;
      return new WeakRef(stream);
    };
    const stream = ended();
    expect([lent(), makings()]).toEqual([0, 1]);
    setFlagsFromString("--expose-gc");
    const collect: () => void = runInNewContext("gc");
    // What a WeakRef was made of is kept until the turn ends.
    await turns(2);
    collect();
    expect(stream.deref()).toBeUndefined();
  },
);

test("no more of them are kept than the bound says", () => {
  const { client, backend, makings } = made(2);
  const round = (): void => {
    const streams = Array.from({ length: 5 }, () => client().stream);
    const upstreams = streams.map((stream) => {
      stream.receive("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
      return backend();
    });
    for (const upstream of upstreams) {
      upstream.receive("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
  };
  round();
  expect(makings()).toBe(5);
  round();
  expect(makings()).toBe(8);
});
