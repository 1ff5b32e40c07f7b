// Goal: what one worker finds out about a backend leaves it out there and in the other workers, until its time is over
// and a request, its checks or another worker say that it is back; settings hold at once; nobody is left out who has
// nobody to stand in for it.
// Method: the ejections of one worker on a table whose clock is the test's.

import { describe, expect, test } from "vitest";
import { ejectionOthersMs } from "../../src/limits.ts";
import type { Change } from "../../src/model/change.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Policy } from "../../src/model/service.ts";
import { anybody } from "../../src/routing/picker.ts";
import { whyUnusable } from "../../src/routing/usable-backends.ts";
import { trialBegins, trialEnded } from "../../src/worker/ejections.ts";
import { EjectionWorld as World } from "../support/ejection-world.ts";
import { web, zonedBackend } from "../support/watched-table.ts";

describe("a backend", () => {
  test("is left out after five failures in a row, for 10 s, and the others hear of it", () => {
    const world = new World(3);
    world.fails(2, 4);
    expect(world.used).toBe("1 2 3");
    world.fails(2);
    expect(world.used).toBe("1 3");
    const service = "web";
    expect(world.told).toEqual([
      { service, address: "10.0.0.2:80", forMs: 10_000, reason: "HTTP 500" },
    ]);
    expect(whyUnusable(world.at(2), world.watched.now)).toBe("ejected for 10000 ms: HTTP 500");
    expect(world.at(2).record?.ejectionsTotal).toBe(1);
  });

  test("is not for failures with a success in between", () => {
    const world = new World(3);
    for (let i = 0; i < 5; i++) {
      world.fails(2, 4);
      world.succeeds(2, 8);
    }
    expect(world.told).toEqual([]);
  });

  test("is left out when less than half of 20 requests succeeded, and those of the others did", () => {
    const world = new World(3);
    for (let i = 0; i < 9; i++) {
      world.fails(2, 1);
      world.succeeds(2);
    }
    world.fails(2, 1);
    expect(world.told).toEqual([]);
    world.fails(2, 1);
    expect(world.used).toBe("1 3");
  });

  test("that refuses is left out at once, for a second, and twice as long each time, up to 10 s", () => {
    const world = new World(3);
    const forMs = [];
    for (let i = 0; i < 6; i++) {
      world.fails(2, 1, "refused", "connect refused", i > 0);
      forMs.push(world.told.at(-1)!.forMs);
      world.watched.now += world.told.at(-1)!.forMs;
    }
    expect(forMs).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  test("is left out for longer each time that it fails when it is tried again, and for less after quiet", () => {
    const world = new World(3, { baseMs: 1_000, maxMs: 5_000 });
    world.fails(2, 5);
    const forMs = [];
    for (let i = 0; i < 4; i++) {
      world.watched.now += world.told.at(-1)!.forMs;
      world.fails(2, 1, "failed", "HTTP 500", true);
      forMs.push(world.told.at(-1)!.forMs);
    }
    expect(forMs).toEqual([2_000, 4_000, 5_000, 5_000]);
    world.watched.now += 5_000;
    world.ejections.returned(world.watched.web, world.at(2));
    world.watched.now += 15_000;
    world.fails(2, 5);
    expect(world.told.at(-1)!.forMs).toBe(1_250);
  });

  test("is not left out anew for requests of before it was", () => {
    const world = new World(3);
    const sentMs = world.watched.now - 1;
    world.fails(2, 5);
    world.watched.now += 10_000;
    world.ejections.returned(world.watched.web, world.at(2));
    const late = { fault: "failed", reason: "timeout", sentMs, isTrial: false } as const;
    for (let i = 0; i < 50; i++) world.ejections.failed(world.watched.web, world.at(2), late);
    expect(world.used).toBe("1 2 3");
  });
});

describe("when its time is over", () => {
  function over(): World {
    const world = new World(3);
    world.fails(2, 5);
    world.watched.now += 9_999;
    expect(world.next).not.toBe("2");
    world.watched.now += 1;
    return world;
  }

  test("one request tries it, and no second one beside it", () => {
    const world = over();
    expect(world.next).toBe("2");
    trialBegins(world.at(2), world.watched.now);
    expect(world.next).not.toBe("2");
    trialEnded(world.at(2), world.watched.now);
    expect(world.next).toBe("2");
    expect(whyUnusable(world.at(2), world.watched.now)).toBe(
      "ejected until a request succeeds there: HTTP 500",
    );
  });

  test("a second try of a request is not risked on it", () => {
    const world = over();
    const { web: service, now } = world.watched;
    const question = { ...anybody(() => 0, now), tried: [world.at(1)], triedCount: 1 };
    expect(service.picker.pick(question)).toBe(world.at(3));
  });

  test("it is back when that succeeds, and the others hear of it", () => {
    const world = over();
    world.ejections.returned(world.watched.web, world.at(2));
    expect(world.used).toBe("1 2 3");
    expect(world.told.at(-1)).toMatchObject({ address: "10.0.0.2:80", forMs: 0 });
  });

  test("it is not while its checks say that it is unhealthy", () => {
    const world = over();
    world.at(2).stand({ check: "unhealthy", checkReason: "HTTP 500" });
    world.watched.web.refresh();
    expect(world.next).not.toBe("2");
  });
});

test("checks that find it healthy bring it back before its time", () => {
  const world = new World(3);
  world.fails(2, 5);
  world.ejections.probedHealthy(world.at(2));
  expect(world.used).toBe("1 2 3");
  world.ejections.probedHealthy(world.at(1));
  expect(world.told).toHaveLength(1);
});

describe("another worker", () => {
  const ejection = { service: "web", address: "10.0.0.2:80", forMs: 10_000, reason: "HTTP 500" };

  test("leaves out what it is told, tries it later, and counts and tells nothing", () => {
    const world = new World(3);
    world.ejections.told([ejection]);
    expect(world.used).toBe("1 3");
    expect(world.told).toEqual([]);
    expect(world.at(2).record?.ejectionsTotal).toBe(0);
    world.watched.now += 10_000 + ejectionOthersMs - 1;
    expect(world.next).not.toBe("2");
    world.watched.now += 1;
    expect(world.next).toBe("2");
  });

  test("goes on with the time that it is told", () => {
    const world = new World(3);
    world.ejections.told([ejection]);
    world.watched.now += 10_000 + ejectionOthersMs;
    world.fails(2, 1, "failed", "HTTP 500", true);
    expect(world.told.at(-1)?.forMs).toBe(20_000);
  });

  test("takes back what it is told to", () => {
    const world = new World(3);
    world.ejections.told([ejection]);
    world.ejections.told([{ ...ejection, forMs: 0 }]);
    expect(world.used).toBe("1 2 3");
  });

  test("leaves out no more than half, whatever it is told", () => {
    const world = new World(4);
    for (const i of [1, 2, 3, 4]) {
      world.ejections.told([{ ...ejection, address: `10.0.0.${i}:80` }]);
    }
    expect(world.used).toBe("3 4");
  });

  test("knows nothing of services and backends that it does not have", () => {
    const world = new World(2);
    world.ejections.told([
      { ...ejection, service: "api" },
      { ...ejection, address: "10.9.9.9:1" },
    ]);
    expect(world.used).toBe("1 2");
  });
});

describe("nobody is left out", () => {
  test.for([
    ["alone in its service", 1, undefined, undefined],
    ["where nothing is ejected", 3, { off: true } as const, undefined],
  ] as const)("%s", ([, count, ejection, policy]) => {
    const world = new World(count, ejection, policy);
    world.fails(1, 50);
    world.fails(1, 1, "refused", "connect refused");
    expect(world.told).toEqual([]);
  });

  test("beyond half of a service", () => {
    const world = new World(5);
    for (const i of [1, 2, 3, 4, 5]) world.fails(i, 1, "refused", "connect refused");
    expect(world.used).toBe("3 4 5");
  });

  test("for what all backends do", () => {
    const world = new World(4);
    for (let n = 0; n < 100; n++) for (const i of [1, 2, 3, 4]) world.fails(i);
    expect(world.used).toBe("1 2 3 4");
  });
});

describe("who leads", () => {
  test("is left out after five failures in a row, and is tried again when its time is over", () => {
    const world = new World(3, undefined, Policy.Leader);
    world.fails(1, 4);
    expect(world.next).toBe("1");
    world.fails(1);
    expect(world.next).toBe("2");
    world.watched.now += world.told.at(-1)!.forMs;
    expect(world.next).toBe("1");
    world.ejections.returned(world.watched.web, world.at(1));
    expect(world.used).toBe("1 2 3");
  });

  test("is not when it refuses: each request finds the next oldest, and the leader once it is back", () => {
    const world = new World(3, undefined, Policy.Leader);
    world.fails(1, 50, "refused", "connect refused");
    expect(world.told).toEqual([]);
  });

  test("is not for one connection that does not come about, but for five", () => {
    const world = new World(3, undefined, Policy.Leader);
    world.fails(1, 4, "unreachable", "connect failed");
    expect(world.told).toEqual([]);
    world.fails(1, 1, "unreachable", "connect failed");
    expect(world.used).toBe("2 3");
  });

  test("is not for a run that its own failures bring by chance: of those who stand by nothing is known", () => {
    const world = new World(2, undefined, Policy.Leader);
    world.fails(1);
    for (let n = 0; n < 100; n++) {
      if (n % 5 === 0) world.fails(1);
      else world.succeeds(1);
    }
    world.fails(1, 5);
    expect(world.told).toEqual([]);
    world.fails(1, 20);
    expect(world.used).toBe("2");
  });
});

describe("a backend that was removed and registered again", () => {
  const put = (i: number, revision: number): Change => {
    const change = zonedBackend(`10.0.0.${i}:80`);
    if (change.kind !== "backend-put") return change;
    return { ...change, backend: { ...change.backend, joined: parseRevision(revision) } };
  };
  const all = (joined: number): Change[] => [put(1, 1), put(2, joined), put(3, 3)];

  test.for([
    ["a change", (world: World, joined: number) => world.watched.change(...all(joined))],
    [
      "a whole table",
      (world: World, joined: number) => world.watched.replace(web({}), ...all(joined)),
    ],
  ] as const)("is a new one, also when both come as one with %s", ([, comes]) => {
    const world = new World(0);
    world.watched.change(...all(2));
    world.fails(2, 5);
    expect(world.used).toBe("1 3");
    comes(world, 2);
    expect(world.used).toBe("1 3");
    comes(world, 7);
    expect(world.used).toBe("1 2 3");
    world.fails(2, 4);
    expect(world.used).toBe("1 2 3");
    world.fails(2);
    expect(world.used).toBe("1 3");
  });
});

describe("settings that change", () => {
  test("to nothing is ejected: take everybody back at once", () => {
    const world = new World(3);
    world.fails(2, 5);
    world.watched.change(web({ ejection: { off: true } }));
    expect(world.used).toBe("1 2 3");
  });

  test("to a shorter time: end what is longer", () => {
    const world = new World(3);
    world.fails(2, 5);
    world.watched.change(web({ ejection: { baseMs: 1_000, maxMs: 1_000 } }));
    world.watched.now += 1_000;
    expect(world.next).toBe("2");
  });

  test("to fewer failures: count what there was", () => {
    const world = new World(3);
    world.fails(2, 2);
    world.watched.change(web({ ejection: { consecutiveFailures: 3 } }));
    world.fails(2);
    expect(world.used).toBe("1 3");
  });
});

describe("a request that has tried all others", () => {
  test("gets who is left out rather than nobody", () => {
    const world = new World(2);
    world.fails(2, 5);
    const { web: service, now } = world.watched;
    const question = { ...anybody(() => 0, now), tried: [world.at(1)], triedCount: 1 };
    expect(service.picker.pick(question)).toBe(world.at(2));
  });

  test("gets nobody who leaves", () => {
    const world = new World(3);
    world.fails(2, 5);
    world.at(2).stand({ draining: true });
    world.watched.web.refresh();
    const { web: service, now } = world.watched;
    const tried = [world.at(1), world.at(3)];
    expect(service.picker.pick({ ...anybody(() => 0, now), tried, triedCount: 2 })).toBeUndefined();
  });
});

test("when checks and ejections together would leave less than half, ejections do not count", () => {
  const world = new World(4);
  world.fails(1, 5);
  world.fails(2, 5);
  expect(world.used).toBe("3 4");
  world.at(3).stand({ check: "unhealthy", checkReason: "HTTP 500" });
  world.watched.web.refresh();
  expect(world.used).toBe("1 2 4");
});

test("a backend that is registered anew is a new one", () => {
  const world = new World(3);
  world.fails(2, 5);
  const { watched } = world;
  const { service, address } = { service: world.at(2).service, address: world.at(2).address };
  watched.change({ kind: "backend-removed", service, address });
  watched.change(zonedBackend("10.0.0.2:80"));
  expect(world.used).toBe("1 3 2");
});

test("a snapshot changes nothing of it", () => {
  const world = new World(3);
  world.fails(2, 5);
  world.watched.replace(
    ...["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map((at) => zonedBackend(at)),
  );
  expect(world.used).toBe("1 3");
});
