// Clients that stay: connections that keep echoing, and askers that keep one connection alive. Each remembers the
// first thing that went wrong with it.

import { once } from "node:events";
import { Agent, get } from "node:http";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";

/** Between a message and the next, in ms: so that a hundred connections leave the processor to others. */
const pauseMs = 25;
/** An echo that takes longer is missing, in ms. */
const echoMsMax = 10_000;

/** How one kind of connection is used; `received` is called with whatever comes back. */
interface Wire {
  readonly label: string;
  send(line: string): void;
  /** What comes back for that line. */
  expected(line: string): string;
  destroy(): void;
}

/** Sends line after line, of 1 to some thousand characters, and compares what comes back. */
export class EchoingConnection {
  /** What went wrong first; undefined: nothing. */
  trouble: string | undefined;
  echoes = 0;
  readonly #wire: Wire;
  readonly #running: Promise<void>;
  #stopping = false;
  #received = "";
  #wake: () => void = () => {};

  private constructor(wireOf: (events: Pick<EchoingConnection, "received" | "ended">) => Wire) {
    this.#wire = wireOf(this);
    this.#running = this.#run();
  }

  static async webSocket(port: number, host: string): Promise<EchoingConnection> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { host } });
    await once(socket, "open");
    return new EchoingConnection((connection) => {
      socket.on("message", (data) => connection.received((data as Buffer).toString("latin1")));
      socket.on("error", (error) => connection.ended(error.message));
      socket.on("close", (code) => connection.ended(`closed with ${code}`));
      return {
        label: "WebSocket",
        send: (line) => socket.send(line),
        expected: (line) => line,
        destroy: () => socket.terminate(),
      };
    });
  }

  static async upgraded(port: number, host: string): Promise<EchoingConnection> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.write(
      `GET /echo HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`,
    );
    const [head]: Buffer[] = await once(socket, "data");
    if (!head?.toString("latin1").startsWith("HTTP/1.1 101 "))
      throw new Error(`no 101 but ${head?.toString("latin1")}`);
    return EchoingConnection.#over(socket, "upgraded", (line) => line);
  }

  /** To a backend that puts its name before every line. */
  static async tcp(port: number, name: string): Promise<EchoingConnection> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return EchoingConnection.#over(socket, `TCP ${port}`, (line) => `${name}:${line}`);
  }

  static #over(
    socket: Socket,
    label: string,
    expected: (line: string) => string,
  ): EchoingConnection {
    return new EchoingConnection((connection) => {
      socket.on("data", (bytes) => connection.received(bytes.toString("latin1")));
      socket.on("error", (error) => connection.ended(error.message));
      socket.on("close", () => connection.ended("closed"));
      return {
        label: `${label} from port ${socket.localPort}`,
        send: (line) => socket.write(line),
        expected,
        destroy: () => socket.destroy(),
      };
    });
  }

  received(text: string): void {
    this.#received += text;
    this.#wake();
  }

  ended(reason: string): void {
    if (!this.#stopping) this.#complain(reason);
    this.#wake();
  }

  /** One more echo, then no more. */
  async finish(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  close(): void {
    this.#stopping = true;
    this.#wire.destroy();
    this.#wake();
  }

  async #run(): Promise<void> {
    for (let n = 0; this.trouble === undefined; n++) {
      const last = this.#stopping;
      await this.#echo(n);
      if (last) break;
      await sleep(pauseMs);
    }
  }

  async #echo(n: number): Promise<void> {
    const line = `${n}-${"x".repeat((n * 397) % 3000)}\n`;
    const expected = this.#wire.expected(line);
    const giveUp = setTimeout(() => this.ended(`no echo of message ${n}`), echoMsMax);
    this.#wire.send(line);
    while (this.#received.length < expected.length && this.trouble === undefined) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    clearTimeout(giveUp);
    if (this.trouble !== undefined) return;
    if (this.#received !== expected) {
      this.#complain(`message ${n} came back as ${JSON.stringify(this.#received.slice(0, 80))}`);
    }
    this.#received = "";
    this.echoes++;
  }

  #complain(reason: string): void {
    this.trouble ??= `${this.#wire.label}, after ${this.echoes} echoes: ${reason}`;
  }
}

/** Asks again and again on one connection that is kept alive. */
export class KeepAliveAsker {
  readonly failures: string[] = [];
  readonly latenciesMs: number[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #running: Promise<void>;
  #stopping = false;
  #localPort: number | undefined;

  /** @param body What every answer must say. */
  constructor(port: number, host: string, body: string) {
    this.#running = this.#run(port, host, body);
  }

  async finish(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  close(): void {
    this.#stopping = true;
    this.#agent.destroy();
  }

  async #run(port: number, host: string, body: string): Promise<void> {
    while (!this.#stopping) {
      const startMs = performance.now();
      try {
        const answer = await this.#ask(port, host);
        if (answer !== `200 ${body}`) this.failures.push(`a request got ${answer}`);
      } catch (error) {
        if (!this.#stopping) this.failures.push(`a request failed: ${String(error)}`);
      }
      this.latenciesMs.push(performance.now() - startMs);
      await sleep(pauseMs / 5);
    }
  }

  #ask(port: number, host: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { port, host: "127.0.0.1", headers: { host }, agent: this.#agent };
      const request = get({ ...options, timeout: echoMsMax }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
        response.on("end", () => resolve(`${response.statusCode} ${text}`));
        response.on("error", reject);
      });
      request.on("socket", ({ localPort }) => {
        // A connection that is new has no port yet; one that is kept must be the same as before.
        if (localPort === undefined) return;
        if (this.#localPort !== undefined && this.#localPort !== localPort)
          this.failures.push("a keep-alive connection was closed");
        this.#localPort = localPort;
      });
      request.on("timeout", () => request.destroy(new Error("no answer in time")));
      request.on("error", reject);
    });
  }
}
