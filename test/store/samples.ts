// Routes, services and backends for the stores' tests.

import { parseAddress } from "../../src/model/address.ts";
import { type Backend, backendKeyOf } from "../../src/model/backend.ts";
import type { Change, ChangeSet, Snapshot } from "../../src/model/change.ts";
import {
  parseDomain,
  parsePathPrefix,
  parseRouteName,
  parseServiceName,
} from "../../src/model/names.ts";
import { parseRevision, revisionZero } from "../../src/model/revision.ts";
import type { Route } from "../../src/model/route.ts";
import type { Store } from "../../src/store/store.ts";

export function routeNamed(name: string, parts: Partial<Route> = {}): Route {
  return {
    name: parseRouteName(name),
    match: {
      kind: "http",
      domain: parseDomain(`${name}.example.com`),
      pathPrefix: parsePathPrefix("/"),
    },
    service: parseServiceName("web"),
    sticky: false,
    labels: {},
    revision: revisionZero,
    matchRevision: parseRevision(1),
    createTimeMs: 1_790_000_000_000,
    updateTimeMs: 1_790_000_000_000,
    ...parts,
  };
}

export function backendAt(address: string, parts: Partial<Backend> = {}): Backend {
  return {
    service: parseServiceName("web"),
    address: parseAddress(address),
    weight: 100,
    labels: {},
    ttlMs: undefined,
    ...parts,
  };
}

export function putRoute(name: string, parts: Partial<Route> = {}): Change {
  return { kind: "route-put", route: routeNamed(name, parts) };
}

export function removeRoute(name: string): Change {
  return { kind: "route-removed", name: parseRouteName(name) };
}

export function putBackend(address: string, parts: Partial<Backend> = {}): Change {
  return { kind: "backend-put", backend: backendAt(address, parts) };
}

/** Commits at whatever revision the store is. */
export async function put(store: Store, ...changes: readonly Change[]) {
  const { revision } = await store.read();
  return store.commit({ expected: revision, changes });
}

/** The first `count` ChangeSets after `after`; fewer when the watch ends. */
export async function take(store: Store, after: ChangeSet["revision"], count: number) {
  const taken: ChangeSet[] = [];
  const stop = new AbortController();
  if (count === 0) return taken;
  for await (const changeSet of store.watch(after, stop.signal)) {
    taken.push(changeSet);
    if (taken.length === count) break;
  }
  stop.abort();
  return taken;
}

/** All that a watch yields before it ends. */
export async function collect(watch: AsyncIterable<ChangeSet>): Promise<ChangeSet[]> {
  const changeSets: ChangeSet[] = [];
  for await (const changeSet of watch) changeSets.push(changeSet);
  return changeSets;
}

/** Two tables with the same content are equal in this form. */
export function sorted(snapshot: Snapshot): Snapshot {
  return {
    revision: snapshot.revision,
    routes: snapshot.routes.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    services: snapshot.services.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    backends: snapshot.backends.toSorted((a, b) => (backendKeyOf(a) < backendKeyOf(b) ? -1 : 1)),
  };
}
