// The routing rules in the fewest lines: a list that is searched from one end to the other. What
// RouteTable must agree with, written without looking at it.

import type { Change } from "../../src/model/change.ts";
import type { ValueCondition } from "../../src/model/conditions.ts";
import { type HttpMatch, type Route, servicesOf } from "../../src/model/route.ts";

/** As a client sends it. */
export interface NaiveRequest {
  readonly host: string;
  /** The path, and behind a "?" the query. */
  readonly target: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
}

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

  matchHttp(request: NaiveRequest): Route | undefined {
    return this.routes
      .flatMap((route) => {
        const score = route.match.kind === "http" ? scoreOf(route.match, request) : undefined;
        return score === undefined ? [] : [{ route, score: [...score, 0 - route.matchRevision] }];
      })
      .toSorted((a, b) => before(a.score, b.score) || (a.route.name < b.route.name ? -1 : 1))[0]
      ?.route;
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

/** Below 0: the first that differs is larger in `a`. */
function before(a: readonly number[], b: readonly number[]): number {
  const position = a.findIndex((score, i) => score !== b[i]);
  return position < 0 ? 0 : b[position]! - a[position]!;
}

/** What counts first stands first, larger comes before. Undefined: does not match. */
function scoreOf(match: HttpMatch, request: NaiveRequest): number[] | undefined {
  const { methods = [], headers = [], query = [] } = match.when ?? {};
  const [path = "", queryText] = request.target.split(/\?(.*)/s);
  const domain = domainScoreOf(match.domain, request.host);
  const length = pathScoreOf(match, path);
  const fields = Object.entries(request.headers).map(([name, value]) => [
    name.toLowerCase(),
    value,
  ]);
  const parameters = (queryText ?? "")
    .split("&")
    .map((parameter) => parameter.split(/=(.*)/s))
    .map(([name = "", value = ""]) => [name, value]);
  const holds =
    (methods.length === 0 || methods.includes(request.method)) &&
    headers.every((one) => isMet(one, fields)) &&
    query.every((one) => isMet(one, parameters));
  if (domain === undefined || length === undefined || !holds) return undefined;
  return [domain, length, methods.length > 0 ? 1 : 0, headers.length, query.length];
}

function isMet(
  { name, op, value }: ValueCondition,
  values: readonly (readonly string[])[],
): boolean {
  const own = values.filter(([other]) => other === name).map(([, text = ""]) => text);
  if (op === "absent") return own.length === 0;
  if (op === "present") return own.length > 0;
  return own.some((one) => (op === "exact" ? one === value : one.startsWith(value)));
}

function domainScoreOf(domain: string, host: string): number | undefined {
  const labels = host.split(".").toReversed();
  const wanted = domain.split(".").toReversed();
  const isWild = wanted.at(-1) === "*";
  if (domain !== "*") {
    const fixed = isWild ? wanted.slice(0, -1) : wanted;
    if (!fixed.every((label, i) => label === labels[i])) return undefined;
    const rest = labels.slice(fixed.length);
    if (isWild ? rest.length === 0 || rest.includes("") : rest.length > 0) return undefined;
  }
  return isWild ? wanted.length : 1_000;
}

function pathScoreOf({ pathPrefix, exactPath }: HttpMatch, path: string): number | undefined {
  if (exactPath !== undefined) return exactPath === path ? 10_000 : undefined;
  const prefix = pathPrefix === "/" ? [] : pathPrefix.split("/");
  const segments = path.split("/");
  return prefix.every((segment, i) => segment === segments[i]) ? prefix.length : undefined;
}
