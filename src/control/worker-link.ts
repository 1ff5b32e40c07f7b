// One incarnation of a worker seen from the main thread: its port, its counters, what it holds.
//
// Knows: the messages and which answer belongs to which question.
// Does not know: why a message is sent, threads, or what happens when the worker is gone.

import type { MessagePort } from "node:worker_threads";
import type {
  BackendMeasure,
  ExplainQuestion,
  Explanation,
  FromWorker,
  ListenerLoan,
  OpenPlace,
  RefusedListener,
  SharedEjection,
  TableVersion,
  ToWorker,
} from "../channel/messages.ts";
import { RouterError } from "../model/errors.ts";
import type { LogPages } from "../telemetry/log-pages.ts";
import type { Send } from "./publisher.ts";

/** All that a worker shall accept from; `version` changes when the loans do. */
export interface Loans {
  readonly version: number;
  readonly byId: ReadonlyMap<number, ListenerLoan>;
}

/** What an incarnation tells the fleet. */
export interface LinkEvents {
  ready(): void;
  /** It serves, but not as it should. */
  trouble(reason: string): void;
  acked(served: TableVersion, refused: readonly RefusedListener[]): void;
  nacked(refused: TableVersion, reason: string): void;
  /** It leaves backends out, or takes them back. */
  ejected(ejections: readonly SharedEjection[]): void;
  /** Whole access-log lines, valid until `release`. */
  log(lines: Uint8Array, release: () => void): void;
  drained(cut: number): void;
}

interface Pending {
  resolve(answer: never): void;
  reject(error: RouterError): void;
}

export class WorkerLink {
  readonly workerId: number;
  readonly slot: number;
  /** Resolves when the thread is gone and can touch no socket any more. */
  readonly gone: Promise<void>;
  readonly #port: MessagePort;
  readonly #logPages: LogPages | undefined;
  readonly #events: LinkEvents;
  readonly #pending = new Map<number, Pending>();
  #lastQuestion = 0;
  /** Loans that the worker accepts from, as of its last ack. */
  #held: ReadonlySet<number> = new Set();
  #deaf: readonly RefusedListener[] = [];
  /** Loans that it will hold once it acks what is in flight. */
  #offered: ReadonlySet<number> = new Set();
  /** The version of the loans that `#offered` was made from; undefined: the worker refused some. */
  #offeredVersion: number | undefined;
  #ended: string | undefined;

  constructor(options: {
    readonly workerId: number;
    readonly slot: number;
    readonly port: MessagePort;
    /** undefined: the worker keeps no access log. */
    readonly logPages: LogPages | undefined;
    readonly events: LinkEvents;
  }) {
    this.workerId = options.workerId;
    this.slot = options.slot;
    this.#port = options.port;
    this.#logPages = options.logPages;
    this.#events = options.events;
    this.gone = new Promise((resolve) => this.#port.once("close", resolve));
    this.#port.on("message", (message: FromWorker) => this.#receive(message));
  }

  get alive(): boolean {
    return this.#ended === undefined;
  }

  get held(): ReadonlySet<number> {
    return this.#held;
  }

  /** What it was offered last and cannot accept from. */
  get deaf(): readonly RefusedListener[] {
    return this.#deaf;
  }

  post(message: ToWorker): void {
    if (this.#ended === undefined) this.#port.postMessage(message);
  }

  /** Posts what the publisher decided, with the listeners that come and go by it. */
  send(send: Send, loans: Loans, encoded: () => readonly Uint8Array[]): void {
    const { byId, version } = loans;
    const same = this.#offeredVersion === version && this.#offered === this.#held;
    if (!same) this.#offered = new Set(byId.keys());
    this.#offeredVersion = version;
    if (send.kind === "snapshot") {
      const { kind, position, revision } = send;
      return this.post({
        kind,
        position,
        revision,
        pieces: encoded(),
        listeners: [...byId.values()],
      });
    }
    const { kind, base, position, revision, changes } = send;
    const opened = same ? [] : [...byId.values()].filter(({ id }) => !this.#held.has(id));
    const closed = same ? [] : [...this.#held].filter((id) => !byId.has(id));
    this.post({ kind, base, position, revision, changes, opened, closed });
  }

  explain(question: ExplainQuestion, signal: AbortSignal): Promise<Explanation> {
    return this.#ask((id) => ({ kind: "explain", id, question }), signal);
  }

  measure(service: string | undefined, signal: AbortSignal): Promise<readonly BackendMeasure[]> {
    return this.#ask((id) => ({ kind: "measure", id, service }), signal);
  }

  count(places: readonly OpenPlace[], signal: AbortSignal): Promise<readonly number[]> {
    return this.#ask((id) => ({ kind: "count", id, places }), signal);
  }

  /**
   * Nothing is sent any more, and whoever waits for an answer hears `reason`. What the worker has still said
   * of its past (log lines, what it cut) is heard until the port closes: the end of its task comes by
   * another port and may come first. Harmless twice.
   */
  end(reason: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    for (const pending of this.#pending.values()) pending.reject(this.#unavailable());
    this.#pending.clear();
  }

  /** Gives the port up; only when the thread is gone, or the far end would not be told of it. */
  close(): void {
    this.#port.close();
  }

  #ask<T>(message: (id: number) => ToWorker, signal: AbortSignal): Promise<T> {
    const id = ++this.#lastQuestion;
    if (this.#ended !== undefined) return Promise.reject(this.#unavailable());
    return new Promise<T>((resolve, reject) => {
      const late = (): void => {
        this.#pending.delete(id);
        const text = `worker ${this.slot} did not answer in time`;
        reject(new RouterError("deadline", text));
      };
      if (signal.aborted) return late();
      const forget = (): void => signal.removeEventListener("abort", late);
      signal.addEventListener("abort", late, { once: true });
      this.#pending.set(id, {
        resolve: (answer) => (forget(), resolve(answer)),
        reject: (error) => (forget(), reject(error)),
      });
      this.post(message(id));
    });
  }

  #receive(message: FromWorker): void {
    const ofThePast = message.kind === "log" || message.kind === "drained";
    if (this.#ended !== undefined && !ofThePast) return;
    switch (message.kind) {
      case "ready":
        return this.#events.ready();
      case "trouble":
        return this.#events.trouble(message.reason);
      case "ack":
        this.#held = without(this.#offered, message.refused);
        this.#deaf = message.refused;
        return this.#events.acked(message, message.refused);
      case "nack":
        return this.#events.nacked(message, message.reason);
      case "ejected":
        return this.#events.ejected(message.ejections);
      case "explained":
        return this.#answer(message.id, message.explanation);
      case "measured":
        return this.#answer(message.id, message.measures);
      case "counted":
        return this.#answer(message.id, message.counts);
      case "log":
        return this.#log(message.page, message.length);
      case "drained":
        return this.#events.drained(message.cut);
      default:
        // A worker of the same program sends nothing else; what it might is not worth a crash.
        return message satisfies never;
    }
  }

  #log(page: number, length: number): void {
    const pages = this.#logPages;
    const lines = pages?.bytesOf(page).subarray(0, length);
    if (lines !== undefined) this.#events.log(lines, () => pages?.release(page));
  }

  #answer(id: number, answer: unknown): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the id ties it to the question
    pending?.resolve(answer as never);
  }

  #unavailable(): RouterError {
    return new RouterError("unavailable", `worker ${this.slot} has ended: ${this.#ended}`);
  }
}

function without(
  offered: ReadonlySet<number>,
  refused: readonly RefusedListener[],
): ReadonlySet<number> {
  if (refused.length === 0) return offered;
  return new Set([...offered].filter((id) => !refused.some((loan) => loan.id === id)));
}
