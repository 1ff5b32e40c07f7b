// Goal: what is open at a backend is cut when its drain has ended, however a worker hears of it, and never by a mere
// removal; its idle connections go as soon as it drains.

import { expect, test } from "vitest";
import type { Backend, BackendDrain } from "../../src/model/backend.ts";
import type { Change } from "../../src/model/change.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { Endpoint } from "../../src/routing/backend-state.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { Drains, leavingOf } from "../../src/worker/drains.ts";
import { backendOf } from "../support/table-fixtures.ts";

const web = backendOf("web", "10.0.0.7:80");
const other = backendOf("web", "10.0.0.8:80");
const put = (backend: Backend, drain?: BackendDrain): Change => ({
  kind: "backend-put",
  backend: drain === undefined ? backend : { ...backend, drain },
});
const draining: BackendDrain = { state: "draining", deadlineMs: 1_000 };
const drained: BackendDrain = { state: "drained", deadlineMs: 1_000, cut: 1 };
const removed: Change = { kind: "backend-removed", service: web.service, address: web.address };

class Bench {
  nowMs = 0;
  readonly closed: string[] = [];
  readonly cut: string[] = [];
  readonly #context: ConstructorParameters<typeof Drains>[0] & { table: RouteTable };
  readonly #drains: Drains;
  #revision = 1;

  constructor() {
    this.#context = {
      table: tableOf([put(web), put(other)]),
      pool: { close: ({ address }: Endpoint) => void this.closed.push(address) } as never,
      wallMs: () => this.nowMs,
    };
    this.#drains = new Drains(this.#context, {
      cutAt: ({ endpoint }) => void this.cut.push(endpoint.address),
    });
    this.open(1);
  }

  /** So much is open at `web`. */
  open(inFlight: number): void {
    this.#context.table.service("web")!.backendAt(web.address)!.inFlight = inFlight;
  }

  /** As the worker does with a delta. */
  delta(...changes: Change[]): void {
    const prepared = this.#context.table.prepare(changes, parseRevision(++this.#revision));
    const leaving = leavingOf(changes);
    const over = this.#drains.over(leaving);
    prepared.apply();
    this.#drains.changed(leaving, over);
  }

  /** As the worker does with a whole table. */
  snapshot(...changes: Change[]): void {
    this.#context.table = tableOf(changes, this.#context.table);
    this.#drains.replaced(leavingOf(changes));
  }
}

function tableOf(changes: readonly Change[], previous?: RouteTable): RouteTable {
  const builder = RouteTable.build();
  builder.add(changes);
  return builder.finish(parseRevision(1), previous);
}

test("a backend that drains loses its idle connections, and nothing that is open", () => {
  const bench = new Bench();
  bench.delta(put(web, draining));
  expect([bench.closed, bench.cut]).toEqual([[web.address], []]);
});

test.for([
  ["told by itself", (bench: Bench) => bench.delta(put(web, drained))],
  ["told with its removal", (bench: Bench) => bench.delta(put(web, drained), removed)],
  ["told in a whole table", (bench: Bench) => bench.snapshot(put(web, drained), put(other))],
] as const)("the end of a drain cuts, %s", ([, end]) => {
  const bench = new Bench();
  bench.delta(put(web, draining));
  end(bench);
  expect(bench.cut).toEqual([web.address]);
});

test.for([
  ["by a delta", (bench: Bench) => bench.delta(removed)],
  ["by a whole table", (bench: Bench) => bench.snapshot(put(other))],
] as const)("a removal cuts only what should have ended before, %s", ([, remove]) => {
  const plain = new Bench();
  remove(plain);
  const early = new Bench();
  early.delta(put(web, draining));
  early.nowMs = 999;
  remove(early);
  const late = new Bench();
  late.delta(put(web, draining));
  late.nowMs = 1_000;
  remove(late);
  expect([plain.cut, early.cut, late.cut]).toEqual([[], [], [web.address]]);
});

test("a drain that ends with nothing open walks over no connection", () => {
  const bench = new Bench();
  bench.delta(put(web, draining));
  bench.open(0);
  bench.delta(put(web, drained));
  expect(bench.cut).toEqual([]);
});

test("a backend that came back is not cut for a drain of before", () => {
  const bench = new Bench();
  bench.delta(put(web, draining));
  bench.delta(put(web));
  bench.nowMs = 5_000;
  bench.delta(removed);
  expect(bench.cut).toEqual([]);
});
