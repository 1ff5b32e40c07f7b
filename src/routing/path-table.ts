// The routes of one domain by path prefix: the longest one that covers a path, in one walk over its
// bytes, without making a string.
//
// A prefix covers whole segments of the path as sent: "/api" covers "/api", "/api/" and "/api/v1",
// not "/apix" and not "//api"; nothing is decoded. "/" covers everything, "*" of OPTIONS included.
//
// The walk hashes as it goes; at every place where a segment ends, the hash so far is looked up. So
// a prefix costs one entry, whatever it is nested in, and removing one cannot disturb its siblings.

import { ChurnMap } from "../model/churn-map.ts";
import { type CompiledRoute, prefixOf } from "./compiled-route.ts";

const slash = 0x2f;
// FNV-1a, 32 bits (RFC 9923). Equal hashes are told apart by comparing bytes.
const hashBasis = 0x811c9dc5 | 0;
const hashPrime = 0x01000193;

export class PathTable {
  #root: CompiledRoute | undefined;
  readonly #byHash = new ChurnMap<number, CompiledRoute[]>();
  /** Segments of the deepest prefix there ever was; the walk over a path goes no further. */
  #depthMax = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }
  /** The route of "/". */
  get root(): CompiledRoute | undefined {
    return this.#root;
  }

  *routes(): IterableIterator<CompiledRoute> {
    for (const routes of this.#byHash.values()) yield* routes;
    if (this.#root !== undefined) yield this.#root;
  }

  /** The place must be free. */
  put(route: CompiledRoute): void {
    this.#size++;
    const prefix = prefixOf(route);
    if (prefix === "/") {
      this.#root = route;
      return;
    }
    const hash = hashOf(prefix);
    const routes = this.#byHash.get(hash);
    if (routes === undefined) this.#byHash.set(hash, [route]);
    else routes.push(route);
    this.#depthMax = Math.max(this.#depthMax, depthOf(prefix));
  }

  /** Harmless when it is not there. */
  remove(route: CompiledRoute): void {
    const prefix = prefixOf(route);
    if (prefix === "/") {
      if (this.#root !== route) return;
      this.#root = undefined;
      this.#size--;
      return;
    }
    const hash = hashOf(prefix);
    const routes = this.#byHash.get(hash) ?? [];
    const position = routes.indexOf(route);
    if (position < 0) return;
    routes.splice(position, 1);
    if (routes.length === 0) this.#byHash.delete(hash);
    this.#size--;
  }

  /** The route of exactly this prefix. */
  holder(prefix: string): CompiledRoute | undefined {
    if (prefix === "/") return this.#root;
    return this.#byHash.get(hashOf(prefix))?.find((route) => prefixOf(route) === prefix);
  }

  /** The longest prefix that covers the path `bytes[start]` up to, not including, `bytes[end]`. */
  match(bytes: Uint8Array, start: number, end: number): CompiledRoute | undefined {
    let longest = this.#root;
    if (start >= end) return longest;
    let hash = Math.imul(hashBasis ^ slash, hashPrime);
    for (let at = start + 1, depth = 1; depth <= this.#depthMax; at++) {
      if (at === end || bytes[at] === slash) {
        longest = this.#find(hash, bytes, start, at) ?? longest;
        if (at === end) break;
        depth++;
      }
      hash = Math.imul(hash ^ bytes[at]!, hashPrime);
    }
    return longest;
  }

  /** Every prefix that covers the path, the longest first. For explaining: asks about each one alone. */
  covering(path: Uint8Array): CompiledRoute[] {
    const covering: CompiledRoute[] = this.#root === undefined ? [] : [this.#root];
    for (let end = 1; end <= path.length; end++) {
      if (path[0] !== slash || (end < path.length && path[end] !== slash)) continue;
      const found = this.#find(hashOfBytes(path, end), path, 0, end);
      if (found !== undefined) covering.unshift(found);
    }
    return covering;
  }

  #find(hash: number, bytes: Uint8Array, start: number, end: number): CompiledRoute | undefined {
    const routes = this.#byHash.get(hash);
    if (routes === undefined) return undefined;
    for (const route of routes) if (isAt(prefixOf(route), bytes, start, end)) return route;
    return undefined;
  }
}

/** Whether `bytes[start]` to `bytes[end]` spell `text` (ASCII, as every prefix is). */
function isAt(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}

function hashOf(text: string): number {
  let hash = hashBasis;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), hashPrime);
  return hash;
}

function hashOfBytes(bytes: Uint8Array, end: number): number {
  let hash = hashBasis;
  for (let i = 0; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, hashPrime);
  return hash;
}

/** Segments of a prefix: 2 for "/a/b". */
function depthOf(prefix: string): number {
  let depth = 0;
  for (let i = 0; i < prefix.length; i++) if (prefix.charCodeAt(i) === slash) depth++;
  return depth;
}
