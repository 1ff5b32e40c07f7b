// The outside world of a node whose workers die, as a program of its own so that it stands still with no one:
// backends, fresh connections at a steady pace whatever becomes of the earlier ones, and connections that are
// kept: HTTP requests one after the other, lines through a TCP route. Started by Asked, with the orders of
// kill-world.ts.

import { connect, type Socket } from "node:net";
import { freshEcho, freshGet, type Outcome } from "./fresh-connection.ts";
import {
  answerAll,
  type Backends,
  type FreshFigures,
  type KeptFigures,
  type LoadQuestion,
} from "./kill-world.ts";
import { startHttpBackend, startTcpBackend } from "./named-backend.ts";

const host = "kill.example.com";
const backendName = "kill-backend";
/** Of the fresh connections, every so many-th goes through the TCP route. */
const tcpEvery = 3;
/** Between the requests of a kept connection, in ms. */
const pauseMs = 10;
/** A fresh connection that has no answer by then has failed, in ms. */
const answerMsMax = 30_000;
const tickMs = 5;

/** What a kept connection says, and how the answer to it ends. */
const words = {
  http: {
    says: `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    begins: "HTTP/1.1 200 ",
    ends: `\r\n\r\n${backendName}`,
  },
  tcp: { says: "hello\n", begins: `${backendName}:hello`, ends: "\n" },
} as const;

let httpPort = 0;
let tcpPort = 0;
const fresh = { opened: 0, connected: 0, answered: 0, cut: 0, inFlight: 0 };
const failures: string[] = [];
const freshMs: number[] = [];
const kept = new Map<number, Kept>();
let stopFlow = (): void => {};
let whenQuiet = (): void => {};

async function openFresh(): Promise<void> {
  const n = ++fresh.opened;
  fresh.inFlight++;
  const options = { withinMs: answerMsMax, onConnect: (): void => void fresh.connected++ };
  const outcome =
    n % tcpEvery === 0
      ? await freshEcho(tcpPort, `token${n}`, options)
      : await freshGet(httpPort, host, options);
  judge(outcome);
  if (--fresh.inFlight === 0) whenQuiet();
}

function judge(outcome: Outcome): void {
  if (outcome.kind === "cut") fresh.cut++;
  else if (outcome.kind !== "answered" || outcome.status !== 200 || outcome.body !== backendName)
    failures.push(JSON.stringify(outcome));
  else {
    fresh.answered++;
    freshMs.push(outcome.ms);
  }
}

/** Begins `perSecond` connections a second, on time however many still wait. */
function flow(perSecond: number): void {
  const startMs = performance.now();
  let begun = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - startMs) / 1000) * perSecond;
    for (; begun < due; begun++) void openFresh();
  }, tickMs);
  stopFlow = () => clearInterval(timer);
}

async function quiet(): Promise<void> {
  stopFlow();
  if (fresh.inFlight > 0) await new Promise<void>((resolve) => (whenQuiet = resolve));
}

/** A connection that asks again and again until it is cut. */
class Kept {
  answers = 0;
  /** Why it ended; undefined: it lives. */
  ended: string | undefined;
  readonly #socket: Socket;
  readonly #words: (typeof words)["http" | "tcp"];
  #text = "";
  #first = Promise.withResolvers<void>();

  constructor(protocol: "http" | "tcp") {
    this.#words = words[protocol];
    const port = protocol === "http" ? httpPort : tcpPort;
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("connect", () => this.#ask());
    this.#socket.on("data", (bytes) => this.#receive(bytes.toString("latin1")));
    this.#socket.on("error", (error) => this.#end(error.message));
    this.#socket.on("close", () => this.#end("closed"));
  }

  /** Resolves with the first answer; rejects when there is none. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  close(): void {
    this.#end("by us");
    this.#socket.destroy();
  }

  #ask(): void {
    if (this.ended === undefined) this.#socket.write(this.#words.says);
  }

  #receive(text: string): void {
    this.#text += text;
    if (!this.#text.endsWith(this.#words.ends)) return;
    if (!this.#text.startsWith(this.#words.begins)) failures.push(this.#text.slice(0, 100));
    this.#text = "";
    this.answers++;
    this.#first.resolve();
    setTimeout(() => this.#ask(), pauseMs);
  }

  #end(reason: string): void {
    this.ended ??= reason;
    this.#first.reject(new Error(reason));
  }
}

/** Every kept connection; those that ended are told once. */
function keptFigures(): KeptFigures[] {
  const figures: KeptFigures[] = [];
  for (const [id, { answers, ended }] of kept) {
    figures.push({ id, answers, ended });
    if (ended !== undefined) kept.delete(id);
  }
  return figures;
}

async function answer(question: LoadQuestion): Promise<unknown> {
  switch (question.kind) {
    case "backends": {
      const { address: http } = await startHttpBackend(backendName);
      const { address: tcp } = await startTcpBackend(backendName);
      return { http, tcp } satisfies Backends;
    }
    case "node":
      ({ httpPort, tcpPort } = question);
      return undefined;
    case "open": {
      const one = new Kept(question.protocol);
      kept.set(question.id, one);
      return await one.first;
    }
    case "flow":
      return flow(question.perSecond);
    case "quiet":
      return await quiet();
    case "kept":
      return keptFigures();
    case "fresh": {
      const { opened, connected, answered, cut } = fresh;
      return { opened, connected, answered, cut, failures, ms: freshMs } satisfies FreshFigures;
    }
    case "close":
      for (const one of kept.values()) one.close();
      return undefined;
    default:
      return question satisfies never;
  }
}

answerAll(answer);
