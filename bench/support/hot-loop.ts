// Requests through real sessions, round after round, without sockets: everything between the bytes received from a
// client and those sent to a backend, and back. All that a worker does by default is on; the access log by choice.

import { MessageChannel } from "node:worker_threads";
import { connectionMemory } from "../../src/channel/connection-counts.ts";
import { descriptorMemory } from "../../src/channel/descriptors.ts";
import { inFlightMemory } from "../../src/channel/in-flight.ts";
import { rateMemory } from "../../src/channel/rate-buckets.ts";
import * as limits from "../../src/limits.ts";
import { parseAddress } from "../../src/model/address.ts";
import type { Change } from "../../src/model/change.ts";
import {
  parseDomain,
  parsePathPrefix,
  parseRouteName,
  parseServiceName,
} from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { RouteOptions } from "../../src/model/route-options.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { realSystem, type System } from "../../src/system.ts";
import { Counter, countersByteLength } from "../../src/telemetry/counters.ts";
import { LogPages, logPagesByteLength } from "../../src/telemetry/log-pages.ts";
import type { WorkerContext } from "../../src/worker/context.ts";
import { HttpSession } from "../../src/worker/http-session.ts";
import { makeContext } from "../../src/worker/make-context.ts";
import { Sessions } from "../../src/worker/sessions.ts";
import { BareIo, BareStream } from "./bare-io.ts";

const routes = 1_000;
const connections = 64;
/** What arrives lies in one array that all connections share, as in every adapter, each in a place of its own. */
const placeBytes = 2048;

/** Stands where each request has a number of its own. */
const digits = "00000000";

/**
 * The requests that are asked: of a load generator, the same on all connections; such requests none of which ever comes
 * again; of a browser, each connection with fields of its own; and of a browser that never asks for the same thing again.
 */
export const requestKinds = {
  small: (): string => `GET / HTTP/1.1\r\nHost: ${hostOf(0)}\r\n\r\n`,
  /** To routes that say what they can of tries. */
  "small-tried": (): string => requestKinds.small(),
  "small-new": (connection: number): string =>
    `GET /${digits} HTTP/1.1\r\nHost: ${hostOf(connection)}\r\n\r\n`,
  "browser-new": (connection: number): string =>
    requestKinds.browser(connection).replace("from=start", `from=${digits}`),
  browser: (connection: number): string =>
    [
      `GET /assets/page-${connection}.html?from=start HTTP/1.1`,
      `Host: ${hostOf(connection)}`,
      "Connection: keep-alive",
      'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"',
      "sec-ch-ua-mobile: ?0",
      'sec-ch-ua-platform: "Linux"',
      "Upgrade-Insecure-Requests: 1",
      "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
      "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
      "Sec-Fetch-Mode: navigate",
      "Accept-Encoding: gzip, deflate, br, zstd",
      "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
      `Cookie: session=0f8fad5b${connection}d9cb469fa16570867728950e; theme=dark`,
      "",
      "",
    ].join("\r\n"),
} as const;

export type RequestKind = keyof typeof requestKinds;

const answer = [
  "HTTP/1.1 200 OK",
  "Server: nginx/1.22.1",
  "Date: Sat, 21 Nov 2026 05:01:02 GMT",
  "Content-Type: text/plain",
  "Content-Length: 100",
  "Connection: keep-alive",
  "",
  "x".repeat(100),
].join("\r\n");

const answerAt = connections * placeBytes;

function hostOf(connection: number): string {
  return `app-${String((connection * 7) % routes).padStart(3, "0")}.example.com`;
}

export interface HotLoopOptions {
  readonly kind: RequestKind;
  readonly accessLog: boolean;
}

export class HotLoop {
  readonly context: WorkerContext;
  readonly #clients: BareStream[] = [];
  readonly #received = Buffer.alloc((connections + 1) * placeBytes);
  readonly #lengths: number[] = [];
  readonly #io = new BareIo();
  readonly #turnEnds: (() => void)[] = [];
  #turnEndCount = 0;
  #turn = 0;
  /** Where the digits are that make each request another one; 0: there are none. */
  readonly #digitsAt: number;
  #asked = 0;

  constructor({ kind, accessLog }: HotLoopOptions) {
    const system: System = {
      ...realSystem,
      atTurnEnd: (action) => {
        // The array keeps its length: to shorten it would give up its memory.
        this.#turnEnds[this.#turnEndCount++] = action;
      },
    };
    const logMemory = accessLog ? new SharedArrayBuffer(logPagesByteLength) : undefined;
    this.context = makeContext(
      {
        workerId: 1,
        slot: 0,
        control: releasingPort(logMemory),
        counters: new SharedArrayBuffer(countersByteLength),
        connections: connectionMemory(1, 0),
        rates: rateMemory(1),
        inFlight: inFlightMemory(1, 64),
        descriptors: descriptorMemory(1),
        logMemory,
        settings: {
          io: "net",
          accessLog,
          trustForwarded: [],
          proxyProtocol: [],
          pages: [],
          via: "crosspoint",
          forwarded: false,
          zone: "",
          limits: {},
          stickyKeys: { current: new Uint8Array(32), previous: undefined },
          faultHooks: false,
        },
      },
      { ...limits, requestsPerConnectionMax: limits.unlimited },
      system,
      this.#io,
    );
    this.context.table = filledTable(kind === "small-tried" ? tried : undefined);
    this.#digitsAt = Math.max(0, requestKinds[kind](0).indexOf(digits));
    this.#received.set(Buffer.from(answer), answerAt);
    const sessions = new Sessions(this.context.counters);
    for (let i = 0; i < connections; i++) {
      const stream = new BareStream();
      // The session sets itself as whoever is told.
      void new HttpSession(this.context, sessions, stream);
      this.#clients.push(stream);
      const text = requestKinds[kind](i);
      this.#received.set(Buffer.from(text), i * placeBytes);
      this.#lengths.push(text.length);
    }
  }

  /** Answers with the number of requests made: at least `count`. */
  run(count: number): number {
    let made = 0;
    while (made < count) {
      this.#oneTurn();
      made += connections;
    }
    return made;
  }

  /** All requests were answered, and none of it was an error. */
  check(made: number): void {
    const { counters } = this.context;
    const good = counters[Counter.responses2xx]!;
    if (good !== made || this.#io.dialled.length !== connections) {
      throw new Error(`${good} of ${made} requests were answered with 200`);
    }
  }

  /** What the last request looked like at the backend, and the last answer at the client. */
  seen(): { readonly request: string; readonly answer: string } {
    for (const stream of [...this.#clients, ...this.#io.dialled]) stream.written = 0;
    this.#askAll();
    const request = textOf(this.#io.dialled.findLast(({ written }) => written > 0));
    this.#answerAll();
    return { request, answer: textOf(this.#clients.at(-1)) };
  }

  #oneTurn(): void {
    this.#turn++;
    if ((this.#turn & 255) === 0) this.context.wheel.advance(realSystem.monotonicMs());
    this.#askAll();
    this.#endTurn();
    this.#answerAll();
    this.#endTurn();
  }

  #askAll(): void {
    for (let i = 0; i < connections; i++) {
      const at = i * placeBytes;
      if (this.#digitsAt > 0) this.#number(at + this.#digitsAt);
      this.#clients[i]!.events.onData(this.#received, at, at + this.#lengths[i]!);
    }
    // Only in the first turn.
    if (this.#turn === 1) for (const stream of this.#io.dialled) stream.events.onConnect();
  }

  #number(at: number): void {
    let rest = ++this.#asked;
    for (let i = at + digits.length - 1; i >= at; i--) {
      const tenth = (rest / 10) | 0;
      this.#received[i] = 48 + (rest - tenth * 10);
      rest = tenth;
    }
  }

  #answerAll(): void {
    const { dialled } = this.#io;
    for (let i = 0; i < dialled.length; i++) {
      const stream = dialled[i]!;
      if (stream.written === 0) continue;
      stream.written = 0;
      stream.events.onData(this.#received, answerAt, answerAt + answer.length);
    }
  }

  #endTurn(): void {
    for (let i = 0; i < this.#turnEndCount; i++) this.#turnEnds[i]!();
    this.#turnEndCount = 0;
  }
}

function textOf(stream: BareStream | undefined): string {
  if (stream?.last === undefined) return "";
  const { last, lastStart, written } = stream;
  return Buffer.from(last.subarray(lastStart, lastStart + written)).toString("latin1");
}

/** As the main thread does it, at once: pages of the access log are given back. */
function releasingPort(logMemory: SharedArrayBuffer | undefined): MessageChannel["port1"] {
  const { port1 } = new MessageChannel();
  port1.close();
  const pages = logMemory === undefined ? undefined : new LogPages(logMemory);
  port1.postMessage = ({ page }: { page: number }) => pages?.release(page);
  return port1;
}

const tried: RouteOptions = {
  retry: { tries: 3, perTryMs: 1_000, statuses: [502, 503], budgetPercent: 10, hedgeMs: 500 },
  timeoutMs: 3_000,
};

function filledTable(options: RouteOptions | undefined): RouteTable {
  const builder = RouteTable.build();
  const revision = parseRevision(0);
  const changes: Change[] = [];
  for (let i = 0; i < routes; i++) {
    const number = String(i).padStart(3, "0");
    changes.push({
      kind: "route-put",
      route: {
        name: parseRouteName(`app-${number}`),
        match: {
          kind: "http",
          domain: parseDomain(`app-${number}.example.com`),
          pathPrefix: parsePathPrefix("/"),
        },
        service: parseServiceName("web"),
        sticky: false,
        labels: {},
        revision,
        matchRevision: revision,
        createTimeMs: 0,
        updateTimeMs: 0,
        ...(options === undefined ? {} : { options }),
      },
    });
  }
  const backend = { service: parseServiceName("web"), address: parseAddress("127.0.0.1:9000") };
  changes.push({
    kind: "backend-put",
    backend: { ...backend, weight: 100, labels: {}, ttlMs: undefined },
  });
  builder.add(changes);
  return builder.finish(parseRevision(1));
}
