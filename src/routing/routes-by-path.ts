// Routes by a path, found by its hash: several at one path, each with other conditions, in the order in which
// they are asked.

import { ChurnMap } from "../model/churn-map.ts";
import type { HttpMatch } from "../model/route.ts";
import { type CompiledRoute, pathOf } from "./compiled-route.ts";
import { conditionsHold, sameConditions } from "./conditions-hold.ts";
import { comparePrecedence } from "./precedence.ts";
import type { RequestFacts } from "./request-facts.ts";

// FNV-1a, 32 bits (RFC 9923). Equal hashes are told apart by comparing bytes.
export const hashBasis = 0x811c9dc5 | 0;
export const hashPrime = 0x01000193;

export class RoutesByPath {
  readonly #byHash = new ChurnMap<number, CompiledRoute[]>();

  *routes(): IterableIterator<CompiledRoute> {
    for (const routes of this.#byHash.values()) yield* routes;
  }

  put(route: CompiledRoute): void {
    const hash = hashOf(pathOf(route));
    const routes = this.#byHash.get(hash);
    if (routes === undefined) this.#byHash.set(hash, [route]);
    else insert(routes, route);
  }

  /** Whether it was there. */
  remove(route: CompiledRoute): boolean {
    const hash = hashOf(pathOf(route));
    const routes = this.#byHash.get(hash);
    if (routes === undefined || !take(routes, route)) return false;
    if (routes.length === 0) this.#byHash.delete(hash);
    return true;
  }

  /** The route of exactly this path and these conditions. */
  holder(path: string, when: HttpMatch["when"]): CompiledRoute | undefined {
    const routes = this.#byHash.get(hashOf(path));
    return routes?.find((route) => sameConditions(route.when, when) && pathOf(route) === path);
  }

  /** The first of the path in `bytes[start]` up to, not including, `bytes[end]` whose conditions hold. */
  match(
    hash: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    facts: RequestFacts,
  ): CompiledRoute | undefined {
    const routes = this.#byHash.get(hash);
    if (routes === undefined) return undefined;
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i]!;
      if (!isAt(pathOf(route), bytes, start, end)) continue;
      const { when } = route;
      if (when === undefined || conditionsHold(when, bytes, facts)) return route;
    }
    return undefined;
  }

  /** All of this path, whatever their conditions. For explaining. */
  all(path: Uint8Array): CompiledRoute[] {
    const routes = this.#byHash.get(hashOfBytes(path, 0, path.length)) ?? [];
    return routes.filter((route) => isAt(pathOf(route), path, 0, path.length));
  }
}

/** The first whose conditions hold. */
export function firstThatHolds(
  routes: readonly CompiledRoute[],
  bytes: Uint8Array,
  facts: RequestFacts,
): CompiledRoute | undefined {
  for (let i = 0; i < routes.length; i++) {
    const { when } = routes[i]!;
    if (when === undefined || conditionsHold(when, bytes, facts)) return routes[i];
  }
  return undefined;
}

/** Puts it where its turn is. O(log routes) comparisons. */
export function insert(routes: CompiledRoute[], route: CompiledRoute): void {
  let low = 0;
  let high = routes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (comparePrecedence(routes[middle]!, route) < 0) low = middle + 1;
    else high = middle;
  }
  routes.splice(low, 0, route);
}

/** Whether it was there. */
export function take(routes: CompiledRoute[], route: CompiledRoute): boolean {
  const position = routes.indexOf(route);
  if (position < 0) return false;
  routes.splice(position, 1);
  return true;
}

/** Of `bytes[start]` up to, not including, `bytes[end]`. */
export function hashOfBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = hashBasis;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, hashPrime);
  return hash;
}

function hashOf(text: string): number {
  let hash = hashBasis;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), hashPrime);
  return hash;
}

/** Whether `bytes[start]` to `bytes[end]` spell `text` (ASCII, as every path of a route is). */
function isAt(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}
