// Goal: whatever comes, ends, fails and leaves at several workers: no limit of a service or a backend is ever passed on
// the node, each worker's requests go in the order of coming, nobody is forgotten, no wake-up is lost, and a dead
// worker's claims are free again.
// Method: real choices of backends at real gates, on memory that the workers share; time by hand; 1,200 random steps from a
// seed, then quiet. A failure prints its seed.

import { describe, expect, test } from "vitest";
import {
  clearInFlight,
  Field,
  InFlight,
  inFlightTotal,
  stampOf,
} from "../../src/channel/in-flight.ts";
import type { ServiceLimits } from "../../src/model/service-options.ts";
import { type GateRequest, type GateWorker, GateWorld } from "../support/gate-world.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const seeds = Array.from({ length: 40 }, (_, i) => i + 1);

/** What is in flight really: the requests that went and have not ended. */
class Node {
  readonly world: GateWorld;
  readonly random: SeededRandom;
  readonly limits: ServiceLimits;
  live: GateRequest[] = [];
  /** Events that were looked at. */
  #seen = 0;
  readonly #lastWent = new Map<GateWorker, number>();

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    const { random } = this;
    const some = (max: number): number => 1 + random.below(max);
    this.limits = {
      ...(random.chance(0.7) && { requests: some(8) }),
      ...(random.chance(0.5) && { requestsPerBackend: some(3) }),
      ...(random.chance(0.3) && { connections: some(4) }),
      queue: random.chance(0.2) ? 3 : 1_000,
      queueMs: random.chance(0.3) ? 200 : 60_000,
    };
    this.world = new GateWorld({
      workers: some(3),
      backends: some(3),
      service: { limits: this.limits },
      seed,
    });
  }

  went(): GateRequest[] {
    return this.live.filter(({ state }) => state === "went");
  }

  waiting(): GateRequest[] {
    return this.live.filter(({ state }) => state === "waits");
  }

  step(): void {
    const { random, world } = this;
    const dice = random.next();
    const went = this.went();
    const waiting = this.waiting();
    if (dice < 0.45) {
      const slot = random.below(world.workers.length);
      this.live.push(world.request(slot, random.chance(0.2)));
    } else if (dice < 0.75 && went.length > 0) random.one(went).end();
    else if (dice < 0.8 && went.length > 0) random.one(went).fail();
    else if (dice < 0.85 && waiting.length > 0) random.one(waiting).end();
    else if (dice < 0.86) this.die(random.below(world.workers.length));
    else world.pass(random.below(15));
    this.check();
  }

  die(slot: number): void {
    const { world } = this;
    const dead = world.workers[slot];
    this.live = this.live.filter(({ worker }) => worker !== dead);
    world.replace(slot, () => clearInFlight(world.keeper.memory, slot));
  }

  check(): void {
    this.live = this.live.filter(({ state }) => state === "went" || state === "waits");
    const went = this.went();
    const {
      requests = Infinity,
      requestsPerBackend = Infinity,
      connections = Infinity,
    } = this.limits;
    expect(went.length).toBeLessThanOrEqual(requests);
    expect(went.filter(({ isConnection }) => isConnection).length).toBeLessThanOrEqual(connections);
    for (const [, of] of Map.groupBy(went, ({ backend }) => backend)) {
      expect(of.length).toBeLessThanOrEqual(requestsPerBackend);
    }
    const { keeper, events } = this.world;
    const row = keeper.rowOf("web")!;
    expect(inFlightTotal(keeper.memory, row, Field.Requests)).toBe(went.length);
    expect(inFlightTotal(keeper.memory, row, Field.Waiting)).toBe(this.waiting().length);
    for (; this.#seen < events.length; this.#seen++) {
      const { request, event, again } = events[this.#seen]!;
      if (event !== "went" || again) continue;
      // In the order of coming, for those that have not been through before.
      expect(request.id).toBeGreaterThan(this.#lastWent.get(request.worker) ?? 0);
      this.#lastWent.set(request.worker, request.id);
    }
  }

  /** All that is in flight ends, as it comes. */
  quiet(): void {
    for (let rounds = 0; this.live.length > 0; rounds++) {
      expect(rounds).toBeLessThan(2_000);
      for (const request of this.went()) request.end();
      this.world.pass(20);
      this.check();
    }
    const { memory } = this.world.keeper;
    for (let row = 0; row < memory.rows; row++) {
      for (const field of [Field.Requests, Field.Connections, Field.Waiting, Field.FirstSince]) {
        expect(inFlightTotal(memory, row, field)).toBe(0);
      }
    }
    expect(this.world.workers.map(({ counter }) => counter("waiting"))).toEqual(
      this.world.workers.map(() => 0),
    );
  }
}

describe("the gates of a node", () => {
  test.for(seeds)("keep limits and order, and let all go in the end, seed %i", (seed) => {
    const node = new Node(seed);
    for (let i = 0; i < 1_200; i++) node.step();
    node.quiet();
  });

  test("let nobody starve whose worker has nothing in flight", () => {
    const world = new GateWorld({
      workers: 3,
      service: { limits: { requests: 1, queue: 1_000, queueMs: 60_000 } },
    });
    const busy = world.request(0);
    const other = world.request(1);
    let current = busy;
    let turns = 0;
    // The first worker has always somebody who waits, and gives the place from hand to hand.
    while (other.state === "waits" && turns++ < 500) {
      world.request(0);
      current.end();
      world.pass(2);
      const next = world.events.at(-1)?.request;
      if (next !== undefined && next.state === "went") current = next;
    }
    expect(other.state).toBe("went");
    expect(world.system.monotonicMs()).toBeLessThan(150);
  });

  test.for([
    ["comes back as soon as a worker that looks has had its turn", 2, "waits"],
    ["does not wait for a worker that sleeps", 200, "went"],
  ] as const)("a place %s", ([, asleepMs, state]) => {
    const world = new GateWorld({
      workers: 1,
      spareSlots: 1,
      service: { limits: { requests: 1, queue: 10, queueMs: 60_000 } },
    });
    const { keeper, system } = world;
    system.advance(1_000);
    const first = world.request();
    const own = world.request();
    const other = new InFlight(keeper.memory, 1);
    const row = keeper.rowOf("web")!;
    other.set(row, Field.FirstSince, stampOf(system.heartbeatMs() - 500));
    other.set(row, Field.LookedAt, stampOf(system.heartbeatMs() - asleepMs));
    first.end();
    world.pass(30);
    expect(own.state).toBe(state);
    world.pass(100);
    expect(own.state).toBe("went");
  });
});
