// Goal: one backend works, the same for everybody; the next oldest steps in. Method: backends by age and address.

import { expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Policy } from "../../src/model/service.ts";
import { asked } from "../support/picks.ts";
import { WatchedTable, web, zonedBackend } from "../support/watched-table.ts";
import { backendRemoved } from "./changes.ts";

function joined(address: string, revision: number, weight = 100): Change {
  const put = zonedBackend(address, weight);
  if (put.kind !== "backend-put") return put;
  return { kind: "backend-put", backend: { ...put.backend, joined: parseRevision(revision) } };
}

function world(): WatchedTable {
  const watched = new WatchedTable();
  watched.replace(
    web({}, Policy.Leader),
    joined("10.0.0.4:80", 9),
    joined("10.0.0.3:80", 7, 1),
    joined("10.0.0.2:80", 9, 1_000),
  );
  return watched;
}

const leader = (watched: WatchedTable): string | undefined =>
  watched.web.picker.pick(asked(() => 0.9))?.address;

test("the oldest leads, whatever it weighs and in whatever order they came (TestServiceAge)", () => {
  const watched = world();
  expect(leader(watched)).toBe("10.0.0.3:80");
  watched.change(joined("10.0.0.1:80", 12));
  expect(leader(watched)).toBe("10.0.0.3:80");
});

test("the next oldest steps in while it cannot be used, of those that joined together the first by address", () => {
  const watched = world();
  watched.at("10.0.0.3:80").stand({ check: "unhealthy" });
  watched.web.refresh();
  expect(leader(watched)).toBe("10.0.0.2:80");
  watched.at("10.0.0.3:80").stand({ check: "healthy" });
  watched.web.refresh();
  expect(leader(watched)).toBe("10.0.0.3:80");
  watched.change(backendRemoved("web", "10.0.0.3:80"));
  expect(leader(watched)).toBe("10.0.0.2:80");
});

test("who was tried is followed by the next oldest", () => {
  const { backends, picker } = world().web;
  const tried = [...backends];
  const order = tried.map((_, i) => {
    const next = picker.pick(asked(() => 0, tried, i))!;
    tried[i] = next;
    return next.address;
  });
  expect(order).toEqual(["10.0.0.3:80", "10.0.0.2:80", "10.0.0.4:80"]);
});

test("of which the age is not known is older than all of which it is", () => {
  const watched = world();
  watched.change(zonedBackend("10.0.0.8:80"));
  expect(leader(watched)).toBe("10.0.0.8:80");
});
