// The outside world of a node whose workers crash, as a program of its own so that it stands still with no one:
// a backend, fresh connections at a steady pace whatever becomes of the earlier ones, and connections that are
// kept alive. Started by crash-world.ts, which asks over the channel of child_process.

import { connect, type Socket } from "node:net";
import type { CrashAnswer, CrashQuestion, FreshFigures, KeptFigures } from "./crash-world.ts";
import { freshGet } from "./fresh-connection.ts";
import { startHttpBackend } from "./named-backend.ts";

const host = "crash.example.com";
const backendName = "crash-backend";
/** Between the requests of a kept connection, in ms. */
const pauseMs = 10;
/** A fresh connection that has no answer by then has failed, in ms. */
const answerMsMax = 5_000;
const tickMs = 5;

const request = `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

let port = 0;
const fresh = { opened: 0, connected: 0, answered: 0, cut: 0, inFlight: 0 };
const failures: string[] = [];
const freshMs: number[] = [];
const kept = new Map<number, Kept>();
let stopFlow = (): void => {};
let whenQuiet = (): void => {};

function openFresh(): void {
  fresh.opened++;
  fresh.inFlight++;
  const onConnect = (): void => void fresh.connected++;
  void freshGet(port, host, { withinMs: answerMsMax, onConnect }).then((outcome) => {
    if (outcome.kind === "cut") fresh.cut++;
    else if (outcome.kind !== "answered") failures.push(JSON.stringify(outcome));
    else if (outcome.status !== 200 || outcome.body !== backendName)
      failures.push(JSON.stringify(outcome));
    else {
      fresh.answered++;
      freshMs.push(outcome.ms);
    }
    if (--fresh.inFlight === 0) whenQuiet();
  });
}

/** Begins `perSecond` connections a second, on time however many still wait. */
function flow(perSecond: number): void {
  const startMs = performance.now();
  let begun = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - startMs) / 1000) * perSecond;
    for (; begun < due; begun++) openFresh();
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
  #text = "";
  #first = Promise.withResolvers<void>();

  constructor() {
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
    if (this.ended === undefined) this.#socket.write(request);
  }

  #receive(text: string): void {
    this.#text += text;
    if (!this.#text.endsWith(`\r\n\r\n${backendName}`)) return;
    if (!this.#text.startsWith("HTTP/1.1 200 ")) failures.push(this.#text.slice(0, 100));
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

async function answer(question: CrashQuestion): Promise<unknown> {
  switch (question.kind) {
    case "backend":
      return (await startHttpBackend(backendName)).address;
    case "node":
      port = question.port;
      return undefined;
    case "open": {
      const one = new Kept();
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
    default:
      return question satisfies never;
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

function send(reply: CrashAnswer): void {
  process.send?.(reply);
}

process.on("message", ({ id, question }: { id: number; question: CrashQuestion }) => {
  answer(question).then(
    (value) => send({ id, value }),
    (error: unknown) => send({ id, error: String(error) }),
  );
});
// Whoever started us has gone, or has done with us.
process.on("disconnect", () => process.exit());
