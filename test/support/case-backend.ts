// The backend of the HTTP cases: answers as a case says, and records what reached it.
//
// Each connection is read by strict-http.ts. `/sentinel` is always answered properly: by its answer
// a client sees whether anything of a bad answer was left over for it.

import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import type { HttpCase } from "../transcripts/http-cases.ts";
import { readStrict, type StrictMessage, valuesOf } from "./strict-http.ts";

/** A request as it arrived, whole or not. */
export interface Recorded extends StrictMessage {
  /** Which of the backend's connections brought it; counts up. */
  connection: number;
}

export const sentinelBody = "sentinel-answer";
/** How long `late` octets wait, in ms. */
const lateMs = 60;
/** An upgrade request is answered only then, so that octets sent ahead of the answer show; in ms. */
const upgradePauseMs = 50;

const plainAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const headAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
const sentinelAnswer = `HTTP/1.1 200 OK\r\nContent-Length: ${sentinelBody.length}\r\n\r\n${sentinelBody}`;

export class CaseBackend {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #connections = 0;
  /** What arrived since `begin`, without sentinels. */
  recorded: Recorded[] = [];
  /** The connection that brought the last sentinel. */
  sentinelConnection = 0;
  #case: HttpCase | undefined;

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Listens on a free port of 127.0.0.1. */
  static async start(): Promise<CaseBackend> {
    const backend = new CaseBackend();
    await new Promise<void>((listening) =>
      backend.#server.listen(0, "127.0.0.1", () => listening()),
    );
    return backend;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on answers for `httpCase`, and records anew. */
  begin(httpCase: HttpCase): void {
    this.#case = httpCase;
    this.recorded = [];
    this.sentinelConnection = 0;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((closed) => this.#server.close(() => closed()));
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    const connection = new BackendConnection(socket, ++this.#connections, this);
    socket.on("data", (data) => connection.receive(data));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }

  /** Called by a connection for each request that begins. */
  record(message: Recorded): void {
    this.recorded.push(message);
  }

  answerFor(message: Recorded): Answer {
    const path = message.startLine.split(" ")[1] ?? "";
    if (path === "/sentinel") {
      this.sentinelConnection = message.connection;
      return { bytes: sentinelAnswer };
    }
    const answered = this.#case;
    if (answered?.dir !== "u2p") {
      return { bytes: message.startLine.startsWith("HEAD ") ? headAnswer : plainAnswer };
    }
    return {
      bytes: answered.bytes,
      ...(answered.late === undefined ? {} : { late: answered.late }),
      close: answered.after === "close",
    };
  }

  /** Whether the current case answers as soon as the request's head is there. */
  get answersEarly(): boolean {
    return this.#case?.early === true;
  }
}

interface Answer {
  readonly bytes: string;
  readonly late?: string;
  readonly close?: boolean;
}

class BackendConnection {
  readonly #socket: Socket;
  readonly #number: number;
  readonly #backend: CaseBackend;
  #text = "";
  #current: Recorded | undefined;
  #answeredEarly = false;
  #paused = false;

  constructor(socket: Socket, number: number, backend: CaseBackend) {
    this.#socket = socket;
    this.#number = number;
    this.#backend = backend;
  }

  receive(data: Buffer): void {
    this.#text += data.toString("latin1");
    if (!this.#paused) this.#readOn();
  }

  #readOn(): void {
    for (;;) {
      const message = readStrict(this.#text, "request");
      if (message === undefined) return;
      const current = this.#update(message);
      if (!message.complete) return this.#answerEarly(current);
      this.#text = this.#text.slice(message.length);
      this.#current = undefined;
      if (this.#answeredEarly) this.#answeredEarly = false;
      else if (valuesOf(message, "upgrade").length > 0) return this.#answerAfterPause(current);
      else this.#answer(current);
    }
  }

  #update(message: StrictMessage): Recorded {
    const isSentinel = message.startLine.includes(" /sentinel ");
    if (this.#current === undefined) {
      this.#current = { ...message, connection: this.#number };
      if (!isSentinel) this.#backend.record(this.#current);
    }
    return Object.assign(this.#current, message);
  }

  #answerEarly(current: Recorded): void {
    if (!this.#backend.answersEarly || this.#answeredEarly || current.fields.length === 0) return;
    this.#answeredEarly = true;
    this.#answer(current);
  }

  #answerAfterPause(current: Recorded): void {
    this.#paused = true;
    setTimeout(() => {
      this.#paused = false;
      if (this.#text !== "") current.violations.push("octets ahead of the answer to an upgrade");
      this.#answer(current);
      this.#readOn();
    }, upgradePauseMs);
  }

  #answer(current: Recorded): void {
    const { bytes, late, close } = this.#backend.answerFor(current);
    this.#socket.write(bytes, "latin1");
    if (late !== undefined) setTimeout(() => this.#socket.write(late, "latin1"), lateMs);
    if (close === true) this.#socket.end();
  }
}
