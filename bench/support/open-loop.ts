// A load that does not wait for answers: `node open-loop.ts '{"port":…}'` sends so many requests per second whatever becomes of them,
// makes a backend bad when its first seconds are over, and prints an OpenLoopReport as JSON.
//
// Latency counts from when a request was due, so that nothing is left out while everything waits (coordinated omission). On as
// many keep-alive connections as it is told, and on more while all of these are busy: as independent clients would.

import { connect, type Socket } from "node:net";
import { hurtMs, modePath } from "./fault-modes.ts";

export interface OpenLoopOptions {
  readonly port: number;
  readonly host: string;
  readonly requestsPerSecond: number;
  readonly connections: number;
  /** Before anything is bad; not counted. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** Of the backend that gets bad. */
  readonly controlPort: number;
  /** Absent: none does. */
  readonly mode?: string;
}

export interface OpenLoopReport {
  readonly requests: number;
  /** Other statuses than 200. */
  readonly errors: number;
  /** Without a whole answer. */
  readonly broken: number;
  /** Whole and right, and later than `hurtMs`. */
  readonly late: number;
  /** Of whole and right answers; absent: there were none. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** From the beginning of the fault to when the last request was due that was hurt; 0: none was. */
  readonly hurtUntilMs: number;
}

/** Longer than any proxy waits; then it is broken. */
const giveUpMs = 6_000;
const connectionsMax = 8_000;

/** One request under way. */
interface Asked {
  readonly dueMs: number;
}

class OpenLoop {
  readonly #options: OpenLoopOptions;
  readonly #request: (user: number) => string;
  readonly #idle: Connection[] = [];
  readonly #latencies: number[] = [];
  #open = 0;
  #sent = 0;
  #underWay = 0;
  #startMs = 0;
  #faultMs = Number.POSITIVE_INFINITY;
  #requests = 0;
  #errors = 0;
  #broken = 0;
  #late = 0;
  #hurtUntilMs = 0;

  constructor(options: OpenLoopOptions) {
    this.#options = options;
    const { host } = options;
    this.#request = (user) => `GET / HTTP/1.1\r\nHost: ${host}\r\nX-User: ${user}\r\n\r\n`;
  }

  async run(): Promise<OpenLoopReport> {
    const { warmUpSeconds, seconds, mode, controlPort, requestsPerSecond } = this.#options;
    this.#startMs = performance.now();
    const total = Math.floor((warmUpSeconds + seconds) * requestsPerSecond);
    let isBad = mode === undefined;
    while (this.#sent < total) {
      const nowMs = performance.now();
      if (!isBad && nowMs - this.#startMs >= warmUpSeconds * 1000) {
        isBad = true;
        // What is due from now on is counted, though the backend hears of it a moment later.
        void fetch(`http://127.0.0.1:${controlPort}${modePath}${mode}`);
      }
      const due = Math.floor(((nowMs - this.#startMs) / 1000) * requestsPerSecond);
      while (this.#sent < Math.min(due, total)) this.#send();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const endMs = performance.now() + giveUpMs + 500;
    while (this.#underWay > 0 && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.#report();
  }

  #send(): void {
    const { requestsPerSecond, warmUpSeconds } = this.#options;
    const number = this.#sent++;
    const dueMs = this.#startMs + (number * 1000) / requestsPerSecond;
    this.#faultMs = this.#startMs + warmUpSeconds * 1000;
    this.#underWay++;
    const asked: Asked = { dueMs };
    if (this.#idle.length === 0 && this.#open >= connectionsMax) return this.ended(asked, "broken");
    const connection = this.#idle.shift() ?? this.#dial();
    // The same thousand users over and over, in no order that a policy could know.
    connection.ask(asked, this.#request((number * 7_919) % 1_000));
  }

  #dial(): Connection {
    this.#open++;
    return new Connection(this, this.#options.port);
  }

  /** Its answer is there, and it takes the next request. */
  free(connection: Connection): void {
    if (this.#idle.length < this.#options.connections) this.#idle.push(connection);
    else connection.close();
  }

  gone(connection: Connection): void {
    this.#open--;
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  ended({ dueMs }: Asked, how: "right" | "error" | "broken"): void {
    this.#underWay--;
    if (dueMs < this.#faultMs) return;
    const latencyMs = performance.now() - dueMs;
    this.#requests++;
    if (how === "right") this.#latencies.push(latencyMs);
    if (how === "error") this.#errors++;
    if (how === "broken") this.#broken++;
    if (how === "right" && latencyMs > hurtMs) this.#late++;
    if (how === "right" && latencyMs <= hurtMs) return;
    this.#hurtUntilMs = Math.max(this.#hurtUntilMs, dueMs - this.#faultMs);
  }

  #report(): OpenLoopReport {
    const sorted = Float64Array.from(this.#latencies).toSorted();
    const quantile = (q: number): number => sorted[Math.floor(sorted.length * q)]!;
    return {
      requests: this.#requests + this.#underWay,
      errors: this.#errors,
      broken: this.#broken + this.#underWay,
      late: this.#late,
      ...(sorted.length === 0 ? {} : { p50Ms: quantile(0.5), p99Ms: quantile(0.99) }),
      hurtUntilMs: this.#hurtUntilMs,
    };
  }
}

class Connection {
  readonly #loop: OpenLoop;
  readonly #socket: Socket;
  #asked: Asked | undefined;
  #received = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(loop: OpenLoop, port: number) {
    this.#loop = loop;
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (bytes: Buffer) => this.#take(bytes));
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => this.#closed());
  }

  ask(asked: Asked, request: string): void {
    this.#asked = asked;
    this.#received = "";
    this.#timer = setTimeout(() => this.close(), giveUpMs);
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    this.#received += bytes.toString("latin1");
    const headEnd = this.#received.indexOf("\r\n\r\n");
    if (headEnd < 0) return;
    const head = this.#received.slice(0, headEnd);
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    // Of an answer without a length the end of the connection is the end.
    if (length === undefined || this.#received.length < headEnd + 4 + Number(length)) return;
    this.#answered(head.startsWith("HTTP/1.1 200 "));
    if (/^connection: *close/im.test(head)) this.close();
    else this.#loop.free(this);
  }

  #answered(isRight: boolean): void {
    const asked = this.#asked;
    this.#asked = undefined;
    clearTimeout(this.#timer);
    if (asked !== undefined) this.#loop.ended(asked, isRight ? "right" : "error");
  }

  #closed(): void {
    this.#loop.gone(this);
    clearTimeout(this.#timer);
    const asked = this.#asked;
    this.#asked = undefined;
    // An error that the proxy said before it closed is one; half an answer is none.
    const isError = /^HTTP\/1\.[01] [45]\d\d /.test(this.#received);
    if (asked !== undefined) this.#loop.ended(asked, isError ? "error" : "broken");
  }
}

const given = JSON.parse(process.argv[2] ?? "{}") as OpenLoopOptions;
console.log(JSON.stringify(await new OpenLoop(given).run()));
process.exit(0);
