// Goal: while backends of a service die, come back and reject, a request is sent again as often as it may be and
// never more; what is sent again is paid for by answers; no request fails that had somebody left and could pay.
// Method: one worker's requests from a seed, many under way at once, each through a BackendChoice of its own; the
// backends are a few words each. A failure prints its seed; SEED=n replays exactly that run.

import { expect, test } from "vitest";
import {
  connectTriesMax,
  retriesMax,
  retryAnswersMax,
  retryFreshAnswers,
  retryReserveAnswers,
  retryReusedAnswers,
} from "../../src/limits.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { BackendState } from "../../src/routing/backend-state.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { BackendChoice } from "../../src/worker/backend-choice.ts";
import { recordingContext } from "../support/recording-context.ts";
import { RecordingStream } from "../support/recording-stream.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { backendOf, putRoute } from "../support/table-fixtures.ts";

const seeds =
  process.env["SEED"] === undefined
    ? Array.from({ length: 40 }, (_, i) => i + 1)
    : [Number(process.env["SEED"])];
const steps = 4_000;

/** What a backend does to whoever comes. */
type Mood = "answers" | "breaks" | "refuses";

interface Request {
  readonly choice: BackendChoice;
  readonly repeatable: boolean;
  readonly sticky: boolean;
  /** Where it was sent, in order, and whether the connection was old. */
  readonly sent: { readonly backend: BackendState; readonly old: boolean }[];
  at: BackendState;
}

class World {
  readonly #random: SeededRandom;
  readonly #recording = recordingContext();
  readonly #service;
  readonly #moods = new Map<BackendState, Mood>();
  readonly #underway: Request[] = [];
  answers = 0;
  requests = 0;
  sends = 0;
  refusals = 0;
  #paid = 0;
  #saved = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    const { context } = this.#recording;
    const count = 1 + this.#random.below(6);
    const builder = RouteTable.build();
    builder.add([
      putRoute("all", "*"),
      ...Array.from({ length: count }, (_, i) => ({
        kind: "backend-put" as const,
        backend: backendOf("web", `10.0.0.${i + 1}:80`),
      })),
    ]);
    context.table = builder.finish(parseRevision(1));
    this.#service = context.table.service("web")!;
    this.all("answers");
  }

  all(mood: Mood): void {
    for (const backend of this.#service.backends) this.#moods.set(backend, mood);
  }

  /** @param isMoody Backends change; else they stay as they are. */
  step(isMoody = true): void {
    const random = this.#random;
    if (isMoody && random.chance(0.02)) {
      this.#moods.set(
        random.one(this.#service.backends),
        random.one<Mood>(["answers", "answers", "breaks", "refuses"]),
      );
    }
    if (this.#underway.length < 30 && random.chance(0.5)) this.#begin();
    else if (this.#underway.length > 0) this.#goOn(random.below(this.#underway.length));
    expect(this.#paid).toBeLessThanOrEqual(this.answers + retryReserveAnswers);
  }

  finish(): void {
    while (this.#underway.length > 0) this.#goOn(0);
    for (const { endpoint } of this.#service.backends) expect(endpoint.inFlight).toBe(0);
    const { counter } = this.#recording;
    expect(counter("retriesRefused")).toBe(this.refusals);
    expect(counter("upstreamRetries")).toBeLessThanOrEqual(counter("upstreamTries"));
  }

  #begin(): void {
    const choice = new BackendChoice(this.#recording.context);
    choice.begin(this.#service, { ends: new RecordingStream(), prefaces: undefined });
    const random = this.#random;
    const sticky = random.chance(0.2);
    const preferred = sticky ? random.one(this.#service.backends) : undefined;
    const at = choice.next(preferred)!;
    if (sticky) expect(at).toBe(preferred);
    this.requests++;
    this.#underway.push({ choice, repeatable: random.chance(0.7), sticky, sent: [], at });
  }

  #goOn(index: number): void {
    const request = this.#underway[index]!;
    const next = this.#try(request);
    if (next === undefined) {
      request.choice.done();
      this.#underway.splice(index, 1);
    } else request.at = next;
    expect(request.choice.tries).toBeLessThanOrEqual(connectTriesMax);
  }

  /** Where it goes next; undefined: it was answered, or failed. */
  #try(request: Request): BackendState | undefined {
    const { choice, at, sent } = request;
    const mood = this.#moods.get(at);
    if (mood === "refuses") return choice.next(undefined);
    // The first try may take an idle connection, of before the backend changed its mood.
    const old = sent.length === 0 && choice.tries === 1 && this.#random.chance(0.5);
    this.sends++;
    this.#checkSent(sent, at);
    sent.push({ backend: at, old });
    if (mood === "answers" && !(old && this.#random.chance(0.1))) {
      choice.succeeded();
      this.answers++;
      this.#saved = Math.min(this.#saved + 1, retryAnswersMax);
      return undefined;
    }
    return request.repeatable ? this.#again(request, old) : undefined;
  }

  #again({ choice, sticky, sent, at }: Request, old: boolean): BackendState | undefined {
    const price = old ? retryReusedAnswers : retryFreshAnswers;
    const next = choice.retry("reset", old, sticky);
    const canPay = this.#saved + retryReserveAnswers >= price;
    if (next !== undefined) {
      expect(canPay).toBe(true);
      if (old && sticky) expect(next).toBe(at);
      this.#paid += price;
      this.#saved -= price;
    } else if (sent.length <= retriesMax && !canPay) this.refusals++;
    else if (sent.length <= retriesMax) {
      // Nobody was left: all were tried, or as many as one request may try.
      const isAll = choice.tries >= Math.min(connectTriesMax, this.#service.backends.length);
      expect(isAll).toBe(true);
    }
    return next;
  }

  /** Never to a backend that had it already, unless that one's connection was old; never too often. */
  #checkSent(sent: Request["sent"], at: BackendState): void {
    expect(sent.length).toBeLessThanOrEqual(retriesMax);
    for (const { backend, old } of sent) if (backend === at) expect(old).toBe(true);
  }
}

function run(seed: number, work: (world: World) => void): void {
  try {
    work(new World(seed));
  } catch (error) {
    console.error(`replay with SEED=${seed}`);
    throw error;
  }
}

test.for(seeds)("retries keep their rules, seed %i", (seed) => {
  run(seed, (world) => {
    for (let i = 0; i < steps; i++) world.step();
    world.finish();
    expect(world.answers).toBeGreaterThan(0);
  });
});

test.for(seeds)("a service that goes down is not stormed, seed %i", (seed) => {
  run(seed, (world) => {
    world.all("breaks");
    for (let i = 0; i < steps; i++) world.step(false);
    world.finish();
    expect(world.answers).toBe(0);
    expect(world.sends).toBeLessThanOrEqual(world.requests + retryReserveAnswers);
    expect(world.sends).toBeLessThanOrEqual(world.requests * 1.2);
  });
});
