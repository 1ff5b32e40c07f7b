// Routes by a path, found by its hash: several at one path, each with other conditions, in the order in which
// they are asked.

import type { HttpMatch } from "../model/route.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { conditionsHold, sameConditions } from "./conditions-hold.ts";
import { HashedSlots } from "./hashed-slots.ts";
import { comparePrecedence } from "./precedence.ts";
import type { RequestFacts } from "./request-facts.ts";

// FNV-1a, 32 bits (RFC 9923). Equal hashes are told apart by comparing bytes.
export const hashBasis = 0x811c9dc5 | 0;
export const hashPrime = 0x01000193;

/** Of one path; an array only when there are several: never empty. */
type RoutesOfPath = CompiledRoute | CompiledRoute[];

export class RoutesByPath {
  readonly #slots = new HashedSlots<RoutesOfPath>();

  *routes(): IterableIterator<CompiledRoute> {
    for (const routes of this.#slots.values()) {
      if (Array.isArray(routes)) yield* routes;
      else yield routes;
    }
  }

  put(route: CompiledRoute): void {
    const hash = hashOfText(route.path);
    const slot = this.#slotOf(route.path, hash);
    if (slot < 0) return this.#slots.insert(hash, route);
    const held = this.#slots.valueAt(slot);
    if (Array.isArray(held)) return insert(held, route);
    const routes = [held];
    insert(routes, route);
    this.#slots.setValue(slot, routes);
  }

  /** Whether it was there. */
  remove(route: CompiledRoute): boolean {
    const slot = this.#slotOf(route.path, hashOfText(route.path));
    if (slot < 0) return false;
    const held = this.#slots.valueAt(slot);
    if (Array.isArray(held)) {
      if (!take(held, route)) return false;
      if (held.length === 1) this.#slots.setValue(slot, held[0]!);
      return true;
    }
    if (held !== route) return false;
    this.#slots.removeAt(slot);
    return true;
  }

  /** The route of exactly this path and these conditions. */
  holder(path: string, when: HttpMatch["when"]): CompiledRoute | undefined {
    const slot = this.#slotOf(path, hashOfText(path));
    if (slot < 0) return undefined;
    return allOf(this.#slots.valueAt(slot)).find((route) => sameConditions(route.when, when));
  }

  /** The first of the path in `bytes[start]` up to, not including, `bytes[end]` whose conditions hold. */
  match(
    hash: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    facts: RequestFacts,
  ): CompiledRoute | undefined {
    const slots = this.#slots;
    for (let slot = slots.find(hash); slot >= 0; slot = slots.findNext(slot)) {
      const held = slots.valueAt(slot);
      if (Array.isArray(held)) {
        if (isAt(held[0]!.path, bytes, start, end)) return firstThatHolds(held, bytes, facts);
      } else if (isAt(held.path, bytes, start, end)) {
        const { when } = held;
        return when === undefined || conditionsHold(when, bytes, facts) ? held : undefined;
      }
    }
    return undefined;
  }

  /** All of this path, whatever their conditions. For explaining. */
  all(path: Uint8Array): readonly CompiledRoute[] {
    const slots = this.#slots;
    let slot = slots.find(hashOfBytes(path, 0, path.length));
    while (slot >= 0) {
      const routes = allOf(slots.valueAt(slot));
      if (isAt(routes[0]!.path, path, 0, path.length)) return routes;
      slot = slots.findNext(slot);
    }
    return [];
  }

  #slotOf(path: string, hash: number): number {
    const slots = this.#slots;
    let slot = slots.find(hash);
    while (slot >= 0 && allOf(slots.valueAt(slot))[0]!.path !== path) slot = slots.findNext(slot);
    return slot;
  }
}

function allOf(routes: RoutesOfPath): readonly CompiledRoute[] {
  return Array.isArray(routes) ? routes : [routes];
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

export function hashOfText(text: string): number {
  let hash = hashBasis;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), hashPrime);
  return hash;
}

/** Whether `bytes[start]` to `bytes[end]` spell `text` (ASCII, as every path of a route is). */
export function isAt(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}
