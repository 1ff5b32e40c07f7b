// HTTP routes by domain: exact, then the longest wildcard, then "*"; within each by path and conditions. A
// domain none of whose routes fits hands on to the next less specific one.
//
// Most domains have one route, for "/" and without conditions: then that route itself is the entry, and
// nothing is walked. Only domains with more get a PathTable.

import { ChurnMap } from "../model/churn-map.ts";
import { type Domain, domainCharactersMax } from "../model/names.ts";
import type { HttpMatch } from "../model/route.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { PathTable } from "./path-table.ts";
import type { RequestFacts } from "./request-facts.ts";

type RoutesOfDomain = CompiledRoute | PathTable;

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
  readonly #exact = new ChurnMap<string, RoutesOfDomain>();
  /** "*.example.com" under "example.com". */
  readonly #wildcards = new ChurnMap<string, RoutesOfDomain>();
  /** "*" under "*"; a map like the others, so that all three are kept by the same lines. */
  readonly #any = new ChurnMap<string, RoutesOfDomain>();

  /** The route's match must be free. */
  put(match: HttpMatch, route: CompiledRoute): void {
    const { map, key } = this.#place(match.domain);
    const held = map.get(key);
    if (held instanceof PathTable) return held.put(route);
    if (held === undefined && isPlain(match)) {
      map.set(key, route);
      return;
    }
    const table = new PathTable();
    if (held !== undefined) table.put(held);
    table.put(route);
    map.set(key, table);
  }

  /** Harmless when it is not there. */
  remove({ domain }: HttpMatch, route: CompiledRoute): void {
    const { map, key } = this.#place(domain);
    const held = map.get(key);
    if (held === route) map.delete(key);
    if (!(held instanceof PathTable)) return;
    held.remove(route);
    if (held.size === 0) map.delete(key);
    else if (held.size === 1 && held.plainRoot !== undefined) map.set(key, held.plainRoot);
  }

  /** The route with exactly this match. */
  holder(match: HttpMatch): CompiledRoute | undefined {
    const { map, key } = this.#place(match.domain);
    const held = map.get(key);
    if (held instanceof PathTable) return held.holder(match);
    return isPlain(match) ? held : undefined;
  }

  /** See RouteTable.matchHttp. */
  match(
    host: string,
    bytes: Uint8Array,
    start: number,
    end: number,
    facts: RequestFacts,
  ): CompiledRoute | undefined {
    const exact = this.#exact.get(host);
    if (exact !== undefined) {
      const route = exact instanceof PathTable ? exact.match(bytes, start, end, facts) : exact;
      if (route !== undefined) return route;
    }
    if (this.#wildcards.size > 0) {
      const route = this.#matchWildcard(host, bytes, start, end, facts);
      if (route !== undefined) return route;
    }
    const any = this.#any.get("*");
    return any instanceof PathTable ? any.match(bytes, start, end, facts) : any;
  }

  /** Every domain pattern that covers the host, the most specific first. For explaining. */
  candidates(host: string, path: Uint8Array): Candidate[] {
    const candidates: Candidate[] = [];
    const add = (domain: string, held: RoutesOfDomain | undefined): void => {
      if (held === undefined) return;
      const isTable = held instanceof PathTable;
      candidates.push({
        domain,
        routes: isTable ? held.routes() : [held],
        routeCount: isTable ? held.size : 1,
        covering: isTable ? held.covering(path) : [held],
      });
    };
    add(host, this.#exact.get(host));
    for (let at = parentAt(host, 0); at > 0; at = parentAt(host, at)) {
      add(`*.${host.slice(at)}`, this.#wildcards.get(host.slice(at)));
    }
    add("*", this.#any.get("*"));
    return candidates;
  }

  #matchWildcard(
    host: string,
    bytes: Uint8Array,
    start: number,
    end: number,
    facts: RequestFacts,
  ): CompiledRoute | undefined {
    for (let at = parentAt(host, 0); at > 0; at = parentAt(host, at)) {
      const held = this.#wildcards.get(host.slice(at));
      if (held === undefined) continue;
      const route = held instanceof PathTable ? held.match(bytes, start, end, facts) : held;
      if (route !== undefined) return route;
    }
    return undefined;
  }

  #place(domain: Domain): { map: ChurnMap<string, RoutesOfDomain>; key: string } {
    if (domain === "*") return { map: this.#any, key: domain };
    if (domain.startsWith("*.")) return { map: this.#wildcards, key: domain.slice(2) };
    return { map: this.#exact, key: domain };
  }
}

/** Everything under the domain, whatever else the request is. */
function isPlain({ pathPrefix, exactPath, when }: HttpMatch): boolean {
  return pathPrefix === "/" && exactPath === undefined && when === undefined;
}

/**
 * Where the parent of the domain that begins at `at` begins, or -1. A wildcard stands for one or more
 * labels, so an empty label ends the search; and so does a host that is longer than any domain: a
 * client must not make us hash thousands of suffixes.
 */
function parentAt(host: string, at: number): number {
  if (host.length > domainCharactersMax) return -1;
  const dot = host.indexOf(".", at);
  return dot > at ? dot + 1 : -1;
}
