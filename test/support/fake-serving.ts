// A fleet under the test's hand: it serves at once, or not before told to, and its ports are a set.

import type {
  BackendMeasure,
  ExplainQuestion,
  Explanation,
  OpenPlace,
} from "../../src/channel/messages.ts";
import type { NodeLag, PortReservation, Serving } from "../../src/control/serving.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseRevision, type Revision } from "../../src/model/revision.ts";
import type { Unserved } from "../../src/store/members.ts";

export class FakeServing implements Serving {
  readonly nodeName = "node-1";
  /** undefined: serves everything at once. */
  servesUpTo: number | undefined;
  /** Revisions that somebody waited for. */
  readonly waitedFor: number[] = [];
  readonly held = new Set<number>();
  /** Ports of other programs. */
  readonly foreign = new Set<number>();
  readonly range = { first: 3000, last: 3009 };
  readonly questions: ExplainQuestion[] = [];
  measures: BackendMeasure[] = [];
  /** What is open, by "web 10.0.0.7:80", and by "web " for all of a service; undefined: a worker does not tell. */
  open: Map<string, number> | undefined = new Map();
  /** How often that was asked for. */
  counts = 0;
  explanation: Explanation = {
    revision: parseRevision(7),
    route: "web",
    service: "web",
    backend: "10.0.0.7:80",
    status: 0,
    steps: ["host app.example.com: route web"],
  };
  /** What `measure` and `explain` throw. */
  failure: Error | undefined;
  #waiting: (() => void)[] = [];

  /** What is not served though `servesUpTo` says so. */
  notServed: Unserved[] = [];

  unserved(): readonly Unserved[] {
    return this.notServed;
  }

  serve(revision: number): void {
    this.servesUpTo = revision;
    for (const look of this.#waiting.splice(0)) look();
  }

  async whenServed(revision: Revision, signal: AbortSignal): Promise<readonly NodeLag[]> {
    this.waitedFor.push(revision);
    while (this.servesUpTo !== undefined && this.servesUpTo < revision) {
      if (signal.aborted) return [this.#lag(revision)];
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    const but = this.notServed.find((one) => one.revision === revision);
    if (but === undefined) return [];
    const servedRevision = parseRevision(this.servesUpTo ?? revision);
    return [{ node: this.nodeName, servedRevision, reason: but.reason }];
  }

  async reservePort(port: number, taken: (port: number) => boolean): Promise<PortReservation> {
    const given = port === 0 ? this.#anyPort(taken) : port;
    if (given < 1024) {
      throw new RouterError("failed-precondition", `port ${given} is privileged`);
    }
    if (this.foreign.has(given) || this.held.has(given)) {
      throw new RouterError("failed-precondition", `port ${given} is in use by another program`);
    }
    this.held.add(given);
    return { port: given, release: () => void this.held.delete(given) };
  }

  async explain(question: ExplainQuestion): Promise<Explanation> {
    if (this.failure !== undefined) throw this.failure;
    this.questions.push(question);
    return this.explanation;
  }

  async measure(
    _service: string | undefined,
    _signal: AbortSignal,
  ): Promise<readonly BackendMeasure[]> {
    if (this.failure !== undefined) throw this.failure;
    return this.measures;
  }

  async count(places: readonly OpenPlace[]): Promise<readonly number[] | undefined> {
    this.counts++;
    const { open } = this;
    return open && places.map(({ service, address }) => open.get(`${service} ${address}`) ?? 0);
  }

  #anyPort(taken: (port: number) => boolean): number {
    for (let port = this.range.first; port <= this.range.last; port++) {
      if (!taken(port) && !this.held.has(port) && !this.foreign.has(port)) return port;
    }
    throw new RouterError("resource-exhausted", "no port of 3000-3009 is free");
  }

  #lag(revision: Revision): NodeLag {
    const served = this.servesUpTo ?? 0;
    return {
      node: this.nodeName,
      servedRevision: parseRevision(served),
      reason: `worker 2 has not acknowledged revision ${revision} (serves ${served})`,
    };
  }
}
