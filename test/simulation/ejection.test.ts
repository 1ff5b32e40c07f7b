// Goal: a backend that fails is found and left out, takes few requests until then and afterwards, and is back soon
// after it works; a service is never left with less than half of its backends; what all backends do alike ejects
// nobody for long; requests find whoever answers, however many refuse.
// Method: two workers' requests from a seed, each through a BackendChoice of its own, with the messages between the
// workers late by up to 20 ms; backends are a word each. A failure prints its seed; SEED=n replays exactly that run.

import { describe, expect, test } from "vitest";
import type { SharedEjection } from "../../src/channel/messages.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { ServiceOptions } from "../../src/model/service-options.ts";
import type { BackendState } from "../../src/routing/backend-state.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import type { ServiceState } from "../../src/routing/service-state.ts";
import { isEjected } from "../../src/routing/usable-backends.ts";
import { BackendChoice } from "../../src/worker/backend-choice.ts";
import { Ejections } from "../../src/worker/ejections.ts";
import { type Recording, recordingContext } from "../support/recording-context.ts";
import { RecordingStream } from "../support/recording-stream.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { backendOf, putRoute } from "../support/table-fixtures.ts";

const seeds =
  process.env["SEED"] === undefined
    ? Array.from({ length: 6 }, (_, i) => i + 1)
    : [Number(process.env["SEED"])];

const stepMs = 10;
const messageMsMax = 20;

/** What a backend does to whoever comes. A number: the share of requests that it answers with 500. */
type Mood = "refuses" | "resets" | number;

interface UnderWay {
  readonly choice: BackendChoice;
  readonly endsMs: number;
}

/** One worker of the node. */
class Worker {
  readonly recording: Recording = recordingContext();
  readonly service: ServiceState;
  readonly underWay: UnderWay[] = [];
  readonly ejections: Ejections;

  constructor(
    random: () => number,
    count: number,
    options: ServiceOptions | undefined,
    tell: (ejections: readonly SharedEjection[]) => void,
  ) {
    const { context } = this.recording;
    const builder = RouteTable.build(context.upkeep);
    builder.add([
      putRoute("all", "*"),
      ...(options === undefined
        ? []
        : [
            {
              kind: "service-put" as const,
              service: { name: parseServiceName("web"), policy: undefined, options },
            },
          ]),
      ...Array.from({ length: count }, (_, i) => ({
        kind: "backend-put" as const,
        backend: backendOf("web", `10.0.0.${i + 1}:80`),
      })),
    ]);
    context.table = builder.finish(parseRevision(1));
    this.service = context.table.service("web")!;
    const { nowMs } = context;
    this.ejections = new Ejections({ table: () => context.table, nowMs, random, tell });
    Object.assign(context, { ejections: this.ejections, random });
  }
}

class World {
  readonly #random: SeededRandom;
  readonly workers: readonly Worker[];
  readonly moods: Mood[];
  readonly #late: { readonly atMs: number; readonly deliver: () => void }[] = [];
  nowMs = 0;
  requests = 0;
  /** Requests that their client saw fail. */
  hurt = 0;
  /** By backend. */
  sent: number[];
  /** Per backend, ms that it was left out by a worker. */
  outMs: number[];

  constructor(seed: number, moods: readonly Mood[], options?: ServiceOptions) {
    this.#random = new SeededRandom(seed);
    this.moods = [...moods];
    this.sent = moods.map(() => 0);
    this.outMs = moods.map(() => 0);
    const workers: Worker[] = [];
    for (const index of [0, 1]) {
      const tell = (ejections: readonly SharedEjection[]): void => {
        const atMs = this.nowMs + this.#random.below(messageMsMax);
        this.#late.push({ atMs, deliver: () => workers[1 - index]!.ejections.told(ejections) });
      };
      workers.push(new Worker(() => this.#random.next(), moods.length, options, tell));
    }
    this.workers = workers;
  }

  clear(): void {
    this.requests = this.hurt = 0;
    this.sent.fill(0);
    this.outMs.fill(0);
  }

  /** @param perSecond Requests, of each worker. */
  run(ms: number, perSecond: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) this.#step(perSecond);
  }

  #step(perSecond: number): void {
    this.nowMs += stepMs;
    for (const { recording } of this.workers) recording.system.advance(stepMs);
    const due = this.#late.filter(({ atMs }) => atMs <= this.nowMs);
    for (const late of due) {
      this.#late.splice(this.#late.indexOf(late), 1);
      late.deliver();
    }
    for (const worker of this.workers) {
      this.#finish(worker);
      this.#begin(worker, (perSecond * stepMs) / 1_000);
      this.#look(worker);
    }
  }

  #begin(worker: Worker, expected: number): void {
    const random = this.#random;
    const count = Math.floor(expected) + (random.chance(expected % 1) ? 1 : 0);
    for (let i = 0; i < count; i++) {
      const choice = new BackendChoice(worker.recording.context);
      choice.begin(worker.service, { ends: new RecordingStream(), prefaces: undefined });
      this.requests += 1;
      if (this.#connect(choice)) {
        worker.underWay.push({ choice, endsMs: this.nowMs + stepMs * random.below(5) });
      } else this.hurt += 1;
    }
  }

  /** False: nobody could be reached. */
  #connect(choice: BackendChoice): boolean {
    for (let at = choice.next(undefined); at !== undefined; at = choice.next(undefined)) {
      this.sent[this.#indexOf(at)]! += 1;
      if (this.#moodOf(at) !== "refuses") return true;
      choice.connectFailed("refused", "");
    }
    return false;
  }

  #finish(worker: Worker): void {
    const ready = worker.underWay.filter(({ endsMs }) => endsMs <= this.nowMs);
    for (const one of ready) {
      worker.underWay.splice(worker.underWay.indexOf(one), 1);
      this.#end(one.choice);
    }
  }

  #end(choice: BackendChoice): void {
    const mood = this.#moodOf(choice.current!);
    // Who refuses now has taken this one before.
    const isHurt = typeof mood === "number" ? this.#random.chance(mood) : mood === "resets";
    if (isHurt) this.hurt += 1;
    if (mood === "resets") {
      // In the middle of its answer.
      choice.answered(200);
      choice.failed("connection closed");
    } else {
      choice.answered(isHurt ? 500 : 200);
      choice.succeeded();
    }
    choice.done();
  }

  #look({ service }: Worker): void {
    const { backends } = service;
    const out = backends.filter(isEjected);
    expect(out.length).toBeLessThanOrEqual(Math.floor(backends.length / 2));
    expect(service.usable.length).toBeGreaterThan(0);
    for (const [i, backend] of backends.entries())
      if (isEjected(backend)) this.outMs[i]! += stepMs / 2;
    for (const { record } of backends) {
      expect(record?.failing?.trials ?? 0).toBeGreaterThanOrEqual(0);
    }
  }

  #indexOf(backend: BackendState): number {
    return Number(backend.address.split(/[.:]/)[3]) - 1;
  }

  #moodOf(backend: BackendState): Mood {
    return this.moods[this.#indexOf(backend)]!;
  }

  /** Workers that leave the backend out now. */
  leftOutBy(index: number): number {
    return this.workers.filter(({ service }) => isEjected(service.backends[index]!)).length;
  }

  get ejections(): number {
    const all = this.workers.flatMap(({ service }) => service.backends);
    return all.reduce((sum, { record }) => sum + (record?.ejectionsTotal ?? 0), 0);
  }
}

describe("one of three backends", () => {
  test.for(seeds)(
    "answers 500: it gets a few requests a minute, and is back when it works, seed %i",
    (seed) => {
      const world = new World(seed, [0, 0, 0]);
      world.run(5_000, 200);
      expect(world.hurt).toBe(0);
      world.moods[1] = 1;
      world.run(1_000, 200);
      expect(world.leftOutBy(1)).toBe(2);
      // Five failures of each worker, and what was under way.
      expect(world.hurt).toBeLessThan(60);
      world.clear();
      world.run(120_000, 200);
      expect(world.hurt / world.requests).toBeLessThan(0.000_5);
      expect(world.outMs[0]! + world.outMs[2]!).toBe(0);
      world.moods[1] = 0;
      // It was last left out for 80 s at most.
      world.run(81_000, 200);
      expect(world.leftOutBy(1)).toBe(0);
      world.clear();
      world.run(10_000, 200);
      expect(world.sent[1]! / world.requests).toBeGreaterThan(0.25);
      expect(world.hurt).toBe(0);
    },
  );

  test.for(seeds)("resets its answers midway: the same, seed %i", (seed) => {
    const world = new World(seed, [0, "resets", 0]);
    world.run(1_000, 200);
    world.clear();
    world.run(120_000, 200);
    // A head that comes well brings it back, and the very next failure leaves it out again.
    expect(world.hurt / world.requests).toBeLessThan(0.002);
    expect(world.outMs[1]!).toBeGreaterThan(110_000);
  });

  test.for(seeds)("refuses: nobody is hurt, and it is back within 11 s, seed %i", (seed) => {
    const world = new World(seed, [0, "refuses", 0]);
    world.run(100_000, 200);
    expect(world.hurt).toBe(0);
    expect(world.sent[1]!).toBeLessThan(40);
    world.moods[1] = 0;
    world.run(11_000, 200);
    expect(world.leftOutBy(1)).toBe(0);
  });

  test.for(seeds)("restarts for 2 s: it is back within 3 s, seed %i", (seed) => {
    const world = new World(seed, [0, 0, 0]);
    world.run(5_000, 200);
    world.moods[1] = "refuses";
    world.run(2_000, 200);
    world.moods[1] = 0;
    world.run(3_000, 200);
    expect(world.leftOutBy(1)).toBe(0);
    expect(world.hurt).toBe(0);
  });

  test.for(seeds)(
    "fails 30 % of its requests: left out where the service asks for 80 %, seed %i",
    (seed) => {
      const rules = { ejection: { successPercentMin: 80 } };
      const world = new World(seed, [0, 0.3, 0], rules);
      world.run(30_000, 100);
      world.clear();
      world.run(120_000, 100);
      expect(world.outMs[1]! / 120_000).toBeGreaterThan(0.7);
      expect(world.hurt / world.requests).toBeLessThan(0.3 / 3 / 3);
      expect(world.outMs[0]! + world.outMs[2]!).toBe(0);
    },
  );

  test.for(seeds)(
    "flaps: it is out for longer each time, and in the end not for ever, seed %i",
    (seed) => {
      const world = new World(seed, [0, 0, 0]);
      for (let i = 0; i < 10; i++) {
        world.moods[1] = 1;
        world.run(3_000, 100);
        world.moods[1] = 0;
        world.run(27_000, 100);
      }
      expect(world.hurt / world.requests).toBeLessThan(0.01);
      world.run(300_000, 100);
      expect(world.leftOutBy(1)).toBe(0);
      world.clear();
      world.run(10_000, 100);
      expect(world.outMs[1]).toBe(0);
    },
  );
});

describe("a whole service", () => {
  test.for(seeds)(
    "fails 20 % of its requests everywhere: hardly anybody is left out, seed %i",
    (seed) => {
      const world = new World(seed, [0.2, 0.2, 0.2, 0.2]);
      world.run(300_000, 100);
      const out = world.outMs.reduce((sum, ms) => sum + ms, 0);
      expect(out / (4 * 300_000)).toBeLessThan(0.01);
    },
  );

  test.for(seeds)(
    "fails 60 % of its requests everywhere: hardly anybody is left out, seed %i",
    (seed) => {
      const world = new World(seed, [0.6, 0.6, 0.6, 0.6]);
      world.run(300_000, 100);
      const out = world.outMs.reduce((sum, ms) => sum + ms, 0);
      expect(out / (4 * 300_000)).toBeLessThan(0.05);
    },
  );

  test.for(seeds)("answers 500 everywhere, then works: all are used at once, seed %i", (seed) => {
    const world = new World(seed, [0, 0, 0, 0]);
    world.run(5_000, 200);
    world.moods.fill(1);
    world.run(60_000, 200);
    world.moods.fill(0);
    world.run(21_000, 200);
    world.clear();
    world.run(5_000, 200);
    expect(world.hurt).toBe(0);
    expect(world.outMs.reduce((sum, ms) => sum + ms, 0)).toBe(0);
  });

  test.for(seeds)(
    "refuses, and one of ten is back: it serves within 2 s, and nobody is refused then, seed %i",
    (seed) => {
      const world = new World(
        seed,
        Array.from({ length: 10 }, () => 0),
      );
      world.run(5_000, 200);
      world.moods.fill("refuses");
      world.run(30_000, 200);
      world.clear();
      world.moods[seed % 10] = 0;
      world.run(2_000, 200);
      expect(world.sent[seed % 10]!).toBeGreaterThan(0);
      world.clear();
      world.run(30_000, 200);
      expect(world.hurt / world.requests).toBeLessThan(0.001);
    },
  );

  test.for(seeds)(
    "of which two of three answer 500: one is left out, and no more, seed %i",
    (seed) => {
      const world = new World(seed, [1, 0, 1]);
      world.run(60_000, 200);
      world.clear();
      world.run(60_000, 200);
      const out = (world.outMs[0]! + world.outMs[2]!) / 60_000;
      expect(out).toBeGreaterThan(0.9);
      expect(world.outMs[1]! / 60_000).toBeLessThan(0.02);
      expect(world.hurt / world.requests).toBeLessThan(0.6);
    },
  );

  test.for(seeds)("that ejects nobody keeps what fails, seed %i", (seed) => {
    const world = new World(seed, [0, 1, 0], { ejection: { off: true } });
    world.run(20_000, 200);
    expect(world.ejections).toBe(0);
  });

  test.for(seeds)("of one backend never loses it, seed %i", (seed) => {
    const world = new World(seed, [1]);
    world.run(20_000, 100);
    expect(world.ejections).toBe(0);
  });
});
