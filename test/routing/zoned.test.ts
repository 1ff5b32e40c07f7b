// Goal: requests stay in the node's zone while it can bear them, and what it cannot bear goes out; no more.
// Method: tables of a node in zone a, whose backends fail one after the other; shares of many picks.

import { describe, expect, test } from "vitest";
import { Policy } from "../../src/model/service.ts";
import { anyHash, asked, askedBy } from "../support/picks.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { WatchedTable, web, zonedBackend } from "../support/watched-table.ts";

const preferring = { zone: { usablePercentMin: 70 } };
const inA = ["10.0.1.1:80 a", "10.0.1.2:80 a", "10.0.1.3:80 a", "10.0.1.4:80 a"];
const inB = ["10.0.2.1:80 b", "10.0.2.2:80 b"];
const nowhere = "10.0.3.1:80";

function world(policy: Policy, zone = "a", backends = [...inA, ...inB, nowhere]): WatchedTable {
  const watched = new WatchedTable(zone);
  watched.replace(web(preferring, policy), ...backends.map((text) => zonedBackend(text)));
  return watched;
}

function fail(watched: WatchedTable, ...addresses: readonly string[]): void {
  for (const address of addresses) {
    watched.at(address.split(" ")[0]!).stand({ check: "unhealthy" });
  }
  watched.web.refresh();
}

/** In percent of many picks. */
function shareOfA({ web: { picker } }: WatchedTable): number {
  const { next } = new SeededRandom(5);
  const picks = 20_000;
  let inZone = 0;
  for (let i = 0; i < picks; i++) {
    if (picker.pick(askedBy(anyHash(next), next))!.standing.zone === "a") inZone++;
  }
  return (inZone / picks) * 100;
}

const spreading = Object.values(Policy).filter((policy) => policy !== Policy.Leader);

describe.for(spreading)("%s", (policy) => {
  test("keeps everything in the zone while enough of it is usable", () => {
    const watched = world(policy);
    expect(shareOfA(watched)).toBe(100);
    fail(watched, inA[0]!);
    expect(shareOfA(watched)).toBe(100);
  });

  test("lets go what the zone cannot bear: half of 70 % is usable no more, then all of it", () => {
    const watched = world(policy);
    fail(watched, inA[0]!, inA[1]!);
    expect(Math.abs(shareOfA(watched) - 5_000 / 70)).toBeLessThan(1.2);
    fail(watched, inA[2]!);
    expect(Math.abs(shareOfA(watched) - 2_500 / 70)).toBeLessThan(1.2);
    fail(watched, inA[3]!);
    expect(shareOfA(watched)).toBe(0);
  });

  test("stays in the zone when the others fail, and when all do", () => {
    const watched = world(policy);
    fail(watched, inA[0]!, inA[1]!, ...inB, nowhere);
    expect(shareOfA(watched)).toBe(100);
    fail(watched, inA[2]!, inA[3]!);
    expect(shareOfA(watched)).toBe(100);
  });

  test("takes everybody where the node has no zone, or no backend is in it", () => {
    for (const zone of ["", "c"]) {
      const share = shareOfA(world(policy, zone));
      expect(Math.abs(share - 400 / 7)).toBeLessThan(2);
    }
  });

  test("answers everyone once when each answer was tried, those of the zone first", () => {
    const watched = world(policy);
    const { backends, picker } = watched.web;
    const { next } = new SeededRandom(9);
    const hash = anyHash(next);
    const tried = [...backends];
    for (let i = 0; i < backends.length; i++) tried[i] = picker.pick(asked(next, tried, i, hash))!;
    expect(new Set(tried)).toEqual(new Set(backends));
    expect(tried.slice(0, 4).every(({ standing }) => standing.zone === "a")).toBe(true);
    expect(picker.pick(asked(next, tried, backends.length, hash))).toBeUndefined();
  });

  test("peeks at what it then picks", () => {
    const watched = world(policy);
    fail(watched, inA[0]!, inA[1]!);
    const { picker } = watched.web;
    for (let seed = 0; seed < 100; seed++) {
      const question = () => {
        const { next } = new SeededRandom(seed);
        return askedBy(anyHash(next), next);
      };
      const peeked = picker.peek(question());
      expect(picker.pick(question())).toBe(peeked);
    }
  });
});

test("weights count, not numbers, and who leaves counts no more", () => {
  const watched = new WatchedTable("a");
  watched.replace(
    web(preferring, Policy.Random),
    zonedBackend("10.0.1.1:80 a", 900),
    zonedBackend("10.0.1.2:80 a", 100),
    zonedBackend("10.0.2.1:80 b"),
  );
  fail(watched, "10.0.1.2:80");
  expect(shareOfA(watched)).toBe(100);
  watched.at("10.0.1.2:80").stand({ check: "healthy" });
  fail(watched, "10.0.1.1:80");
  expect(Math.abs(shareOfA(watched) - 1_000 / 70)).toBeLessThan(1.2);
  watched.at("10.0.1.1:80").stand({ draining: true });
  watched.web.refresh();
  expect(shareOfA(watched)).toBe(100);
});

test("the same hash stays or goes out on every node", () => {
  const watched = [world(Policy.RingHash), world(Policy.RingHash, "a", [...inB, nowhere, ...inA])];
  for (const each of watched) fail(each, inA[0]!, inA[1]!);
  const { next } = new SeededRandom(3);
  for (let i = 0; i < 1_000; i++) {
    const hash = anyHash(next);
    const [first, second] = watched.map(({ web: { picker } }) => picker.peek(askedBy(hash, next)));
    expect(second!.address).toBe(first!.address);
  }
});

test("there is one leader, wherever it is", () => {
  const watched = world(Policy.Leader, "b");
  expect(watched.web.picker.peek(asked(() => 0))?.address).toBe("10.0.1.1:80");
});
