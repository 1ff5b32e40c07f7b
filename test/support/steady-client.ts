// A good client that asks at a steady rate, whatever the answers do: the next request does not wait for the last answer,
// so that a router that stands still for a second is seen by every request of that second and not by one. Every tenth request
// comes on a new connection, the others on kept ones.
//
// In a process of its own, by SideProcess: words PORT HOST PER_SECOND; each question is answered with what was noted
// since the last one.

import { Agent, request } from "node:http";
import { serveParent } from "./side-process.ts";

const path = "/small";
/** What `/small` of the large backend is. */
const expected = "200 ok";
const newConnectionEvery = 10;
/** An answer that takes longer is missing, in ms. */
const answerMsMax = 15_000;
const tickMs = 2;

export interface SteadyFigures {
  /** Of every answer that came, right or wrong, in ms. */
  readonly ms: readonly number[];
  readonly failures: readonly string[];
}

class SteadyClient {
  #ms: number[] = [];
  #failures: string[] = [];
  readonly #port: number;
  readonly #host: string;
  readonly #kept = new Agent({ keepAlive: true, maxFreeSockets: 64 });
  readonly #begunMs = performance.now();
  readonly #everyMs: number;
  #sent = 0;

  constructor(port: number, host: string, perSecond: number) {
    this.#port = port;
    this.#host = host;
    this.#everyMs = 1000 / perSecond;
    setInterval(() => this.#tick(), tickMs);
  }

  /** What happened since the last time. */
  take(): SteadyFigures {
    const figures = { ms: this.#ms, failures: this.#failures };
    this.#ms = [];
    this.#failures = [];
    return figures;
  }

  #tick(): void {
    const nowMs = performance.now();
    for (;;) {
      if (this.#begunMs + this.#sent * this.#everyMs > nowMs) return;
      this.#sent++;
      this.#ask(this.#sent % newConnectionEvery === 0);
    }
  }

  #ask(fresh: boolean): void {
    // From here on: what this process was late itself is not the router's.
    const startMs = performance.now();
    let told = false;
    const end = (what: string): void => {
      if (told) return;
      told = true;
      this.#ms.push(performance.now() - startMs);
      if (what !== expected) this.#failures.push(what.slice(0, 200));
    };
    const agent = fresh ? false : this.#kept;
    const options = { port: this.#port, host: "127.0.0.1", path, agent, timeout: answerMsMax };
    const sent = request({ ...options, headers: { host: this.#host } }, (response) => {
      let text = "";
      response.setEncoding("latin1").on("data", (piece: string) => (text += piece));
      response.on("end", () => end(`${response.statusCode} ${text}`));
      response.on("error", (error) => end(error.message));
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
    sent.on("error", (error) => end(error.message));
    sent.end();
  }
}

if (import.meta.main) {
  const [, , port, host = "", perSecond] = process.argv;
  const client = new SteadyClient(Number(port), host, Number(perSecond));
  serveParent("ready", () => client.take());
}
