// A good client: asks again and again on one kept connection, and notes every answer, how long it took, and what was
// not as it should be.

import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** An answer that takes longer is missing, in ms. */
const answerMsMax = 15_000;

export interface Question {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export class TimedAsker {
  readonly ms: number[] = [];
  /** "GET 502 no-backend" and the like, with the question. */
  readonly failures: { readonly question: Question; readonly what: string }[] = [];
  answered = 0;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #running: Promise<void>;
  #stopping = false;

  /** @param pauseMs Between an answer and the next question. */
  constructor(port: number, ask: () => Question, pauseMs: number) {
    this.#running = this.#run(port, ask, pauseMs);
  }

  async finish(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    this.#agent.destroy();
  }

  async #run(port: number, ask: () => Question, pauseMs: number): Promise<void> {
    while (!this.#stopping) {
      const question = ask();
      const startMs = performance.now();
      const what = await this.#ask(port, question).catch(String);
      this.ms.push(performance.now() - startMs);
      if (what.startsWith("200 ")) this.answered++;
      else this.failures.push({ question, what: what.slice(0, 200) });
      await sleep(pauseMs);
    }
  }

  #ask(port: number, { method, path, headers, body }: Question): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { port, host: "127.0.0.1", method, path, headers, agent: this.#agent };
      const sent = request({ ...options, timeout: answerMsMax }, (response) => {
        let text = "";
        response.setEncoding("latin1").on("data", (piece: string) => (text += piece));
        response.on("end", () => resolve(`${response.statusCode} ${text}`));
        response.on("error", reject);
      });
      sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
      sent.on("error", reject);
      sent.end(body);
    });
  }
}
