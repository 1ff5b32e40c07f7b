// Goal: that a head is known makes no difference to anybody: not to what backends get, nor to what clients get.
// Method: the same talk twice, of connections that repeat a few heads in any order. Once every piece arrives in an array
// of its own, so that nothing is remembered; once in one array, as from a real adapter. The octets must be the same.

import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { unlimited } from "../../src/limits.ts";
import type { Change } from "../../src/model/change.ts";
import { HttpSession } from "../../src/worker/http-session.ts";
import { route } from "../routing/changes.ts";
import { type RecordedSession, recordedSession } from "../support/recorded-session.ts";
import { RecordingStream } from "../support/recording-stream.ts";
import { backendOf } from "../support/table-fixtures.ts";

const changes: readonly Change[] = [
  route("canary", "a.test [header x-canary=1]", "canary"),
  route("post", "a.test [POST query v=2]", "post"),
  { kind: "backend-put", backend: backendOf("canary", "10.0.1.1:80") },
  { kind: "backend-put", backend: backendOf("post", "10.0.1.2:80") },
];

const host = "Host: a.test\r\n";
const requests: readonly string[] = [
  `GET / HTTP/1.1\r\n${host}\r\n`,
  `GET / HTTP/1.1\r\n${host}X-Canary: 1\r\n\r\n`,
  `HEAD / HTTP/1.1\r\n${host}\r\n`,
  `GET http://a.test/abs HTTP/1.1\r\n${host}\r\n`,
  `GET http://a.test?q=1 HTTP/1.1\r\n${host}\r\n`,
  `OPTIONS http://a.test HTTP/1.1\r\n${host}\r\n`,
  `POST /?v=2 HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhello`,
  `POST /?v=2 HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nworld`,
  `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  `GET /id HTTP/1.1\r\n${host}X-Request-Id: 0123456789abcdefABCDEF-=\r\n\r\n`,
  `GET /ended HTTP/1.1\r\n${host}Connection: close\r\n\r\n`,
  `GET /named HTTP/1.1\r\n${host}X-Mine: 1\r\nConnection: x-mine, keep-alive\r\n\r\n`,
  `GET /old HTTP/1.0\r\n${host}Connection: keep-alive\r\n\r\n`,
  `GET /nobody HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`,
  `\r\nGET /line HTTP/1.1\r\nhOST:  A.Test. \r\nVia: 1.1 fred\r\nForwarded: for=1\r\n\r\n`,
  `OPTIONS * HTTP/1.1\r\n${host}Max-Forwards: 3\r\n\r\n`,
  `OPTIONS * HTTP/1.1\r\n${host}Max-Forwards: 0\r\n\r\n`,
  `GET /spoof HTTP/1.1\r\n${host}X-Forwarded-For: 10.9.9.9\r\nX-Forwarded-Port: 1\r\nX_Mine: 2\r\n\r\n`,
  `GET /bad HTTP/1.1\r\n\r\n`,
];
const answers: readonly string[] = [
  "HTTP/1.1 200 OK\r\nDate: a\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 200 OK\r\nDate: a\r\nContent-Length: 2\r\n\r\nko",
  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n\r\nok",
  "HTTP/1.1 204 No Content\r\nDate: a\r\n\r\n",
  "HTTP/1.1 304 Not Modified\r\nDate: a\r\nContent-Length: 2\r\n\r\n",
  "HTTP/1.1 200 OK\r\nDate: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
  "HTTP/1.0 200 OK\r\nDate: a\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nDate: a\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 200 OK\r\nDate: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
  "HTTP/1.1 426 Upgrade Required\r\nDate: a\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n",
];
/** To HEAD a body is not sent. */
const bodiless = "HTTP/1.1 200 OK\r\nDate: a\r\nContent-Length: 2\r\n\r\n";

/** One array for everything that arrives, as adapters have it. */
class SharedArray {
  readonly #bytes = new Uint8Array(4096);

  receive(stream: RecordingStream, text: string): void {
    this.#bytes.set(Buffer.from(text, "latin1"), 7);
    stream.events.onData(this.#bytes, 7, 7 + text.length);
  }
}

/** One request: by which of two clients, which one, and how it is answered. */
type Step = readonly [number, number, number];

interface Told {
  readonly toBackends: readonly string[];
  readonly toClients: readonly string[];
}

function talk(
  steps: readonly Step[],
  arrive: (stream: RecordingStream, text: string) => void,
): Told {
  const world = recordedSession({}, { via: "crosspoint" }, changes);
  const { context, sessions } = world;
  const clients: RecordingStream[] = [];
  // From another address each: what is written for one must not go to the other's backend.
  const open = (index: number): RecordingStream => {
    const stream = new RecordingStream();
    const { remotePort, localAddress, localPort } = stream;
    const remoteAddress = `192.0.2.${index + 1}`;
    void new HttpSession(context, sessions, stream, {
      remoteAddress,
      remotePort,
      localAddress,
      localPort,
    });
    return stream;
  };
  const seen = new Map<RecordingStream, number>();
  const toBackends: string[] = [];
  const toClients: string[] = [];
  for (const [index, request, answer] of steps) {
    const old = clients[index];
    const stream = old === undefined || old.calls.length > 0 ? open(index) : old;
    clients[index] = stream;
    const before = stream.text.length;
    arrive(stream, requests[request]!);
    answerAll(world, seen, request === 2 ? bodiless : answers[answer]!, arrive, toBackends);
    toClients.push(stream.text.slice(before));
    if (stream.text.includes("Connection: close")) stream.calls.push("done with");
  }
  return { toBackends, toClients };
}

function answerAll(
  { dialled }: RecordedSession,
  seen: Map<RecordingStream, number>,
  answer: string,
  arrive: (stream: RecordingStream, text: string) => void,
  toBackends: string[],
): void {
  for (const stream of dialled) {
    if (!seen.has(stream)) {
      seen.set(stream, 0);
      stream.events.onConnect();
    }
    const text = stream.text.slice(seen.get(stream));
    if (text === "" || stream.calls.length > 0) continue;
    seen.set(stream, stream.text.length);
    toBackends.push(
      `${stream.to}\n${text.replaceAll(/^(X-Request-Id: )[0-9a-f-]{36}\r$/gm, "$1ID\r")}`,
    );
    arrive(stream, answer);
  }
}

const apart = (steps: readonly Step[]): Told => talk(steps, (stream, text) => stream.receive(text));
const together = (steps: readonly Step[]): Told => {
  const array = new SharedArray();
  return talk(steps, (stream, text) => array.receive(stream, text));
};

const repeated = (step: Step, times: number): Step[] => Array.from({ length: times }, () => step);

describe("heads that are known", () => {
  test("change nothing, whatever comes in whatever order", () => {
    const below = (length: number): fc.Arbitrary<number> => fc.nat({ max: length - 1 });
    const step = fc.tuple(below(2), below(requests.length), below(answers.length));
    // Runs of the same: then it is known.
    const run = fc.tuple(step, fc.integer({ min: 1, max: 6 }));
    fc.assert(
      fc.property(fc.array(run, { minLength: 1, maxLength: 25 }), (runs) => {
        const steps = runs.flatMap(([one, times]) => repeated(one, times));
        expect(together(steps)).toEqual(apart(steps));
      }),
      { numRuns: 150 },
    );
  });

  test.for(requests.map((text, index) => [text, index] as const))(
    "change nothing for %j, with every answer",
    ([, request]) => {
      const steps = answers.flatMap((_, answer): Step[] => [
        ...repeated([0, request, answer], 5),
        ...repeated([1, request, answer], 3),
        [0, request, answer],
      ]);
      expect(together(steps)).toEqual(apart(steps));
    },
  );

  test("are not read again: neither a request's nor an answer's", () => {
    const world = recordedSession();
    const array = new SharedArray();
    const { stream, upstream, context } = world;
    const ask = (): void => {
      array.receive(stream, requests[0]!);
      if (upstream().writes.length === 0) world.connect();
      array.receive(upstream(), answers[0]!);
    };
    for (let time = 0; time < 6; time++) ask();
    const request = vi.spyOn(context.requestHeads.fresh, "parse");
    const answer = vi.spyOn(context.responseHead, "parse");
    const before = stream.writes.length;
    for (let time = 0; time < 5; time++) ask();
    expect(stream.writes.length).toBe(before + 5);
    expect(request).not.toHaveBeenCalled();
    expect(answer).not.toHaveBeenCalled();
  });

  test("give up what was written for them with their place", () => {
    const array = new SharedArray();
    const world = recordedSession({ requestsPerConnectionMax: unlimited });
    const { stream, upstream } = world;
    for (let head = 0; head < 3_000; head++) {
      for (let time = 0; time < 8; time++) {
        array.receive(stream, `GET /${head} HTTP/1.1\r\n${host}\r\n`);
        if (upstream().writes.length === 0) world.connect();
        expect(upstream().writes.at(-1)).toMatch(new RegExp(`^GET /${head} `));
        array.receive(
          upstream(),
          `HTTP/1.1 200 OK\r\nETag: "${head}"\r\nContent-Length: 0\r\n\r\n`,
        );
        expect(stream.writes.at(-1)).toContain(`"${head}"`);
      }
    }
  });

  test("tell each request's own time and id", () => {
    const world = recordedSession();
    const array = new SharedArray();
    const { stream, upstream, system } = world;
    const ids = new Set<string>();
    const times = new Set<string>();
    for (let time = 0; time < 8; time++) {
      array.receive(stream, requests[0]!);
      if (upstream().writes.length === 0) world.connect();
      const sent = upstream().writes.at(-1)!;
      ids.add(/^X-Request-Id: ([0-9a-f-]{36})\r$/m.exec(sent)?.[1] ?? "");
      times.add(/^X-Request-Start: (\d{13})\r$/m.exec(sent)?.[1] ?? "");
      array.receive(upstream(), answers[0]!);
      system.advance(1);
    }
    expect(ids.size).toBe(8);
    expect(times.size).toBe(8);
  });
});
