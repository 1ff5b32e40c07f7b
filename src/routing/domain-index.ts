// HTTP routes by domain: exact, then the longest wildcard, then "*"; within each by path and conditions. A
// domain none of whose routes fits hands on to the next less specific one.
//
// Most domains have one route, for "/" and without conditions: then that route itself is the entry, and
// nothing is walked. Others have a PathList, and those with many routes a PathTable.

import { domainCharactersMax } from "../model/names.ts";
import type { HttpMatch } from "../model/route.ts";
import { CompiledRoute } from "./compiled-route.ts";
import { DomainMap } from "./domain-map.ts";
import { hostEndOf } from "./host.ts";
import { PathList } from "./path-list.ts";
import { PathTable } from "./path-table.ts";
import type { RequestFacts } from "./request-facts.ts";

type RoutesByPaths = PathList | PathTable;
type RoutesOfDomain = CompiledRoute | RoutesByPaths;

const dot = 0x2e;
/** Routes of a domain with a PathList: up to here, comparing them all costs no more than hashing the path. */
const listedRoutesMax = 8;

/** Where a request's bytes hold what it is matched by; the head of a request fits. */
export interface RequestPlace {
  /** The host as sent: case, a port and a trailing dot do not matter; as long as nothing when there is none. */
  readonly hostStart: number;
  readonly hostEnd: number;
  /** The path as sent, without query. */
  readonly targetStart: number;
  readonly pathEnd: number;
}

/** One domain pattern that covers a host, with its routes. */
export interface Candidate {
  readonly domain: string;
  /** All of them. */
  readonly routes: Iterable<CompiledRoute>;
  readonly routeCount: number;
  /** Those whose path fits, in the order in which they are asked; whether conditions hold is not asked. */
  readonly covering: readonly CompiledRoute[];
}

export class DomainIndex {
  readonly #exact = new DomainMap<RoutesOfDomain>();
  /** "*.example.com" under "example.com". */
  readonly #wildcards = new DomainMap<RoutesOfDomain>();
  /** "*" under "*"; a map like the others, so that all three are kept by the same lines. */
  readonly #any = new DomainMap<RoutesOfDomain>();
  /** What `#any` has: asked by every request that no domain covers. */
  #ofAny: RoutesOfDomain | undefined = undefined;
  /** Labels of the longest wildcard there ever was, "*" not counted: a host's longer parents are not looked up. */
  #labelsMax = 0;

  /** The route's match must be free. */
  put(match: HttpMatch, route: CompiledRoute): void {
    const { map, key } = this.#place(match.domain);
    if (map === this.#wildcards) this.#labelsMax = Math.max(this.#labelsMax, labelsOf(key));
    const held = map.get(key);
    if (held === undefined && isPlain(match)) map.set(key, route);
    else if (held === undefined) map.set(key, new PathList(route));
    else if (held instanceof PathTable) held.put(route);
    else map.set(key, withRoute(held, route));
    this.#ofAny = this.#any.get("*");
  }

  /** Harmless when it is not there. */
  remove({ domain }: HttpMatch, route: CompiledRoute): void {
    const { map, key } = this.#place(domain);
    const held = map.get(key);
    if (held === route) map.delete(key);
    else if (isByPaths(held)) {
      held.remove(route);
      if (held.size === 0) map.delete(key);
      else if (held.size === 1 && held.plainRoot !== undefined) map.set(key, held.plainRoot);
    }
    this.#ofAny = this.#any.get("*");
  }

  /** The route with exactly this match. */
  holder(match: HttpMatch): CompiledRoute | undefined {
    const { map, key } = this.#place(match.domain);
    const held = map.get(key);
    if (isByPaths(held)) return held.holder(match);
    return isPlain(match) ? held : undefined;
  }

  /** See RouteTable.matchHttp. */
  match(
    bytes: Uint8Array,
    { hostStart, hostEnd, targetStart, pathEnd }: RequestPlace,
    facts: RequestFacts,
  ): CompiledRoute | undefined {
    const nameEnd = hostEndOf(bytes, hostStart, hostEnd);
    const exact = this.#exact.find(bytes, hostStart, nameEnd);
    if (exact !== undefined) {
      const route = isByPaths(exact) ? exact.match(bytes, targetStart, pathEnd, facts) : exact;
      if (route !== undefined) return route;
    }
    if (this.#labelsMax > 0) {
      const route = this.#matchWildcard(bytes, hostStart, nameEnd, targetStart, pathEnd, facts);
      if (route !== undefined) return route;
    }
    const any = this.#ofAny;
    return isByPaths(any) ? any.match(bytes, targetStart, pathEnd, facts) : any;
  }

  /** Every domain pattern that covers the host, the most specific first. For explaining. */
  candidates(host: string, path: Uint8Array): Candidate[] {
    const candidates: Candidate[] = [];
    const add = (domain: string, held: RoutesOfDomain | undefined): void => {
      if (held === undefined) return;
      const isMany = isByPaths(held);
      candidates.push({
        domain,
        routes: isMany ? held.routes() : [held],
        routeCount: isMany ? held.size : 1,
        covering: isMany ? held.covering(path) : [held],
      });
    };
    add(host, this.#exact.get(host));
    for (let at = parentAt(host, 0); at > 0; at = parentAt(host, at)) {
      add(`*.${host.slice(at)}`, this.#wildcards.get(host.slice(at)));
    }
    add("*", this.#ofAny);
    return candidates;
  }

  /**
   * A wildcard stands for one or more labels, so an empty label ends the search; and so does a host that is
   * longer than any domain: a client must not make us hash thousands of parents.
   */
  #matchWildcard(
    bytes: Uint8Array,
    start: number,
    end: number,
    targetStart: number,
    pathEnd: number,
    facts: RequestFacts,
  ): CompiledRoute | undefined {
    if (end - start > domainCharactersMax) return undefined;
    let labels = 1;
    for (let at = start; at < end; at++) if (bytes[at] === dot) labels++;
    for (let at = start, labelStart = start; at < end; at++) {
      if (bytes[at] !== dot) continue;
      if (at === labelStart) return undefined;
      labelStart = at + 1;
      if (--labels > this.#labelsMax) continue;
      const held = this.#wildcards.find(bytes, labelStart, end);
      if (held === undefined) continue;
      const route = isByPaths(held) ? held.match(bytes, targetStart, pathEnd, facts) : held;
      if (route !== undefined) return route;
    }
    return undefined;
  }

  #place(domain: string): { map: DomainMap<RoutesOfDomain>; key: string } {
    if (domain === "*") return { map: this.#any, key: domain };
    if (domain.startsWith("*.")) return { map: this.#wildcards, key: domain.slice(2) };
    return { map: this.#exact, key: domain };
  }
}

function isByPaths(held: RoutesOfDomain | undefined): held is RoutesByPaths {
  return held !== undefined && !(held instanceof CompiledRoute);
}

/** With one route more than `held` has. */
function withRoute(held: CompiledRoute | PathList, route: CompiledRoute): RoutesByPaths {
  const list = held instanceof PathList ? held : new PathList(held);
  if (list.size < listedRoutesMax) {
    list.put(route);
    return list;
  }
  const table = new PathTable();
  for (const each of list.routes()) table.put(each);
  table.put(route);
  return table;
}

/** Everything under the domain, whatever else the request is. */
function isPlain({ pathPrefix, exactPath, when }: HttpMatch): boolean {
  return pathPrefix === "/" && exactPath === undefined && when === undefined;
}

function labelsOf(domain: string): number {
  return domain.split(".").length;
}

/** Where the parent of the domain that begins at `at` begins, or -1; see #matchWildcard. */
function parentAt(host: string, at: number): number {
  if (host.length > domainCharactersMax) return -1;
  const dotAt = host.indexOf(".", at);
  return dotAt > at ? dotAt + 1 : -1;
}
