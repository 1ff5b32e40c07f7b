// Goal: each step of a drain and of a pause does what it says on the table of that moment, and nothing the second time.

import { expect, test } from "vitest";
import { type LeavingDraft, planLeaving } from "../../src/control/leaving-plan.ts";
import type { BackendDrain } from "../../src/model/backend.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Policy, type Service } from "../../src/model/service.ts";
import type { Pause } from "../../src/model/service-options.ts";
import { Table } from "../../src/model/table.ts";
import { backendOf } from "../support/table-fixtures.ts";

const web = backendOf("web", "10.0.0.7:80");
const { service, address } = web;
const name = parseServiceName("web");
const missing = new RouterError("not-found", "there is none");

const draining = (deadlineMs: number): BackendDrain => ({ state: "draining", deadlineMs });
const drained: BackendDrain = { state: "drained", deadlineMs: 5, cut: 2 };

test.for([
  ["begins", undefined, 9, draining(9)],
  ["is shortened", draining(20), 9, draining(9)],
  ["is not prolonged", draining(5), 9, undefined],
  ["is not begun again once it has ended", drained, 1, undefined],
] as const)("a drain %s", ([, before, deadlineMs, after]) => {
  const existing = before === undefined ? web : { ...web, drain: before };
  const draft: LeavingDraft = { kind: "drain-backend", service, address, deadlineMs };
  const { change } = planLeaving(draft, new Table(), 0, () => existing);
  const expected = after && { kind: "backend-put", backend: { ...web, drain: after } };
  expect(change).toEqual(expected);
});

test("what drains has no TTL any more: its end must not come before", () => {
  const existing = { ...web, ttlMs: 5_000 };
  const draft: LeavingDraft = { kind: "drain-backend", service, address, deadlineMs: 60_000 };
  const { change } = planLeaving(draft, new Table(), 0, () => existing);
  const backend = { ...web, ttlMs: undefined, drain: draining(60_000) };
  expect(change).toEqual({ kind: "backend-put", backend });
});

test("only what drains ends, only what has ended is removed, and what is gone is no error", () => {
  const end: LeavingDraft = { kind: "end-drain", service, address, cut: 2 };
  const remove: LeavingDraft = { kind: "remove-drained", service, address };
  const outcomes = [undefined, draining(5), drained].map((drain) => {
    const existing = drain === undefined ? web : { ...web, drain };
    return [end, remove].map((one) => planLeaving(one, new Table(), 0, () => existing).action);
  });
  expect(outcomes).toEqual([
    ["none", "none"],
    ["update", "none"],
    ["none", "delete"],
  ]);
  for (const one of [end, remove]) {
    expect(planLeaving(one, new Table(), 0, () => missing)).toEqual({ action: "none" });
  }
  const begin: LeavingDraft = { kind: "drain-backend", service, address, deadlineMs: 1 };
  expect(() => planLeaving(begin, new Table(), 0, () => missing)).toThrow(missing);
});

const tableWith = (settings?: Service): Table =>
  Table.of({
    revision: parseRevision(1),
    routes: [],
    services: settings === undefined ? [] : [settings],
    backends: [web],
  });
const pauseOf = (pause: Partial<Pause> = {}): Pause => ({
  queue: 10,
  queueMs: 500,
  sinceMs: 7,
  ...pause,
});
const pausing: LeavingDraft = {
  kind: "pause-service",
  name,
  pause: { queue: 10, queueMs: 500 },
  field: "service",
};
const resuming: LeavingDraft = { kind: "resume-service", name, field: "service" };
const plan = (draft: LeavingDraft, settings?: Service): unknown =>
  planLeaving(draft, tableWith(settings), 7, () => missing).change;

test.for([
  ["nothing", undefined, { name, policy: undefined, options: { pause: pauseOf({ made: true }) } }],
  [
    "a policy",
    { name, policy: Policy.Random },
    { name, policy: Policy.Random, options: { pause: pauseOf() } },
  ],
  [
    "more options",
    { name, policy: undefined, options: { slowStartMs: 5 } },
    { name, policy: undefined, options: { slowStartMs: 5, pause: pauseOf() } },
  ],
] as const)("a pause of a service that says %s is taken away again", ([, before, paused]) => {
  expect(plan(pausing, before)).toEqual({ kind: "service-put", service: paused });
  const after =
    before === undefined
      ? { kind: "service-removed", name }
      : { kind: "service-put", service: before };
  expect(plan(resuming, paused)).toEqual(after);
  expect(plan(resuming, before)).toBeUndefined();
});

test("paused again it changes its bounds, and says since when it has been", () => {
  const paused: Service = {
    name,
    policy: undefined,
    options: { pause: pauseOf({ made: true, sinceMs: 3 }) },
  };
  expect(plan(pausing, paused)).toBeUndefined();
  expect(plan({ ...pausing, pause: { queue: 11, queueMs: 500 } }, paused)).toMatchObject({
    service: { options: { pause: { queue: 11, sinceMs: 3, made: true } } },
  });
});

test("a service that nothing names is not found", () => {
  for (const draft of [pausing, resuming]) {
    expect(() => planLeaving(draft, new Table(), 0, () => missing)).toThrow('no service "web"');
  }
});
