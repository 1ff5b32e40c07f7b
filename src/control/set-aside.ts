// Keeps a table consistent whatever the store holds: two routes with one match cannot both serve, so
// one is set aside with its reason, and taken up when its match comes free.
//
// The API never lets such a pair in; a hand that writes to the store can. One rule for every node,
// whatever it saw before: of the routes that want one match the smaller `matchRevision` serves, then the
// smaller name. So nodes that hold the same content serve the same, but for leftovers: a route whose new
// version is set aside serves as it did, on this node, until some route of the store wants that match.
//
// Costs what the change names and what waits for those matches, whatever the size of the table.
// Pure: no store, no clock.

import type { Change, ChangeSet } from "../model/change.ts";
import type { RouteName } from "../model/names.ts";
import { type MatchKey, matchKeyOf, matchText, type Route } from "../model/route.ts";
import type { Table } from "../model/table.ts";
import type { UnservedRoute } from "./unserved.ts";

/** An entry that the store holds and this node does not serve. */
export interface SetAsideRoute {
  readonly key: string;
  readonly reason: string;
}

/** What of a ChangeSet may be applied, and what that means for those who wait. */
export interface Admission {
  readonly changeSet: ChangeSet;
  /** Set aside by it, or now in favour of another. */
  readonly came: readonly SetAsideRoute[];
  /** Set aside no more: serving as stored, or removed. */
  readonly went: readonly SetAsideRoute[];
}

/** A route of the store that waits, and the one that serves its match. */
interface Waiting {
  readonly route: Route;
  readonly winner: RouteName;
}

export class SetAside {
  /** What is served; patched by the owner with each answer of `admit`. */
  readonly #table: Table;
  readonly #waiting = new Map<RouteName, Waiting>();
  readonly #waitingFor = new Map<MatchKey, ReadonlySet<RouteName>>();

  constructor(table: Table) {
    this.#table = table;
  }

  get entries(): readonly SetAsideRoute[] {
    return [...this.#waiting.values()].map(entryOf);
  }

  *unserved(): Iterable<UnservedRoute> {
    for (const one of this.#waiting.values()) {
      yield { route: one.route, reason: () => entryOf(one).reason };
    }
  }

  /** Routes of the store that do not serve as stored. */
  *routes(): IterableIterator<Route> {
    for (const { route } of this.#waiting.values()) yield route;
  }

  /** The route of this name that the store holds, whether it serves or waits. */
  route(name: RouteName): Route | undefined {
    return this.#waiting.get(name)?.route ?? this.#table.route(name);
  }

  /** The routes of the store that want this match: the one that serves, then who waits, in their order. */
  claimants(key: MatchKey): readonly Route[] {
    const served = this.#table.routeOfMatch(key);
    const waiting = this.#waitingFor.get(key);
    const claims = served === undefined || this.#waiting.has(served.name) ? [] : [served];
    for (const name of waiting ?? []) {
      const route = this.#waiting.get(name)?.route;
      if (route !== undefined) claims.push(route);
    }
    return claims.length > 1 ? claims.toSorted(earlierFirst) : claims;
  }

  /** To be called for every ChangeSet in order; the answer must then be applied to the table. */
  admit(changeSet: ChangeSet): Admission {
    const named = lastOfEach(changeSet.changes);
    if (named.size === 0) return { changeSet, came: [], went: [] };
    const claims = this.#claimsAfter(named);
    const changes = this.#changesFor(named, claims);
    const { came, went } = this.#settle(claims);
    const others = changeSet.changes.filter((change) => routeNamedBy(change) === undefined);
    return {
      changeSet:
        changes === undefined ? changeSet : { ...changeSet, changes: [...others, ...changes] },
      came,
      went,
    };
  }

  /** For every match that the change concerns: who wants it afterwards, the one that serves first. */
  #claimsAfter(
    named: ReadonlyMap<RouteName, Route | undefined>,
  ): ReadonlyMap<MatchKey, readonly Route[]> {
    const claims = new Map<MatchKey, Route[]>();
    const concern = (key: MatchKey): Route[] => {
      let claimants = claims.get(key);
      if (claimants === undefined) {
        claimants = this.claimants(key).filter(({ name }) => !named.has(name));
        claims.set(key, claimants);
      }
      return claimants;
    };
    for (const [name, route] of named) {
      const before = this.route(name);
      if (before !== undefined) concern(matchKeyOf(before.match));
      if (route !== undefined) concern(matchKeyOf(route.match)).push(route);
    }
    for (const claimants of claims.values()) claimants.sort(earlierFirst);
    return claims;
  }

  /** The routes that change in the table, removals first; undefined: what was named, as it was named. */
  #changesFor(
    named: ReadonlyMap<RouteName, Route | undefined>,
    claims: ReadonlyMap<MatchKey, readonly Route[]>,
  ): readonly Change[] | undefined {
    const puts = new Map<RouteName, Change>();
    const removals = new Map<RouteName, Change>();
    let asNamed = true;
    for (const [winner, ...losers] of claims.values()) {
      if (winner === undefined) continue;
      if (losers.some(({ name }) => named.has(name))) asNamed = false;
      if (named.has(winner.name)) puts.set(winner.name, { kind: "route-put", route: winner });
      else if (this.#waiting.has(winner.name)) {
        asNamed = false;
        puts.set(winner.name, { kind: "route-put", route: winner });
      }
    }
    for (const [key, [winner]] of claims) {
      const holder = this.#table.routeOfMatch(key)?.name;
      if (winner === undefined || holder === undefined || holder === winner.name) continue;
      if (puts.has(holder)) continue;
      // Displaced: a later claim, or a leftover.
      if (!named.has(holder) || named.get(holder) !== undefined) asNamed = false;
      removals.set(holder, { kind: "route-removed", name: holder });
    }
    if (asNamed) return undefined;
    for (const [name, route] of named) {
      if (route === undefined) removals.set(name, { kind: "route-removed", name });
    }
    return [...removals.values(), ...puts.values()];
  }

  /** Remembers who waits from now on. */
  #settle(claims: ReadonlyMap<MatchKey, readonly Route[]>): Pick<Admission, "came" | "went"> {
    const before = new Map<RouteName, Waiting>();
    for (const key of claims.keys()) {
      for (const name of this.#waitingFor.get(key) ?? []) {
        const waiting = this.#waiting.get(name);
        if (waiting !== undefined) before.set(name, waiting);
        this.#waiting.delete(name);
      }
      this.#waitingFor.delete(key);
    }
    const came: SetAsideRoute[] = [];
    for (const [key, [winner, ...losers]] of claims) {
      if (winner === undefined || losers.length === 0) continue;
      this.#waitingFor.set(key, new Set(losers.map(({ name }) => name)));
      for (const route of losers) {
        const waiting = { route, winner: winner.name };
        const { reason } = entryOf(waiting);
        const known = before.get(route.name);
        if (known === undefined || entryOf(known).reason !== reason) came.push(entryOf(waiting));
        this.#waiting.set(route.name, waiting);
      }
    }
    const went = [...before.values()].filter(({ route }) => !this.#waiting.has(route.name));
    return { came, went: went.map(entryOf) };
  }
}

function entryOf({ route, winner }: Waiting): SetAsideRoute {
  return {
    key: `routes/${route.name}`,
    reason: `${matchText(route.match)} belongs to route ${winner}; remove one of the two`,
  };
}

/** What each named route is in the end; undefined: removed. */
function lastOfEach(changes: readonly Change[]): Map<RouteName, Route | undefined> {
  const last = new Map<RouteName, Route | undefined>();
  for (const change of changes) {
    if (change.kind === "route-put") last.set(change.route.name, change.route);
    else if (change.kind === "route-removed") last.set(change.name, undefined);
  }
  return last;
}

function routeNamedBy(change: Change): RouteName | undefined {
  if (change.kind === "route-put") return change.route.name;
  return change.kind === "route-removed" ? change.name : undefined;
}

function earlierFirst(a: Route, b: Route): number {
  return a.matchRevision - b.matchRevision || (a.name < b.name ? -1 : 1);
}
