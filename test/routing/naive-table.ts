// The routing rules in the fewest lines: a list that is searched from one end to the other. What
// RouteTable must agree with, written without looking at it.

import type { Change } from "../../src/model/change.ts";
import { type Route, servicesOf } from "../../src/model/route.ts";

export class NaiveTable {
  readonly routes: readonly Route[];
  /** "service address" to weight. */
  readonly backends: ReadonlyMap<string, number>;
  readonly settings: ReadonlyMap<string, string>;

  constructor(
    routes: readonly Route[] = [],
    backends: ReadonlyMap<string, number> = new Map(),
    settings: ReadonlyMap<string, string> = new Map(),
  ) {
    this.routes = routes;
    this.backends = backends;
    this.settings = settings;
  }

  /** The table after the change, or undefined when two routes would have one match. */
  after(changes: readonly Change[]): NaiveTable | undefined {
    let routes = [...this.routes];
    const backends = new Map(this.backends);
    const settings = new Map(this.settings);
    for (const change of changes) {
      if (change.kind === "route-put" || change.kind === "route-removed") {
        const name = change.kind === "route-put" ? change.route.name : change.name;
        routes = routes.filter((route) => route.name !== name);
      }
      if (change.kind === "route-put") routes.push(change.route);
      if (change.kind === "backend-put") {
        const { service, address, weight } = change.backend;
        backends.set(`${service} ${address}`, weight);
      }
      if (change.kind === "backend-removed") backends.delete(`${change.service} ${change.address}`);
      if (change.kind === "service-put") {
        settings.set(change.service.name, change.service.policy ?? "least-loaded");
      }
      if (change.kind === "service-removed") settings.delete(change.name);
    }
    const matches = new Set(routes.map((route) => JSON.stringify(route.match)));
    return matches.size === routes.length ? new NaiveTable(routes, backends, settings) : undefined;
  }

  matchHttp(host: string, path: string): Route | undefined {
    return this.routes
      .flatMap((route) => {
        const score = route.match.kind === "http" ? scoreOf(route.match, host, path) : undefined;
        return score === undefined ? [] : [{ route, score }];
      })
      .toSorted((a, b) => b.score - a.score)[0]?.route;
  }

  matchTcp(port: number): Route | undefined {
    return this.routes.find(({ match }) => match.kind === "tcp" && match.port === port);
  }

  serviceNames(): string[] {
    const ofBackends = [...this.backends.keys()].map((key) => key.split(" ")[0]!);
    const ofRoutes = this.routes.flatMap((route) => servicesOf(route));
    return [...new Set([...ofRoutes, ...ofBackends, ...this.settings.keys()])].toSorted();
  }

  /** [address, number of backends that have it]. */
  addresses(): [string, number][] {
    const counts = new Map<string, number>();
    for (const key of this.backends.keys()) {
      const address = key.split(" ")[1]!;
      counts.set(address, (counts.get(address) ?? 0) + 1);
    }
    return [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1));
  }
}

/** Larger is more specific: the domain first, then the path. Undefined: does not match. */
function scoreOf(
  match: { readonly domain: string; readonly pathPrefix: string },
  host: string,
  path: string,
): number | undefined {
  const prefix = match.pathPrefix === "/" ? [] : match.pathPrefix.split("/");
  const segments = path.split("/");
  if (!prefix.every((segment, i) => segment === segments[i])) return undefined;
  const labels = host.split(".").toReversed();
  const wanted = match.domain.split(".").toReversed();
  const isWild = wanted.at(-1) === "*";
  if (match.domain !== "*") {
    const fixed = isWild ? wanted.slice(0, -1) : wanted;
    if (!fixed.every((label, i) => label === labels[i])) return undefined;
    const rest = labels.slice(fixed.length);
    if (isWild ? rest.length === 0 || rest.includes("") : rest.length > 0) return undefined;
  }
  const domainScore = isWild ? wanted.length : 1_000;
  return domainScore * 10_000 + prefix.length;
}
