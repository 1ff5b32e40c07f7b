// Goal: an operator reads why a request gets its backend, and why the others get nothing.
// Method: whole explanations, word for word; the backend named is the one that a worker's pick with the same hash is.

import { expect, test } from "vitest";
import { parseIp } from "../../src/model/ip-address.ts";
import { Policy } from "../../src/model/service.ts";
import type { HashKey, ServiceOptions } from "../../src/model/service-options.ts";
import { explainChoice, unusedShownMax } from "../../src/routing/explain-choice.ts";
import { hashText, hashWords } from "../../src/routing/key-hash.ts";
import { askedBy } from "../support/picks.ts";
import { WatchedTable, web, zonedBackend } from "../support/watched-table.ts";
import { asking } from "./changes.ts";

const three = ["10.0.0.1:80 a", "10.0.0.2:80 b", "10.0.0.3:80 b"];

function world(
  options: ServiceOptions,
  policy: Policy = Policy.RingHash,
  zone = "a",
  backends = three,
): WatchedTable {
  const watched = new WatchedTable(zone);
  watched.replace(web(options, policy), ...backends.map((text) => zonedBackend(text)));
  return watched;
}

function explained({ web: service }: WatchedTable, asked = asking("a.com", "/p?q=1"), draw = 0) {
  const steps: string[] = [];
  const backend = explainChoice(service, asked, false, steps, () => draw);
  return { backend, steps };
}

const rest = { headers: { "X-User": " ann", Cookie: "a=1; sid=abc" }, clientAddress: "192.0.2.1" };
const hex = (hash: number): string => (hash >>> 0).toString(16).padStart(8, "0");
const client = hashWords(parseIp("192.0.2.1")!);

const keyed: readonly (readonly [string, HashKey | undefined, number, readonly string[]])[] = [
  ["the client's address", undefined, client, []],
  ["the path", { kind: "path" }, hashText("/p"), []],
  ["header x-user", { kind: "header", name: "x-user" }, hashText("ann"), []],
  ["cookie sid", { kind: "cookie", name: "sid" }, hashText("abc"), []],
  ["cookie other", { kind: "cookie", name: "other" }, client, ["cookie other"]],
  ["header other", { kind: "header", name: "other" }, client, ["header other"]],
];

test.for(keyed)("a ring by %s names what the worker would pick", ([by, hashKey, hash, missing]) => {
  const watched = world(hashKey === undefined ? {} : { hashKey });
  const { backend, steps } = explained(watched, asking("a.com", "/p?q=1", rest));
  expect(backend).toBe(watched.web.picker.pick(askedBy(hash, () => 0)));
  const counts = missing.map((key) => `${key} is not there: the client's address counts`);
  const of = missing.length === 0 ? by : "the client's address";
  expect(steps).toEqual([
    `service web picks among 3 backends by ring-hash on ${by}`,
    ...counts,
    `the hash of ${of} is ${hex(hash)}`,
    `backend ${backend!.address}, weight 100, 0 in flight`,
  ]);
});

test("a ring whose client is not known draws one", () => {
  expect(explained(world({})).steps).toContain("the client's address is not said: one is drawn");
  const steps: string[] = [];
  explainChoice(world({ hashKey: { kind: "path" } }).web, undefined, true, steps, () => 0.5);
  expect(steps.slice(1, 3)).toEqual([
    "the client's address is not said: one is drawn",
    "the route is sticky: a valid cookie's backend would come first",
  ]);
});

test("of each backend that gets nothing it says why", () => {
  const watched = world({}, Policy.Random);
  watched.at("10.0.0.2:80").stand({ check: "unhealthy", checkReason: "status 500" });
  watched.at("10.0.0.3:80").stand({ draining: true });
  watched.web.refresh();
  expect(explained(watched).steps).toEqual([
    "service web picks among 3 backends by random",
    "backend 10.0.0.2:80 gets nothing: unhealthy: status 500",
    "backend 10.0.0.3:80 gets nothing: it is draining",
    "backend 10.0.0.1:80, weight 100, 0 in flight",
  ]);
});

test("that all are used because none is good", () => {
  const watched = world({}, Policy.Leader, "a", three.slice(0, 2));
  for (const { address } of watched.web.backends) {
    watched.at(address).stand({ check: "unhealthy", checkReason: "no answer" });
  }
  watched.web.refresh();
  expect(explained(watched).steps).toEqual([
    "service web picks among 2 backends by leader",
    "backend 10.0.0.1:80 is not good: unhealthy: no answer",
    "backend 10.0.0.2:80 is not good: unhealthy: no answer",
    "no backend is good: all are used that do not leave",
    "backend 10.0.0.1:80, weight 100, 0 in flight",
  ]);
});

test("that nobody can be used", () => {
  const watched = world({}, Policy.Leader, "a", three.slice(0, 1));
  watched.at("10.0.0.1:80").stand({ draining: true });
  watched.web.refresh();
  const { backend, steps } = explained(watched);
  expect(backend).toBeUndefined();
  expect(steps.at(-1)).toBe("backend 10.0.0.1:80 gets nothing: it is draining");
});

test("it names no more of them than a person reads", () => {
  const many = Array.from({ length: unusedShownMax + 6 }, (_, i) => `10.0.1.${i}:80`);
  const watched = world({}, Policy.Random, "a", many);
  for (const address of many.slice(1)) watched.at(address).stand({ draining: true });
  watched.web.refresh();
  const { steps } = explained(watched);
  expect(steps.filter((step) => step.includes("gets nothing:"))).toHaveLength(unusedShownMax);
  expect(steps).toContain("5 more backends get nothing");
});

const zone = { zone: { usablePercentMin: 70 } };
const zones: readonly (readonly [string, string, readonly string[], string])[] = [
  ["a", "a", [], "1 of those that are used are in this node's zone, a: all requests stay there"],
  [
    "b",
    "b",
    ["10.0.0.2:80"],
    "1 of those that are used are in this node's zone, b: 71.4 % of them stay there",
  ],
  [
    "a without a backend that works",
    "a",
    ["10.0.0.1:80"],
    "no backend of this node's zone, a, can be used: those of other zones are",
  ],
  ["b alone", "b", ["10.0.0.1:80"], "all backends that are used are in this node's zone, b"],
  ["none", "", [], "this node has no zone: those of its backends make no difference"],
];

test.for(zones)("how zones count: %s", ([, of, failing, says]) => {
  const watched = world(zone, Policy.Random, of);
  for (const address of failing) watched.at(address).stand({ check: "unhealthy" });
  watched.web.refresh();
  expect(explained(watched).steps.at(-2)).toBe(says);
});

test("that zones make no difference to who leads", () => {
  expect(explained(world(zone, Policy.Leader)).steps).toHaveLength(2);
});

test("that a backend starts slowly", () => {
  const watched = world({ slowStartMs: 10_000 }, Policy.Random);
  watched.change(zonedBackend("10.0.0.4:80", 200));
  watched.advance(1_000);
  expect(explained(watched, undefined, 0.999).steps.at(-1)).toBe(
    "backend 10.0.0.4:80, weight 200, starting slowly at 38.0, 0 in flight",
  );
});
