// Goal: whatever requests of routes with rules of their own do (tries, retries of every kind, second backends, clients
// that leave), the budget of their service is never overdrawn, no more tries are made than the rule allows, no backend
// is asked again while another has not been, and what is counted as under way is what is.
// Method: one worker's requests from a seed, many under way at once, each through a BackendChoice of its own, whose
// every answer is checked against a model of a few lines. A failure prints its seed; SEED=n replays exactly that run.

import { expect, test } from "vitest";
import { connectTriesMax, retriesMax, retryReserveAnswers } from "../../src/limits.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { Retry } from "../../src/model/route-options.ts";
import type { BackendState } from "../../src/routing/backend-state.ts";
import { RetryRule } from "../../src/routing/retry-rule.ts";
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
const steps = 2_000;

interface Request {
  readonly choice: BackendChoice;
  readonly percent: number;
  readonly triesMax: number;
  /** Where it was tried. */
  readonly tried: BackendState[];
}

class World {
  readonly #random: SeededRandom;
  readonly #recording = recordingContext();
  readonly #service;
  readonly #percents: readonly number[];
  #underway: Request[] = [];
  requests = 0;
  retries = 0;
  hedges = 0;
  answers = 0;
  #paid = 0;

  /** @param percents Of the routes' budgets; 0: the node's. */
  constructor(seed: number, percents: readonly number[]) {
    this.#random = new SeededRandom(seed);
    this.#percents = percents;
    const count = 1 + this.#random.below(5);
    const builder = RouteTable.build();
    builder.add([
      putRoute("all", "*"),
      ...Array.from({ length: count }, (_, i) => ({
        kind: "backend-put" as const,
        backend: backendOf("web", `10.0.0.${i + 1}:80`),
      })),
    ]);
    this.#recording.context.table = builder.finish(parseRevision(1));
    this.#service = this.#recording.context.table.service("web")!;
  }

  step(doings: readonly ("answer" | "fail" | "hedge" | "win" | "lose" | "leave")[]): void {
    const random = this.#random;
    if (this.#underway.length < 20 && random.chance(0.4)) this.#begin();
    else if (this.#underway.length > 0) {
      this.#do(random.one(this.#underway), random.one(doings));
    }
    expect(this.#paid).toBeLessThanOrEqual(this.answers + retryReserveAnswers + 1e-6);
    const inFlight = this.#service.backends.reduce((sum, each) => sum + each.inFlight, 0);
    const asked = this.#underway.reduce(
      (sum, { choice }) =>
        sum + Number(choice.current !== undefined) + Number(choice.hedged !== undefined),
      0,
    );
    expect(inFlight).toBe(asked);
  }

  /** The last answer of each, whatever it says, earns. */
  finish(): void {
    while (this.#underway.length > 0) this.#do(this.#underway[0]!, "leave");
    const inFlight = this.#service.backends.reduce(
      (sum, { endpoint }) => sum + endpoint.inFlight,
      0,
    );
    expect(inFlight).toBe(0);
  }

  #begin(): void {
    const choice = new BackendChoice(this.#recording.context);
    const percent = this.#random.one(this.#percents);
    const tries = this.#random.one([0, 1, 2, 3, 10]);
    const retry: Retry = {
      ...(tries === 0 ? {} : { tries }),
      ...(percent === 0 ? {} : { budgetPercent: percent }),
    };
    const client = { ends: new RecordingStream(), prefaces: undefined };
    choice.begin(this.#service, client, new RetryRule(retry));
    const request = { choice, percent, triesMax: tries === 0 ? connectTriesMax : tries, tried: [] };
    this.#isTried(request, choice.next(undefined));
    this.requests++;
    this.#underway.push(request);
  }

  #do(request: Request, doing: "answer" | "fail" | "hedge" | "win" | "lose" | "leave"): void {
    const { choice } = request;
    const isHedged = choice.hedged !== undefined;
    if (doing === "win" && isHedged) choice.hedgeWon();
    else if (doing === "lose" && isHedged) choice.hedgeDone();
    else if (doing === "hedge" && !isHedged) this.#hedge(request);
    else if (doing === "fail") {
      if (isHedged) choice.hedgeWon();
      else if (!this.#again(request)) this.#end(request);
    } else if (doing === "answer") {
      choice.succeeded();
      this.answers++;
      this.#end(request);
    } else if (doing === "leave") this.#end(request);
  }

  #again(request: Request): boolean {
    const { choice, percent, triesMax, tried } = request;
    const before = { current: choice.current, tries: choice.tries };
    const retries = tried.length - 1;
    const next = choice.retry(this.#random.one(["reset", "timeout", "status"]), false, false);
    if (next === undefined) {
      // The answer may be relayed: it is still that of the backend that gave it.
      expect(choice.current).toBe(before.current);
      const isRuleEmpty = triesMax === connectTriesMax && retries >= retriesMax;
      const canPay = this.#priceOf(percent) <= this.answers - this.#paid + retryReserveAnswers;
      expect(isRuleEmpty || before.tries >= triesMax || !canPay).toBe(true);
      return false;
    }
    this.#paid += this.#priceOf(percent);
    this.retries++;
    this.#isTried(request, next, before.current);
    return true;
  }

  #hedge(request: Request): void {
    const { choice, percent } = request;
    const { current } = choice;
    const second = choice.hedge();
    expect(choice.current).toBe(current);
    if (second === undefined) return;
    expect(second).not.toBe(current);
    this.#paid += this.#priceOf(percent);
    this.hedges++;
    this.#isTried(request, second, current);
  }

  #isTried(
    { choice, tried, triesMax }: Request,
    backend: BackendState | undefined,
    failed?: BackendState,
  ): void {
    expect(backend).toBeDefined();
    const { length } = this.#service.backends;
    const others = new Set(tried);
    if (others.size < length) expect(others.has(backend!)).toBe(false);
    // All were: then not the one that has just failed, if there is another.
    else if (length > 1) expect(backend).not.toBe(failed);
    tried.push(backend!);
    expect(choice.tries).toBe(tried.length);
    expect(tried.length).toBeLessThanOrEqual(triesMax);
  }

  #priceOf(percent: number): number {
    return percent === 0 ? 5 : 100 / percent;
  }

  #end(request: Request): void {
    request.choice.hedgeDone();
    request.choice.done();
    this.#underway = this.#underway.filter((each) => each !== request);
  }
}

function run(seed: number, percents: readonly number[], work: (world: World) => void): void {
  try {
    work(new World(seed, percents));
  } catch (error) {
    console.error(`replay with SEED=${seed}`);
    throw error;
  }
}

const all = ["answer", "answer", "fail", "hedge", "win", "lose", "leave"] as const;

test.for(seeds)("rules and budgets hold in any order of events, seed %i", (seed) => {
  run(seed, [0, 1, 5, 20, 50, 100], (world) => {
    for (let i = 0; i < steps; i++) world.step(all);
    world.finish();
    expect(world.retries + world.hedges).toBeGreaterThan(0);
  });
});

test.for(seeds)("a service that fails everything is not stormed, seed %i", (seed) => {
  run(seed, [0], (world) => {
    for (let i = 0; i < steps; i++) world.step(["fail", "fail", "hedge", "leave"]);
    world.finish();
    expect(world.retries + world.hedges).toBeLessThanOrEqual(retryReserveAnswers / 5);
  });
});

test.for(seeds)("nor one whose last answers are relayed, and earn: 1.2 times, seed %i", (seed) => {
  run(seed, [0, 20], (world) => {
    for (let i = 0; i < steps; i++) world.step(["fail", "fail", "fail", "hedge", "answer"]);
    world.finish();
    const again = world.retries + world.hedges;
    expect(again).toBeLessThanOrEqual(world.requests * 0.2 + retryReserveAnswers / 5);
    expect(again).toBeGreaterThan(0);
  });
});

test.for([1, 10, 50])("a budget of %i %% is that share of the answers", (percent) => {
  run(7, [percent], (world) => {
    for (let i = 0; i < 40_000; i++) world.step(["fail", "fail", "answer"]);
    const most = ((world.answers + retryReserveAnswers) * percent) / 100;
    expect(world.retries).toBeLessThanOrEqual(most);
    expect(world.retries).toBeGreaterThan(most * 0.5);
  });
});
