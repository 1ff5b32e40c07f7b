// What the workers of a node are asked: by one of them, why a request goes where it goes; by all, what they measured.

import type { ExplainQuestion, Explanation, OpenPlace } from "../channel/messages.ts";
import { workerAnswerMsMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import { measuresOf, type NodeMeasure, sumMeasures } from "./measures.ts";
import type { WorkerLink } from "./worker-link.ts";

export class WorkerQuestions {
  readonly #system: System;
  readonly #serving: () => readonly WorkerLink[];

  /** @param serving The workers that serve at the moment. */
  constructor(system: System, serving: () => readonly WorkerLink[]) {
    this.#system = system;
    this.#serving = serving;
  }

  async explain(question: ExplainQuestion, signal: AbortSignal): Promise<Explanation> {
    const [link] = this.#serving();
    if (link === undefined) throw noWorker();
    return await this.#withTimeout(signal, (either) => link.explain(question, either));
  }

  async measure(service: string | undefined, signal: AbortSignal): Promise<readonly NodeMeasure[]> {
    const links = this.#serving();
    if (links.length === 0) throw noWorker();
    return await this.#withTimeout(signal, async (either) => {
      const answers = await Promise.allSettled(links.map((link) => link.measure(service, either)));
      const measured = answers.flatMap((one, at) => {
        if (one.status !== "fulfilled") return [];
        // A list of all backends is long, and nobody counts on from it.
        return [service === undefined ? one.value : measuresOf(links[at]!.workerId, one.value)];
      });
      // A worker that is being replaced has measured nothing worth waiting for; silence of all is an error.
      const [first] = answers;
      if (measured.length === 0 && first?.status === "rejected")
        throw RouterError.from(first.reason);
      return sumMeasures(measured);
    });
  }

  /**
   * What is open at each place, in all workers together; undefined when one that lives did not tell. What an ended
   * worker had open went with it.
   */
  async count(
    places: readonly OpenPlace[],
    signal: AbortSignal,
  ): Promise<readonly number[] | undefined> {
    const links = this.#serving();
    return await this.#withTimeout(signal, async (either) => {
      const answers = await Promise.allSettled(links.map((link) => link.count(places, either)));
      const sums = places.map(() => 0);
      for (const [at, answer] of answers.entries()) {
        if (answer.status === "fulfilled") {
          for (const [place, count] of answer.value.entries()) sums[place]! += count;
        } else if (links[at]?.alive === true) return undefined;
      }
      return sums;
    });
  }

  async #withTimeout<T>(
    signal: AbortSignal,
    work: (either: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const late = new AbortController();
    const cancel = this.#system.after(workerAnswerMsMax, () => late.abort());
    try {
      return await work(AbortSignal.any([signal, late.signal]));
    } finally {
      cancel();
    }
  }
}

function noWorker(): RouterError {
  return new RouterError("unavailable", "no worker serves at the moment: try again");
}
