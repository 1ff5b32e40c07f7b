// Goal: that heads are known changes nothing under any setting, however the octets are cut, whoever else talks meanwhile,
// and while routes change: not what backends, mirrors and clients get, not a line of the access log, not a counter.
// Method: the same talk three times: with nothing remembered, with the memory as it is, and with one so small that heads
// replace each other all the time. All octets arrive in one array, as from a real adapter, at changing places.

import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import type { WorkerSettings } from "../../src/channel/messages.ts";
import * as limits from "../../src/limits.ts";
import type { Change } from "../../src/model/change.ts";
import { parseDomain, parsePathPrefix, parseServiceName } from "../../src/model/names.ts";
import { WordView } from "../../src/protocol/word-view.ts";
import { AccessLog } from "../../src/telemetry/access-log.ts";
import { LogPages, logPagesByteLength } from "../../src/telemetry/log-pages.ts";
import type { WorkerContext } from "../../src/worker/context.ts";
import { HttpSession } from "../../src/worker/http-session.ts";
import { knownAnswers, RequestHeads } from "../../src/worker/known-heads.ts";
import { HeadFacts } from "../../src/worker/request-facts.ts";
import { StickyCookie } from "../../src/worker/sticky-cookie.ts";
import { backend, change, route, routeRemoved, routeWith } from "../routing/changes.ts";
import { type RecordedSession, recordedSession } from "../support/recorded-session.ts";
import { RecordingStream } from "../support/recording-stream.ts";

const wished = "to.test";
const pathPrefix = parsePathPrefix("/new");
const mirror = { service: parseServiceName("shadow"), percent: 100 };

/** What becomes of the route of `wished`, one after the other or in any order. */
const changes: readonly (readonly Change[])[] = [
  [route("to", wished)],
  [routeWith("to", wished, "web", { rewrite: { pathPrefix, host: parseDomain("in.test") } })],
  [routeRemoved("to")],
  [routeWith("to", wished, "web", { rewrite: { pathPrefix } })],
  [routeWith("to", wished, "web", { mirror })],
  [route("to", wished, "sticky", true)],
  [
    routeWith("to", wished, undefined, {
      answer: { status: 200, contentType: "text/plain", body: "own", headers: {} },
    }),
  ],
  [routeWith("to", wished, undefined, { redirect: { status: 308, scheme: "https" } })],
  [route("to", `${wished} [header x-canary=1]`, "sticky")],
];

const table: readonly Change[] = [
  ...changes[0]!,
  route("sticky", "st.test", "sticky", true),
  // A request without Host is told the address of whoever gets it.
  backend("web", "10.0.0.2:80"),
  backend("sticky", "10.0.2.1:80"),
  backend("sticky", "10.0.2.2:80"),
  backend("shadow", "10.0.3.1:80"),
];

const cookie = new StickyCookie({ current: new Uint8Array(32), previous: undefined });
const sealed = cookie.seal("sticky", "10.0.2.2:80");

const get = (path: string, ...lines: readonly string[]): string =>
  `GET ${path} HTTP/1.1\r\n${[`Host: ${wished}`, ...lines].join("\r\n")}\r\n\r\n`;
const post = (path: string, body: string, ...lines: readonly string[]): string =>
  `POST ${path} HTTP/1.1\r\n${[`Host: ${wished}`, ...lines].join("\r\n")}\r\n\r\n${body}`;

const requests: readonly string[] = [
  get("/"),
  get("/x?y=%22", "Accept: */*", "X-Canary: 1"),
  get("/odd", 'X-Note: \xff\xfe\t"\\', "Cookie: a=b"),
  `HEAD / HTTP/1.1\r\nHost: ${wished}\r\n\r\n`,
  `GET http://${wished}?q=1 HTTP/1.1\r\nHost: ${wished}\r\n\r\n`,
  `OPTIONS http://${wished} HTTP/1.1\r\nHost: ${wished}\r\n\r\n`,
  post("/l", "hello", "Content-Length: 5"),
  post("/l", "world", "Content-Length: 5"),
  post("/c", "3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
  post("/c", "5\r\nabcde\r\n0\r\nX-T: 1\r\n\r\n", "Transfer-Encoding: chunked"),
  post("/e", "ab", "Expect: 100-continue", "Content-Length: 2"),
  get("/id", "X-Request-Id: 0123456789abcdefABCDEF-="),
  get("/id", "X-Request-Id: short"),
  get("/id", "X-Request-Id: 0123456789abcdefABCDEF-=", "Connection: x-request-id"),
  get("/ended", "Connection: close"),
  get("/named", "X-Mine: 1", "TE: trailers", "Connection: x-mine, te, keep-alive"),
  get("/up", "Upgrade: x-proto", "Connection: upgrade"),
  `GET /old HTTP/1.0\r\nHost: ${wished}:8080\r\nConnection: keep-alive\r\n\r\n`,
  `GET /old HTTP/1.0\r\nHost: ${wished}\r\n\r\n`,
  "GET /nobody HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "\r\nGET /line HTTP/1.1\r\nhOST:  To.Test. \r\nVia: 1.1 fred\r\nForwarded: for=1\r\n\r\n",
  `OPTIONS * HTTP/1.1\r\nHost: ${wished}\r\nMax-Forwards: 3\r\n\r\n`,
  `OPTIONS * HTTP/1.1\r\nHost: ${wished}\r\nMax-Forwards: 0\r\n\r\n`,
  get("/spoof", "X-Forwarded-For: 10.9.9.9", "X-Forwarded-Port: 1", "X-Request-Start: 7"),
  get("/spoof", "X-Forwarded-Proto: https", "X-Forwarded-Host: h", "X_Mine: 2"),
  get("/looped", "Via: 1.1 crosspoint, 1.1 crosspoint", "Via: 1.1 crosspoint"),
  "GET /s HTTP/1.1\r\nHost: st.test\r\n\r\n",
  `GET /s HTTP/1.1\r\nHost: st.test\r\nCookie: _backend=${sealed}\r\n\r\n`,
  "GET /bad HTTP/1.1\r\n\r\n",
  get("/fields", ...Array.from({ length: 40 }, (_, i) => `X-${i}: ${i}`)),
  get("/long", `X-Long: ${"l".repeat(2_100)}`),
  `${get("/one")}${get("/two")}`,
  `${post("/one", "abc", "Content-Length: 3")}${get("/two")}${get("/three", "Connection: close")}`,
];

const ok = "HTTP/1.1 200 OK\r\nDate: a\r\nContent-Length: 2\r\n\r\n";
const answers: readonly string[] = [
  `${ok}ok`,
  `${ok}ko`,
  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n\r\nok",
  "HTTP/1.1 204 No Content\r\nDate: a\r\n\r\n",
  "HTTP/1.1 304 Not Modified\r\nDate: a\r\nContent-Length: 2\r\n\r\n",
  "HTTP/1.1 200 OK\r\nDate: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
  "HTTP/1.1 200 OK\r\nDate: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n",
  "HTTP/1.0 200 OK\r\nDate: a\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
  `HTTP/1.1 100 Continue\r\n\r\n${ok}ok`,
  `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${ok}ok`,
  "HTTP/1.1 200 OK\r\nDate: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
  "HTTP/1.1 426 Upgrade Required\r\nDate: a\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x-proto\r\nConnection: upgrade\r\n\r\nhi",
  "HTTP/1.1 200 OK\r\nDate: a\r\nX-Note: \xff\r\n\r\nuntil the end",
  "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n",
  `${ok}ok and more`,
];
const untilEnd = 13;
/** To HEAD: what ends with its fields. */
const bodiless: readonly string[] = [ok, answers[3]!, answers[4]!, answers[10]!.slice(0, -2)];

interface Client {
  readonly remoteAddress: string;
  readonly localPort: number;
}

const clients: readonly Client[] = [
  { remoteAddress: "192.0.2.1", localPort: 8080 },
  { remoteAddress: "192.0.2.2", localPort: 8080 },
  { remoteAddress: "192.0.2.1", localPort: 8080 },
  { remoteAddress: "192.0.2.1", localPort: 8081 },
];

interface Asking {
  readonly client: number;
  readonly request: number;
  readonly answer: number;
  /** After so many octets the rest comes by itself; 0: it comes whole. */
  readonly requestCut: number;
  readonly answerCut: number;
  /** Not answered before the next one is. */
  readonly late: boolean;
}
/** A number: what becomes of the route; -1: the worker drains, or does not any more. */
type Step = Asking | number;

interface Told {
  readonly toBackends: readonly string[];
  readonly toClients: readonly string[];
  readonly lines: readonly string[];
  readonly counters: readonly number[];
}

const pages = new LogPages(new SharedArrayBuffer(logPagesByteLength));

class Talk {
  readonly #world: RecordedSession;
  readonly #array = new Uint8Array(16 * 1024);
  #arrivals = 0;
  readonly #clients: (RecordingStream | undefined)[] = [];
  /** How much of what a stream was given has been told. */
  readonly #told = new Map<RecordingStream, number>();
  readonly #toBackends: string[] = [];
  readonly #toClients: string[] = [];
  readonly #lines: string[] = [];

  constructor(settings: Partial<WorkerSettings>) {
    this.#world = recordedSession({ requestsPerConnectionMax: 30 }, settings, table);
    const { context, system } = this.#world;
    const accessLog = new AccessLog({
      pages,
      counters: context.counters,
      system,
      send: (page, length) => {
        this.#lines.push(Buffer.from(pages.bytesOf(page).slice(0, length)).toString("latin1"));
        pages.release(page);
      },
    });
    Object.assign(context, { accessLog });
  }

  get context(): WorkerContext {
    return this.#world.context;
  }

  hold(steps: readonly Step[]): Told {
    for (const step of steps) {
      this.#world.system.advance((this.#arrivals % 3) * 401);
      if (typeof step === "number") this.#change(step);
      else this.#ask(step);
    }
    this.#answerAll({ answer: 0, answerCut: 0 });
    this.context.accessLog?.flush();
    const lines = this.#lines.join("").split("\n");
    return {
      toBackends: this.#toBackends,
      toClients: this.#toClients,
      lines: lines.map((line) => line.replace(/"request_id":"[0-9a-f-]{36}"/, '"request_id":"ID"')),
      counters: [...this.context.counters],
    };
  }

  #change(index: number): void {
    const { context } = this;
    if (index < 0) context.draining = !context.draining;
    else change(context.table, ...changes[index]!);
  }

  #ask(step: Asking): void {
    const old = this.#clients[step.client];
    const stream = old === undefined || old.calls.length > 0 ? this.#open(step.client) : old;
    this.#arrive(stream, requests[step.request]!, step.requestCut);
    if (!step.late) this.#answerAll(step);
    const news = this.#newsOf(stream).replaceAll(/(_backend=)[^;]*/g, "$1SEALED");
    this.#toClients.push(news);
    if (/Connection: close|^HTTP\/1.1 101 /m.test(news)) stream.calls.push("done with");
  }

  #open(index: number): RecordingStream {
    const { context, sessions } = this.#world;
    const stream = new RecordingStream();
    const { remotePort, localAddress } = stream;
    const ends = { remotePort, localAddress, ...clients[index]! };
    void new HttpSession(context, sessions, stream, ends);
    this.#clients[index] = stream;
    return stream;
  }

  #arrive(stream: RecordingStream, text: string, cut: number): void {
    const at = cut % text.length;
    for (const piece of [text.slice(0, at), text.slice(at)]) {
      if (piece === "" || stream.calls.length > 0) continue;
      const start = this.#arrivals++ % 7;
      this.#array.set(Buffer.from(piece, "latin1"), start);
      stream.events.onData(this.#array, start, start + piece.length);
    }
  }

  /** What it was given since it was asked for last. */
  #newsOf(stream: RecordingStream): string {
    const news = stream.text.slice(this.#told.get(stream) ?? 0);
    this.#told.set(stream, stream.text.length);
    return news;
  }

  /** Until nobody waits for an answer. */
  #answerAll({ answer, answerCut }: Pick<Asking, "answer" | "answerCut">): void {
    for (let isNew = true; isNew; ) {
      isNew = false;
      for (const [position, stream] of this.#world.dialled.entries()) {
        if (!this.#told.has(stream) && stream.calls.length === 0) {
          this.#told.set(stream, 0);
          stream.events.onConnect();
        }
        const asked = this.#newsOf(stream);
        if (asked === "") continue;
        isNew = true;
        this.#toBackends.push(
          `${stream.to}\n${asked.replaceAll(/^(X-Request-Id: )[0-9a-f-]{36}\r$/gm, "$1ID\r")}`,
        );
        this.#answer(stream, asked, (answer + position) % answers.length, answerCut);
      }
    }
  }

  #answer(stream: RecordingStream, asked: string, answer: number, cut: number): void {
    const isHead = asked.startsWith("HEAD ");
    const text = isHead ? bodiless[answer % bodiless.length]! : answers[answer]!;
    this.#arrive(stream, text, cut);
    if (!isHead && answer === untilEnd && stream.calls.length === 0) stream.events.onEnd();
  }
}

function withNothingKnown(settings: Partial<WorkerSettings>, steps: readonly Step[]): Told {
  const words = vi.spyOn(WordView.prototype, "of").mockReturnValue(undefined);
  try {
    return new Talk(settings).hold(steps);
  } finally {
    words.mockRestore();
  }
}

function withLittleKnown(settings: Partial<WorkerSettings>, steps: readonly Step[]): Told {
  const talk = new Talk(settings);
  const memory = { headsKnownMax: 4, knownHeadBytesMax: 512 };
  const requestHeads = new RequestHeads(limits, memory);
  Object.assign(talk.context, {
    requestHeads,
    requestFacts: new HeadFacts(requestHeads),
    knownAnswers: knownAnswers(limits, memory),
  });
  return talk.hold(steps);
}

const below = (count: number): fc.Arbitrary<number> => fc.nat({ max: count - 1 });
const rarely = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, below(200));
const asking: fc.Arbitrary<Asking> = fc.record({
  client: below(clients.length),
  request: below(requests.length),
  answer: below(answers.length),
  requestCut: rarely,
  answerCut: rarely,
  late: fc.nat({ max: 5 }).map((one) => one === 0),
});
/** Runs of the same: then it is known. */
const run: fc.Arbitrary<readonly Step[]> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(asking, fc.integer({ min: 1, max: 6 }))
      .map(([one, times]): Step[] => Array.from({ length: times }, () => one)),
  },
  // The same by turns, of two clients.
  {
    weight: 2,
    arbitrary: fc
      .tuple(asking, asking)
      .map(([one, other]): Step[] => [one, { ...one, client: other.client }, one, other, one]),
  },
  { weight: 2, arbitrary: below(changes.length).map((index): Step[] => [index]) },
);
const talks = fc.array(run, { minLength: 1, maxLength: 25 }).map((runs) => runs.flat());

const settings: readonly (readonly [string, Partial<WorkerSettings>])[] = [
  ["nothing set", {}],
  ["Via", { via: "crosspoint" }],
  ["Forwarded", { forwarded: true, via: "crosspoint" }],
  ["one of the clients trusted", { trustForwarded: ["192.0.2.2/32"] }],
];

describe("with heads that are known, few of them or many, all is told as with none", () => {
  test.for(settings)("with %s", ([, wish]) => {
    fc.assert(
      fc.property(talks, (steps) => {
        const expected = withNothingKnown(wish, steps);
        expect(new Talk(wish).hold(steps)).toEqual(expected);
        expect(withLittleKnown(wish, steps)).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  const plain = { client: 0, answer: 0, requestCut: 0, answerCut: 0, late: false };

  test.for(settings)(
    "for each request before and after each change of its route, with %s",
    ([, wish]) => {
      for (const request of requests.keys()) {
        const steps = [...changes.keys(), -1].flatMap((index): Step[] => [
          ...Array.from({ length: 8 }, (_, time) => ({
            ...plain,
            request,
            client: time & 1,
            answer: time >> 2,
          })),
          index,
          { ...plain, request },
        ]);
        expect(new Talk(wish).hold(steps)).toEqual(withNothingKnown(wish, steps));
      }
    },
  );

  test("for each request often, when its head takes the place of another", () => {
    const steps = requests.flatMap((_, request) =>
      Array.from({ length: 24 }, () => ({ ...plain, request, answer: request % answers.length })),
    );
    const expected = withNothingKnown({}, steps);
    expect(withLittleKnown({}, steps)).toEqual(expected);
  });
});
