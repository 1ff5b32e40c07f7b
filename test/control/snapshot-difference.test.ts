// Goal: what differs between two tables is named, whatever it is that differs, and nothing else.
// Method: one entry of each kind, and every way in which it can be another.

import { expect, test } from "vitest";
import { differenceOf } from "../../src/control/snapshot-difference.ts";
import type { Snapshot } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";

const web = { name: parseServiceName("web"), policy: undefined };
const backend = { ...backendOf("web", "10.0.0.1:80"), joined: parseRevision(3) };
const route = routeOf("web", "a.io");

function tableOf(parts: Partial<Snapshot>): Snapshot {
  return {
    revision: parseRevision(9),
    routes: [route],
    services: [web],
    backends: [backend],
    ...parts,
  };
}

test.for<readonly [string, Partial<Snapshot>]>([
  ["a service's options", { services: [{ ...web, options: { slowStartMs: 1_000 } }] }],
  [
    "a pause",
    { services: [{ ...web, options: { pause: { queue: 1, queueMs: 100, sinceMs: 1 } } }] },
  ],
  ["a backend's weight", { backends: [{ ...backend, weight: 7 }] }],
  ["a backend's age", { backends: [{ ...backend, joined: parseRevision(4) }] }],
  ["a drain", { backends: [{ ...backend, drain: { state: "draining", deadlineMs: 1 } }] }],
  [
    "how much a drain cut",
    { backends: [{ ...backend, drain: { state: "drained", deadlineMs: 1, cut: 1 } }] },
  ],
  ["a route's retry", { routes: [{ ...route, options: { retry: { tries: 2 } } }] }],
  ["a route's revision", { routes: [{ ...route, revision: parseRevision(4) }] }],
])("%s is a difference", ([, parts]) => {
  const [from, to] = [tableOf({}), tableOf(parts)];
  const [kind = "routes"] = Object.keys(parts);
  const put = {
    routes: { kind: "route-put", route: to.routes[0] },
    services: { kind: "service-put", service: to.services[0] },
    backends: { kind: "backend-put", backend: to.backends[0] },
  };
  expect(differenceOf(from, to)).toEqual([put[kind as keyof typeof put]]);
  expect(differenceOf(to, structuredClone(to))).toEqual([]);
});

test("what is gone is removed", () => {
  const { service, address } = backend;
  const empty = tableOf({ routes: [], services: [], backends: [] });
  expect(differenceOf(tableOf({}), empty)).toEqual([
    { kind: "route-removed", name: "web" },
    { kind: "service-removed", name: "web" },
    { kind: "backend-removed", service, address },
  ]);
});
