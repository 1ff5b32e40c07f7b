// Goal: who is new or comes back gets little at first and its share in the end; nobody else is held back by it.
// Method: a table as a worker has it, whose clock the test moves; shares in words.

import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { Policy } from "../../src/model/service.ts";
import { isGood } from "../../src/routing/usable-backends.ts";
import { WatchedTable, web, zonedBackend } from "../support/watched-table.ts";

const slow = web({ slowStartMs: 10_000 });
const a = zonedBackend("10.0.0.1:80");
const b = zonedBackend("10.0.0.2:80");
const c = zonedBackend("10.0.0.3:80", 200);

const leaving: Change =
  c.kind === "backend-put"
    ? { ...c, backend: { ...c.backend, drain: { state: "draining", deadlineMs: 0 } } }
    : c;

function world(settings = slow): WatchedTable {
  const watched = new WatchedTable();
  watched.replace(settings, a, b);
  return watched;
}

describe("a backend starts slowly", () => {
  test("when it joins a service that is used, from a tenth to all of its weight", () => {
    const watched = world();
    watched.change(c);
    const shares = [watched.shares()];
    for (const ms of [100, 4_900, 4_900, 100]) {
      watched.advance(ms);
      shares.push(watched.shares());
    }
    const third = [20, 21.8, 110, 198.2, 200];
    expect(shares).toEqual(third.map((x) => `10.0.0.1:80 100, 10.0.0.2:80 100, 10.0.0.3:80 ${x}`));
    expect(watched.web.restless).toBe(false);
    expect(watched.waiting.size).toBe(0);
  });

  test("when its checks find it healthy again", () => {
    const watched = world();
    watched.at("10.0.0.2:80").stand({ check: "unhealthy" });
    watched.web.refresh();
    expect(watched.shares()).toBe("10.0.0.1:80 100");
    watched.now += 60_000;
    watched.at("10.0.0.2:80").stand({ check: "healthy" });
    watched.web.refresh();
    expect(watched.shares()).toBe("10.0.0.1:80 100, 10.0.0.2:80 10");
    watched.advance(5_000);
    expect(watched.shares()).toBe("10.0.0.1:80 100, 10.0.0.2:80 55");
  });

  test("when it is taken back after an ejection", () => {
    const watched = world();
    watched
      .at("10.0.0.2:80")
      .stand({ ejectedUntilMs: watched.now + 500, ejectionReason: "HTTP 500" });
    watched.web.refresh();
    watched.advance(501);
    expect(watched.shares()).toBe("10.0.0.1:80 100");
    watched.at("10.0.0.2:80").stand({ ejectedUntilMs: 0, ejectionReason: "" });
    watched.web.refresh();
    expect(watched.shares()).toBe("10.0.0.1:80 100, 10.0.0.2:80 10");
  });

  test("anew when it comes back a second time", () => {
    const watched = world();
    watched.change(c);
    watched.advance(9_000);
    watched.at("10.0.0.3:80").stand({ check: "unhealthy" });
    watched.web.refresh();
    watched.advance(100);
    watched.at("10.0.0.3:80").stand({ check: "healthy" });
    watched.web.refresh();
    expect(watched.shares()).toContain("10.0.0.3:80 20");
  });

  test("and goes on with it when its settings or another backend change, or a snapshot comes", () => {
    const watched = world();
    watched.change(c);
    watched.advance(5_000);
    watched.change(zonedBackend("10.0.0.4:80"));
    expect(watched.shares()).toContain("10.0.0.3:80 110, 10.0.0.4:80 10");
    watched.replace(slow, c, a, b, zonedBackend("10.0.0.4:80"));
    expect(watched.shares()).toContain("10.0.0.3:80 110");
    watched.advance(1_000);
    expect(watched.shares()).toContain("10.0.0.3:80 128");
    watched.change(zonedBackend("10.0.0.3:80", 100));
    expect(watched.shares()).toContain("10.0.0.3:80 64");
    watched.change(zonedBackend("10.0.0.3:80", 100), b);
    expect(watched.shares()).toContain("10.0.0.3:80 64");
  });

  test("and has all at once when nobody is to start slowly any more", () => {
    const watched = world();
    watched.change(c);
    watched.change(web(undefined));
    expect(watched.shares()).toContain("10.0.0.3:80 200");
    expect(watched.web.restless).toBe(false);
  });
});

describe("nobody starts slowly", () => {
  test("in the first table of a worker, in whatever pieces it comes", () => {
    expect(world().shares()).toBe("10.0.0.1:80 100, 10.0.0.2:80 100");
  });

  test("by a snapshot", () => {
    const watched = world();
    watched.replace(a, slow, b, c);
    expect(watched.shares()).toContain("10.0.0.3:80 200");
    watched.replace(slow, a, b, leaving);
    expect(watched.shares()).toBe("10.0.0.1:80 100, 10.0.0.2:80 100");
  });

  test("in a service that is new, or had no backend", () => {
    const watched = new WatchedTable();
    watched.change(slow, a, b);
    expect(watched.shares()).toBe("10.0.0.1:80 100, 10.0.0.2:80 100");
  });

  test("where the service does not say for how long", () => {
    const watched = world(web(undefined));
    watched.change(c);
    expect(watched.shares()).toContain("10.0.0.3:80 200");
  });

  test("who is used only because nobody is good, nor who was used so and is good now", () => {
    const watched = world();
    for (const address of ["10.0.0.1:80", "10.0.0.2:80"]) {
      watched.at(address).stand({ check: "unhealthy" });
      watched.web.refresh();
    }
    expect(watched.web.usable.some((each) => isGood(each))).toBe(false);
    expect(watched.shares()).toBe("10.0.0.1:80 100, 10.0.0.2:80 100");
    watched.at("10.0.0.1:80").stand({ check: "healthy" });
    watched.web.refresh();
    expect(watched.shares()).toBe("10.0.0.1:80 100");
    watched.at("10.0.0.2:80").stand({ check: "healthy" });
    watched.web.refresh();
    expect(watched.shares()).toBe("10.0.0.1:80 100, 10.0.0.2:80 10");
  });
});

test("keys stay where they are while a backend of a ring starts slowly", () => {
  const watched = world(web({ slowStartMs: 10_000 }, Policy.RingHash));
  watched.change(c);
  const owners = (): string[] =>
    Array.from({ length: 200 }, (_, hash) => {
      const question = { random: () => 0, nowMs: 0, hash: hash * 7_919, tried: [], triedCount: 0 };
      return watched.web.picker.peek(question)!.address;
    });
  const before = owners();
  watched.advance(5_000);
  expect(owners()).toEqual(before);
  expect(before.filter((address) => address === "10.0.0.3:80").length).toBeGreaterThan(60);
});
