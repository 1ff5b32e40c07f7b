// A table of routes, services and backends with the indexes that questions about it need.
// Every operation costs as much as what it names, whatever the size of the table.

import type { Address } from "./address.ts";
import type { Backend } from "./backend.ts";
import type { Change, ChangeSet, Snapshot } from "./change.ts";
import { ChurnMap, type ReadonlyChurnMap } from "./churn-map.ts";
import { assert, unreachable } from "./errors.ts";
import type { RouteName, ServiceName } from "./names.ts";
import { type Revision, revisionZero } from "./revision.ts";
import { type MatchKey, matchKeyOf, type Route, servicesOf } from "./route.ts";
import type { Service } from "./service.ts";

const noBackends: ReadonlyChurnMap<Address, Backend> = new ChurnMap();
const noRoutes: ReadonlyChurnMap<RouteName, Route> = new ChurnMap();

/**
 * The table as one owner sees it, patched in place by ChangeSets in the order of their revisions.
 *
 * Invariant: `revision` never goes back; it stays where it is for a change that no store made
 * (discovered backends). Removing what is not there is harmless.
 * Within one ChangeSet a match or a port may change hands; no thing is named twice, and when it is
 * applied no two routes have one match.
 */
export class Table {
  revision: Revision = revisionZero;
  readonly #routes = new ChurnMap<RouteName, Route>();
  readonly #routeOfMatch = new ChurnMap<MatchKey, Route>();
  readonly #routesOfService = new ChurnMap<ServiceName, ChurnMap<RouteName, Route>>();
  readonly #services = new ChurnMap<ServiceName, Service>();
  readonly #backends = new ChurnMap<ServiceName, ChurnMap<Address, Backend>>();
  #backendCount = 0;

  static of(snapshot: Snapshot): Table {
    const table = new Table();
    for (const route of snapshot.routes) table.#put({ kind: "route-put", route });
    for (const service of snapshot.services) table.#put({ kind: "service-put", service });
    for (const backend of snapshot.backends) table.#put({ kind: "backend-put", backend });
    table.revision = snapshot.revision;
    return table;
  }

  get routeCount(): number {
    return this.#routes.size;
  }
  get backendCount(): number {
    return this.#backendCount;
  }

  route(name: RouteName): Route | undefined {
    return this.#routes.get(name);
  }
  /** The route that holds this match, if any. */
  routeOfMatch(key: MatchKey): Route | undefined {
    return this.#routeOfMatch.get(key);
  }
  routes(): IterableIterator<Route> {
    return this.#routes.values();
  }
  routesOfService(name: ServiceName): ReadonlyChurnMap<RouteName, Route> {
    return this.#routesOfService.get(name) ?? noRoutes;
  }
  /** A service's settings; undefined when it has none (it may exist all the same). */
  service(name: ServiceName): Service | undefined {
    return this.#services.get(name);
  }
  /** Services with settings. */
  services(): IterableIterator<Service> {
    return this.#services.values();
  }
  /** Every service that settings, a route or a backend name. */
  serviceNames(): Set<ServiceName> {
    return new Set([
      ...this.#services.keys(),
      ...this.#routesOfService.keys(),
      ...this.#backends.keys(),
    ]);
  }
  backendsOf(service: ServiceName): ReadonlyChurnMap<Address, Backend> {
    return this.#backends.get(service) ?? noBackends;
  }
  *backends(): IterableIterator<Backend> {
    for (const ofService of this.#backends.values()) yield* ofService.values();
  }

  /** Applies one write whole. */
  apply(changeSet: ChangeSet): void {
    assert(changeSet.revision >= this.revision, "revisions only grow");
    for (const change of changeSet.changes) this.#put(change);
    this.revision = changeSet.revision;
  }

  snapshot(): Snapshot {
    return {
      revision: this.revision,
      routes: [...this.#routes.values()],
      services: [...this.#services.values()],
      backends: [...this.backends()],
    };
  }

  #put(change: Change): void {
    switch (change.kind) {
      case "route-put":
        this.#removeRoute(change.route.name);
        this.#routes.set(change.route.name, change.route);
        this.#routeOfMatch.set(matchKeyOf(change.route.match), change.route);
        for (const service of servicesOf(change.route)) {
          innerOf(this.#routesOfService, service).set(change.route.name, change.route);
        }
        return;
      case "route-removed":
        return this.#removeRoute(change.name);
      case "service-put":
        this.#services.set(change.service.name, change.service);
        return;
      case "service-removed":
        this.#services.delete(change.name);
        return;
      case "backend-put":
        this.#removeBackend(change.backend.service, change.backend.address);
        innerOf(this.#backends, change.backend.service).set(change.backend.address, change.backend);
        this.#backendCount++;
        return;
      case "backend-removed":
        return this.#removeBackend(change.service, change.address);
      default:
        unreachable(change);
    }
  }

  #removeRoute(name: RouteName): void {
    const route = this.#routes.get(name);
    if (route === undefined) return;
    this.#routes.delete(name);
    const key = matchKeyOf(route.match);
    if (this.#routeOfMatch.get(key)?.name === name) this.#routeOfMatch.delete(key);
    for (const service of servicesOf(route)) {
      const ofService = this.#routesOfService.get(service);
      ofService?.delete(name);
      if (ofService?.size === 0) this.#routesOfService.delete(service);
    }
  }

  #removeBackend(service: ServiceName, address: Address): void {
    const ofService = this.#backends.get(service);
    if (ofService?.has(address) !== true) return;
    ofService.delete(address);
    this.#backendCount--;
    if (ofService.size === 0) this.#backends.delete(service);
  }
}

function innerOf<K, L, V extends object>(map: ChurnMap<K, ChurnMap<L, V>>, key: K): ChurnMap<L, V> {
  let inner = map.get(key);
  if (inner === undefined) map.set(key, (inner = new ChurnMap()));
  return inner;
}
