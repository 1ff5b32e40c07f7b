// A client that keeps one connection and asks on it again and again, GET and POST in turn, and one that opens tunnels
// that live for a while and end in order. Each counts what it did and remembers what went wrong.

import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What is kept of latencies: enough for a p99. */
const keptMax = 200_000;

export interface SteadyFigures {
  requests: number;
  tunnels: number;
  readonly failed: string[];
  readonly cut: string[];
  readonly requestMs: number[];
}

export function noFigures(): SteadyFigures {
  return { requests: 0, tunnels: 0, failed: [], cut: [], requestMs: [] };
}

const body = "a body that must arrive whole";

/** Asks every `everyMs` until `stop`; each answer must be a 200 that ends with what was sent. */
export class SteadyRequests {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #running: Promise<void>;
  #stopping = false;

  constructor(
    options: { readonly port: number; readonly host: string; readonly everyMs: number },
    figures: SteadyFigures,
  ) {
    this.#running = this.#run(options, figures);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    this.#agent.destroy();
  }

  async #run(
    { port, host, everyMs }: { port: number; host: string; everyMs: number },
    figures: SteadyFigures,
  ): Promise<void> {
    await sleep(Math.random() * everyMs);
    for (let n = 0; !this.#stopping; n++) {
      const beganMs = performance.now();
      const method = n % 2 === 0 ? "GET" : "POST";
      const answer = await this.#ask(port, host, method).catch((error: unknown) => String(error));
      const tookMs = performance.now() - beganMs;
      figures.requests++;
      if (figures.requestMs.length < keptMax) figures.requestMs.push(tookMs);
      const isRight = answer.startsWith("200 ") && (method === "GET" || answer.endsWith(body));
      if (!isRight) figures.failed.push(`${method} ${host}: ${answer.slice(0, 200)}`);
      await sleep(Math.max(0, everyMs - tookMs));
    }
  }

  #ask(port: number, host: string, method: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = { Host: host, ...(method === "POST" && { "Content-Length": body.length }) };
      const options = { host: "127.0.0.1", port, method, headers, agent: this.#agent };
      const sent = request(options, (response) => {
        let text = `${response.statusCode} ${String(response.headers["x-crosspoint-reason"] ?? "")}`;
        response.setEncoding("utf8").on("data", (more: string) => (text += more));
        response.on("end", () => resolve(text));
        response.on("error", reject);
      });
      sent.on("error", reject);
      sent.end(method === "POST" ? body : undefined);
    });
  }
}

/** Opens tunnels one after the other: after an Upgrade at `host`, or plain TCP without one. */
export class SteadyTunnels {
  readonly #running: Promise<void>;
  #stopping = false;

  constructor(
    options: {
      readonly port: number;
      readonly host: string | undefined;
      /** How long each lives, at least and at most. */
      readonly lifeMs: readonly [number, number];
    },
    figures: SteadyFigures,
  ) {
    this.#running = this.#run(options, figures);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  async #run(
    { port, host, lifeMs: [least, most] }: ConstructorParameters<typeof SteadyTunnels>[0],
    figures: SteadyFigures,
  ): Promise<void> {
    while (!this.#stopping) {
      const lifeMs = least + Math.random() * (most - least);
      const trouble = await this.#live(port, host, lifeMs);
      figures.tunnels++;
      if (trouble !== "") figures.cut.push(`${host ?? `port ${port}`}: ${trouble}`);
    }
  }

  /** What went wrong; "" when it lived as long as it was to, every line came back, and it ended in order. */
  async #live(port: number, host: string | undefined, lifeMs: number): Promise<string> {
    const tunnel = new EchoedTunnel(connect({ port, host: "127.0.0.1", noDelay: true }));
    try {
      if (host !== undefined) await tunnel.upgrade(host);
      const endMs = performance.now() + lifeMs;
      for (let n = 0; performance.now() < endMs; n++) {
        await tunnel.echo(`line ${n}\n`);
        await sleep(20);
      }
      await tunnel.end();
      return "";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      tunnel.socket.destroy();
    }
  }
}

class EchoedTunnel {
  readonly socket: Socket;
  #text = "";
  #over = "";
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    const over = (how: string): void => {
      this.#over ||= how;
      this.#wake();
    };
    socket.setEncoding("latin1").on("data", (text: string) => {
      this.#text += text;
      this.#wake();
    });
    socket.on("end", () => over("ended"));
    socket.on("error", (error) => over(error.message));
    socket.on("close", () => over("closed"));
  }

  async upgrade(host: string): Promise<void> {
    this.socket.write(
      `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`,
    );
    await this.#until(() => this.#text.includes("\r\n\r\n"));
    const head = this.#text.slice(0, this.#text.indexOf("\r\n"));
    if (!head.includes(" 101 ")) throw new Error(`no upgrade: ${head}`);
    this.#text = "";
  }

  async echo(line: string): Promise<void> {
    this.#text = "";
    this.socket.write(line);
    await this.#until(() => this.#text.endsWith(line));
  }

  /** Both sides end, in order. */
  async end(): Promise<void> {
    this.socket.end();
    while (this.#over === "") await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#over !== "ended") throw new Error(`at its end: ${this.#over}`);
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.#over !== "") throw new Error(this.#over);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
