// Goal: a key keeps its backend on every worker and node, whoever else comes, goes or fails; and nobody is given more
// than its part. Method: owners of many keys before and after; load put by hand.

import { describe, expect, test } from "vitest";
import { Policy } from "../../src/model/service.ts";
import type { BackendState } from "../../src/routing/backend-state.ts";
import type { Picker } from "../../src/routing/picker.ts";
import { boundedLoadFactor } from "../../src/routing/ring-hash.ts";
import { anyHash, asked, askedBy } from "../support/picks.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { WatchedTable, web, zonedBackend } from "../support/watched-table.ts";
import { backendRemoved } from "./changes.ts";

const nothing = (): number => 0;
const addresses = Array.from({ length: 100 }, (_, i) => `10.0.0.${i + 1}:80`);
const { next } = new SeededRandom(21);
const keys = Array.from({ length: 20_000 }, () => anyHash(next));

function world(listed: readonly string[] = addresses): WatchedTable {
  const watched = new WatchedTable();
  watched.replace(web({}, Policy.RingHash), ...listed.map((address) => zonedBackend(address)));
  return watched;
}

const ownersIn = ({ web: { picker } }: WatchedTable): string[] =>
  keys.map((key) => picker.peek(askedBy(key, nothing))!.address);

const moved = (before: readonly string[], after: readonly string[], but: string): number =>
  before.filter((owner, i) => owner !== but && owner !== after[i]).length;

describe("a key keeps its backend", () => {
  test("on another worker, whose backends came in another order", () => {
    expect(ownersIn(world(addresses.toReversed()))).toEqual(ownersIn(world()));
  });

  test("while another one is unhealthy, and its own comes back when it does", () => {
    const watched = world();
    const before = ownersIn(watched);
    watched.at("10.0.0.7:80").stand({ check: "unhealthy" });
    watched.web.refresh();
    const during = ownersIn(watched);
    expect(moved(before, during, "10.0.0.7:80")).toBe(0);
    expect(during).not.toContain("10.0.0.7:80");
    // What one had goes to many.
    const heirs = new Set(during.filter((_, i) => before[i] === "10.0.0.7:80"));
    expect(heirs.size).toBeGreaterThan(60);
    watched.at("10.0.0.7:80").stand({ check: "healthy" });
    watched.web.refresh();
    expect(ownersIn(watched)).toEqual(before);
  });

  test("when one of a hundred leaves for good, but for the few that Maglev moves", () => {
    const watched = world();
    const before = ownersIn(watched);
    watched.change(backendRemoved("web", "10.0.0.7:80"));
    const after = ownersIn(watched);
    expect(moved(before, after, "10.0.0.7:80")).toBeLessThan(keys.length / 100);
    expect(after).toEqual(ownersIn(world(addresses.filter((each) => each !== "10.0.0.7:80"))));
  });

  test("from the moment that one begins to leave: it moves once", () => {
    const watched = world();
    watched.at("10.0.0.7:80").stand({ draining: true });
    watched.web.refresh();
    const draining = ownersIn(watched);
    watched.change(backendRemoved("web", "10.0.0.7:80"));
    expect(ownersIn(watched)).toEqual(draining);
  });

  test("through a snapshot", () => {
    const watched = world();
    const before = ownersIn(watched);
    watched.replace(
      web({}, Policy.RingHash),
      ...addresses.toReversed().map((each) => zonedBackend(each)),
    );
    expect(ownersIn(watched)).toEqual(before);
    expect(watched.web.backends).toContain(watched.web.picker.pick(askedBy(1, nothing)));
  });

  test("as long as the weights are the same, and the members", () => {
    const watched = world(addresses.slice(0, 3));
    const of = (address: string): number =>
      ownersIn(watched).filter((owner) => owner === address).length / keys.length;
    expect(of("10.0.0.2:80")).toBeCloseTo(1 / 3, 1);
    watched.change(zonedBackend("10.0.0.2:80", 200));
    expect(of("10.0.0.2:80")).toBeCloseTo(0.5, 1);
    watched.change(backendRemoved("web", "10.0.0.3:80"), zonedBackend("10.0.0.9:80"));
    expect(of("10.0.0.9:80")).toBeCloseTo(0.25, 1);
    expect(of("10.0.0.3:80")).toBe(0);
  });

  test("among those that are left when most have failed", () => {
    const watched = world();
    const left = addresses.slice(0, 3);
    for (const address of addresses.slice(3)) watched.at(address).stand({ check: "unhealthy" });
    watched.web.refresh();
    expect(new Set(ownersIn(watched))).toEqual(new Set(left));
    expect(ownersIn(watched)).toEqual(ownersIn(world(left)));
  });
});

describe("bounded load", () => {
  /** Each pick stays in flight, of one key alone. */
  function piledUp(picker: Picker, picks: number, key = 4_711): BackendState[] {
    return Array.from({ length: picks }, () => {
      const backend = picker.pick(askedBy(key, next))!;
      backend.inFlight++;
      return backend;
    });
  }

  test("lets a key overflow in the same order on every worker", () => {
    const [first, second] = [world(addresses.slice(0, 10)), world(addresses.slice(0, 10))];
    const order = piledUp(first.web.picker, 100).map(({ address }) => address);
    expect(piledUp(second.web.picker, 100).map(({ address }) => address)).toEqual(order);
    // Each takes 1.25 times its tenth: eight of them suffice.
    expect(new Set(order).size).toBe(8);
  });

  test.for([2, 3, 10, 60])("holds for one key among %i backends, at every pick", (count) => {
    const { backends, picker } = world(addresses.slice(0, count)).web;
    for (let total = 1; total <= 500; total++) {
      piledUp(picker, 1);
      const most = Math.max(...backends.map(({ inFlight }) => inFlight));
      expect(most).toBeLessThanOrEqual(Math.ceil((boundedLoadFactor * total) / count));
    }
  });

  test("goes by weight", () => {
    const watched = new WatchedTable();
    watched.replace(
      web({}, Policy.RingHash),
      zonedBackend("10.0.0.1:80", 300),
      zonedBackend("10.0.0.2:80", 100),
    );
    for (let key = 0; key < 50; key++) piledUp(watched.web.picker, 8, key * 77_777);
    const heavy = watched.at("10.0.0.1:80").inFlight;
    expect(heavy).toBeLessThanOrEqual(Math.ceil(boundedLoadFactor * 400 * 0.75));
    expect(400 - heavy).toBeLessThanOrEqual(Math.ceil(boundedLoadFactor * 400 * 0.25));
  });

  test("leaves a key where it is while its backend has room", () => {
    const { backends, picker } = world(addresses.slice(0, 4)).web;
    const owner = picker.peek(askedBy(99, nothing));
    for (const backend of backends) backend.inFlight = 10;
    expect(picker.pick(askedBy(99, nothing))).toBe(owner);
    owner!.inFlight = 15;
    expect(picker.pick(askedBy(99, nothing))).not.toBe(owner);
  });

  test("gives way when nobody else is left to try", () => {
    const { backends, picker } = world(addresses.slice(0, 3)).web;
    backends[0]!.inFlight = 1_000;
    expect(picker.pick(asked(nothing, backends.slice(1), 2, 5))).toBe(backends[0]);
  });

  test("is counted anew within a millisecond where there are very many backends", () => {
    const many = Array.from({ length: 1_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}:80`);
    const { backends, picker } = world(many).web;
    piledUp(picker, 4_000);
    const most = Math.max(...backends.map(({ inFlight }) => inFlight));
    expect(most).toBeLessThanOrEqual(boundedLoadFactor * 4 + 1);
    for (const backend of backends) backend.inFlight = 0;
    const owner = picker.peek(askedBy(4_711, nothing, 1))!;
    owner.inFlight = 1;
    expect(picker.pick(askedBy(4_711, nothing, 2))).not.toBe(owner);
  });
});
