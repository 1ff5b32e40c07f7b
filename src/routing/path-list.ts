// The routes of one domain by path, while they are few: a list in the order in which they are asked. Such
// domains are many, and a list costs a third of what tables cost (path-table.ts).

import type { HttpMatch } from "../model/route.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { conditionsHold, sameConditions } from "./conditions-hold.ts";
import { compareOrder } from "./precedence.ts";
import type { RequestFacts } from "./request-facts.ts";
import { isAt } from "./routes-by-path.ts";

const slash = 0x2f;

export class PathList {
  #routes: readonly CompiledRoute[];

  constructor(first: CompiledRoute) {
    this.#routes = [first];
  }

  get size(): number {
    return this.#routes.length;
  }
  /** The route of "/" without conditions. */
  get plainRoot(): CompiledRoute | undefined {
    const last = this.#routes.at(-1);
    return last?.path === "/" && !last.isExact && last.when === undefined ? last : undefined;
  }

  /** In the order in which they are asked. */
  routes(): readonly CompiledRoute[] {
    return this.#routes;
  }

  /** Its match must be free. */
  put(route: CompiledRoute): void {
    // A new array has no room to spare, as a grown one has.
    this.#routes = [...this.#routes, route].toSorted(compareOrder);
  }

  /** Harmless when it is not there. */
  remove(route: CompiledRoute): void {
    this.#routes = this.#routes.filter((each) => each !== route);
  }

  /** The route with exactly this match. */
  holder({ exactPath, pathPrefix, when }: HttpMatch): CompiledRoute | undefined {
    const path = exactPath ?? pathPrefix;
    const isExact = exactPath !== undefined;
    return this.#routes.find(
      (route) =>
        route.isExact === isExact && route.path === path && sameConditions(route.when, when),
    );
  }

  /** The first route for the path `bytes[start]` up to, not including, `bytes[end]`. */
  match(
    bytes: Uint8Array,
    start: number,
    end: number,
    facts: RequestFacts,
  ): CompiledRoute | undefined {
    const routes = this.#routes;
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i]!;
      if (!covers(route, bytes, start, end)) continue;
      const { when } = route;
      if (when === undefined || conditionsHold(when, bytes, facts)) return route;
    }
    return undefined;
  }

  /** Every route whose path fits, whatever its conditions, in the order in which they are asked. */
  covering(path: Uint8Array): CompiledRoute[] {
    return this.#routes.filter((route) => covers(route, path, 0, path.length));
  }
}

/** See path-table.ts. */
function covers(
  { path, isExact }: CompiledRoute,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  if (isExact) return isAt(path, bytes, start, end);
  const { length } = path;
  if (length === 1) return true;
  const prefixEnd = start + length;
  if (prefixEnd > end || (prefixEnd < end && bytes[prefixEnd] !== slash)) return false;
  return isAt(path, bytes, start, prefixEnd);
}
