// What must hold of any octets at all, sent through the sockets of a running worker by a client, or by the backend as
// its answer:
//   1. what reaches the other side is what a strict reader accepts;
//   2. the outcome is the same given whole and in random pieces;
//   3. every exchange ends (SplitSockets waits some seconds, and complains).

import type { HttpCase } from "../transcripts/http-cases.ts";
import { OneWorker } from "./one-worker.ts";
import { randomPartition } from "./partitions.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { SplitSockets } from "./split-sockets.ts";
import { backendOf, routeOf } from "./table-fixtures.ts";

/** Pieces of an input; each takes two turns of the event loop. */
const piecesMax = 40;
/** A difference that does not come again was a race between the ends of two connections. */
const triesMax = 3;

export class FuzzSockets {
  readonly #sockets: SplitSockets;
  readonly #worker: OneWorker;

  private constructor(sockets: SplitSockets, worker: OneWorker) {
    this.#sockets = sockets;
    this.#worker = worker;
  }

  static async start(): Promise<FuzzSockets> {
    let routerPort = 0;
    const sockets = await SplitSockets.start(() => routerPort);
    const worker = await OneWorker.start({
      routes: [routeOf("a", "a.test"), routeOf("b", "b.test"), routeOf("all", "*")],
      backends: [backendOf("web", `127.0.0.1:${sockets.backendPort}`)],
    });
    routerPort = worker.httpPort;
    return new FuzzSockets(sockets, worker);
  }

  async close(): Promise<void> {
    await this.#worker.close();
    await this.#sockets.close();
  }

  /** Checks one input; rejects with what was wrong. True: something was answered. */
  async check(input: HttpCase, random: SeededRandom): Promise<boolean> {
    // A backend that keeps its end open after half an answer is rightly waited for.
    const { late: _, ...ending } = { ...input, after: "close" as const };
    const { length } = input.bytes;
    const pieces = randomPartition(length, random);
    const step = Math.ceil(pieces.length / piecesMax);
    const cuts = pieces.filter((end, index) => index % step === 0 || end === length);
    for (let left = triesMax; ; left--) {
      const whole = await this.#run(ending, [length]);
      const cut = await this.#run(ending, cuts);
      if (withoutReason(whole) === withoutReason(cut)) return whole.includes("HTTP/1.1 ");
      if (left === 1)
        throw new Error(`cut at ${cuts.join()}, came out differently:\n${whole}\n${cut}`);
    }
  }

  async #run(input: HttpCase, cuts: readonly number[]): Promise<string> {
    const outcome = await this.#sockets.run(input, cuts);
    const { objections } = this.#sockets;
    if (objections.length > 0) throw new Error(`a strict reader objects: ${objections.join()}`);
    return outcome;
  }
}

/**
 * A backend's head that is wrong and breaks off before its end is both: malformed, and a connection that closed. Which
 * of the two the 502 names depends on the pieces; that it is a 502 does not.
 */
function withoutReason(outcome: string): string {
  return outcome.replaceAll(/HTTP\/1\.1 502 Bad Gateway\\n.*?(?=","|"\])/g, "502");
}
