// Goal: while routes and backends come and go, no request is lost sight of and none goes astray.
// Method: one worker's life from a seed. Requests begin, try backends, fail and end at random; between
// them the table is patched, refuses conflicts, or is replaced whole. After every step the books must
// balance. A failure prints its seed; SEED=n replays exactly that run.

import { expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { Policy } from "../../src/model/service.ts";
import { Table } from "../../src/model/table.ts";
import type { BackendState, Endpoint } from "../../src/routing/backend-state.ts";
import type { CompiledRoute } from "../../src/routing/compiled-route.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import {
  backend,
  backendRemoved,
  matchHttp,
  rev,
  route,
  routeRemoved,
  service,
} from "../routing/changes.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { asked } from "../support/picks.ts";

const seeds =
  process.env["SEED"] === undefined
    ? Array.from({ length: 60 }, (_, i) => i + 1)
    : [Number(process.env["SEED"])];
const steps = 600;

interface Request {
  readonly route: CompiledRoute;
  readonly tried: BackendState[];
}

/** A worker as far as routing goes. */
class World {
  table = RouteTable.build().finish(rev(0));
  readonly #truth = new Table();
  readonly #requests: Request[] = [];
  readonly #endpointsSeen = new Set<Endpoint>();
  readonly #picks = new Map<string, number>();
  readonly #random: () => number;
  refused = 0;
  picked = 0;

  constructor(seed: number) {
    const system = new FakeSystem({ seed });
    this.#random = () => system.random();
  }

  step(): void {
    const dice = this.#random();
    if (dice < 0.45) this.#begin();
    else if (dice < 0.6) this.#tryAgain();
    else if (dice < 0.85) this.#finishOne();
    else if (dice < 0.98) this.#change();
    else this.#replace();
    this.#checkBooks();
  }

  finishAll(): void {
    while (this.#requests.length > 0) this.#finishOne();
    this.#checkBooks();
  }

  #begin(): void {
    const host = `${this.#one(["a", "b", "c"])}.com`;
    const found = matchHttp(this.table, host, this.#one(["/", "/x", "/x/y"]));
    if (found === undefined) return;
    const told = this.#truth.route(found.name)!;
    const { match, sticky, options, matchRevision } = found;
    expect(told).toMatchObject({ match, sticky, matchRevision });
    expect(told.options).toEqual(options);
    expect(this.table.service(told.service ?? "")).toBe(found.service);
    const request: Request = { route: found, tried: [] };
    if (this.#pick(request)) this.#requests.push(request);
    else expect(this.#truth.backendsOf(found.service!.name).size).toBe(0);
  }

  /** The dial failed: another backend, of what the service has by now. */
  #tryAgain(): void {
    const request = this.#one(this.#requests);
    if (request === undefined || request.tried.length >= 4) return;
    this.#leave(request.tried.at(-1)!, true);
    if (!this.#pick(request)) this.#requests.splice(this.#requests.indexOf(request), 1);
  }

  #finishOne(): void {
    const request = this.#one(this.#requests);
    if (request === undefined) return;
    this.#requests.splice(this.#requests.indexOf(request), 1);
    this.#leave(request.tried.at(-1)!, false);
  }

  #pick({ route: found, tried }: Request): boolean {
    const state = found.service!;
    const chosen = state.picker.pick(asked(this.#random, tried, tried.length));
    if (chosen === undefined) return false;
    expect(tried).not.toContain(chosen);
    expect(chosen.removed).toBe(false);
    expect(state.backends).toContain(chosen);
    expect([...this.#truth.backendsOf(state.name).keys()]).toContain(chosen.address);
    tried.push(chosen);
    chosen.endpoint.inFlight++;
    chosen.requestsTotal++;
    this.picked++;
    this.#endpointsSeen.add(chosen.endpoint);
    const key = `${chosen.service} ${chosen.address}`;
    this.#picks.set(key, (this.#picks.get(key) ?? 0) + 1);
    return true;
  }

  #leave(chosen: BackendState, isFailure: boolean): void {
    chosen.endpoint.inFlight--;
    if (isFailure) chosen.recorded(0).failuresTotal++;
  }

  #change(): void {
    const changes = Array.from({ length: 1 + Math.floor(this.#random() * 4) }, () =>
      this.#oneChange(),
    );
    const revision = rev(this.table.revision + 1);
    try {
      this.table.prepare(changes, revision).apply();
    } catch (error) {
      expect(String(error)).toMatch(/both match/);
      this.refused++;
      return;
    }
    this.#truth.apply({ revision, changes });
    this.#forgetRemoved();
  }

  #oneChange(): Change {
    const name = this.#one(["r1", "r2", "r3", "r4"]);
    const owner = this.#one(["s1", "s2"]);
    const address = `10.0.0.${1 + Math.floor(this.#random() * 4)}:80`;
    const match = `${this.#one(["a.com", "b.com", "*.com", "*"])}${this.#one(["", "/x"])}`;
    const changes = [
      () => route(name, match, owner),
      () => routeRemoved(name),
      () => backend(owner, address, this.#one([1, 50, 100])),
      () => backend(owner, address),
      () => backendRemoved(owner, address),
      () => service(owner, this.#one([undefined, ...Object.values(Policy)])),
    ];
    return this.#one(changes)();
  }

  /** The worker could not follow and gets everything anew, in two pieces. */
  #replace(): void {
    const { routes, services, backends } = this.#truth.snapshot();
    const builder = RouteTable.build();
    builder.add(routes.map((each) => ({ kind: "route-put", route: each })));
    builder.add([
      ...services.map((each): Change => ({ kind: "service-put", service: each })),
      ...backends.map((each): Change => ({ kind: "backend-put", backend: each })),
    ]);
    this.table = builder.finish(rev(this.table.revision + 1), this.table);
    this.#truth.revision = this.table.revision;
  }

  /** What is counted of a backend ends when it is removed, and begins anew when it comes back. */
  #forgetRemoved(): void {
    for (const key of this.#picks.keys()) {
      const [owner, address] = key.split(" ");
      if (this.table.service(owner!)?.backendAt(address!) === undefined) this.#picks.delete(key);
    }
  }

  #checkBooks(): void {
    const inFlight = [...this.#endpointsSeen].reduce((sum, each) => sum + each.inFlight, 0);
    expect(inFlight).toBe(this.#requests.length);
    let users = 0;
    for (const state of this.table.services()) {
      for (const each of state.backends) {
        users++;
        expect(each.removed).toBe(false);
        expect(each.requestsTotal).toBe(this.#picks.get(`${state.name} ${each.address}`) ?? 0);
        expect([...this.table.endpoints()]).toContain(each.endpoint);
      }
    }
    expect([...this.table.endpoints()].reduce((sum, each) => sum + each.users, 0)).toBe(users);
    expect(this.table.routeCount).toBe(this.#truth.routeCount);
  }

  #one<T>(things: readonly T[]): T {
    return things[Math.floor(this.#random() * things.length)]!;
  }
}

test.for(seeds)("requests and changes keep out of each other's way, seed %i", (seed) => {
  const world = new World(seed);
  for (let i = 0; i < steps; i++) world.step();
  world.finishAll();
  // The run was worth it.
  expect(world.picked).toBeGreaterThan(20);
  expect(world.refused).toBeGreaterThan(0);
});
