// Which ports the TCP routes of the table want. Costs as much as what changes.

import type { Change } from "../model/change.ts";
import type { RouteName } from "../model/names.ts";
import type { Route } from "../model/route.ts";

export class RoutePorts {
  readonly #portOfRoute = new Map<RouteName, number>();
  readonly #routesOfPort = new Map<number, Set<RouteName>>();

  /** Answers the ports whose routes changed; look at each once all changes are in. */
  apply(changes: Iterable<Change>): ReadonlySet<number> {
    const touched = new Set<number>();
    for (const change of changes) {
      if (change.kind === "route-put") this.#put(change.route, touched);
      else if (change.kind === "route-removed") this.#remove(change.name, touched);
    }
    return touched;
  }

  /** Some route wants the port. */
  has(port: number): boolean {
    return this.#routesOfPort.has(port);
  }

  routesOf(port: number): readonly RouteName[] {
    return [...(this.#routesOfPort.get(port) ?? [])];
  }

  #put({ name, match }: Route, touched: Set<number>): void {
    const port = match.kind === "tcp" ? match.port : undefined;
    if (this.#portOfRoute.get(name) === port) return;
    this.#remove(name, touched);
    if (port === undefined) return;
    this.#portOfRoute.set(name, port);
    const routes = this.#routesOfPort.get(port) ?? new Set();
    this.#routesOfPort.set(port, routes.add(name));
    touched.add(port);
  }

  #remove(name: RouteName, touched: Set<number>): void {
    const port = this.#portOfRoute.get(name);
    if (port === undefined) return;
    this.#portOfRoute.delete(name);
    const routes = this.#routesOfPort.get(port);
    routes?.delete(name);
    if (routes?.size === 0) this.#routesOfPort.delete(port);
    touched.add(port);
  }
}
