// The routes of one domain by path: the exact path, else the longest prefix that covers it, in one walk over
// its bytes, without making a string. A route whose conditions fail is as if it were not there.
//
// A prefix covers whole segments of the path as sent: "/api" covers "/api", "/api/" and "/api/v1",
// not "/apix" and not "//api"; nothing is decoded. "/" covers everything, "*" of OPTIONS included.
//
// The walk hashes as it goes; at every place where a segment ends, the hash so far is looked up. So
// a prefix costs one entry, whatever it is nested in, and removing one cannot disturb its siblings.

import type { HttpMatch } from "../model/route.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { sameConditions } from "./conditions-hold.ts";
import type { RequestFacts } from "./request-facts.ts";
import {
  firstThatHolds,
  hashBasis,
  hashOfBytes,
  hashPrime,
  insert,
  RoutesByPath,
  take,
} from "./routes-by-path.ts";

const slash = 0x2f;

export class PathTable {
  /** Of the prefix "/". */
  #roots: CompiledRoute[] | undefined = undefined;
  readonly #prefixes = new RoutesByPath();
  /** Made when a route has an exact path: most domains have none. */
  #exact: RoutesByPath | undefined = undefined;
  /** Segments of the deepest prefix there ever was; the walk over a path goes no further. */
  #depthMax = 0;
  /** Of the longest exact path there ever was; longer ones are not hashed. */
  #exactLengthMax = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }
  /** The route of "/" without conditions. */
  get plainRoot(): CompiledRoute | undefined {
    const last = this.#roots?.at(-1);
    return last?.when === undefined ? last : undefined;
  }

  *routes(): IterableIterator<CompiledRoute> {
    if (this.#exact !== undefined) yield* this.#exact.routes();
    yield* this.#prefixes.routes();
    if (this.#roots !== undefined) yield* this.#roots;
  }

  /** Its match must be free. */
  put(route: CompiledRoute): void {
    this.#size++;
    const { path } = route;
    if (route.isExact) {
      this.#exact ??= new RoutesByPath();
      this.#exact.put(route);
      this.#exactLengthMax = Math.max(this.#exactLengthMax, path.length);
    } else if (path === "/") {
      if (this.#roots === undefined) this.#roots = [route];
      else insert(this.#roots, route);
    } else {
      this.#prefixes.put(route);
      this.#depthMax = Math.max(this.#depthMax, depthOf(path));
    }
  }

  /** Harmless when it is not there. */
  remove(route: CompiledRoute): void {
    if (this.#take(route)) this.#size--;
  }

  #take(route: CompiledRoute): boolean {
    if (route.isExact) return this.#exact?.remove(route) ?? false;
    if (route.path !== "/") return this.#prefixes.remove(route);
    return this.#roots !== undefined && take(this.#roots, route);
  }

  /** The route with exactly this match. */
  holder({ exactPath, pathPrefix, when }: HttpMatch): CompiledRoute | undefined {
    if (exactPath !== undefined) return this.#exact?.holder(exactPath, when);
    if (pathPrefix !== "/") return this.#prefixes.holder(pathPrefix, when);
    return this.#roots?.find((route) => sameConditions(route.when, when));
  }

  /** The first route for the path `bytes[start]` up to, not including, `bytes[end]`. */
  match(
    bytes: Uint8Array,
    start: number,
    end: number,
    facts: RequestFacts,
  ): CompiledRoute | undefined {
    if (this.#exact !== undefined && end - start <= this.#exactLengthMax) {
      const hash = hashOfBytes(bytes, start, end);
      const route = this.#exact.match(hash, bytes, start, end, facts);
      if (route !== undefined) return route;
    }
    const route = this.#matchPrefix(bytes, start, end, facts);
    if (route !== undefined || this.#roots === undefined) return route;
    return firstThatHolds(this.#roots, bytes, facts);
  }

  #matchPrefix(
    bytes: Uint8Array,
    start: number,
    end: number,
    facts: RequestFacts,
  ): CompiledRoute | undefined {
    if (start >= end) return undefined;
    let longest: CompiledRoute | undefined;
    let hash = Math.imul(hashBasis ^ slash, hashPrime);
    for (let at = start + 1, depth = 1; depth <= this.#depthMax; at++) {
      if (at === end || bytes[at] === slash) {
        longest = this.#prefixes.match(hash, bytes, start, at, facts) ?? longest;
        if (at === end) break;
        depth++;
      }
      hash = Math.imul(hash ^ bytes[at]!, hashPrime);
    }
    return longest;
  }

  /**
   * Every route whose path fits, whatever its conditions, in the order in which they are asked. For
   * explaining: asks about each prefix alone.
   */
  covering(path: Uint8Array): CompiledRoute[] {
    const covering = [...(this.#roots ?? [])];
    for (let end = 1; end <= path.length; end++) {
      if (path[0] !== slash || (end < path.length && path[end] !== slash)) continue;
      covering.unshift(...this.#prefixes.all(path.subarray(0, end)));
    }
    return [...(this.#exact?.all(path) ?? []), ...covering];
  }
}

/** Segments of a prefix: 2 for "/a/b". */
function depthOf(prefix: string): number {
  let depth = 0;
  for (let i = 0; i < prefix.length; i++) if (prefix.charCodeAt(i) === slash) depth++;
  return depth;
}
