// A table as a worker has it, under the test's hand: its clock, its zone, and who asked to be looked at again.

import type { Change } from "../../src/model/change.ts";
import { Policy as Policies, type Policy } from "../../src/model/service.ts";
import type { ServiceOptions } from "../../src/model/service-options.ts";
import type { BackendState } from "../../src/routing/backend-state.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import type { ServiceState, ServiceWatcher } from "../../src/routing/service-state.ts";
import { backend, rev, service } from "../routing/changes.ts";

export class WatchedTable implements ServiceWatcher {
  readonly zone: string;
  table: RouteTable;
  now: number;
  readonly waiting = new Set<ServiceState>();

  constructor(zone = "", now = 1_000) {
    this.zone = zone;
    this.now = now;
    this.table = RouteTable.build(this).finish(rev(0));
  }

  nowMs = (): number => this.now;

  joined(): void {}

  configured(): void {}

  restless(state: ServiceState): void {
    this.waiting.add(state);
  }

  /** A snapshot, one change a piece. */
  replace(...changes: readonly Change[]): void {
    const builder = RouteTable.build(this);
    for (const piece of changes) builder.add([piece]);
    this.table = builder.finish(rev(this.table.revision + 1), this.table);
  }

  change(...changes: readonly Change[]): void {
    this.table.prepare(changes, rev(this.table.revision + 1)).apply();
  }

  /** Time goes on, and those that asked for it are looked at. */
  advance(ms: number): void {
    this.now += ms;
    const due = [...this.waiting];
    this.waiting.clear();
    for (const state of due) state.refresh();
  }

  get web(): ServiceState {
    return this.table.service("web")!;
  }

  at(address: string): BackendState {
    return this.web.backendAt(address)!;
  }

  /** "10.0.0.1:80 100, 10.0.0.2:80 10", of those that are used. */
  shares(): string {
    return this.web.usable
      .map(({ address, share }) => `${address} ${Math.round(share * 10) / 10}`)
      .join(", ");
  }
}

export function web(
  options: ServiceOptions | undefined,
  policy: Policy = Policies.RoundRobin,
): Change {
  const put = service("web", policy);
  if (put.kind !== "service-put" || options === undefined) return put;
  return { kind: "service-put", service: { ...put.service, options } };
}

/** "10.0.0.1:80 a": of a zone. */
export function zonedBackend(text: string, weight = 100): Change {
  const [address = "", zone = ""] = text.split(" ");
  const put = backend("web", address, weight);
  if (put.kind !== "backend-put" || zone === "") return put;
  return { kind: "backend-put", backend: { ...put.backend, labels: { zone } } };
}
